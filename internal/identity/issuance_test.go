package identity

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// issued writes a log of n lines.
func issued(t testing.TB, w *world, n int) []byte {
	t.Helper()
	log := NewIssuanceLog(w.root.Cluster)
	var raw []byte
	for i := range n {
		_, m := w.member(t, w.auth, fmt.Sprintf("n%d", i))
		e, err := m.Issued(IssuedJoin, epoch.Add(time.Duration(i)*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		line, next, err := log.Append(e)
		if err != nil {
			t.Fatal(err)
		}
		raw, log = append(raw, line...), next
	}
	return raw
}

// TestQ7_IssuanceLog: what is read back is what was written; every flipped bit, every missing, doubled or
// exchanged line is noticed, and only a last line that was not written whole is left out.
func TestQ7_IssuanceLog(t *testing.T) {
	w := newWorld(t, 71)
	raw := issued(t, w, 4)
	log := NewIssuanceLog(w.root.Cluster)
	list, end, whole, err := log.Read(raw)
	if err != nil || len(list) != 4 || whole != len(raw) || end.Count != 4 || list[2].Name != "n2" || list[3].Number != 4 || list[1].What != IssuedJoin {
		t.Fatalf("%+v %+v %d %v", list, end, whole, err)
	}
	lines := bytes.SplitAfter(raw, []byte{'\n'})[:4]
	for at := range raw[:len(raw)-1] {
		changed := bytes.Clone(raw)
		changed[at] ^= 1
		_, _, _, err := log.Read(changed)
		if err == nil {
			t.Fatalf("a bit flipped at byte %d is not noticed", at)
		}
	}
	for _, order := range [][]int{{0, 1, 3}, {1, 2, 3}, {0, 2, 1, 3}, {0, 0, 1, 2, 3}, {0, 1, 1, 2}} {
		var other []byte
		for _, i := range order {
			other = append(other, lines[i]...)
		}
		if _, _, _, err := log.Read(other); err == nil {
			t.Errorf("lines %v pass for the log", order)
		}
	}
	whole = len(raw) - len(lines[3])
	for cut := range lines[3] {
		got, _, n, err := log.Read(raw[:whole+cut])
		if err != nil || len(got) != 3 || n != whole {
			t.Fatalf("cut %d bytes into the last line: %d lines, %d bytes, %v", cut, len(got), n, err)
		}
	}
	torn := append(append(bytes.Clone(raw[:whole]), make([]byte, 100)...), "rest of a page\n"...)
	if got, _, n, err := log.Read(torn); err != nil || len(got) != 3 || n != whole {
		t.Errorf("a page that was not written: %d lines, %v", len(got), err)
	}
	_, _, _, err = NewIssuanceLog(newWorld(t, 72).root.Cluster).Read(raw)
	wantError(t, err, micronet.Invalid, "line 1 of the issuance log does not follow")
	_, _, _, err = log.Read([]byte(strings.Repeat("x", 2*MaxIssuance) + "\n"))
	wantError(t, err, micronet.Invalid, "line 1 of the issuance log is damaged")
}

func FuzzIssuanceLog(f *testing.F) {
	w := newWorld(f, 73)
	raw := issued(f, w, 3)
	f.Add(raw)
	f.Add(raw[:len(raw)-5])
	f.Add([]byte("{}\n"))
	log := NewIssuanceLog(w.root.Cluster)
	f.Fuzz(func(t *testing.T, raw []byte) {
		readLog(t, log, raw)
		lines := bytes.Split(raw, []byte("\n"))
		for i, line := range lines[:len(lines)-1] {
			lines[i] = seal(line[:max(0, len(line)-sealLen)])
		}
		readLog(t, log, bytes.Join(lines, []byte("\n")))
	})
}

func readLog(t *testing.T, log IssuanceLog, raw []byte) {
	t.Helper()
	list, end, whole, err := log.Read(raw)
	if uint64(len(list)) != end.Count || whole > len(raw) {
		t.Fatalf("%d lines, %+v, %d of %d bytes", len(list), end, whole, len(raw))
	}
	if err == nil {
		if again, same, n, err := log.Read(raw[:whole]); err != nil || len(again) != len(list) || same != end || n != whole {
			t.Fatalf("what is whole is read otherwise: %v", err)
		}
	}
}
