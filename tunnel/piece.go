package tunnel

import (
	"encoding/binary"
	"errors"
	"iter"
	"net"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
)

// pieceKind is the first byte of a packet of channelPieces. Numbers are wire values.
type pieceKind uint8

const (
	pieceFirst  pieceKind = 1 // the first half of a QUIC packet
	pieceSecond pieceKind = 2 // the second half
	pieceTest   pieceKind = 3 // asks for an answer; zeros follow up to the size that is tested
	pieceAnswer pieceKind = 4 // echoes a test's number
)

// pieceHeader is the kind and the number, big endian, in front of what a piece carries.
const pieceHeader = 1 + 4

const (
	// maxHalves bounds the halves that wait for their other one; the oldest gives way.
	maxHalves = 256
	// maxRejoined bounds the packets that wait for the read loop; newer ones are dropped.
	maxRejoined = 64
)

var errPiece = errors.New("a piece: malformed")

// piece is one packet of channelPieces. Data points into what it was parsed from.
type piece struct {
	kind   pieceKind
	number uint32
	data   []byte
}

func appendPiece(b []byte, p *piece) []byte {
	b = binary.BigEndian.AppendUint32(append(b, byte(p.kind)), p.number)
	return append(b, p.data...)
}

func parsePiece(b []byte) (piece, error) {
	if len(b) < pieceHeader {
		return piece{}, errPiece
	}
	p := piece{kind: pieceKind(b[0]), number: binary.BigEndian.Uint32(b[1:]), data: b[pieceHeader:]}
	half := p.kind == pieceFirst || p.kind == pieceSecond
	if p.kind < pieceFirst || p.kind > pieceAnswer || (half && (len(p.data) == 0 || len(p.data) > MaxPacket)) {
		return piece{}, errPiece
	}
	return p, nil
}

// halves are pieces that wait for their other half. It is a pure core.
type halves struct {
	of    map[halfKey]half
	order []halfKey // oldest first; may list keys that are complete
}

type halfKey struct {
	from   micronet.NodeID
	number uint32
}

type half struct {
	kind pieceKind
	data []byte
}

// add takes a half and returns the whole packet when the other one is here. dropped says that the oldest
// half had to give way.
func (h *halves) add(from micronet.NodeID, p *piece) (whole []byte, dropped bool) {
	key := halfKey{from, p.number}
	other, known := h.of[key]
	if known && other.kind != p.kind {
		delete(h.of, key)
		if p.kind == pieceFirst {
			return append(append([]byte(nil), p.data...), other.data...), false
		}
		return append(append([]byte(nil), other.data...), p.data...), false
	}
	if known {
		return nil, false // a copy of what is here
	}
	if len(h.order) >= maxHalves {
		oldest := h.order[0]
		_, dropped = h.of[oldest]
		delete(h.of, oldest)
		h.order = h.order[1:]
	}
	h.of[key] = half{p.kind, append([]byte(nil), p.data...)}
	h.order = append(h.order, key)
	return nil, dropped
}

// rejoined is a QUIC packet that came in own frames: in two halves, or over a relay.
type rejoined struct {
	identity *net.UDPAddr
	data     []byte
	from     micronet.NodeID
}

// pieces is the shell's side: what was cut on its way here.
type pieces struct {
	mu     sync.Mutex // a leaf
	halves halves
	whole  chan rejoined // for the read loop
}

func newPieces() *pieces {
	return &pieces{halves: halves{of: map[halfKey]half{}}, whole: make(chan rejoined, maxRejoined)}
}

// take returns a packet that was rejoined; false when there is none.
func (p *pieces) take() (rejoined, bool) {
	select {
	case r := <-p.whole:
		return r, true
	default:
		return rejoined{}, false
	}
}

// takePiece is the handler of channelPieces.
func (u *Underlay) takePiece(from micronet.NodeID, payload []byte, at time.Time) {
	p, err := parsePiece(payload)
	if err != nil {
		u.drops.count(dropMalformed, from)
		return
	}
	switch p.kind {
	case pieceTest:
		// What cannot be answered now counts as lost.
		_ = u.Send(from, channelPieces, appendPiece(nil, &piece{kind: pieceAnswer, number: p.number}))
	case pieceAnswer:
		u.do(func(now time.Time, c *core, out *effects) { c.sizeAnswered(now, from, p.number, out) })
	default:
		u.takeHalf(from, &p, at)
	}
}

func (u *Underlay) takeHalf(from micronet.NodeID, p *piece, at time.Time) {
	f := u.dir.byIdentity(from.Addr().Addr())
	if f == nil {
		u.drops.count(dropUnknownPeer, from)
		return
	}
	u.pieces.mu.Lock()
	whole, dropped := u.pieces.halves.add(from, p)
	u.pieces.mu.Unlock()
	if dropped {
		u.drops.count(dropHalf, from)
	}
	if whole == nil || !isQUIC(whole) {
		return
	}
	f.arrived.Store(moment(u.start, at))
	u.pass(rejoined{f.identity, whole, from})
}

