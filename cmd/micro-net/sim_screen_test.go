package main

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/micro-net/sim/batch"
)

// TestProgressOfRuns: a terminal shows it all the time, and where there is none a line comes each minute.
func TestProgressOfRuns(t *testing.T) {
	for _, terminal := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			s := newSimScreen(&app{err: &out, outTerminal: terminal}, &simFlags{}, 5)
			for range 150 {
				time.Sleep(time.Second)
				s.progress(batch.Job{Name: "split", Seed: 7}, 30*time.Second, 99)
			}
			lines, shown := strings.Count(out.String(), "\n"), strings.Count(out.String(), "0 of 5 · split, seed 7 · 30s virtual")
			if terminal && (lines != 0 || shown != 150) || !terminal && (lines != 2 || shown != 2 || !strings.Contains(out.String(), "0.5x · 99 packets\n")) {
				t.Errorf("terminal %t: %d lines, shown %d times: %q", terminal, lines, shown, out.String())
			}
		})
	}
}
