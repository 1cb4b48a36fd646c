package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
)

const (
	program = "micro-net"
	// nearWord is how many letters a word may be off to be suggested.
	nearWord = 2
)

// errInterrupted ends a verb that was told to stop.
var errInterrupted = errors.New("interrupted")

// exitError carries an exit code that no kind has. A nil err prints nothing.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// fail prints an error, one line each if there are several, and returns the exit code.
func (a *app) fail(verb string, err error) int {
	if errors.Is(err, errInterrupted) {
		return micronet.ExitInterrupted
	}
	code := micronet.KindOf(err).ExitCode()
	if exit, ok := errors.AsType[*exitError](err); ok {
		if exit.err == nil {
			return exit.code
		}
		code, err = exit.code, exit.err
	}
	for _, leaf := range leaves(err) {
		fmt.Fprintf(a.err, "%s: %s\n", program, oneLine(describe(verb, leaf)))
	}
	return code
}

// describe makes the operation the verb where the error names none that means more to a user: those
// with a dot are parts of the program.
func describe(verb string, err error) string {
	e, ok := errors.AsType[*micronet.Error](err)
	if !ok || !strings.HasPrefix(err.Error(), e.Op) {
		return verb + ": " + err.Error()
	}
	if e.Op == "api" || strings.Contains(e.Op, ".") {
		c := *e
		c.Op = verb
		return c.Error()
	}
	return strings.TrimPrefix(e.Error(), program+": ")
}

func oneLine(s string) string { return strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ") }

// leaves takes joined errors apart.
func leaves(err error) []error {
	if _, ok := err.(*micronet.Error); ok {
		return []error{err}
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, leaves(e)...)
	}
	return out
}

// invalid makes errors about the user's input out of plain ones, each on its own.
func invalid(op string, errs ...error) error {
	var out []error
	for _, err := range errs {
		for _, leaf := range leaves(err) {
			out = append(out, micronet.E(op, micronet.Invalid, "%w", leaf))
		}
	}
	return errors.Join(out...)
}

// wrongUse is an error about the command line itself.
func wrongUse(cmd *cobra.Command, format string, args ...any) *micronet.Error {
	return micronet.E(cmd.Name(), micronet.Invalid, format, args...).WithFix("see `%s --help`", cmd.CommandPath())
}

// checked turns what cobra says of arguments into our errors.
func checked(f cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := f(cmd, args); err != nil {
			return wrongUse(cmd, "%w", err).WithFix("usage: %s", cmd.UseLine())
		}
		return nil
	}
}

// unknownVerb refuses arguments of a command that has only verbs.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	e := wrongUse(cmd, "there is no verb %q", args[0])
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		return e.WithFix("did you mean `%s %s`?", cmd.CommandPath(), s[0])
	}
	return e
}

var flagName = regexp.MustCompile(`--([a-z][a-z-]*)`)

// flagError adds the nearest flag to what the parser says.
func flagError(cmd *cobra.Command, err error) error {
	e := wrongUse(cmd, "%w", err)
	word, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return e
	}
	// Cobra knows how near two words are, but tells it of verbs only: make verbs of the flags.
	flags := &cobra.Command{SuggestionsMinimumDistance: nearWord}
	for _, m := range flagName.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
		flags.AddCommand(&cobra.Command{Use: m[1], Run: func(*cobra.Command, []string) {}})
	}
	if s := flags.SuggestionsFor(word); len(s) > 0 {
		return e.WithFix("did you mean --%s?", s[0])
	}
	return e
}

// noArgs is for verbs that know flags only.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%q is given, and no arguments are taken", args[0])
	}
	return nil
}
