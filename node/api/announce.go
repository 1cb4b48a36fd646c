package api

import (
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// AnyOwner withdraws whatever the owner: the caller manages all services of the host.
const AnyOwner = -2

// mayAnnounce holds registrations to what the caller may offer. Script checks would run as the
// daemon and come from files only. Through TCP, and for ordinary users, the instance is on an
// address of this host, and so is what its checks connect to; for ordinary users the process that listens there must be theirs.
func (s *Server) mayAnnounce(a access, services []config.Service) error {
	for i := range services {
		svc := &services[i]
		for _, c := range svc.Checks.List {
			if len(c.Script) > 0 {
				return micronet.E("api.register", micronet.Refused, "service %q has a script check", svc.Name).
					WithFix("put it into a file of services.d: commands are never taken from the API")
			}
		}
		if err := s.mayOffer(a, svc); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) mayOffer(a access, svc *config.Service) error {
	if a.socket && a.right >= mayServe {
		return nil
	}
	addr, err := netip.ParseAddr(svc.Address)
	if err != nil {
		return micronet.E("api.register", micronet.Invalid, "address of service %q: %w", svc.Name, err)
	}
	if err := s.isHosts(addr.Unmap(), svc.Name); err != nil {
		return err
	}
	// The daemon connects where checks lead to, as its own user and from its own place in the network.
	for i := range svc.Checks.List {
		if at, ok := svc.Checks.List[i].Addr(); ok {
			if err := s.isHosts(at, svc.Name); err != nil {
				return err
			}
		}
	}
	if a.right == mayRegister {
		return s.ownsPort(a, addr, svc)
	}
	return nil
}

// isHosts refuses addresses of other hosts: they have, or can have, a daemon of their own.
func (s *Server) isHosts(addr netip.Addr, service string) error {
	if addr.IsLoopback() {
		return nil
	}
	all, err := s.env.Net.Interfaces()
	if err != nil {
		return micronet.E("api.register", micronet.Internal, "addresses of this host: %w", err)
	}
	for _, i := range all {
		if slices.ContainsFunc(i.Prefixes, func(p netip.Prefix) bool { return p.Addr().Unmap() == addr }) {
			return nil
		}
	}
	return micronet.E("api.register", micronet.Refused, "%s of service %q is no address of this host", addr, service).
		WithFix("register it there, or here through the unix socket as root")
}

func (s *Server) ownsPort(a access, addr netip.Addr, svc *config.Service) error {
	po, ok := s.env.Net.(micronet.PortOwner)
	if !ok {
		return nil
	}
	uid, known := po.PortOwner(netip.AddrPortFrom(addr, uint16(svc.Port)))
	if known && uid != a.cred.UID {
		return micronet.E("api.register", micronet.Refused, "port %d belongs to another user's process", svc.Port).
			WithFix("use sudo, or join the group %s", serviceGroup)
	}
	return nil
}
