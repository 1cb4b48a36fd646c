package proxy

import (
	"bufio"
	"bytes"
	"errors"
	"testing"
)

// FuzzVIPs: what is read can be written and read again to the same bytes, and no address has two
// owners.
func FuzzVIPs(f *testing.F) {
	f.Add([]byte(`{"version":1,"entries":[{"address":"127.80.0.9","service":"a"},{"address":"127.80.0.10","service":"a","tag":"v2"}]}`))
	f.Add([]byte(`{"version":1,"entries":[{"address":"10.0.0.9","service":"a"},{"address":"127.80.0.10","service":"a"}]}`))
	f.Add([]byte(`{"version":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := LoadVIPs(DefaultVIPs(), data)
		if err != nil {
			return
		}
		out, err := v.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		again, err := LoadVIPs(DefaultVIPs(), out)
		if err != nil {
			t.Fatalf("LoadVIPs refuses its own %s: %v", out, err)
		}
		if back, _ := again.Snapshot(); !bytes.Equal(back, out) {
			t.Fatalf("second snapshot = %s, want %s", back, out)
		}
		for o, a := range again.byOwner {
			if again.byAddr[a] != o || !again.usable(a) {
				t.Fatalf("%v stands for %v, want %v in the prefix", a, again.byAddr[a], o)
			}
		}
	})
}

// FuzzSOCKS: no panic; a request that is understood can be written and read again.
func FuzzSOCKS(f *testing.F) {
	f.Add([]byte{5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80})
	f.Add(append([]byte{5, 2, 0, 2, 5, 1, 0, 3, 3}, "web\x00\x50rest"...))
	f.Add([]byte{5, 1, 0, 5, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1})
	f.Add([]byte{4, 1, 0, 80})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		if _, err := readSOCKSMethods(r); err != nil {
			return
		}
		host, port, err := readSOCKSRequest(r)
		if err != nil {
			if e, ok := errors.AsType[socksError](err); ok && e.reply == socksOK {
				t.Fatalf("a refusal with code 0: %v", err)
			}
			return
		}
		if host == "" || len(host) > 255 {
			t.Fatalf("host %q", host)
		}
		msg := append([]byte{5, 1, 0, socksDomain, byte(len(host))}, host...)
		msg = append(msg, byte(port>>8), byte(port))
		h, p, err := readSOCKSRequest(bufio.NewReader(bytes.NewReader(msg)))
		if h != host || p != port || err != nil {
			t.Fatalf("read again: %q %d %v, want %q %d", h, p, err, host, port)
		}
	})
}
