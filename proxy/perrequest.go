package proxy

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

// perRequest is an http.RoundTripper that opens a connection for each request. Connections are not
// kept: a kept one would hold all requests of a client to one instance, and net/http sends a
// request a second time when a kept connection turns out to be closed.
type perRequest struct {
	o         *Outbound
	transport *http.Transport
}

func newPerRequest(o *Outbound) *perRequest {
	return &perRequest{o: o, transport: &http.Transport{
		DialContext:            takeDialled,
		DisableKeepAlives:      true,
		DisableCompression:     true, // the client's own Accept-Encoding goes through
		MaxResponseHeaderBytes: 1 << 20,
		ExpectContinueTimeout:  time.Second,
	}}
}

// dialledKey is the context key of a *dialled.
type dialledKey struct{}

// dialled is the connection of one request, until the transport takes it.
type dialled struct{ conn atomic.Pointer[net.Conn] }

// RoundTrip dials before the transport is asked, so that the dial ends with the request and its
// error is not wrapped.
func (p *perRequest) RoundTrip(r *http.Request) (*http.Response, error) {
	host, port, err := splitHostPort(withPort(r.URL.Host))
	if err != nil {
		return nil, micronet.E("proxy.outbound", micronet.Invalid, "%q: %w", r.URL.Host, err)
	}
	c, err := p.o.connect(r.Context(), host, port, p.o.webCaller(r), false)
	if err != nil {
		return nil, err
	}
	var d dialled
	d.conn.Store(&c)
	resp, err := p.transport.RoundTrip(r.WithContext(context.WithValue(r.Context(), dialledKey{}, &d)))
	if left := d.conn.Swap(nil); left != nil {
		abort(*left)
	}
	return resp, err
}

// takeDialled is the transport's DialContext.
func takeDialled(ctx context.Context, _, _ string) (net.Conn, error) {
	if d, ok := ctx.Value(dialledKey{}).(*dialled); ok {
		if c := d.conn.Swap(nil); c != nil {
			return *c, nil
		}
	}
	return nil, micronet.E("proxy.outbound", micronet.Closed, "the request has ended")
}

// withPort adds the port that http means when it names none.
func withPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return net.JoinHostPort(host, "80")
}
