package node

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// udpHeadStart is what UDP gets before TCP is tried at the same address.
const udpHeadStart = time.Second

// runner is one way to an address, and what became of it.
type runner struct {
	name string // "UDP", "TCP 8085"
	udp  bool
	dial guestDial
	addr netip.AddrPort
	conn tunnel.GuestConn
	err  error
}

// connect shakes hands with who is at an address: over UDP, and over TCP as well where UDP brings no answer for a while. Of
// those that get through the first is returned, and the others are closed before anything was said on them: the
// request travels once.
func (j *joiner) connect(ctx context.Context, addr netip.AddrPort, token identity.Token) (tunnel.GuestConn, error) {
	ctx, end := context.WithCancel(ctx)
	defer end()
	start, shot := context.WithTimeout(ctx, udpHeadStart) // its end is the shot for TCP
	defer shot()
	runners := j.runners(addr, token)
	ended := make(chan *runner)
	for i := range runners {
		go func() {
			runners[i].run(ctx, start, token)
			if fell := runners[i].err; fell != nil && !answered(fell) {
				shot() // nobody has to wait for this one
			}
			ended <- &runners[i]
		}()
	}
	return winner(runners, ended, end)
}

// run gets through, or fails.
func (r *runner) run(ctx, start context.Context, token identity.Token) {
	if !r.udp {
		<-start.Done()
	}
	if r.err = ctx.Err(); r.err == nil {
		r.conn, r.err = r.dial(ctx, r.addr, token)
	}
}

// runners are the ways to an address, UDP first.
func (j *joiner) runners(addr netip.AddrPort, token identity.Token) []runner {
	out := []runner{{name: "UDP", udp: true, dial: j.dial, addr: addr}}
	if j.dialTCP == nil {
		return out
	}
	ports := []uint16{addr.Port()}
	if token.TCP != 0 && token.TCP != addr.Port() {
		ports = append(ports, token.TCP)
	}
	for _, p := range ports {
		out = append(out, runner{name: "TCP " + portText(p), dial: j.dialTCP, addr: netip.AddrPortFrom(addr.Addr(), p)})
	}
	return out
}

// winner waits for all of them, and ends the race with the first that gets through, or is turned away by somebody over UDP:
// who answers there says the same over TCP.
func winner(runners []runner, ended <-chan *runner, end func()) (tunnel.GuestConn, error) {
	var won tunnel.GuestConn
	for range runners {
		switch r := <-ended; {
		case r.err != nil:
			if r.udp && answered(r.err) {
				end()
			}
		case won == nil:
			won = r.conn
			end()
		default:
			_ = r.conn.Close() // nothing was said on it
		}
	}
	if won == nil {
		return nil, defeat(runners)
	}
	return won, nil
}

// answered reports whether somebody said no, who is no authority of the cluster or has no time.
func answered(err error) bool {
	return slices.Contains([]micronet.Kind{micronet.Unauthorized, micronet.Overloaded, micronet.Refused}, micronet.KindOf(err))
}

// defeat is the error of a race that nobody won: what was said over UDP, or else what each of them met.
func defeat(runners []runner) error {
	first := runners[0].err
	if len(runners) == 1 || answered(first) {
		return first
	}
	var parts []string
	kind, fix := micronet.KindOf(first), ""
	for _, r := range runners {
		parts = append(parts, fmt.Sprintf("over %s: %s", r.name, cause(r.err)))
		if f := remedy(r.err); f != "" {
			kind, fix = micronet.KindOf(r.err), f
		}
	}
	e := micronet.E("join", kind, "%s", strings.Join(parts, ", "))
	if fix != "" {
		e = e.WithFix("%s", fix)
	}
	return e
}

// doors says what has to be open for a token, by the ports of its addresses.
func (j *joiner) doors(token identity.Token) func(ports string) string {
	return func(ports string) string {
		switch {
		case j.dialTCP == nil:
			return "UDP port " + ports
		case token.TCP != 0:
			return fmt.Sprintf("UDP port %s or TCP port %d", ports, token.TCP)
		}
		return "UDP or TCP port " + ports
	}
}
