package tunnel

import (
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// meshEvery is how often each node sends QUIC to each other one, and half as often a packet of gossip.
	meshEvery = 100 * time.Millisecond
	// meshGap is the longest pause between packets of a pair that are no loss: two that switch ways lose a packet or two.
	meshGap = 350 * time.Millisecond
)

// errNothing says that no datagram waits at a socket.
var errNothing = errors.New("nothing came")

// graphMesh are Underlays over a network that is a graph, in virtual time and in one goroutine: it makes the appointments
// that Run would, and reads as quic-go would. All know each other and forward for each other, and each sends to each all
// the time.
type graphMesh struct {
	t     *testing.T
	n     int
	graph graph
	nodes []*meshNode
	wire  meshWire
	order uint64 // of datagrams
	delay [maxGraph][maxGraph]time.Duration

	pairs    [maxGraph][maxGraph]meshPair
	changed  time.Time      // the last time
	enclosed map[string]int // how often a datagram was put into an envelope to a relay, lately
	senders  map[string]int // who did so first
	passedOn int            // datagrams that somebody else put into one as well
	sent     int            // datagrams
	strays   int            // packets that came although no way leads there over one node at most
}

// meshPair is what one node heard of another one, by QUIC and by gossip.
type meshPair struct{ quic, gossip meshFlow }

// meshFlow is one kind of packets.
type meshFlow struct {
	last    time.Time     // the last one that came
	settled time.Time     // since when none came late
	every   time.Duration // how often one is sent
}

// took takes note of a packet that has come now.
func (f *meshFlow) took(now time.Time) {
	if now.Sub(f.last) > meshGap+f.every {
		f.settled = now
	}
	f.last = now
}

// late reports whether the flow stands still.
func (f *meshFlow) late(now time.Time) bool { return now.Sub(f.last) > meshGap+f.every }

type meshNode struct {
	*Underlay
	mesh  *graphMesh
	index int
	key   testKey
	addr  netip.AddrPort
	next  time.Time // when it sends again
	turns int
	came  *meshDatagram
}

// meshDatagram is one under way.
type meshDatagram struct {
	at       time.Time
	order    uint64
	from, to *meshNode
	data     []byte
}

// meshWire is a heap of datagrams.
type meshWire []*meshDatagram

func (w meshWire) Len() int { return len(w) }
func (w meshWire) Less(i, j int) bool {
	return w[i].at.Before(w[j].at) || (w[i].at.Equal(w[j].at) && w[i].order < w[j].order)
}
func (w meshWire) Swap(i, j int) { w[i], w[j] = w[j], w[i] }
func (w *meshWire) Push(x any)   { *w = append(*w, x.(*meshDatagram)) }
func (w *meshWire) Pop() any {
	last := len(*w) - 1
	d := (*w)[last]
	*w = (*w)[:last]
	return d
}

// newGraphMesh makes n nodes that have not spoken yet.
func newGraphMesh(t *testing.T, n int, g graph, draw *rand.Rand) *graphMesh {
	t.Helper()
	m := &graphMesh{t: t, n: n, graph: g, enclosed: map[string]int{}, senders: map[string]int{}}
	names := draw.Perm(n) // who has the smaller id decides ties
	for i := range n {
		for j := range i {
			m.delay[i][j] = time.Duration(2000+draw.IntN(10_000)) * time.Microsecond
			m.delay[j][i] = m.delay[i][j]
		}
		m.nodes = append(m.nodes, m.newNode(i, newTestKey(byte(1+names[i])), draw))
	}
	for _, x := range m.nodes {
		for _, y := range m.nodes {
			if x != y {
				x.AddPeer(y.peer())
			}
			m.pairs[x.index][y.index] = meshPair{
				meshFlow{last: time.Now(), settled: time.Now(), every: meshEvery},
				meshFlow{last: time.Now(), settled: time.Now(), every: 2 * meshEvery},
			}
		}
	}
	return m
}

