package report

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/micro/micro-net"
)

// Bounds of a log. A field of maxField bytes has at most four times as many when it is quoted, so
// each line that Log writes can be read back.
const (
	maxField     = 4 << 10   // bytes of one field; Log cuts longer ones
	maxLogLine   = 128 << 10 // bytes of one line; ReadLog refuses longer ones
	maxLogEvents = 1 << 20   // events; ReadLog refuses more
	maxColumn    = 24        // width to which a column is padded
)

// Log writes the events, one a line, in columns: virtual time in seconds with nine decimals, node,
// kind, peer, detail. An empty field is "-"; one that could be misread is quoted as Go does. Lines
// that begin with "#" are comments. The same run gives the same bytes, so two logs can be compared
// with diff. The size grows with the number of events; fields are cut at 4 KiB.
func Log(w io.Writer, r *Run) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# scenario %s, seed %d, %s\n", strconv.Quote(clip(r.Scenario, maxField)), r.Seed, verdict(r))
	fmt.Fprintf(&b, "# repeat: %s\n", oneLine(clip(r.Command, maxField)))
	node, kind, peer := columns(r.Log)
	fmt.Fprintf(&b, "# %18s %-*s %-*s %-*s %s\n", "seconds", node, "node", kind, "kind", peer, "peer", "detail")
	for i := range r.Log {
		e := &r.Log[i]
		fmt.Fprintf(&b, "%20s %-*s %-*s %-*s %s\n", seconds(e.At), node, word(e.Node), kind, word(e.Kind), peer, word(e.Peer), rest(e.Detail))
	}
	return flush(w, "report.log", &b)
}

// columns returns how wide node, kind and peer are.
func columns(events []Event) (node, kind, peer int) {
	width := func(have int, s string) int {
		return max(have, min(utf8.RuneCountInString(word(s)), maxColumn))
	}
	node, kind, peer = 4, 4, 4
	for i := range events {
		node, kind, peer = width(node, events[i].Node), width(kind, events[i].Kind), width(peer, events[i].Peer)
	}
	return node, kind, peer
}

// seconds prints a time with its nanoseconds: "30.000000250".
func seconds(d time.Duration) string {
	sign, n := "", uint64(d)
	if d < 0 {
		sign, n = "-", -n
	}
	return fmt.Sprintf("%s%d.%09d", sign, n/1e9, n%1e9)
}

// word writes a field that ends at a space.
func word(s string) string {
	s = clip(s, maxField)
	switch {
	case s == "":
		return "-"
	case plain(s) && !strings.Contains(s, " "):
		return s
	}
	return strconv.Quote(s)
}

// rest writes the field that ends with the line.
func rest(s string) string {
	s = clip(s, maxField)
	switch {
	case s == "":
		return "-"
	case plain(s) && strings.TrimSpace(s) == s:
		return s
	}
	return strconv.Quote(s)
}

// plain reports whether s can stand in the log as it is.
func plain(s string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return s != "-" && s[0] != '"' && utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0
}

// flush hands the finished text over, in one write.
func flush(w io.Writer, op string, b *bytes.Buffer) error {
	if _, err := w.Write(b.Bytes()); err != nil {
		return micronet.E(op, micronet.KindOf(err), "write: %w", err).WithFix("check the disk and the rights of the folder of the report")
	}
	return nil
}

// ReadLog reads what Log wrote. It refuses a line that is not of this form, with its number, and
// logs of more than 1,048,576 events.
func ReadLog(r io.Reader) ([]Event, error) {
	scan := bufio.NewScanner(r)
	scan.Buffer(nil, maxLogLine)
	var events []Event
	n := 1
	for ; scan.Scan(); n++ {
		line := scan.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := readEvent(line)
		if err != nil {
			return nil, badLog(n, err)
		}
		if len(events) == maxLogEvents {
			return nil, badLog(n, fmt.Errorf("there are more than %d events", maxLogEvents))
		}
		events = append(events, e)
	}
	if err := scan.Err(); err != nil {
		return nil, badLog(n, err)
	}
	return events, nil
}

func badLog(line int, err error) error {
	if errors.Is(err, bufio.ErrTooLong) {
		err = fmt.Errorf("the line is longer than %d bytes", maxLogLine)
	}
	return micronet.E("report.readlog", micronet.Invalid, "line %d: %w", line, err).
		WithFix("a line is: seconds with nine decimals, node, kind, peer, detail; %q for none", "-")
}

func readEvent(line string) (e Event, err error) {
	at, tail, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
	if e.At, err = readSeconds(at); err != nil {
		return e, err
	}
	for _, field := range []*string{&e.Node, &e.Kind, &e.Peer} {
		if *field, tail, err = readWord(tail); err != nil {
			return e, err
		}
	}
	e.Detail, err = readRest(strings.TrimLeft(tail, " "))
	return e, err
}

// readSeconds reads what seconds wrote.
func readSeconds(s string) (time.Duration, error) {
	whole, frac, ok := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if !ok || len(frac) != 9 {
		return 0, fmt.Errorf("%q is no time", clip(s, 40))
	}
	secs, err := strconv.ParseUint(whole, 10, 64)
	nanos, err2 := strconv.ParseUint(frac, 10, 64)
	if err != nil || err2 != nil || secs > math.MaxInt64/uint64(time.Second) {
		return 0, fmt.Errorf("%q is no time", clip(s, 40))
	}
	total := secs*uint64(time.Second) + nanos
	switch {
	case s[0] == '-' && total <= 1<<63:
		return time.Duration(-total), nil
	case s[0] != '-' && total < 1<<63:
		return time.Duration(total), nil
	}
	return 0, fmt.Errorf("%q is more time than there is", clip(s, 40))
}

// readWord reads what word wrote, and returns what follows it.
func readWord(s string) (value, tail string, err error) {
	s = strings.TrimLeft(s, " ")
	if !strings.HasPrefix(s, `"`) {
		value, tail, _ = strings.Cut(s, " ")
		return readPlain(value, tail)
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("the quotes of %q do not end", clip(s, 40))
	}
	value, err = strconv.Unquote(quoted)
	return value, s[len(quoted):], err
}

func readPlain(value, tail string) (string, string, error) {
	switch value {
	case "":
		return "", "", errors.New("a field is missing")
	case "-":
		return "", tail, nil
	}
	return value, tail, nil
}

// readRest reads what rest wrote.
func readRest(s string) (string, error) {
	if !strings.HasPrefix(s, `"`) {
		value, _, err := readPlain(s, "")
		return value, err
	}
	value, err := strconv.Unquote(s)
	if err != nil {
		return "", fmt.Errorf("the quotes of %q are wrong", clip(s, 40))
	}
	return value, nil
}
