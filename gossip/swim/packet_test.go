package swim

import (
	"errors"
	"net"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestParseLife(t *testing.T) {
	id := testID(3)
	for _, l := range []life{{id, 1}, {id, 12345678901234567}, {id, maxEpoch}} {
		if got, err := parseLife(l.String()); err != nil || got != l {
			t.Errorf("parseLife(%q) = %v, %v", l, got, err)
		}
	}
	for _, bad := range []string{
		"", ".", id.String(), id.String() + ".", id.String() + ".0", id.String() + ".01", id.String() + ".+1",
		id.String() + ".1.2", id.String() + ".-1", id.String() + ".4611686018427387905", "x.1",
		id.String()[:51] + "b.1", // not canonical: bits beyond the last byte
	} {
		if l, err := parseLife(bad); err == nil {
			t.Errorf("parseLife(%q) = %v, want an error", bad, l)
		}
	}
}

func TestParseTarget(t *testing.T) {
	id := testID(3)
	for _, name := range []string{id.String(), life{id, 7}.String()} {
		if got, err := parseTarget(name, id.Addr().String()); err != nil || got != id {
			t.Errorf("parseTarget(%q) = %v, %v", name, got, err)
		}
	}
	for _, addr := range []string{"", "127.0.0.1:8085", testID(4).Addr().String()} {
		if _, err := parseTarget(id.String(), addr); err == nil {
			t.Errorf("parseTarget accepts %q", addr)
		}
	}
	// memberlist prints addresses its own way.
	if got := net.JoinHostPort(net.IP(id.Addr().Addr().AsSlice()).String(), "8085"); got != id.Addr().String() {
		t.Errorf("memberlist writes %s, we %s", got, id.Addr())
	}
}

func TestParseClaim(t *testing.T) {
	name := life{testID(1), 5}.String()
	for _, inc := range []uint32{0, 1, 127, 128, 255, 256, 65535, 65536, 1<<32 - 1} {
		msg := encode(t, kindDead, claimMessage{inc, name, "from"})
		c, err := parseClaim(kindDead, msg[1:])
		if err != nil || c.incarnation != inc || string(c.node) != name || string(c.from) != "from" {
			t.Errorf("parseClaim = %+v, %v", c, err)
		}
		a := aliveOf(life{testID(1), 5})
		a.Incarnation, a.Meta = inc, make([]byte, 512)
		if c, err := parseClaim(kindAlive, encode(t, kindAlive, a)[1:]); err != nil || c.incarnation != inc || string(c.node) != name {
			t.Errorf("parseClaim of alive = %+v, %v", c, err)
		}
		ours := accusation{life{testID(1), 5}, inc}.message([]byte("me"))
		if c, err := parseClaim(kindSuspect, ours[1:]); err != nil || c.incarnation != inc || string(c.node) != name || string(c.from) != "me" {
			t.Errorf("parseClaim of our own = %+v, %v", c, err)
		}
	}
	whole := encode(t, kindDead, claimMessage{300, name, "from"})[1:]
	for n := range whole {
		if _, err := parseClaim(kindDead, whole[:n]); err == nil {
			t.Errorf("parseClaim accepts the first %d of %d bytes", n, len(whole))
		}
	}
}

func TestReportable(t *testing.T) {
	for line, want := range map[string]string{
		"[ERR] memberlist: Push/Pull with x failed: y\n":       "Push/Pull with x failed: y",
		"[WARN] memberlist: handler queue full\n":              "handler queue full",
		"[ERROR] memberlist: x":                                "x",
		"[DEBUG] memberlist: Stream connection":                "",
		"[INFO] memberlist: Suspect x has failed":              "",
		"[WARN] memberlist: ignoring alive message for 'x': y": "",
		"[WARN] memberlist: Refuting a suspect message":        "",
		"Err: Could not set the deadline":                      "",
		"":                                                     "",
	} {
		if got, ok := reportable(line); got != want || ok != (want != "") {
			t.Errorf("reportable(%q) = %q, %v, want %q", line, got, ok, want)
		}
	}
}

func TestReportsAreRateLimited(t *testing.T) {
	var got []string
	r := &reporter{events: &micronet.Events{BackgroundError: func(_ string, err error) { got = append(got, err.Error()) }}}
	for range reportBurst + 7 {
		r.report("op", errors.New("x"))
	}
	if len(got) != reportBurst {
		t.Errorf("%d reports, want %d", len(got), reportBurst)
	}
	if suppressed, ok := r.allow(time.Now().Add(reportWindow)); !ok || suppressed != 7 {
		t.Errorf("allow = %d, %v, want 7, true", suppressed, ok)
	}
}
