package tunnel

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestFrameErrors(t *testing.T) {
	whole := appendFrameHeader(nil, &frame{receiver: 1, sender: 2, counter: 3, credential: []byte("cred")})
	whole = append(whole, make([]byte, sealOverhead)...)
	if _, err := parseFrame(whole); err != nil {
		t.Fatal(err)
	}
	edit := func(i int, b byte) []byte {
		c := bytes.Clone(whole)
		c[i] = b
		return c
	}
	for name, tt := range map[string]struct {
		in   []byte
		want error
	}{
		"empty":                {nil, errFrameShort},
		"no header":            {whole[:frameHeaderLen-1], errFrameShort},
		"another protocol":     {edit(0, 0x81), errFrameShort},
		"a newer version":      {edit(1, 2), errFrameVersion},
		"no credential length": {whole[:frameHeaderLen+1], errFrameShort},
		"credential cut":       {whole[:frameHeaderLen+4], errCredential},
		"credential empty":     {edit(frameHeaderLen+1, 0), errCredential},
		"credential too long":  {edit(frameHeaderLen, 0xff), errCredential},
		"no ciphertext":        {whole[:len(whole)-1], errFrameShort},
	} {
		if _, err := parseFrame(tt.in); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	if f, err := parseFrame(edit(2, flagCredential|0x80)); err != nil || string(f.credential) != "cred" {
		t.Errorf("an unknown flag: %v", err)
	}
}

func TestMessageRoundTrip(t *testing.T) {
	for _, m := range []message{
		{kind: messagePacket, channel: 7, payload: []byte("payload")},
		{kind: messagePacket, channel: 7, payload: []byte{}},
		{kind: messageProbe, flags: probeWantsCredential, nonce: 1<<63 + 5},
		{kind: messageReply, nonce: 4, floor: 9, counts: true, took: 1 << 40},
		{kind: messageReply, nonce: 4, observed: netip.MustParseAddrPort("192.0.2.1:8085"), counts: true, took: 7},
		{kind: messageReply, nonce: 4, observed: netip.MustParseAddrPort("[2001:db8::1]:1"), counts: true, took: 7},
	} {
		b := appendMessage(nil, &m)
		if m.kind != messagePacket {
			b = append(b, "from a newer version"...)
		}
		got, err := parseMessage(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v became %+v, %v", m, got, err)
		}
	}
	if _, err := parseMessage([]byte{9, 9}); err != errMessageKind {
		t.Errorf("unknown kind: %v", err)
	}
}

func TestPairingsOfBothSidesFit(t *testing.T) {
	a, b := newTestKey(1), newTestKey(2)
	ab, err := newPairing(a.private, a.id, b.id, b.public)
	if err != nil {
		t.Fatal(err)
	}
	ba, err := newPairing(b.private, b.id, a.id, a.public)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, nonceLen)
	sealed := ab.send.Seal(nil, nonce, []byte("text"), []byte("header"))
	if got, err := ba.recv.Open(nil, nonce, sealed, []byte("header")); err != nil || string(got) != "text" {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if _, err := ab.recv.Open(nil, nonce, sealed, []byte("header")); err == nil {
		t.Error("a frame can be sent back to its sender")
	}
	if _, err := ba.recv.Open(nil, nonce, sealed, []byte("Header")); err == nil {
		t.Error("the header is not authenticated")
	}
	if _, err := newPairing(a.private, a.id, b.id, [32]byte{}); err == nil {
		t.Error("a box key of low order is taken")
	}
}

func TestMarks(t *testing.T) {
	t0 := time.Unix(1000, 0)
	var m marks
	var counter uint64
	seal := func(at time.Duration) uint64 {
		m.turn(t0.Add(at), counter)
		counter++
		return m.floor
	}
	for i, tt := range []struct {
		at   time.Duration
		want uint64
	}{
		{0, 1},
		{4 * time.Second, 1},
		{6 * time.Second, 1},  // next mark: 3
		{8 * time.Second, 1},  //
		{11 * time.Second, 3}, // counters 1 and 2 are more than staleAfter old
		{17 * time.Second, 6}, // nothing for staleAfter: all before is old
	} {
		if got := seal(tt.at); got != tt.want {
			t.Errorf("step %d: floor %d, want %d", i, got, tt.want)
		}
	}
}

func TestBucket(t *testing.T) {
	t0 := time.Unix(1000, 0)
	b := bucket{rate: 2, burst: 3}
	for i, tt := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {0, true}, {0, true}, {0, false}, {500 * time.Millisecond, true}, {500 * time.Millisecond, false}, {time.Hour, true}} {
		if got := b.take(t0.Add(tt.at), 1); got != tt.want {
			t.Errorf("take %d = %v, want %v", i, got, tt.want)
		}
	}
}

