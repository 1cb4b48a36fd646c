package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	micronet "github.com/micro/micro-net"
)

// Problem is a VIP port that could not be had.
type Problem struct {
	Dest   micronet.Destination
	Addr   netip.AddrPort // the VIP and the port
	Holder string         // who holds the port, "" when it is not known
	Err    error          // what the operating system said
}

// Text is the problem in one sentence.
func (p Problem) Text() string {
	switch {
	case errors.Is(p.Err, syscall.EADDRINUSE) && p.Holder != "":
		return fmt.Sprintf("%s cannot answer on port %d: %s holds it on all addresses", p.Dest, p.Addr.Port(), p.Holder)
	case errors.Is(p.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("%s cannot answer on port %d: another program holds it on all addresses", p.Dest, p.Addr.Port())
	case errors.Is(p.Err, syscall.EACCES):
		return fmt.Sprintf("%s cannot answer on port %d: the daemon's user may not take it", p.Dest, p.Addr.Port())
	}
	return fmt.Sprintf("%s cannot answer on port %d: %v", p.Dest, p.Addr.Port(), p.Err)
}

// Fix says what the user can do.
func (p Problem) Fix() string {
	return fmt.Sprintf("run `micro-net forward %s`, use the outbound proxy, or start the daemon with CAP_NET_ADMIN, which captures the VIPs without taking ports", p.Dest)
}

// errNoTCP says that a name cannot be answered, because VIPs carry TCP alone.
func errNoTCP(dest micronet.Destination) error {
	return micronet.E("proxy.offer", micronet.NotFound, "%s has no TCP port", dest)
}

// errNoPort says that a name cannot be answered, because none of its ports could be had.
func errNoPort(problems []Problem) error {
	texts := make([]string, len(problems))
	for i, p := range problems {
		texts[i] = p.Text()
	}
	return micronet.E("proxy.offer", micronet.Refused, "%s: %w", strings.Join(texts, ", "), problems[0].Err).
		WithFix("%s", problems[0].Fix())
}
