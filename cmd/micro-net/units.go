package main

import (
	"fmt"
	"time"
)

// shortID is what people compare of a node's id.
func shortID(id string) string {
	const visible = 8
	return id[:min(len(id), visible)]
}

// age prints milliseconds the way people speak of ages: one unit.
func age(ms int64) string {
	d := time.Duration(ms) * time.Millisecond
	const day = 24 * time.Hour
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 2*day:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/day)
}

// rtt prints a round trip with two digits that matter; nothing when it was not measured.
func rtt(ms float64) string {
	switch {
	case ms == 0:
		return ""
	case ms < 10:
		return fmt.Sprintf("%.2fms", ms)
	}
	return fmt.Sprintf("%.0fms", ms)
}

// size prints bytes in powers of 1024.
func size(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%dB", n)
	}
	v, prefix := float64(n), 0
	for v >= unit && prefix < 5 {
		v, prefix = v/unit, prefix+1
	}
	return fmt.Sprintf("%.1f%ciB", v, " KMGTP"[prefix])
}

// plural writes a number with its noun.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
