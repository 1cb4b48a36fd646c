package tunnel

import (
	"context"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxSurveyed is how many peers one survey asks: each gets some ten kilobytes.
	maxSurveyed = 32
	// surveyRounds is how often that which was not answered is asked again, and surveyPause is what lies between.
	surveyRounds = 4
	surveyPause  = 350 * time.Millisecond
	// surveyNumbers is where the numbers of a survey's tests begin: those of sizing stay below.
	surveyNumbers = 1 << 31
)

// surveySizes are the packets that a survey sends to a peer, in bytes of UDP payload: the least that every path is asked to
// carry, and what fits, over IPv4, into links of 1280, 1360, 1400, 1420, 1450 and 1480 bytes, which people have.
var surveySizes = [...]int{smallTest, safeSize, 1252, 1332, 1372, 1392, 1422, LargestPacket}

// LargestPacket is the size of the largest packets that QUIC sends.
const LargestPacket = 1452

// Contact is what a survey found of a peer.
type Contact struct {
	Peer    micronet.NodeID
	Asked   time.Time // when the survey began: a way that has not answered since then does not
	Ways    []Way     // the one in use first
	Carries int       // the largest packet that got through on the direct way in use; 0: none, or nobody answers tests there
	Lost    int       // the next larger one, which did not; 0: all got through
	Cut     bool      // large packets travel in two halves
}

// survey is which packets got through to whom. It is a pure core.
type survey struct {
	number  uint32 // of the last test
	tests   map[uint32]sizeTest
	through map[micronet.NodeID]*[len(surveySizes)]bool
}

// sizeTest is a test that may be answered.
type sizeTest struct {
	peer micronet.NodeID
	size int // index of surveySizes
}

func newSurvey() *survey {
	return &survey{number: surveyNumbers, tests: map[uint32]sizeTest{}, through: map[micronet.NodeID]*[len(surveySizes)]bool{}}
}

// ask numbers a test.
func (s *survey) ask(peer micronet.NodeID, size int) uint32 {
	s.number++
	s.tests[s.number] = sizeTest{peer, size}
	return s.number
}

// open lists the sizes that have not got through to a peer.
func (s *survey) open(peer micronet.NodeID) (out []int) {
	got := s.through[peer]
	for i := range surveySizes {
		if got == nil || !got[i] {
			out = append(out, i)
		}
	}
	return out
}

// answered takes the answer to a test from the peer that was asked.
func (s *survey) answered(from micronet.NodeID, number uint32) {
	t, asked := s.tests[number]
	if !asked || t.peer != from {
		return
	}
	delete(s.tests, number)
	if s.through[from] == nil {
		s.through[from] = new([len(surveySizes)]bool)
	}
	s.through[from][t.size] = true
}

// carries is the largest size that got through to a peer, and the next one, which did not.
func (s *survey) carries(peer micronet.NodeID) (size, lost int) {
	got := s.through[peer]
	if got == nil {
		return 0, 0
	}
	for i := len(surveySizes) - 1; i >= 0; i-- {
		if got[i] {
			return surveySizes[i], lost
		}
		lost = surveySizes[i]
	}
	return 0, 0
}

// Survey tries all ways to some peers, and packets of several sizes on those that are direct; it takes a second and a half.
// Of many peers it asks those that reached this node unasked, and some others. The error is that of ctx.
func (u *Underlay) Survey(ctx context.Context, ids []micronet.NodeID) ([]Contact, error) {
	const op = "tunnel.survey"
	select {
	case u.surveys <- struct{}{}:
	case <-ctx.Done():
		return nil, micronet.E(op, micronet.Timeout, "another survey is under way: %w", context.Cause(ctx))
	}
	defer func() { <-u.surveys }()
	asked := time.Now()
	u.do(func(_ time.Time, c *core, _ *effects) { c.survey, ids = newSurvey(), c.surveyed(ids) })
	defer u.do(func(_ time.Time, c *core, _ *effects) { c.survey = nil })
	for range surveyRounds {
		for _, id := range ids {
			u.do(func(now time.Time, c *core, out *effects) { c.explore(now, id, out) })
		}
		select {
		case <-time.After(surveyPause):
		case <-ctx.Done():
			return nil, micronet.E(op, micronet.Timeout, "%w", context.Cause(ctx))
		}
	}
	return u.contacts(asked, ids), nil
}

// surveyed chooses whom to ask.
func (c *core) surveyed(ids []micronet.NodeID) []micronet.NodeID {
	known := slices.DeleteFunc(slices.Clone(ids), func(id micronet.NodeID) bool { return c.peers[id] == nil })
	slices.SortFunc(known, func(a, b micronet.NodeID) int {
		x, y := c.peers[a].cameUnasked(), c.peers[b].cameUnasked()
		switch {
		case x == y:
			return a.Compare(b)
		case x:
			return -1
		}
		return 1
	})
	return known[:min(len(known), maxSurveyed)]
}

// cameUnasked reports whether a peer reached us before we had sent anything to where it is.
func (p *peer) cameUnasked() bool {
	return slices.ContainsFunc(p.paths.candidates, func(k *candidate) bool { return k.unasked })
}

// explore has the ways to a peer probed, and sends the tests that were not answered yet.
func (c *core) explore(now time.Time, id micronet.NodeID, out *effects) {
	p := c.peers[id]
	if p == nil || !c.joined() {
		return
	}
	c.probeAll(now, p, out)
	to := p.paths.best
	if to == nil || !to.confirmed || !to.straight() || p.proven == nil {
		return
	}
	for _, i := range c.survey.open(id) {
		c.sendTest(now, p, to, c.survey.ask(id, i), surveySizes[i], out)
	}
}

// sendTest sends a packet of that size, which the peer answers by its number.
func (c *core) sendTest(now time.Time, p *peer, to *candidate, number uint32, size int, out *effects) {
	m := message{kind: messagePacket, channel: channelPieces}
	m.payload = appendPiece(nil, &piece{kind: pieceTest, number: number})
	m.payload = append(m.payload, make([]byte, max(0, size-c.frameLen(&m, false)))...)
	c.seal(now, p, p.proven, to, &m, false, out)
}

func (u *Underlay) contacts(asked time.Time, ids []micronet.NodeID) []Contact {
	out := make([]Contact, 0, len(ids))
	for _, id := range ids {
		k := Contact{Peer: id, Asked: asked, Ways: u.ways(id)}
		u.do(func(_ time.Time, c *core, _ *effects) {
			k.Carries, k.Lost = c.survey.carries(id)
			k.Cut = c.peers[id] != nil && c.peers[id].sizing.narrow
		})
		out = append(out, k)
	}
	return out
}
