package scenario

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxTime bounds times and durations of a scenario.
	maxTime = 366 * 24 * time.Hour
	// maxRate bounds rates, per second.
	maxRate = 1e6
	// maxBytes bounds sizes, in bytes; of a bandwidth, in bytes per second.
	maxBytes = 1 << 40
)

// quantity is a number and its unit.
var quantity = regexp.MustCompile(`^([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z%/]*)$`)

func (v *value) quantity() (float64, string, bool) {
	m := quantity.FindStringSubmatch(v.raw)
	if m == nil || !v.isScalar() {
		return 0, "", false
	}
	f, err := strconv.ParseFloat(m[1], 64)
	return f, m[2], err == nil
}

// duration reads "30s" and 0.
func (v *value) duration() (time.Duration, *Mistake) { return v.span(0, maxTime) }

// positive is a duration above 0.
func (v *value) positive() (time.Duration, *Mistake) { return v.span(1, maxTime) }

// signed is a duration that may be negative.
func (v *value) signed() (time.Duration, *Mistake) { return v.span(-maxTime, maxTime) }

func (v *value) span(low, high time.Duration) (time.Duration, *Mistake) {
	m := v.wrong("a duration like 30s")
	if v.kind == number && v.raw != "0" {
		m.Fix = fmt.Sprintf("give the unit: %ss", shorten(v.raw))
	}
	if v.kind != text && v.raw != "0" {
		return 0, m
	}
	d, err := time.ParseDuration(v.raw)
	switch {
	case err != nil && strings.HasSuffix(v.raw, "d"):
		m.Fix = "write days as hours: 24h"
		return 0, m
	case err != nil:
		return 0, m
	case d < low && low == 1:
		return 0, v.mistake("", "%s is not above 0", d)
	case d < low && low == 0:
		return 0, v.mistake("", "%s is negative", d)
	case d < low || d > high:
		return 0, v.mistake("", "%s is more than a year", d)
	}
	return d, nil
}

// rate reads "5/s", as a number per second.
func (v *value) rate() (float64, *Mistake) {
	per := map[string]float64{"/s": 1, "/m": 60, "/h": 3600}
	n, unit, ok := v.quantity()
	if !ok || per[unit] == 0 {
		return 0, v.wrong("a rate like 5/s or 0.1/s")
	}
	if n == 0 || n/per[unit] > maxRate {
		return 0, v.mistake("", "%s is out of bounds: want above 0/s, at most %.0f/s", shorten(v.raw), float64(maxRate))
	}
	return n / per[unit], nil
}

// share reads "1%", as a number from 0 to 1.
func (v *value) share() (float64, *Mistake) {
	n, unit, ok := v.quantity()
	switch m := v.wrong("a share like 1%"); {
	case ok && unit == "" && v.raw == "0":
		return 0, nil
	case ok && unit == "":
		m.Fix = fmt.Sprintf("give it in percent: %s%%", strconv.FormatFloat(n*100, 'g', 12, 64))
		return 0, m
	case !ok || unit != "%":
		return 0, m
	case n > 100:
		return 0, v.mistake("", "%s is more than 100%%", shorten(v.raw))
	}
	return percent(strings.TrimSuffix(v.raw, "%"))
}

// percent reads digits as hundredths: dividing afterwards would round twice.
func percent(digits string) (float64, *Mistake) {
	n, _ := strconv.ParseFloat(strings.TrimSpace(digits)+"e-2", 64) // the caller has read it before
	return n, nil
}

// bytesOf are units of size.
func bytesOf(unit string) float64 {
	switch unit {
	case "B":
		return 1
	case "kB", "KB":
		return 1e3
	case "MB":
		return 1e6
	case "GB":
		return 1e9
	case "KiB":
		return 1 << 10
	case "MiB":
		return 1 << 20
	case "GiB":
		return 1 << 30
	}
	return 0
}

