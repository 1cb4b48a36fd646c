package scenario

import (
	"strings"
	"testing"
)

func TestUnits(t *testing.T) {
	as := func(kind kind, raw string) *value { return &value{file: "f", line: 1, kind: kind, raw: raw} }
	for _, c := range []struct {
		what string
		read func(*value) (float64, *Mistake)
		good map[string]float64
		bad  string
	}{
		{"size", float((*value).size), map[string]float64{
			"1B": 1, "1500 B": 1500, "2kB": 2e3, "2KB": 2e3, "1.5MB": 1.5e6, "1GB": 1e9, "1KiB": 1024, "1MiB": 1 << 20, "1GiB": 1 << 30,
		}, "0B -1B 1b 1kb 1Mb 1TB 9999GB 1e3B B . x"},
		{"bandwidth", float((*value).bandwidth), map[string]float64{
			"8bit/s": 1, "64kbit/s": 8000, "64Kbit/s": 8000, "10Mbit/s": 1.25e6, "1Gbit/s": 1.25e8, "1MB/s": 1e6, "1KiB/s": 1024,
		}, "10Mbit 10Mbps 1MB 7bit/s 10000Gbit/s /s 0MB/s"},
		{"rate", (*value).rate, map[string]float64{"5/s": 5, "0.1/s": 0.1, "30/m": 0.5, "36/h": 0.01, "1000000/s": 1e6}, "5 5s 5/d 0/s 1000001/s -1/s"},
		{"share", (*value).share, map[string]float64{"0%": 0, "0.1%": 0.001, "99.9%": 0.999, "99.999%": 0.99999, "100%": 1, "50 %": 0.5, "0": 0}, "1 0.5 100.1% -1% % 5/s"},
		{"ppm", (*value).ppm, map[string]float64{"500ppm": 500, "-20 ppm": -20, "0.5ppm": 0.5, "0ppm": 0}, "500 ppm 100001ppm NaNppm 5%"},
		{"quantile", (*value).quantile, map[string]float64{"p50": 0.5, "p99": 0.99, "p99.9": 0.999, "p100": 1}, "99 p0 p101 p p99% pp9"},
		{"factor", (*value).factor, map[string]float64{"1": 1, "2.5": 2.5, "1000000": 1e6}, "0.9 1000001 .nan x"},
	} {
		for raw, want := range c.good {
			kind := text
			if strings.Trim(raw, "0123456789.") == "" {
				kind = number
			}
			if got, m := c.read(as(kind, raw)); m != nil || got != want {
				t.Errorf("%s %q is %v, %v, want %v", c.what, raw, got, m, want)
			}
		}
		for raw := range strings.FieldsSeq(c.bad) {
			kind := text
			if strings.Trim(raw, "0123456789.") == "" {
				kind = number
			}
			if got, m := c.read(as(kind, raw)); m == nil {
				t.Errorf("%s %q is %v", c.what, raw, got)
			}
		}
	}
}

func float(read func(*value) (int64, *Mistake)) func(*value) (float64, *Mistake) {
	return func(v *value) (float64, *Mistake) {
		n, m := read(v)
		return float64(n), m
	}
}

func TestNearestWords(t *testing.T) {
	valid := []string{"kill", "heal", "one_way", "partition", "udp_blocked"}
	for word, want := range map[string]string{
		"kil": "kill", "klil": "kill", "one-way": "one_way", "Partition": "partition", "partitoin": "partition", "udpblocked": "udp_blocked",
		"restart": "", "x": "", strings.Repeat("kill", 20): "",
	} {
		if got := nearest(word, valid); got != want {
			t.Errorf("nearest to %q is %q, want %q", word, got, want)
		}
	}
}

func TestVisible(t *testing.T) {
	for s, want := range map[string]string{"plain": "plain", "é": "é", "a\nb": `a\nb`, "\x1b[2J": `\x1b[2J`, "\u202e": `\u202e`} {
		if got := visible(s); got != want {
			t.Errorf("%q is shown as %q, want %q", s, got, want)
		}
	}
}
