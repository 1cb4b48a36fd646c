package portmaptest

import (
	"context"
	"io"
	"net"
	"net/http"
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
	b.router = Router{Began: time.Now(), Inside: inside.Addr(), Outer: nat.Addr, Open: b.open, Close: b.shut}
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

// Run answers until ctx ends. Where it speaks neither PCP nor NAT-PMP nothing listens at their port.
func (b *Box) Run(ctx context.Context) error {
	var tasks sync.WaitGroup
	defer tasks.Wait()
	if b.router.UPnP {
		if err := b.upnp(ctx, &tasks); err != nil {
			return err
		}
	}
	if b.router.NoPCP && b.router.NoNATPMP {
		return nil
	}
	c, err := b.listen(ctx, port)
	if err != nil {
		return err
	}
	b.talk(c, b.answer)
	return nil
}

// listen opens a socket that ctx closes.
func (b *Box) listen(ctx context.Context, port uint16) (net.PacketConn, error) {
	c, err := b.inside.ListenPacket(ctx, netip.AddrPortFrom(netip.IPv4Unspecified(), port))
	if err == nil {
		context.AfterFunc(ctx, func() { _ = c.Close() })
	}
	return c, err
}

// talk answers datagrams until the socket is closed, or the device is off.
func (b *Box) talk(c net.PacketConn, answer func(from netip.AddrPort, question []byte) []byte) {
	buf := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := answer(micronet.AddrPortOf(from), buf[:n]); out != nil {
			_, _ = c.WriteTo(out, from) // datagrams may get lost
		}
	}
}

// upnp answers searches, and over HTTP.
func (b *Box) upnp(ctx context.Context, tasks *sync.WaitGroup) error {
	c, err := b.listen(ctx, SearchPort)
	if err != nil {
		return err
	}
	ln, err := b.inside.Listen(ctx, netip.AddrPortFrom(netip.IPv4Unspecified(), HTTPPort))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: http.HandlerFunc(b.serve), ReadTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	tasks.Go(func() { b.talk(c, func(_ netip.AddrPort, q []byte) []byte { return b.router.Found(q) }) })
	tasks.Go(func() { _ = server.Serve(ln) })
	return nil
}

// serve answers a request over HTTP.
func (b *Box) serve(w http.ResponseWriter, r *http.Request) {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	body, err2 := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil || err2 != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Method == http.MethodGet {
		body = nil
	}
	b.mu.Lock()
	status, answer := b.router.Fetch(time.Now(), from.Addr(), r.URL.Path, r.Header.Get("SOAPAction"), body)
	b.mu.Unlock()
	w.Header().Set("Content-Type", `text/xml; charset="utf-8"`)
	w.WriteHeader(status)
	_, _ = w.Write(answer)
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
