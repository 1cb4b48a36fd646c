package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

// format is how data is printed; it is the value of -o.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

func (f *format) String() string { return string(*f) }

func (f *format) Type() string { return "table|json|yaml" }

func (f *format) Set(s string) error {
	if !slices.Contains([]format{formatTable, formatJSON, formatYAML}, format(s)) {
		return fmt.Errorf("%q is no output format: want table, json or yaml", s)
	}
	*f = format(s)
	return nil
}

// printsData gives a verb the flags -o and --json.
func (a *app) printsData(c *cobra.Command) *cobra.Command {
	a.format = formatTable
	c.Flags().VarP(&a.format, "output", "o", "how to print")
	asJSON := jsonFlag{&a.format}
	c.Flags().VarPF(asJSON, "json", "", "short for -o json").NoOptDefVal = "true"
	return c
}

// jsonFlag is --json, another way to say -o json.
type jsonFlag struct{ f *format }

func (jsonFlag) String() string { return "" }
func (jsonFlag) Type() string   { return "bool" }

func (j jsonFlag) Set(s string) error {
	switch s {
	case "true":
		return j.f.Set(string(formatJSON))
	case "false":
		return nil
	}
	return fmt.Errorf("%q is neither true nor false", s)
}

// print writes v as data, or as people read it.
func (a *app) print(v any, human func(*table)) error {
	if a.format == formatTable {
		t := newTable(a.out)
		human(t)
		return t.flush()
	}
	return a.printData(v)
}

func (a *app) printData(v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	b = append(b, '\n')
	if a.format == formatYAML {
		if b, err = yaml.JSONToYAML(b); err != nil {
			return err
		}
	}
	_, err = a.out.Write(b)
	return err
}

// table aligns columns. An empty cell shows as a hyphen, so that columns can be cut by machines.
type table struct{ w *tabwriter.Writer }

const columnGap = 2

func newTable(w io.Writer) *table {
	return &table{tabwriter.NewWriter(w, 0, 0, columnGap, ' ', 0)}
}

func (t *table) row(cells ...any) {
	texts := make([]string, len(cells))
	for i, c := range cells {
		// Names come from other hosts: a cell must not move the cursor or break the line.
		texts[i] = strings.Map(printable, fmt.Sprint(c))
		if texts[i] == "" {
			texts[i] = "-"
		}
	}
	fmt.Fprintln(t.w, strings.Join(texts, "\t"))
}

// text writes a line that is no row.
func (t *table) text(format string, args ...any) {
	line := strings.Map(printable, fmt.Sprintf(format, args...))
	fmt.Fprintln(t.w, line)
}

// printable keeps what could drive a terminal, or turn a line around, from it.
func printable(r rune) rune {
	if !unicode.IsPrint(r) {
		return ' '
	}
	return r
}

func (t *table) flush() error { return t.w.Flush() }