// pass hands a QUIC packet to the read loop.
func (u *Underlay) pass(w rejoined) {
	u.traffic.quicIn.Add(1)
	select {
	case u.pieces.whole <- w:
	default:
		u.drops.count(dropRejoined, w.from)
	}
}

// isLarge takes note of the size of a QUIC packet, or of those in a batch, and reports whether it is one
// that not every path carries.
func (u *Underlay) isLarge(f *flow, b, oob []byte, now int64) bool {
	n := len(b)
	if s := u.socket.segment(oob); s > 0 && s < n {
		n = s
	}
	if n <= safeSize {
		return false
	}
	if f.sizes.sent(instant(u.start, now), n) {
		u.do(func(now time.Time, c *core, out *effects) { c.sizeUsed(now, f.id, out) })
	}
	return true
}

// packets are those of a batch, as the kernel would cut it.
func (u *Underlay) packets(b, oob []byte) iter.Seq[[]byte] {
	n := u.socket.segment(oob)
	if n <= 0 {
		n = max(1, len(b))
	}
	return slices.Chunk(b, n)
}

// outPieces sends QUIC packets over a path that has become too narrow for them: large ones in two halves.
func (u *Underlay) outPieces(f *flow, r *route, b, oob []byte) error {
	for one := range u.packets(b, oob) {
		if len(one) <= safeSize {
			if err := u.write(one, nil, r.source, r.remote, r.udp, f.peer); err != nil {
				return err
			}
			u.tell(r.left, f, one, nil)
			continue
		}
		u.do(func(now time.Time, c *core, out *effects) { c.cut(now, f.id, one, out) })
	}
	return nil
}

// cut seals a QUIC packet in two halves.
func (c *core) cut(now time.Time, id micronet.NodeID, b []byte, out *effects) {
	p := c.peers[id]
	if p == nil || !c.joined() {
		return
	}
	for _, one := range p.halve(b) {
		// A half that cannot go now is a lost packet.
		_ = c.send(now, p, channelPieces, appendPiece(nil, &one), out)
	}
}

// cutOver does so for a copy, which goes another way than all else.
func (c *core) cutOver(now time.Time, p *peer, k *candidate, b []byte, out *effects) {
	if p.proven == nil || !c.joined() {
		return
	}
	for _, one := range p.halve(b) {
		m := message{kind: messagePacket, channel: channelPieces, payload: appendPiece(nil, &one)}
		c.seal(now, p, p.proven, k, &m, false, out)
	}
}

func (p *peer) halve(b []byte) [2]piece {
	p.cuts++
	middle := (len(b) + 1) / 2
	return [2]piece{{pieceFirst, p.cuts, b[:middle]}, {pieceSecond, p.cuts, b[middle:]}}
}

// sizeUsed takes note that QUIC sends large packets again.
func (c *core) sizeUsed(now time.Time, id micronet.NodeID, out *effects) {
	if p := c.peers[id]; p != nil {
		c.sync(p)
		c.settle(now, p, out)
	}
}

func (c *core) sizeAnswered(now time.Time, from micronet.NodeID, nonce uint32, out *effects) {
	if nonce >= surveyNumbers {
		if c.survey != nil {
			c.survey.answered(from, nonce)
		}
		return
	}
	if p := c.peers[from]; p != nil {
		p.sizing.answered(now, nonce)
		p.flow.narrow.Store(p.sizing.narrow)
		p.flow.wide.Store(int32(p.sizing.passed))
		c.settle(now, p, out)
	}
}

// nextTest is when testSize wants to be called, zero for not before another large packet.
func (c *core) nextTest(now time.Time, p *peer) time.Time {
	to := p.paths.best
	if to == nil || !to.confirmed || p.proven == nil {
		return time.Time{}
	}
	p.sizing.use(p.flow.sizes.largest())
	return p.sizing.next(now, to.rtt.value)
}

// testSize sends a test of the path's size if it is time, and a probe beside it, which tells a narrow path
// from one that carries nothing.
func (c *core) testSize(now time.Time, p *peer, out *effects) {
	to := p.paths.best
	if to == nil || !to.confirmed || !c.joined() || p.proven == nil {
		return
	}
	heard := instant(c.start, max(p.flow.heard.Load(), p.flow.arrived.Load()))
	size := p.sizing.step(now, heard, to.rtt.value)
	p.flow.narrow.Store(p.sizing.narrow)
	if size == 0 {
		return
	}
	if to.via != nil {
		size = min(size, maxCarried)
	}
	c.sendTest(now, p, to, p.sizing.nonce, size, out)
	c.probe(now, p, to, false, out)
}
