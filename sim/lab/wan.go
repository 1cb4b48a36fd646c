//go:build linux

package lab

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"
)

const (
	wanMTU   = 1500
	wanQueue = 100 * time.Millisecond // what waits for a slow link; later packets are dropped
	wanBatch = 64 << 10               // longest packet read
)

// Wan is an internet whose only router is this process: hosts have TUN devices for their links, so that delays,
// losses, narrow and slow links, and devices that translate addresses are all ours. A Lab may have one.
//
//	host ─▶ its boxes, inner first ─▶ its link ─▶ the internet ─▶ the other's boxes, outer first ─▶ its link ─▶ host
//
// Goroutines: one for each host, which reads its packets, and one that delivers. All end with the test.
type Wan struct {
	lab    *Lab
	wake   chan struct{} // capacity 1
	ended  chan struct{}
	group  sync.WaitGroup
	public byte // addresses given out

	mu     sync.Mutex
	homes  map[netip.Addr]*home // by external address
	due    deliveries
	number uint64
	random *rand.Rand
	drop   func(from, to *Host, packet []byte) bool
}

// Place is where a host is.
type Place struct {
	Boxes   []Boxing // in front of it, inner first; none: in the open
	Hairpin bool     // hosts behind the outermost one reach each other by its address
	Link    Link
	With    *Host // it is in the home of that one; Boxes and Hairpin do not count
}

// Link is the link of a host, both ways.
type Link struct {
	Delay time.Duration // one way
	Loss  float64       // share of packets, 0 to 1
	Rate  int           // bytes a second; 0: no limit
	MTU   int           // largest packet that passes; 0: 1500
	Mute  bool          // what does not fit vanishes without an ICMP message
}

// home is a network at which hosts are, with the devices in front of it.
type home struct {
	boxes   []*box // inner first
	hairpin bool
	addr    netip.Addr
	hosts   map[netip.Addr]*station // by inner address
}

// station is the link of a host.
type station struct {
	host *Host
	home *home
	addr netip.Addr
	file *os.File
	link Link
	busy [2]time.Time // until then the link sends what it has: out, in
}

// Wan makes the internet of a lab.
func (l *Lab) Wan() *Wan {
	l.t.Helper()
	w := &Wan{
		lab: l, wake: make(chan struct{}, 1), ended: make(chan struct{}), homes: map[netip.Addr]*home{},
		random: rand.New(rand.NewPCG(1, 2)), drop: func(*Host, *Host, []byte) bool { return false },
	}
	w.group.Go(w.deliver)
	l.t.Cleanup(func() { close(w.ended); w.group.Wait() })
	return w
}

// Host adds a host. SetLink and Crash are not for it.
func (w *Wan) Host(name string, p Place) *Host {
	t := w.lab.t
	t.Helper()
	s := w.settle(p)
	s.host = &Host{lab: w.lab, Name: name, ns: w.lab.namespace(name), Addr: s.addr.String(), Dir: filepath.Join(w.lab.dir, name), wan: s}
	var err error
	if s.file, err = openTUN(s.host.ns, "eth0"); err != nil {
		t.Skipf("needs TUN devices: %v", err)
	}
	bits := 32
	if len(s.home.boxes) > 0 && s.home.boxes[0].kind != Firewall {
		bits = 24
	}
	w.lab.run("ip", "-n", s.host.ns, "addr", "add", fmt.Sprintf("%s/%d", s.addr, bits), "dev", "eth0")
	w.lab.run("ip", "-n", s.host.ns, "link", "set", "eth0", "up", "mtu", fmt.Sprint(wanMTU))
	w.lab.run("ip", "-n", s.host.ns, "route", "add", "default", "dev", "eth0")
	w.mu.Lock()
	s.home.hosts[s.addr] = s
	w.mu.Unlock()
	w.group.Go(func() { w.read(s) })
	t.Cleanup(func() { _ = s.file.Close() }) // before Wan's, which waits for the reader
	s.host.boot()
	return s.host
}

// settle finds the place of a new host, or makes it.
func (w *Wan) settle(p Place) *station {
	w.mu.Lock()
	defer w.mu.Unlock()
	if p.With != nil {
		h := p.With.wan.home
		return &station{home: h, link: p.Link, addr: inner(len(h.hosts))}
	}
	w.public++
	h := &home{hairpin: p.Hairpin, addr: netip.AddrFrom4([4]byte{198, 18, 1, w.public}), hosts: map[netip.Addr]*station{}}
	for i, kind := range p.Boxes {
		addr := h.addr
		if i < len(p.Boxes)-1 {
			addr = netip.AddrFrom4([4]byte{100, 64, byte(i), w.public}) // of the provider
		}
		h.boxes = append(h.boxes, newBox(kind, addr))
	}
	w.homes[h.addr] = h
	s := &station{home: h, link: p.Link, addr: inner(0)}
	if len(h.boxes) == 0 || h.boxes[0].kind == Firewall {
		s.addr = h.addr
	}
	return s
}

// inner is the address of the n-th host of a home. It is the same in all homes.
func inner(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 168, 7, byte(n + 2)}) }

