package node

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/portmap"
)

const (
	// fetchedQueue is how many outcomes of requests over HTTP wait; there is one request at a time.
	fetchedQueue = 2
	// maxIGDHeader bounds the header of an answer.
	maxIGDHeader = 16 << 10
)

// igdTalk carries what is said to a router by UPnP: datagrams that search for it, and requests over HTTP. Whatever its answers
// name, they come from the router's address and our words go there.
type igdTalk struct {
	env     micronet.Env
	out     way
	client  *http.Client
	found   chan []byte
	fetched chan fetched
	tasks   sync.WaitGroup
}

// fetched is what came of a request; no body where there was no answer.
type fetched struct {
	request *portmap.Request
	body    []byte
}

func newIGDTalk(env micronet.Env, out way) *igdTalk {
	t := &igdTalk{env: env, out: out, found: make(chan []byte, answersQueue), fetched: make(chan fetched, fetchedQueue)}
	t.client = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the router does not send us elsewhere
		Transport: &http.Transport{
			DialContext: t.dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: maxIGDHeader,
		},
	}
	return t
}

// dial connects to the router, whatever host the address has.
func (t *igdTalk) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	return t.env.Net.Dial(ctx, t.out.local, netip.AddrPortFrom(t.out.router, uint16(p)))
}

// send sends a request; what comes of it is found in the channels, until ctx ends.
func (t *igdTalk) send(ctx context.Context, r *portmap.Request) {
	t.tasks.Go(func() {
		if r.Via == portmap.Search {
			t.search(ctx, r.Body)
			return
		}
		body, err := t.fetch(ctx, r)
		if err != nil {
			body = nil
		}
		pass(t, t.fetched, fetched{r, body})
	})
}

// pass hands on what came, if there is room.
func pass[T any](t *igdTalk, to chan<- T, v T) {
	select {
	case to <- v:
	default:
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "node", Why: "portmap-full"})
	}
}

// search sends a datagram to the router and to all devices around, and hears for a while what the router says. The socket is bound to the
// address that the router knows: that is the network on which all are asked.
func (t *igdTalk) search(ctx context.Context, words []byte) {
	ctx, cancel := context.WithTimeout(ctx, portmap.SearchTime)
	defer cancel()
	conn, err := t.env.Net.ListenPacket(ctx, netip.AddrPortFrom(t.out.local, 0))
	if err != nil {
		t.env.Events.BackgroundError("node.portmap", err)
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // that ends the reading
	defer stop()
	for _, to := range []netip.Addr{t.out.router, portmap.SearchGroup()} {
		_, _ = conn.WriteTo(words, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, portmap.SearchPort))) // one of them gets there, or it is asked again
	}
	t.hear(conn)
}

// hear hands on what the router says, until the socket is closed.
func (t *igdTalk) hear(conn net.PacketConn) {
	buf := make([]byte, largestAnswer)
	for {
		n, from, err := conn.ReadFrom(buf)
		switch {
		case err != nil:
			_ = conn.Close()
			return
		case micronet.AddrPortOf(from).Addr().Unmap() == t.out.router:
			pass(t, t.found, bytes.Clone(buf[:n]))
		}
	}
}

// fetch does a request over HTTP, within a bounded time. The body counts whatever the status is: refusals have one, too.
func (t *igdTalk) fetch(ctx context.Context, r *portmap.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, portmap.FetchTime)
	defer cancel()
	method, url := http.MethodGet, "http://"+netip.AddrPortFrom(t.out.router, r.Port).String()+r.Path
	if r.Body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(r.Body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "micro-net UPnP/1.1")
	if r.Body != nil {
		req.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
		req.Header["SOAPAction"] = []string{r.Action} // in the letters that some routers insist on
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(io.LimitReader(res.Body, portmap.FetchedLargest+1)) // one byte too many is read as no answer
}
