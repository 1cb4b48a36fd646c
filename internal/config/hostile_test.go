//go:build unix

package config

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bounded is processor time, far above what any input may take; the parser alone takes half a minute or
// minutes for some of these. How long it takes by the clock depends on who else is busy.
const bounded = 15 * time.Second

// spent is the processor time that this process has used.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func filled(format string) []byte {
	var b strings.Builder
	for i := 0; b.Len() < maxFile-64; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return []byte(b.String()[:min(b.Len(), maxFile)])
}

func repeated(s string) []byte { return []byte(strings.Repeat(s, maxFile/len(s))) }

func indented() []byte {
	var b strings.Builder
	for i := 0; b.Len()+2*i < maxFile-64; i++ {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return []byte(b.String())
}

// bomb is the classic of nested aliases: a few hundred bytes that mean a billion values.
const bomb = `a: &a [x, x, x, x, x, x, x, x, x]
b: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
services: [*c, *c, *c, *c, *c, *c, *c, *c, *c]
`

func TestH32_HostileFilesAreRefusedInBoundedTime(t *testing.T) {
	for name, data := range map[string][]byte{
		"open brackets":     repeated("["),
		"brackets":          append(repeated("[")[:maxFile/2], repeated("]")[:maxFile/2]...),
		"flow maps":         repeated("{a: "),
		"list entries":      repeated("- "),
		"complex keys":      repeated("? "),
		"anchors":           repeated("&a "),
		"tags":              repeated("!a "),
		"reserved":          repeated("@"),
		"directives":        repeated("%"),
		"one mapping":       filled("k%d: 1\n"),
		"one nested":        append([]byte("services:\n"), filled("  k%d: 1\n")[:maxFile-64]...),
		"one flow mapping":  []byte("{" + string(filled("k%d: 1,")[:maxFile-64]) + "}"),
		"list":              filled("- k%d\n"),
		"flow list":         []byte("[" + strings.Repeat("1,", maxFile/2-1) + "]"),
		"colons":            repeated(": "),
		"quotes":            repeated(`"`),
		"single quotes":     repeated("'"),
		"literals":          repeated("a: |\n"),
		"indentation":       indented(),
		"long text":         append([]byte("name: "), repeated("a")[:maxFile-64]...),
		"long key":          append(repeated("a")[:maxFile-64], ": b\n"...),
		"documents":         repeated("a: b\n---\n"),
		"services":          append([]byte("services:\n"), filled("- name: k%d\n  port: x\n")[:maxFile-64]...),
		"unknown keys":      append([]byte("services:\n"), filled("- k%d: 1\n")[:maxFile-64]...),
		"JSON nesting":      []byte(strings.Repeat("[", 9999) + strings.Repeat("]", 9999)),
		"JSON keys":         []byte("{" + string(filled(`"k%d":1,`)[:maxFile-64]) + `"z":1}`),
		"JSON unknown keys": []byte(`{"services":[{"name":"web","port":1` + string(filled(`,"k%d":1`)) + "}]}"),
		"bomb":              []byte(bomb),
		"program":           append([]byte("\x7fELF\x02\x01\x01"), repeated("\x00\xff")[:maxFile/2]...),
		"UTF-16":            []byte("\xff\xfen\x00a\x00m\x00e\x00"),
		"too long":          make([]byte, maxFile+1),
	} {
		start := spent(t)
		services, errs := ParseServices("web.yaml", data)
		if took := spent(t) - start; took > bounded {
			t.Errorf("%s: took %s", name, took)
		}
		if len(errs) == 0 || len(errs) > maxFaults+1 || len(services) > 0 {
			t.Errorf("%s: %d services, %d errors", name, len(services), len(errs))
		}
		for _, err := range errs {
			checkLine(t, err)
		}
	}
	for name, data := range map[string][]byte{"mapping": filled("k%d: 1\n"), "flow mapping": []byte("{" + string(filled("k%d: 1,")) + "}"), "bomb": []byte(bomb)} {
		start := spent(t)
		_, err := Load(Input{Getenv: nothing, File: "config.yaml", Data: data})
		if took := spent(t) - start; err == nil || took > bounded {
			t.Errorf("%s: %v as config.yaml after %s", name, err, took)
		}
	}
}

// Much whitespace or many comments are no attack.
func TestLargeHarmlessFilesAreTaken(t *testing.T) {
	web := "name: web\nport: 80\n"
	for name, data := range map[string]string{
		"lines":    strings.Repeat("\n", 1<<19) + web,
		"comments": strings.Repeat("# a comment of usual length, with words in it\n", 1<<13) + web,
		"services": largeFile(MaxServices),
		"JSON":     "[" + strings.TrimSuffix(manyJSON(MaxServices), ",") + "]",
	} {
		services, errs := ParseServices("web.yaml", []byte(data))
		if len(errs) > 0 || len(services) == 0 {
			t.Errorf("%s: %d services, %v", name, len(services), errs)
		}
	}
}

func largeFile(n int) string {
	var b strings.Builder
	b.WriteString("services:\n")
	for i := range n {
		fmt.Fprintf(&b, "- name: s%d\n  port: 80\n  tags: [a, b]\n  meta: {version: \"1.%d\"}\n  checks:\n  - http: http://127.0.0.1:80/\n    interval: 3s\n", i, i)
	}
	return b.String()
}

func manyJSON(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"name":"web","id":"%d","port":80,"tags":["a"],"meta":{"k":"v"}},`, i)
	}
	return b.String()
}

func TestMistakesBeyondTheBoundAreCounted(t *testing.T) {
	_, errs := ParseServices("web.yaml", []byte("services:\n"+strings.Repeat("- 1\n", 120)))
	if len(errs) != maxFaults+1 {
		t.Fatalf("%d errors", len(errs))
	}
	wantLines(t, errs[maxFaults:], "web.yaml: 70 more mistakes are not shown; mend these first")
}

func BenchmarkParseServices(b *testing.B) {
	yaml, json := []byte(largeFile(100)), []byte("["+strings.TrimSuffix(manyJSON(100), ",")+"]")
	for name, data := range map[string][]byte{"yaml": yaml, "json": json} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if _, errs := ParseServices("web."+name, data); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}
