package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ellipsis ends a text that was cut.
const ellipsis = "…"

// clip cuts s to at most n bytes, the ellipsis included, and never inside a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := max(0, n-len(ellipsis))
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}

// clean removes what has no place in a document: bytes that are no UTF-8, control characters other
// than line feed and tab, characters that XML forbids, and those that turn the direction of text and
// so could make a line read as another one.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s)
}

// oneLine is clean on one line, for titles and cells.
func oneLine(s string) string {
	return strings.Join(strings.Fields(clean(s)), " ")
}

// plural is "1 node", "2 nodes".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return count(uint64(n)) + " " + word + "s"
}

// count prints a whole number in groups of three digits.
func count(n uint64) string {
	if n < 1000 {
		return strconv.FormatUint(n, 10)
	}
	return count(n/1000) + fmt.Sprintf(",%03d", n%1000)
}

// clock prints a time of the run or its length as people say it: "1h2m", "12m30s", "250ms".
func clock(d time.Duration) string {
	switch {
	case d >= time.Minute || d <= -time.Minute:
		d = d.Round(time.Second)
	case d >= time.Second || d <= -time.Second:
		d = d.Round(time.Millisecond)
	default:
		d = d.Round(time.Microsecond)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// percent prints a share. It never rounds up to 100 %: one failure in a million stays visible.
func percent(share float64) string {
	if math.IsNaN(share) || math.IsInf(share, 0) {
		return "–"
	}
	if share < 1 {
		share = math.Min(share, 0.9999)
	}
	return number(share*100) + " %"
}

// number prints a figure with at least three digits that mean something.
func number(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f) || math.IsInf(f, 0):
		return "–"
	case a >= 100:
		return strconv.FormatFloat(f, 'f', 0, 64)
	case a >= 1:
		return trimZeros(strconv.FormatFloat(f, 'f', 2, 64))
	case a >= 0.01 || a == 0:
		return trimZeros(strconv.FormatFloat(f, 'f', 3, 64))
	}
	return strconv.FormatFloat(f, 'g', 2, 64)
}

func trimZeros(s string) string {
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// bytesText prints a size in decimal units.
func bytesText(f float64) string {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return "–"
	}
	units := []string{"B", "kB", "MB", "GB", "TB"}
	i := 0
	for math.Abs(f) >= 1000 && i < len(units)-1 {
		f /= 1000
		i++
	}
	return number(f) + " " + units[i]
}

// millis prints milliseconds, as "85 ms" or "1.2 s".
func millis(f float64) string {
	if math.IsNaN(f) {
		return "–"
	}
	if math.Abs(f) >= 1000 {
		return number(f/1000) + " s"
	}
	return number(f) + " ms"
}

// ms is a duration in milliseconds.
func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// verdict is how the run ended, in one word.
func verdict(r *Run) string {
	if r.Passed {
		return "passed"
	}
	return "failed"
}
