package osenv

import (
	"context"
	"fmt"
	"net"
	"os/user"
	"slices"
	"strconv"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	micronet "github.com/micro/micro-net"
)

// interfaceQueue holds netlink messages that were not looked at yet; the sender waits beyond it.
const interfaceQueue = 16

// WatchInterfaces follows addresses and links through netlink. When the kernel drops messages
// the subscription ends: what changed meanwhile is reported, and a new one is made.
func (Network) WatchInterfaces(ctx context.Context) <-chan struct{} {
	s, err := subscribe(ctx)
	if err != nil {
		return nil
	}
	changed := make(chan struct{}, 1)
	go func() {
		for err == nil {
			s.follow(changed)
			if ctx.Err() != nil {
				return
			}
			s, err = subscribe(ctx)
			notify(changed)
		}
	}()
	return changed
}

// subscription receives changes of addresses and links. Both channels are closed when it ends.
type subscription struct {
	cancel context.CancelFunc
	addrs  chan netlink.AddrUpdate
	links  chan netlink.LinkUpdate
}

func subscribe(ctx context.Context) (*subscription, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &subscription{
		cancel: cancel, addrs: make(chan netlink.AddrUpdate, interfaceQueue), links: make(chan netlink.LinkUpdate, interfaceQueue),
	}
	if err := netlink.AddrSubscribe(s.addrs, ctx.Done()); err != nil {
		cancel()
		return nil, err
	}
	if err := netlink.LinkSubscribe(s.links, ctx.Done()); err != nil {
		cancel()
		close(s.links) // nobody else will
		go s.follow(make(chan struct{}, 1))
		return nil, err
	}
	return s, nil
}

// follow reports changes until either channel is closed, and returns when both are: who sends
// must not wait for ever.
func (s *subscription) follow(changed chan struct{}) {
	defer s.cancel()
	for s.addrs != nil || s.links != nil {
		select {
		case _, ok := <-s.addrs:
			if !ok {
				s.addrs = nil
				s.cancel()
			}
		case _, ok := <-s.links:
			if !ok {
				s.links = nil
				s.cancel()
			}
		}
		notify(changed)
	}
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
		UID: int(cred.Uid), GID: int(cred.Gid), PID: int(cred.Pid), Groups: groups(int(cred.Uid), int(cred.Gid)),
	}, nil
}

// groups names the groups of a user, and the one the process runs with.
func groups(uid, gid int) []string {
	ids := []string{strconv.Itoa(gid)}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		if more, err := u.GroupIds(); err == nil {
			ids = append(ids, more...)
		}
	}
	var names []string
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil && !slices.Contains(names, g.Name) {
			names = append(names, g.Name)
		}
	}
	return names
}

// control calls f with the descriptor of a connection or listener.
func control(c any, f func(fd int) error) error {
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