func (m *graphMesh) newNode(i int, key testKey, draw *rand.Rand) *meshNode {
	x := &meshNode{mesh: m, index: i, key: key, addr: netip.MustParseAddrPort(fmt.Sprintf("10.0.0.%d:8085", i+1))}
	x.next = time.Now().Add(time.Duration(draw.Int64N(int64(meshEvery))))
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], draw.Uint64())
	var err error
	x.Underlay, err = NewUnderlay(UnderlayConfig{
		Env: micronet.Env{Entropy: rand.NewChaCha8(seed)}, Conn: x, Verify: verifyTest, Cluster: testCluster,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	x.Handle(ChannelMembership, func(from micronet.NodeID, b []byte, _ time.Time) { m.took(x, b, true) })
	x.SetLocal(Local{ID: key.id, BoxPrivate: key.private, Credential: x.peer().Credential, Relay: true})
	return x
}

func (x *meshNode) peer() Peer {
	p, err := verifyTest(x.key.credential(1, relayMachine, x.addr.String()))
	if err != nil {
		x.mesh.t.Fatal(err)
	}
	return p
}

// ReadFrom returns the datagram that has come.
func (x *meshNode) ReadFrom(b []byte) (int, net.Addr, error) {
	d := x.came
	if d == nil {
		return 0, nil, errNothing
	}
	x.came = nil
	return copy(b, d.data), net.UDPAddrFromAddrPort(d.from.addr), nil
}

// WriteTo sends a datagram where the graph lets it pass.
func (x *meshNode) WriteTo(b []byte, to net.Addr) (int, error) {
	m := x.mesh
	m.sent++
	if e, err := parseEnvelope(b); err == nil && e.leg == legTo {
		m.enclose(x.index, string(e.inner))
	}
	at := to.(*net.UDPAddr).AddrPort()
	for _, y := range m.nodes {
		if y.addr == at && m.graph.has(x.index, y.index) {
			m.order++
			heap.Push(&m.wire, &meshDatagram{time.Now().Add(m.delay[x.index][y.index]), m.order, x, y, append([]byte(nil), b...)})
		}
	}
	return len(b), nil
}

// enclose takes note of a datagram that is to go over a relay. Where ways have just failed copies go over several.
func (m *graphMesh) enclose(from int, inner string) {
	m.enclosed[inner]++
	if first, known := m.senders[inner]; known && first != from {
		m.passedOn++
	}
	m.senders[inner] = from
}

// Close, LocalAddr and the deadlines are net.PacketConn's.
func (x *meshNode) Close() error                     { return nil }
func (x *meshNode) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(x.addr) }
func (x *meshNode) SetDeadline(time.Time) error      { return nil }
func (x *meshNode) SetReadDeadline(time.Time) error  { return nil }
func (x *meshNode) SetWriteDeadline(time.Time) error { return nil }

// run lets d pass.
func (m *graphMesh) run(d time.Duration) {
	for end := time.Now().Add(d); ; {
		at := end
		if len(m.wire) > 0 {
			at = earlier(at, m.wire[0].at)
		}
		for _, x := range m.nodes {
			at = earlier(at, x.next)
			if p := x.core.agenda.first(); p != nil {
				at = earlier(at, p.due)
			}
		}
		time.Sleep(time.Until(at))
		if !time.Now().Before(end) {
			return
		}
		m.step(time.Now())
	}
}

// step does all that is due.
func (m *graphMesh) step(now time.Time) {
	for len(m.wire) > 0 && !m.wire[0].at.After(now) {
		d := heap.Pop(&m.wire).(*meshDatagram)
		d.to.read(d)
	}
	for _, x := range m.nodes {
		if !x.next.After(now) {
			x.speak(now)
		}
		if p := x.core.agenda.first(); p != nil && !p.due.After(now) {
			x.do(func(now time.Time, c *core, out *effects) { x.armed = c.tick(now, out) })
		}
	}
}

// read has a datagram read as quic-go would.
func (x *meshNode) read(d *meshDatagram) {
	var b [1500]byte
	x.came = d
	for {
		n, addr, err := x.QUIC().ReadFrom(b[:])
		if err != nil {
			return
		}
		if _, known := x.IdentityOf(addr); known {
			x.mesh.took(x, b[1:n], false)
		}
	}
}

// speak sends to all others.
func (x *meshNode) speak(now time.Time) {
	x.next = now.Add(meshEvery)
	x.turns++
	for _, y := range x.mesh.nodes {
		if y == x {
			continue
		}
		text := binary.BigEndian.AppendUint64([]byte{byte(x.index), byte(y.index)}, uint64(now.UnixNano()))
		if _, err := x.QUIC().WriteTo(quicPacket(string(text)), y.key.id.UDPAddr()); err != nil {
			x.mesh.t.Errorf("QUIC from %d to %d: %v", x.index, y.index, err)
		}
		if x.turns%2 > 0 {
			continue
		}
		err := x.Send(y.key.id, ChannelMembership, text)
		if k := micronet.KindOf(err); err != nil && k != micronet.Unreachable && k != micronet.Overloaded {
			x.mesh.t.Errorf("gossip from %d to %d: %v", x.index, y.index, err)
		}
	}
}

// took takes note of a packet that reached a node.
func (m *graphMesh) took(x *meshNode, b []byte, gossip bool) {
	now, from := time.Now(), int(b[0])
	if int(b[1]) != x.index {
		m.t.Errorf("a packet from %d to %d reached %d", from, b[1], x.index)
	}
	if sent := time.Unix(0, int64(binary.BigEndian.Uint64(b[2:]))); sent.Sub(m.changed) > 0 && !m.graph.leads(m.n, from, x.index) {
		m.strays++
	}
	p := &m.pairs[from][x.index]
	if gossip {
		p.gossip.took(now)
	} else {
		p.quic.took(now)
	}
}

// change flips ways.
func (m *graphMesh) change(arcs []arc) {
	m.graph = m.graph.flip(arcs)
	m.changed = time.Now()
}

// outage is how long after the last change packets of both kinds have come from one to another without a gap. false: they do
// not yet.
func (m *graphMesh) outage(i, j int) (time.Duration, bool) {
	p, now := &m.pairs[i][j], time.Now()
	if p.quic.late(now) || p.gossip.late(now) {
		return now.Sub(m.changed), false
	}
	return max(0, p.quic.settled.Sub(m.changed), p.gossip.settled.Sub(m.changed)), true
}
