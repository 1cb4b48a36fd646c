package tunnel

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// recorded is a frame as from sealed it for to in some session, long ago.
func recorded(t *testing.T, from, to testKey, s session, counter uint64, credential []byte, m *message) []byte {
	t.Helper()
	k, err := newPairing(from.private, from.id, to.id, to.public)
	if err != nil {
		t.Fatal(err)
	}
	f := frame{receiver: tagOf(to.id), sender: tagOf(from.id), session: s, counter: counter, credential: credential}
	f.header = appendFrameHeader(nil, &f)
	return k.send.Seal(slices.Clone(f.header), f.nonce(), appendMessage(nil, m), f.header)
}

// A frame of a session that is long forgotten brings back nothing of its time.
func TestReplayedCredentialIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "1")
		time.Sleep(time.Second)
		known, _ := b.Peer(a.key.id)
		old := a.key.credential(1, "", "10.0.0.66:8085")
		nw.inject(a.conn.addr, b.conn.addr, recorded(t, a.key, b.key, session{6}, 9, old, &message{kind: messageProbe, nonce: 1}))
		time.Sleep(time.Second)
		a.say(t, b, "2")
		time.Sleep(time.Second)
		b.wantReceived(t, "1", "2")
		if now, _ := b.Peer(a.key.id); !bytes.Equal(now.Credential, known.Credential) {
			t.Errorf("b believes that a is at %v, want %v", now.Endpoints, known.Endpoints)
		}
	})
}

// A frame that does not open says nothing of the credential that its sender shows, neither that it is none for us nor
// that it is the one we know: tags are sent in clear, and anybody can put them on a frame.
func TestForgedCredentialChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		a.say(t, b, "1")
		time.Sleep(time.Second)
		known, _ := b.Peer(a.key.id)
		for _, refused := range []bool{false, true} {
			b.mu2(func(c *core) { c.peers[a.key.id].refused = refused })
			for i, credential := range [][]byte{known.Credential, []byte("of another cluster")} {
				forged := recorded(t, a.key, b.key, session{6}, uint64(i+1), credential, &message{kind: messageProbe, nonce: 1})
				forged[len(forged)-1] ^= 1
				nw.inject(a.conn.addr, b.conn.addr, forged)
				time.Sleep(20 * time.Millisecond)
				b.mu2(func(c *core) {
					if now := c.peers[a.key.id].refused; now != refused {
						t.Errorf("with forged credential %d: refused was %v, and is %v", i, refused, now)
					}
				})
			}
		}
		b.wantDropped(t, "forged", 4)
	})
}

// Frames of an old session between those of a new one do not let the new ones be told twice.
func TestHeldPacketsAreDeliveredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		nw, a, b := pairUp(t)
		b.AddPeer(a.peer(1, addrA))
		var first []byte
		nw.setDrop(func(from, to netip.AddrPort, data []byte) bool { return from == b.conn.addr })
		a.say(t, b, "once")
		time.Sleep(20 * time.Millisecond)
		// The packet is the last that left: hellos go before it.
		sent := nw.sent(func(d sentDatagram) bool { return d.from == a.conn.addr })
		first = sent[len(sent)-1].data
		old := recorded(t, a.key, b.key, session{6}, 9, nil, &message{kind: messagePacket, channel: ChannelMembership, payload: []byte("old")})
		nw.inject(a.conn.addr, b.conn.addr, old)
		time.Sleep(20 * time.Millisecond)
		nw.inject(a.conn.addr, b.conn.addr, first)
		time.Sleep(20 * time.Millisecond)
		nw.inject(a.conn.addr, b.conn.addr, old)
		time.Sleep(20 * time.Millisecond)
		nw.setDrop(nil)
		time.Sleep(time.Second)
		b.wantReceived(t, "once")
		nw.inject(a.conn.addr, b.conn.addr, first)
		time.Sleep(time.Second)
		b.wantReceived(t, "once")
	})
}

// brokenConn fails to send, and has something done at the same time.
type brokenConn struct {
	*testConn
	meanwhile func()
}

func (c brokenConn) WriteTo([]byte, net.Addr) (int, error) {
	c.meanwhile()
	return 0, errors.New("no buffer space")
}

// A credential may come while the packet before it cannot be sent. The race detector looks on.
func TestFailedSendWhileACredentialComes(t *testing.T) {
	nw := newTestNet()
	a := newNode(t, nw, newTestKey(1), 1, addrA)
	b := newNode(t, nw, newTestKey(2), 2, addrB)
	var group sync.WaitGroup
	var under *Underlay
	var err error
	conn := brokenConn{a.conn, func() { group.Go(func() { under.AddPeer(b.peer(1, addrB)) }) }}
	under, err = NewUnderlay(UnderlayConfig{Env: a.env, Conn: conn, Verify: verifyTest})
	if err != nil {
		t.Fatal(err)
	}
	under.SetLocal(a.localSide(1, addrA))
	under.AddPeer(b.peer(1, addrB))
	for range 100 {
		if err := under.Send(b.key.id, ChannelMembership, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	group.Wait()
	if got := under.Counters()["dropped_write-failed"]; got < 100 {
		t.Fatalf("%d packets failed, want all", got)
	}
}

func TestAgendaServesPeersOfOneTimeInOrder(t *testing.T) {
	at := time.Unix(1000, 0)
	for range 5 {
		var a agenda
		peers := map[byte]*peer{}
		for i := range byte(20) {
			peers[i] = &peer{Peer: Peer{ID: micronet.NodeID{i}}, index: -1}
		}
		for _, p := range peers {
			a.set(p, at)
		}
		for i := range byte(20) {
			if p := a.first(); p.ID[0] != i {
				t.Fatalf("peer %d comes in place %d", p.ID[0], i)
			}
			a.set(a.first(), time.Time{})
		}
	}
}

// A binding ends with its candidate, also when it is this node that moves to another machine.
func TestNoBindingOutlivesItsCandidate(t *testing.T) {
	nw := newTestNet()
	a := newNode(t, nw, newTestKey(1), 1, addrA)
	local := a.localSide(1, addrA)
	local.Machine = "here"
	a.SetLocal(local)
	peer := newTestKey(2)
	known, err := verifyTest(peer.credential(1, "here", "127.0.0.1:8085"))
	if err != nil {
		t.Fatal(err)
	}
	a.AddPeer(known)
	a.mu2(func(c *core) {
		p := c.peers[peer.id]
		for i := range maxObserved + 1 {
			from := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), uint16(8085+i))
			c.observe(arrival{now: time.Now().Add(time.Duration(i)), from: from}, p, true)
		}
	})
	local.Machine = "elsewhere"
	a.SetLocal(local)
	a.RemovePeer(peer.id)
	if n := len(a.dir.bound); n != 0 {
		t.Errorf("%d addresses are bound to nobody", n)
	}
}
