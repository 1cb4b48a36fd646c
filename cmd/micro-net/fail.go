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

// describe makes the verb the operation of an error, whatever part of the program it comes from.
func describe(verb string, err error) string {
	e, ok := errors.AsType[*micronet.Error](err)
	if !ok || !strings.HasPrefix(err.Error(), e.Op) {
		return verb + ": " + withoutParts(err.Error())
	}
	if e.Op == program {
		return strings.TrimPrefix(e.Error(), program+": ") // no verb was found
	}
	c := *e
	c.Op = verb
	return withoutParts(c.Error())
}

// partName matches the operations of inner errors, as "tunnel.dial: ".
var partName = regexp.MustCompile(`(^|[ (])(?:api|catalog|gossip|identity|node|proxy|router|swim|tunnel)\.[a-z-]+: `)

// withoutParts leaves out the names of the program's parts, which mean nothing to its user.
func withoutParts(text string) string { return partName.ReplaceAllString(text, "$1") }

func oneLine(s string) string {
	return strings.Map(printable, strings.ReplaceAll(strings.TrimSpace(s), "\n", "; "))
}

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

// badValue is what the flag parser says of a value that package strconv or time could not read.
var badValue = regexp.MustCompile(`^invalid argument ("(?:[^"\\]|\\.)*") for (?:"[^"]*, )?"?(--[a-z-]+)"? flag: (strconv|time): ?(.*)$`)

// plainFlagError says it without the names of functions.
func plainFlagError(text string) string {
	m := badValue.FindStringSubmatch(strings.Replace(text, "strconv.", "strconv: ", 1))
	switch {
	case m == nil:
		return text
	case m[3] == "time":
		return fmt.Sprintf("%s %s is no duration: want one like 30s or 5m", m[2], m[1])
	case strings.HasSuffix(m[4], "value out of range"):
		return fmt.Sprintf("%s %s is out of range", m[2], m[1])
	}
	return fmt.Sprintf("%s %s is no whole number", m[2], m[1])
}

var flagName = regexp.MustCompile(`--([a-z][a-z-]*)`)

// flagError adds the nearest flag to what the parser says.
func flagError(cmd *cobra.Command, err error) error {
	e := wrongUse(cmd, "%s", plainFlagError(err.Error()))
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
