package report

import (
	"math"
	"testing"
	"time"
	"unicode/utf8"
)

func TestFigures(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{clock(0), "0s"},
		{clock(30 * second), "30s"},
		{clock(10 * time.Minute), "10m"},
		{clock(12*time.Minute + 30*second + time.Millisecond), "12m30s"},
		{clock(2 * time.Hour), "2h"},
		{clock(2*time.Hour + 5*time.Minute), "2h5m"},
		{clock(10*time.Hour + 10*second), "10h0m10s"},
		{clock(1234567890), "1.235s"},
		{clock(250 * time.Millisecond), "250ms"},
		{clock(1499), "1µs"},
		{clock(-90 * second), "-1m30s"},
		{percent(1), "100 %"},
		{percent(0.9999999), "99.99 %"},
		{percent(0.5), "50 %"},
		{percent(0), "0 %"},
		{percent(math.NaN()), "–"},
		{number(1234.5), "1234"},
		{number(12.345), "12.35"},
		{number(0.5), "0.5"},
		{number(0.00012345), "0.00012"},
		{number(math.Inf(1)), "–"},
		{bytesText(999), "999 B"},
		{bytesText(1250), "1.25 kB"},
		{bytesText(3e15), "3000 TB"},
		{bytesText(math.NaN()), "–"},
		{millis(85), "85 ms"},
		{millis(1800), "1.8 s"},
		{count(0), "0"},
		{count(1002003), "1,002,003"},
		{plural(1, "node"), "1 node"},
		{plural(2000, "node"), "2,000 nodes"},
		{seconds(math.MinInt64), "-9223372036.854775808"},
		{seconds(-1), "-0.000000001"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 5, "short"},
		{"longer", 5, "lo…"},
		{"aééé", 6, "aé…"},
		{"aéééé", 7, "aé…"},
		{"", 0, ""},
	} {
		got := clip(c.in, c.n)
		if got != c.want || !utf8.ValidString(got) {
			t.Errorf("clip(%q, %d) = %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestClean(t *testing.T) {
	const in = "a\x00b\x1b[1m\u202ec\xffd\ufffe\r\n\te\u2066\u0085f"
	if got, want := clean(in), "ab[1mcd\n\tef"; got != want {
		t.Errorf("clean: %q, want %q", got, want)
	}
	if got, want := oneLine(" a\n\t b "), "a b"; got != want {
		t.Errorf("oneLine: %q, want %q", got, want)
	}
}
