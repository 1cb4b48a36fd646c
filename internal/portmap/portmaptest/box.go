package portmaptest

import (
	"context"
	"net/netip"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
)

// port is where routers take questions.
const port = 5351

// portsTried is how many outer ports are looked at before there is none.
const portsTried = 100

// Box runs a Router on the inner side of a simulated NAT. It is safe for concurrent use.
type Box struct {
	nat    *netsim.NAT
	inside *netsim.Host

	mu     sync.Mutex // guards what follows; taken before the world's
	router Router
	undo   map[netip.AddrPort]func()
	taken  map[uint16]bool
}

// NewBox makes a Box of a NAT's gateway. change, which may be nil, says what kind of router it is.
func NewBox(nat *netsim.NAT, inside *netsim.Host, change func(*Router)) *Box {
	b := &Box{nat: nat, inside: inside, undo: map[netip.AddrPort]func(){}, taken: map[uint16]bool{}}
	b.router = Router{Began: time.Now(), Outer: nat.Addr, Open: b.open, Close: b.shut}
	if change != nil {
		change(&b.router)
	}
	return b
}

func (b *Box) open(inner netip.AddrPort, wish uint16) (uint16, bool) {
	h := b.nat.HostAt(inner.Addr())
	for i := range uint16(portsTried) {
		if p := wish + i; h != nil && p != 0 && !b.taken[p] {
			undo := b.nat.Forward(netsim.UDP, p, h, inner.Port())
			b.taken[p] = true
			b.undo[inner] = func() { undo(); delete(b.taken, p) }
			return p, true
		}
	}
	return 0, false
}

func (b *Box) shut(inner netip.AddrPort) {
	b.undo[inner]()
	delete(b.undo, inner)
}

// Run answers until ctx ends.
func (b *Box) Run(ctx context.Context) error {
	c, err := b.inside.ListenPacket(ctx, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return nil // it was closed, or the device is off
		}
		if answer := b.answer(micronet.AddrPortOf(from), buf[:n]); answer != nil {
			_, _ = c.WriteTo(answer, from) // datagrams may get lost
		}
	}
}

func (b *Box) answer(from netip.AddrPort, question []byte) []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.router.Answer(time.Now(), from, question)
}

// Restart loses all mappings, as a device does that was off for a moment.
func (b *Box) Restart() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.router.Restart(time.Now())
	b.nat.Rebind()
}

// Mappings returns how many there are.
func (b *Box) Mappings() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.router.Mappings(time.Now())
}
