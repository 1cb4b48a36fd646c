package osenv

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os/user"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	micronet "github.com/micro/micro-net"
)

var _ micronet.OriginalDst = Network{}

// WatchInterfaces follows addresses and links through netlink.
func (Network) WatchInterfaces(ctx context.Context) <-chan struct{} {
	addrs := make(chan netlink.AddrUpdate, 16)
	links := make(chan netlink.LinkUpdate, 16)
	if netlink.AddrSubscribe(addrs, ctx.Done()) != nil || netlink.LinkSubscribe(links, ctx.Done()) != nil {
		return nil
	}
	changed := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case _, ok := <-addrs:
				if !ok {
					return
				}
			case _, ok := <-links:
				if !ok {
					return
				}
			}
			notify(changed)
		}
	}()
	return changed
}

// OriginalDst asks the kernel where a redirected connection was going (SO_ORIGINAL_DST).
func (Network) OriginalDst(c net.Conn) (netip.AddrPort, error) {
	var dst netip.AddrPort
	err := control(c, func(fd int) error {
		// The IPv6 request struct is the smallest of x/sys that is large enough for a
		// sockaddr_in: family, port, address are its first 8 bytes.
		mreq, err := unix.GetsockoptIPv6Mreq(fd, unix.IPPROTO_IP, unix.SO_ORIGINAL_DST)
		if err != nil {
			return err
		}
		raw := mreq.Multiaddr
		dst = netip.AddrPortFrom(netip.AddrFrom4([4]byte(raw[4:8])), binary.BigEndian.Uint16(raw[2:4]))
		return nil
	})
	return dst, err
}

// PeerCredentials asks the kernel who is at the other end of a unix socket (SO_PEERCRED).
func (Network) PeerCredentials(c net.Conn) (micronet.Credentials, error) {
	var cred *unix.Ucred
	err := control(c, func(fd int) (err error) {
		cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		return err
	})
	if err != nil {
		return micronet.Credentials{}, err
	}
	return micronet.Credentials{
		UID: int(cred.Uid), GID: int(cred.Gid), PID: int(cred.Pid), Groups: groups(int(cred.Uid)),
	}, nil
}

// groups names the groups of a user; an unknown user has none.
func groups(uid int) []string {
	u, err := user.LookupId(strconv.Itoa(uid))
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	var names []string
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			names = append(names, g.Name)
		}
	}
	return names
}

func control(c net.Conn, f func(fd int) error) error {
	sc, ok := c.(interface {
		SyscallConn() (syscall.RawConn, error)
	})
	if !ok {
		return fmt.Errorf("%T is no kernel socket", c)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}
