package proxy

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strconv"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// maxHeader bounds a request's header.
	maxHeader = 64 << 10

	// webIdle is how long a client may keep a connection without a request.
	webIdle = 5 * time.Minute

	// traceparentLen is the length of a W3C trace context of version 00 (section 3.2.2).
	traceparentLen = 55

	// errorHeader carries the reason of an answer that did not come from an instance.
	errorHeader = "Micro-Net-Error"
)

// newWeb makes the HTTP server for connections that do not speak SOCKS.
func (o *Outbound) newWeb() *http.Server {
	quiet := log.New(io.Discard, "", 0)
	forward := &httputil.ReverseProxy{
		Rewrite:       keepRequest,
		Transport:     newPerRequest(o),
		FlushInterval: -1, // at once: streams and events must not wait for a full buffer
		BufferPool:    webBuffers{&o.copier},
		ErrorLog:      quiet,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, err error) { failHTTP(w, err) },
	}
	return &http.Server{
		Handler:           o.webHandler(forward),
		ReadHeaderTimeout: greetingWait,
		IdleTimeout:       webIdle,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          quiet,
	}
}

// webHandler serves CONNECT and absolute-form requests (RFC 9112 section 3.2.2).
func (o *Outbound) webHandler(forward http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			o.serveConnect(w, r)
		case r.URL.Scheme == "http" && r.URL.Host != "":
			dropH2C(r.Header)
			forward.ServeHTTP(w, r)
		default:
			failHTTP(w, micronet.E("proxy.outbound", micronet.Invalid, "this is a proxy, and %q is no request for one", r.URL).
				WithFix("set http_proxy=http://%s and ask for http://SERVICE/", r.Context().Value(http.LocalAddrContextKey)))
		}
	})
}

// keepRequest undoes what ReverseProxy does for proxies in front of servers: this one stands in
// front of clients, and passes on what they said.
func keepRequest(r *httputil.ProxyRequest) {
	r.Out.Host = r.In.Host
	r.Out.URL.RawQuery = r.In.URL.RawQuery
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if v, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = v
		}
	}
}

// dropH2C removes the offer to go on in HTTP/2 (RFC 7540 section 3.2): it is made to the proxy.
func dropH2C(h http.Header) {
	for _, v := range h.Values("Upgrade") {
		if strings.Contains(strings.ToLower(v), "h2c") {
			h.Del("Upgrade")
			h.Del("HTTP2-Settings")
		}
	}
}

// serveConnect opens a tunnel for a client (RFC 9110 section 9.3.6). It does not use the request's
// context: net/http ends that when the client has half-closed, which in a tunnel is no goodbye.
func (o *Outbound) serveConnect(w http.ResponseWriter, r *http.Request) {
	host, port, err := splitHostPort(r.Host)
	if err != nil {
		failHTTP(w, micronet.E("proxy.outbound", micronet.Invalid, "CONNECT %q: %w", r.Host, err))
		return
	}
	up, err := o.connect(o.run, host, port, o.webCaller(r), true)
	if err != nil {
		failHTTP(w, err)
		return
	}
	c, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		abort(up)
		failHTTP(w, err)
		return
	}
	stop := context.AfterFunc(o.run, func() { abort(up) })
	defer stop()
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil || c.SetDeadline(time.Time{}) != nil {
		abort(c)
		abort(up)
		return
	}
	o.copier.Pump(newPeeked(c, buf.Reader), up)
}

func (o *Outbound) webCaller(r *http.Request) micronet.Caller {
	caller := micronet.Caller{Node: o.cfg.Self}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		caller.Addr = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		caller.Dialled = micronet.AddrPortOf(a)
	}
	if t := r.Header.Get("Traceparent"); len(t) == traceparentLen {
		caller.Trace = t
	}
	return caller
}

// splitHostPort reads "host:port".
func splitHostPort(s string) (string, uint16, error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil || host == "" {
		return "", 0, errors.New("want HOST:PORT")
	}
	return host, uint16(port), nil
}

// httpStatus is the answer for an error.
func httpStatus(err error) int {
	switch micronet.KindOf(err) {
	case micronet.NotFound:
		return http.StatusNotFound
	case micronet.Refused, micronet.Unauthorized:
		return http.StatusForbidden
	case micronet.Invalid:
		return http.StatusBadRequest
	case micronet.Timeout:
		return http.StatusGatewayTimeout
	case micronet.Unreachable, micronet.Overloaded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusBadGateway
	}
}

// failHTTP answers with one line that is also in errorHeader.
func failHTTP(w http.ResponseWriter, err error) {
	text := strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }), " ")
	w.Header().Set(errorHeader, text)
	http.Error(w, text, httpStatus(err))
}

// webBuffers lends the copier's buffers to ReverseProxy.
type webBuffers struct{ c *Copier }

func (b webBuffers) Get() []byte { return b.c.get()[:] }

func (b webBuffers) Put(p []byte) {
	if len(p) == busyBuffer {
		b.c.pool.Put((*[busyBuffer]byte)(p))
	}
}