// Drop has packets dropped, as they are when they leave their host; to is nil where the destination is no host in the
// open. nil: none.
func (w *Wan) Drop(which func(from, to *Host, packet []byte) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if which == nil {
		which = func(*Host, *Host, []byte) bool { return false }
	}
	w.drop = which
}

// SetLink changes the link of a host.
func (w *Wan) SetLink(h *Host, l Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.wan.link = l
}

// Rebind has the devices in front of a host forget all mappings, as a restart does.
func (w *Wan) Rebind(h *Host) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range h.wan.home.boxes {
		b.rebind()
	}
}

// read takes the packets that a host sends until its device is closed.
func (w *Wan) read(s *station) {
	b := make([]byte, wanBatch)
	for {
		n, err := s.file.Read(b)
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			w.lab.t.Errorf("read the packets of %s: %v", s.host.Name, err)
			return
		}
		if p := ipPacket(b[:n]); p.valid() {
			w.leave(time.Now(), s, append(ipPacket{}, p...))
		}
	}
}

// leave takes a packet out of a home.
func (w *Wan) leave(now time.Time, s *station, p ipPacket) {
	w.mu.Lock()
	defer w.mu.Unlock()
	about := append(ipPacket{}, p[:p.headerLen()+8]...)
	if n := s.home.hosts[p.dst().Addr()]; n != nil {
		w.pass(now, n, 1, p, about, s) // next door
		return
	}
	var to *Host
	if h := w.homes[p.dst().Addr()]; h != nil && len(h.boxes) == 0 {
		to = h.hosts[h.addr].host
	}
	if w.drop(s.host, to, p) {
		return
	}
	for _, b := range s.home.boxes {
		p.setSrc(b.out(now, p.proto(), p.src(), p.dst()))
	}
	w.pass(now, s, 0, p, about, s)
}

// arrive takes a packet that has left its home to where it is for.
func (w *Wan) arrive(now time.Time, d *delivery) {
	h := w.homes[d.packet.dst().Addr()]
	if h == nil || (h == d.from.home && !h.hairpin) {
		return
	}
	for i := len(h.boxes) - 1; i >= 0; i-- {
		to, ok := h.boxes[i].in(now, d.packet.proto(), d.packet.src(), d.packet.dst())
		if !ok {
			return
		}
		d.packet.setDst(to)
	}
	if s := h.hosts[d.packet.dst().Addr()]; s != nil {
		w.pass(now, s, 1, d.packet, d.about, d.from)
	}
}

// pass sends a packet over a link, out (0) or in (1). about is how it began when its sender sent it.
func (w *Wan) pass(now time.Time, s *station, way int, p, about ipPacket, from *station) {
	l := &s.link
	if l.MTU > 0 && len(p) > l.MTU {
		if !l.Mute {
			_, _ = from.file.Write(tooBig(s.home.addr, about, l.MTU)) // the host may be going
		}
		return
	}
	if l.Loss > 0 && w.random.Float64() < l.Loss {
		return
	}
	at := now
	if l.Rate > 0 {
		at = s.busy[way]
		if at.Before(now) {
			at = now
		}
		if at.Sub(now) > wanQueue {
			return
		}
		at = at.Add(time.Duration(len(p)) * time.Second / time.Duration(l.Rate))
		s.busy[way] = at
	}
	d := &delivery{at: at.Add(l.Delay), packet: p, about: about, from: from}
	if way == 1 {
		d.to = s
	}
	w.number++
	d.number = w.number
	if l.Delay == 0 && !d.at.After(now) {
		w.hand(now, d)
		return
	}
	heap.Push(&w.due, d)
	if w.due[0] == d {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// hand takes a packet whose time has come one step further.
func (w *Wan) hand(now time.Time, d *delivery) {
	if d.to == nil {
		w.arrive(now, d)
		return
	}
	_, _ = d.to.file.Write(d.packet) // lost where the host is going
}

// deliver hands packets over when their time has come.
func (w *Wan) deliver() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(w.handDue())
		select {
		case <-w.ended:
			return
		case <-w.wake:
		case <-timer.C:
		}
	}
}

// handDue hands over what is due, and returns how long to wait for the next.
func (w *Wan) handDue() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.due) > 0 {
		now := time.Now()
		if left := w.due[0].at.Sub(now); left > 0 {
			return left
		}
		w.hand(now, heap.Pop(&w.due).(*delivery))
	}
	return time.Hour
}

// delivery is a packet on its way.
type delivery struct {
	at     time.Time
	number uint64 // orders those of one moment
	packet ipPacket
	about  ipPacket
	from   *station
	to     *station // nil: not at its home yet
}

type deliveries []*delivery

func (d deliveries) Len() int { return len(d) }
func (d deliveries) Less(i, j int) bool {
	if d[i].at.Equal(d[j].at) {
		return d[i].number < d[j].number
	}
	return d[i].at.Before(d[j].at)
}
func (d deliveries) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *deliveries) Push(x any)   { *d = append(*d, x.(*delivery)) }
func (d *deliveries) Pop() any {
	last := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	return last
}