func TestHostsAreBounded(t *testing.T) {
	g := newGuests(testCluster)
	t0 := time.Unix(1000, 0)
	for i := range 2 * maxHosts {
		g.allow(t0.Add(time.Duration(i)), ap(i+1), testCluster)
	}
	if len(g.hosts) != maxHosts || g.hosts[ap(1)] != nil || g.hosts[ap(2*maxHosts)] == nil {
		t.Fatalf("%d hosts, or the wrong ones", len(g.hosts))
	}
	if g.arrives(t0.Add(hostFor+time.Hour), ap(2*maxHosts)) {
		t.Error("a host that was not spoken to for long may still send")
	}
}

// Sealing and opening take place for each gossip packet.
func BenchmarkSealed(b *testing.B) {
	c, p, other, q := benchPair(b)
	payload := make([]byte, 500)
	out, in := new(effects), new(effects)
	now := time.Unix(1000, 0)
	b.ReportAllocs()
	for b.Loop() {
		out.reset()
		in.reset()
		now = now.Add(time.Millisecond)
		p.paths.best.confirm(now, time.Millisecond, true)
		if err := c.send(now, p, 1, payload, out); err != nil {
			b.Fatal(err)
		}
		q.known, q.boot = true, p.session
		other.receive(arrival{now: now, from: ap(1), data: out.datagrams[len(out.datagrams)-1].data}, in)
		if len(in.deliveries) != 1 {
			b.Fatalf("not delivered: %v", in.dropped)
		}
	}
}

func benchPair(tb testing.TB) (*core, *peer, *core, *peer) {
	tb.Helper()
	keys := []testKey{newTestKey(1), newTestKey(2)}
	var cores []*core
	var peers []*peer
	for i, k := range keys {
		c, err := newCore(time.Unix(999, 0), vantage{v4: true}, bytes.NewReader(make([]byte, 100)), verifyTest, newDirectory())
		if err != nil {
			tb.Fatal(err)
		}
		other := keys[1-i]
		c.setLocal(time.Unix(999, 0), Local{ID: k.id, BoxPrivate: k.private, Credential: k.credential(1, "")}, new(effects))
		in := Peer{ID: other.id, BoxKey: other.public, Credential: []byte("x"), Endpoints: []netip.AddrPort{ap(2 - i)}}
		if err := c.addPeer(time.Unix(999, 0), in, new(effects)); err != nil {
			tb.Fatal(err)
		}
		cores, peers = append(cores, c), append(peers, c.peers[other.id])
	}
	return cores[0], peers[0], cores[1], peers[1]
}

func BenchmarkQUICRoute(b *testing.B) {
	d := newDirectory()
	id := micronet.NodeID{1}
	f := newFlow(id)
	d.add(f)
	d.bind(ap(1), f, true)
	f.route.Store(&route{remote: ap(1), confirmed: true})
	b.ReportAllocs()
	for b.Loop() {
		if d.byAddress(ap(1)).flow.identity == nil || d.byIdentity(f.identity.AddrPort().Addr()).route.Load() == nil {
			b.Fatal("not found")
		}
	}
}
