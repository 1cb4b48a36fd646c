package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func asOurs(err error) (*micronet.Error, bool) { return errors.AsType[*micronet.Error](err) }

func (d *doctor) freeUDP(ctx context.Context, flag string, addr netip.AddrPort) {
	if !addr.IsValid() {
		return
	}
	c, err := d.app.env.Net.ListenPacket(ctx, addr)
	d.free("udp", flag, addr, c, err)
}

func (d *doctor) freeTCP(ctx context.Context, flag string, addr netip.AddrPort) {
	if !addr.IsValid() {
		return
	}
	c, err := d.app.env.Net.Listen(ctx, addr)
	d.free("tcp", flag, addr, c, err)
}

// free closes what could be opened, or names who holds the port.
func (d *doctor) free(network, flag string, addr netip.AddrPort, c io.Closer, err error) {
	check := fmt.Sprintf("port %s/%d", network, addr.Port())
	if err == nil {
		err = c.Close()
	}
	if err == nil {
		d.add(good, check, addr.String()+" is free", "")
		return
	}
	holder := ""
	if h, ok := d.app.env.Net.(micronet.PortHolder); ok {
		if name := h.PortHolder(network, addr); name != "" {
			holder = ", held by " + name
		}
	}
	free := netip.AddrPortFrom(addr.Addr(), 0)
	d.add(bad, check, fmt.Sprintf("%s cannot be taken%s: %s", addr, holder, err), fmt.Sprintf("free it, or run: micro-net up --%s %s", flag, free))
}

// firstYear is when this was written: an earlier clock is wrong, and certificates fail by it.
const firstYear = 2026

// maxClockOffset is how far clocks may be apart without a word: certificates are dated back by two
// days, so that nothing fails yet.
const maxClockOffset = 10 * time.Second

// clock looks at the host's date and, through a daemon that answers, compares it with those of
// other nodes.
func (d *doctor) clock(ctx context.Context, daemon bool) {
	now := d.app.env.Wall().UTC()
	date := now.Format("2006-01-02 15:04:05 UTC")
	if now.Year() < firstYear {
		d.add(bad, "clock", "it says "+date, "set the clock, and start a time service (chrony, systemd-timesyncd)")
		return
	}
	if !daemon {
		d.add(good, "clock", date+"; not compared with other nodes, as no daemon runs", "")
		return
	}
	clocks, err := d.client.Clocks(ctx)
	if err != nil {
		d.addError(warn, "clock", err, "update the daemon, and restart it")
		return
	}
	d.compareClocks(date, clocks)
}

// compareClocks says who is wrong: this host when most others agree that it is.
func (d *doctor) compareClocks(date string, clocks []api.Clock) {
	var apart []string
	for _, c := range clocks {
		off := time.Duration(c.OffsetMs * float64(time.Millisecond))
		if off.Abs() > maxClockOffset {
			apart = append(apart, fmt.Sprintf("%s says %s", c.Node, away(off)))
		}
	}
	const fix = "start a time service (chrony, systemd-timesyncd) "
	switch {
	case len(clocks) == 0:
		d.add(good, "clock", date+"; no other node to compare it with", "")
	case len(apart) == 0:
		d.add(good, "clock", fmt.Sprintf("%s, as at %s", date, plural(len(clocks), "other node", "other nodes")), "")
	case 2*len(apart) > len(clocks):
		d.add(bad, "clock", date+", but "+strings.Join(apart, ", "), fix+"on this host")
	default:
		d.add(warn, "clock", date+", but "+strings.Join(apart, ", "), fix+"there")
	}
}

func away(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Second).String() + " less"
	}
	return d.Round(time.Second).String() + " more"
}

const (
	// wantedBuffer is the limit, in bytes, that is advised.
	wantedBuffer = 7_500_000
	// wantedSocket is how large a socket's buffer should be, as the system tells it: it doubles what is asked for, so that half of
	// it is enough as the limit.
	wantedSocket = 7 << 20
)

// buffers looks at the UDP buffers of the daemon, and at their limits (socket(7)) where these are not large enough, or no daemon
// tells. A host without these files has other means, or none.
func (d *doctor) buffers() {
	d.buffer("receive", "rmem_max", d.receives)
	d.buffer("send", "wmem_max", d.sends)
}

func (d *doctor) buffer(which, name string, socket int) {
	const check = "udp buffers"
	if socket >= wantedSocket {
		d.add(good, check, fmt.Sprintf("the daemon's socket has %d bytes to %s", socket, which), "")
		return
	}
	data, err := d.app.env.FS.ReadFile("/proc/sys/net/core/" + name)
	if err != nil {
		return
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(data)))
	fix := fmt.Sprintf("sysctl -w net.core.%s=%d, and the same in /etc/sysctl.d", name, wantedBuffer)
	if socket > 0 {
		fix += "; then restart the daemon"
	}
	switch {
	case err != nil:
		d.add(warn, check, fmt.Sprintf("net.core.%s is %q", name, data), fix)
	case 2*limit < wantedSocket:
		d.add(warn, check, fmt.Sprintf("net.core.%s is %d: fast transfers will lose packets", name, limit), fix)
	case socket > 0:
		d.add(warn, check, fmt.Sprintf("the daemon's socket has %d bytes to %s, although net.core.%s is %d", socket, which, name, limit), "restart the daemon")
	default:
		d.add(good, check, fmt.Sprintf("net.core.%s is %d", name, limit), "")
	}
}
