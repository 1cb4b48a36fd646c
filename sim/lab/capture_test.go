//go:build linux

package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// capture is a packet socket on the router: it sees every packet between hosts.
type capture struct {
	t      testing.TB
	fd     int
	marker []byte
	ended  chan struct{}

	mu    sync.Mutex
	seen  map[string]int // packets by protocol and lower port
	leaks int            // packets with the marker
}

// everyProtocol is ETH_P_ALL in network byte order.
const everyProtocol = unix.ETH_P_ALL << 8

// capture counts what crosses the router from now on until the test ends, and looks for a marker.
func (l *Lab) capture(marker string) *capture {
	l.t.Helper()
	c := &capture{t: l.t, marker: []byte(marker), ended: make(chan struct{}), seen: map[string]int{}}
	if err := inside(l.router, c.open); err != nil {
		l.t.Fatal(err)
	}
	stop := make(chan struct{})
	go c.run(stop)
	l.t.Cleanup(func() {
		close(stop)
		<-c.ended
		_ = unix.Close(c.fd)
	})
	return c
}

func (c *capture) open() (err error) {
	if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, everyProtocol); err != nil {
		return err
	}
	return errors.Join(
		unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}),
	)
}

func (c *capture) run(stop <-chan struct{}) {
	defer close(c.ended)
	packet := make([]byte, 128<<10) // larger than any packet that offloads put together
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, _, err := unix.Recvfrom(c.fd, packet, 0)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		case err != nil:
			c.t.Errorf("capture: %v", err)
			return
		default:
			c.note(packet[:n])
		}
	}
}

func (c *capture) note(p []byte) {
	kind := kindOf(p)
	if kind == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[kind]++
	if bytes.Contains(p, c.marker) {
		c.leaks++
	}
}

// kindOf names the protocol and the lower port of an IPv4 packet, "" for what hosts say to the
// router itself (ARP, IPv6 neighbours).
func kindOf(p []byte) string {
	if len(p) < 20 || p[0]>>4 != 4 {
		return ""
	}
	header, protocol := int(p[0]&15)*4, p[9]
	if len(p) < header+4 || (protocol != unix.IPPROTO_TCP && protocol != unix.IPPROTO_UDP) {
		return fmt.Sprintf("protocol %d", protocol)
	}
	name := map[byte]string{unix.IPPROTO_TCP: "tcp", unix.IPPROTO_UDP: "udp"}[protocol]
	return fmt.Sprintf("%s %d", name, min(binary.BigEndian.Uint16(p[header:]), binary.BigEndian.Uint16(p[header+2:])))
}

// kinds lists the protocols and ports that were seen, sorted.
func (c *capture) kinds() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.seen))
}

// leaked counts the packets in which the marker was.
func (c *capture) leaked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leaks
}

// count counts all packets.
func (c *capture) count() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.seen {
		n += v
	}
	return n
}

// missed counts the packets that came faster than they were read.
func (c *capture) missed() uint32 {
	s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		c.t.Fatal(err)
	}
	return s.Drops
}
