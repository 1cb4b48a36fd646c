package api

import (
	"context"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
)

// right is what a request may do. A greater one includes the lesser.
type right int

const (
	mayRead     right = iota // look at everything that is no secret
	mayRegister              // services of this host that the caller runs itself
	mayServe                 // services of this host, and draining them
	mayAll                   // trust, leaving, joining
)

// serviceGroup is the group whose members manage services through the socket.
const serviceGroup = "micro-net"

// tcpOwner is the owner of what was registered over TCP, where nobody can be told apart.
const tcpOwner = -1

// access is who sends a request, found out when its connection was accepted.
type access struct {
	socket         bool // unix socket
	cred           micronet.Credentials
	client, server netip.AddrPort // of a TCP connection
	right          right
}

type accessKey struct{}

func accessOf(ctx context.Context) access {
	a, _ := ctx.Value(accessKey{}).(access)
	return a
}

// owner is the user id a registration belongs to.
func (a access) owner() int {
	if a.socket {
		return a.cred.UID
	}
	return tcpOwner
}

// socketAccess decides by the credentials of the process at the other end.
func (s *Server) socketAccess(c net.Conn) access {
	a := access{socket: true, right: mayRead, cred: micronet.Credentials{UID: tcpOwner}}
	pc, ok := s.env.Net.(micronet.PeerCredentials)
	if !ok {
		return a
	}
	cred, err := pc.PeerCredentials(c)
	if err != nil {
		return a
	}
	a.cred = cred
	switch {
	case cred.UID == 0 || cred.UID == s.env.Host.UID:
		a.right = mayAll
	case slices.Contains(cred.Groups, serviceGroup):
		a.right = mayServe
	default:
		a.right = mayRegister
	}
	return a
}

func (s *Server) tcpAccess(c net.Conn) access {
	a := access{right: mayRead, client: micronet.AddrPortOf(c.RemoteAddr()), server: micronet.AddrPortOf(c.LocalAddr())}
	if s.config.Write == WriteServices {
		a.right = mayServe
	}
	return a
}

// allow wraps a handler that needs a right.
func (s *Server) allow(need right, h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		a := accessOf(r.Context())
		if need > a.right {
			s.refuse(w, "rights", s.refusal(need, a))
			return
		}
		if need > mayRead && r.ContentLength != 0 && !isJSON(r) {
			s.refuse(w, "content-type", micronet.E("api", micronet.Invalid, "the body's Content-Type is %q", r.Header.Get("Content-Type")).
				WithFix("send application/json"))
			return
		}
		if err := h(w, r); err != nil {
			writeProblem(w, err)
		}
	}
}

// refuse answers a request that may not be made, and counts it.
func (s *Server) refuse(w http.ResponseWriter, why string, err error) {
	s.env.Events.PacketDropped(micronet.PacketDrop{Where: "api", Why: why})
	writeProblem(w, err)
}

func (s *Server) refusal(need right, a access) error {
	e := micronet.E("api", micronet.Refused, "this needs more rights than the caller has")
	switch {
	case !a.socket && need == mayAll:
		return e.WithFix("use the unix socket as root or as the daemon's user: --api unix://%s", s.config.Socket)
	case !a.socket:
		return e.WithFix("start the daemon with --api-write services, or use the unix socket: --api unix://%s", s.config.Socket)
	case need == mayServe:
		return e.WithFix("use sudo, or join the group %s", serviceGroup)
	default:
		return e.WithFix("use sudo, or the user that runs the daemon")
	}
}

func isJSON(r *http.Request) bool {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && t == "application/json"
}

// guard refuses what a web page in a browser of this host could send: a foreign Host header is
// DNS rebinding, a foreign Origin is cross-site. The unix socket cannot be reached by a browser.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A refusal repeats what was sent: it must not be taken for a page either.
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'")
		if !accessOf(r.Context()).socket {
			if !s.knownHost(r.Host) {
				s.refuse(w, "host", micronet.E("api", micronet.Refused, "the Host header %q is not one of this listener", r.Host).
					WithFix("use http://%s", s.config.TCPAddr))
				return
			}
			if o := r.Header.Get("Origin"); o != "" && o != "http://"+r.Host {
				s.refuse(w, "origin", micronet.E("api", micronet.Refused, "requests from the web page %q are not accepted", o))
				return
			}
			if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
				s.refuse(w, "cross-site", micronet.E("api", micronet.Refused, "cross-site requests are not accepted"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// knownHost accepts localhost, loopback addresses and the listener's own, any port. Rebinding
// needs a name: where the listener takes all addresses, every address is its own.
func (s *Server) knownHost(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(name, "[]"))
	own := s.config.TCPAddr.Addr()
	return err == nil && (a.IsLoopback() || a == own || own.IsUnspecified())
}

// fromAllowed reports whether a TCP client may talk to us at all.
func (s *Server) fromAllowed(addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return false
	}
	a := ap.Addr().Unmap()
	return a.IsLoopback() || slices.ContainsFunc(s.config.AllowFrom, func(p netip.Prefix) bool { return p.Contains(a) })
}
