package api

import (
	"net/netip"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// AnyOwner withdraws whatever the owner: the caller manages all services of the host.
const AnyOwner = -2

// mayAnnounce holds registrations of ordinary users to what they run themselves: script checks
// would run as the daemon and come from files only; the listening process must be the caller's.
func (s *Server) mayAnnounce(a access, services []config.Service) error {
	for i := range services {
		svc := &services[i]
		for _, c := range svc.Checks.List {
			if len(c.Script) > 0 {
				return micronet.E("api.register", micronet.Refused, "service %q has a script check", svc.Name).
					WithFix("put it into a file of services.d: commands are never taken from the API")
			}
		}
		if a.right == mayRegister {
			if err := s.ownsPort(a, svc); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Server) ownsPort(a access, svc *config.Service) error {
	addr, err := netip.ParseAddr(svc.Address)
	if err != nil {
		return micronet.E("api.register", micronet.Invalid, "address of service %q: %w", svc.Name, err)
	}
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