// size reads "10MB", in bytes.
func (v *value) size() (int64, *Mistake) {
	n, unit, ok := v.quantity()
	m := v.wrong("a size like 64KB or 10MB")
	if ok && unit == "" {
		m.Fix = fmt.Sprintf("give the unit: %sB", shorten(v.raw))
	}
	if !ok || bytesOf(unit) == 0 {
		return 0, m
	}
	return v.bytes(n * bytesOf(unit))
}

// bandwidth reads "10Mbit/s" and "1MB/s", in bytes per second.
func (v *value) bandwidth() (int64, *Mistake) {
	bits := map[string]float64{"bit/s": 1, "kbit/s": 1e3, "Kbit/s": 1e3, "Mbit/s": 1e6, "Gbit/s": 1e9}
	n, unit, ok := v.quantity()
	if factor := bits[unit]; ok && factor > 0 {
		return v.bytes(n * factor / 8)
	}
	size, perSecond := strings.CutSuffix(unit, "/s")
	if !ok || !perSecond || bytesOf(size) == 0 {
		return 0, v.wrong("a bandwidth like 10Mbit/s")
	}
	return v.bytes(n * bytesOf(size))
}

// bytes refuses what is less than one byte or too many.
func (v *value) bytes(n float64) (int64, *Mistake) {
	if n < 1 || n > maxBytes {
		return 0, v.mistake("", "%s is out of bounds: want from a byte to a TiB", shorten(v.raw))
	}
	return int64(math.Round(n)), nil
}

// ppm reads "500ppm", in millionths.
func (v *value) ppm() (float64, *Mistake) {
	raw, unit := strings.CutSuffix(v.raw, "ppm")
	n, err := strconv.ParseFloat(strings.TrimSpace(raw), 64)
	if !unit || err != nil || math.IsNaN(n) {
		return 0, v.wrong("a drift like 500ppm or -20ppm")
	}
	if math.Abs(n) > 1e5 {
		return 0, v.mistake("", "%s is more than 100000ppm", shorten(v.raw))
	}
	return n, nil
}

// quantile reads "p99", as 0.99.
func (v *value) quantile() (float64, *Mistake) {
	digits, p := strings.CutPrefix(v.raw, "p")
	n, unit, ok := (&value{kind: text, raw: digits}).quantity()
	if !p || !ok || unit != "" || n == 0 || n > 100 {
		return 0, v.wrong("a quantile like p50, p99 or p99.9")
	}
	return percent(digits)
}

// factor reads a number from 1 to a million.
func (v *value) factor() (float64, *Mistake) {
	n, err := strconv.ParseFloat(v.raw, 64)
	if v.kind != number || err != nil || !(n >= 1 && n <= 1e6) {
		return 0, v.wrong("a number from 1 to 1000000")
	}
	return n, nil
}

// decimal is how a whole number is written: 0120 and 0x50 mean different things to different
// readers.
var decimal = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})$`)

// within reads a whole number from low to high.
func within(low, high int) func(*value) (int, *Mistake) {
	return func(v *value) (int, *Mistake) {
		n, err := strconv.Atoi(v.raw)
		if v.kind != number || !decimal.MatchString(v.raw) || err != nil || n < low || n > high {
			return 0, v.wrong(fmt.Sprintf("a whole number from %d to %d", low, high))
		}
		return n, nil
	}
}

func (v *value) boolean() (bool, *Mistake) {
	if v.kind == boolean {
		return strings.EqualFold(v.raw, "true"), nil
	}
	return false, v.wrong("true or false")
}

// oneOf reads one of some words.
func oneOf[T ~string](valid ...T) func(*value) (T, *Mistake) {
	return func(v *value) (T, *Mistake) {
		if v.isScalar() && slices.Contains(valid, T(v.raw)) {
			return T(v.raw), nil
		}
		words := make([]string, len(valid))
		for i := range valid {
			words[i] = string(valid[i])
		}
		m := v.wrong("one of " + strings.Join(words, ", "))
		if near := nearest(v.raw, words); near != "" {
			m.Fix = fmt.Sprintf("did you mean %q?", near)
		}
		return "", m
	}
}
