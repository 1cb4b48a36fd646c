package portmap

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The bytes of each request, field by field as the RFCs draw them.
func TestRequests(t *testing.T) {
	nonce := Nonce(unhex(t, "0102030405060708090a0b0c"))
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{
			"PCP MAP", pcpMapRequest(client, 8085, nonce, netip.AddrPort{}, 7200),
			"02 01 0000 00001c20 00000000000000000000ffffc0a80114" + "0102030405060708090a0b0c 11 000000 1f95 0000 00000000000000000000ffff00000000",
		},
		{
			"PCP MAP, again", pcpMapRequest(client, 8085, nonce, netip.MustParseAddrPort("203.0.113.7:9000"), 7200),
			"02 01 0000 00001c20 00000000000000000000ffffc0a80114" + "0102030405060708090a0b0c 11 000000 1f95 2328 00000000000000000000ffffcb007107",
		},
		{"PCP ANNOUNCE", pcpRequest(opAnnounce, 0, client), "02 00 0000 00000000 00000000000000000000ffffc0a80114"},
		{"NAT-PMP address", pmpAddressRequest(), "00 00"},
		{"NAT-PMP map", pmpMapRequest(8085, 8086, 7200), "00 01 0000 1f95 1f96 00001c20"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n% x, want\n% x", c.name, c.got, want)
		}
	}
}

const pcpGrant = "02 81 00 00 00000e10 00000063 000000000000000000000000" + "0102030405060708090a0b0c 11 000000 1f95 2328 00000000000000000000ffffcb007107"

func TestParsePCP(t *testing.T) {
	a, ok := parsePCP(unhex(t, pcpGrant+"05000000")) // with an option
	if !ok || a.op != opMap || a.result != 0 || a.lifetime != 3600 || a.epoch != 99 || a.mapped == nil {
		t.Fatalf("%+v %v", a, ok)
	}
	if m := *a.mapped; m.port != 8085 || m.outer.String() != "203.0.113.7:9000" || m.nonce != Nonce(unhex(t, "0102030405060708090a0b0c")) {
		t.Errorf("%+v", m)
	}
	grant := unhex(t, pcpGrant)
	for n := range grant {
		if a, ok := parsePCP(grant[:n]); ok && (n < pcpHeader || a.mapped != nil) {
			t.Errorf("%d bytes are an answer: %+v", n, a)
		}
	}
	if _, ok := parsePCP(append(grant, make([]byte, pcpLargest)...)); ok {
		t.Error("an answer is longer than any may be")
	}
}

func TestParsePMP(t *testing.T) {
	a, ok := parsePMP(unhex(t, "00 80 0000 00000063 cb007107"))
	if !ok || a.addr != global || a.epoch != 99 {
		t.Errorf("%+v %v", a, ok)
	}
	a, ok = parsePMP(unhex(t, "00 81 0000 00000063 1f95 2328 00000e10"))
	if !ok || a.port != 8085 || a.outer != 9000 || a.lifetime != 3600 {
		t.Errorf("%+v %v", a, ok)
	}
	a, ok = parsePMP(unhex(t, "00 81 0003 00000063"))
	if !ok || a.result != 3 {
		t.Errorf("%+v %v", a, ok)
	}
	for _, s := range []string{"", "00", "00 81 0000 00000063", "00 80 0000 00000063", "00 80 0000 00000063 cb007107 00000000", "00 82 0000 00000063 00000000", "01 81 0003 00000063"} {
		if a, ok := parsePMP(unhex(t, s)); ok {
			t.Errorf("%q is an answer: %+v", s, a)
		}
	}
}

func FuzzParsePCP(f *testing.F) {
	f.Add(unhex(f, pcpGrant))
	f.Add(unhex(f, pcpGrant)[:pcpHeader])
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parsePCP(b)
		if !ok || a.mapped == nil {
			return
		}
		m := a.mapped
		// What it read is what a request for the same would say, in the fields that answers have in common with it.
		again := pcpMapRequest(client, m.port, m.nonce, m.outer, a.lifetime)
		if !bytes.Equal(again[4:8], b[4:8]) || !bytes.Equal(again[24:37], b[24:37]) || !bytes.Equal(again[40:60], b[40:60]) {
			t.Errorf("%+v of % x", m, b)
		}
	})
}

func FuzzParsePMP(f *testing.F) {
	f.Add(unhex(f, "00 80 0000 00000063 cb007107"))
	f.Add(unhex(f, "00 81 0000 00000063 1f95 2328 00000e10"))
	f.Add(unhex(f, "00 81 0003 00000063"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parsePMP(b)
		if ok && a.result == resultSuccess && a.op == opMapUDP {
			again := pmpMapRequest(a.port, a.outer, a.lifetime)
			if !bytes.Equal(again[4:], b[8:]) {
				t.Errorf("%+v of % x", a, b)
			}
		}
	})
}
