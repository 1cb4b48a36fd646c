package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// maxAnswer bounds what the client reads of one answer.
const maxAnswer = 64 << 20

// Client talks to a daemon.
type Client struct {
	net       micronet.Network
	addresses []string
	http      *http.Client
	used      atomic.Pointer[string] // the address that was connected to last
}

// NewClient tries the addresses ("unix:///path" or "http://host:port") in order; the first on
// which a daemon answers is used.
func NewClient(n micronet.Network, addresses ...string) *Client {
	c := &Client{net: n, addresses: addresses}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx) },
		DisableKeepAlives: true,
	}}
	return c
}

// connect opens a connection to the first address that answers. "permission denied" outranks
// "nobody there": it tells the user what is really wrong.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	var denied error
	for _, a := range c.addresses {
		conn, err := c.connectTo(ctx, a)
		if err == nil {
			c.used.Store(&a)
			return conn, nil
		}
		if ctx.Err() != nil {
			return nil, transportError(ctx.Err())
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = micronet.E("api", micronet.Refused, "%s: permission denied", a).WithFix("use sudo, or the user that runs the daemon")
		}
		if e, ok := errors.AsType[*micronet.Error](err); ok {
			return nil, e
		}
	}
	if denied != nil {
		return nil, denied
	}
	return nil, micronet.E("api", micronet.NoDaemon, "no daemon answers on %s", strings.Join(c.addresses, " or ")).
		WithFix("start one with `micro-net up`, or name it with --api")
}

func (c *Client) connectTo(ctx context.Context, address string) (net.Conn, error) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		return c.net.DialUnix(ctx, path)
	}
	ap, err := tcpAddress(address)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return c.net.Dial(ctx, netip.Addr{}, ap)
}

// tcpAddress reads http://ADDR:PORT.
func tcpAddress(address string) (netip.AddrPort, error) {
	host, ok := strings.CutPrefix(address, "http://")
	if !ok {
		return netip.AddrPort{}, badAddress(address)
	}
	host = strings.Replace(strings.TrimSuffix(host, "/"), "localhost:", "127.0.0.1:", 1)
	ap, err := netip.ParseAddrPort(host)
	if err != nil {
		return netip.AddrPort{}, badAddress(address)
	}
	return ap, nil
}

func badAddress(address string) error {
	return micronet.E("api", micronet.Invalid, "%q is no API address", address).
		WithFix("want unix:///path/api.sock or http://127.0.0.1:8500")
}

// do sends one request and decodes its answer into out, which may be nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	res, err := c.send(ctx, method, path, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if out == nil || res.StatusCode == http.StatusNoContent {
		return nil
	}
	if !hasType(res, "application/json") {
		return c.stranger()
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(out); err != nil {
		return micronet.E("api", micronet.Internal, "the daemon's answer: %w", err)
	}
	fill(out)
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, micronet.E("api", micronet.Internal, "encode the request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, body)
	if err != nil {
		return nil, micronet.E("api", micronet.Internal, "%w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.transportError(err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		defer res.Body.Close()
		return nil, c.readProblem(res)
	}
	return res, nil
}

// hasType reports whether an answer is of a media type, whatever its parameters.
func hasType(res *http.Response, want string) bool {
	got, _, err := mime.ParseMediaType(res.Header.Get("Content-Type"))
	return err == nil && got == want
}

// transportError is what went wrong before there was an answer. Where neither the connection nor the
// time ended, what came is no HTTP, and somebody else than a daemon has said it.
func (c *Client) transportError(err error) error {
	if e, ok := errors.AsType[*micronet.Error](transportError(err)); ok && e.Kind != micronet.Unreachable {
		return e
	}
	return c.stranger()
}

// stranger is the error of an address at which another program answers.
func (c *Client) stranger() error {
	at, holder := "", ""
	if used := c.used.Load(); used != nil {
		at = *used
	}
	if ap, err := tcpAddress(at); err == nil {
		if h, ok := c.net.(micronet.PortHolder); ok {
			holder = h.PortHolder("tcp", ap)
		}
	}
	who := "another program"
	if holder != "" {
		who = holder
	}
	return micronet.E("api", micronet.NoDaemon, "no daemon answers: at %s is %s, which is not micro-net", at, who).
		WithFix("start one with `micro-net up --api-addr 127.0.0.1:0`, or name it with --api")
}

func transportError(err error) error {
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		return e
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return micronet.E("api", micronet.Timeout, "the daemon did not answer in time")
	}
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return micronet.E("api", micronet.NoDaemon, "the daemon went away")
	}
	return micronet.E("api", micronet.Unreachable, "%w", err)
}

func (c *Client) readProblem(res *http.Response) error {
	if !hasType(res, problemType) {
		return c.stranger()
	}
	var p Problem
	err := json.NewDecoder(io.LimitReader(res.Body, maxBody)).Decode(&p)
	if err != nil || p.Kind == "" {
		return micronet.E("api", micronet.Internal, "the daemon answered %s", res.Status)
	}
	return p.asError()
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	var v T
	err := c.do(ctx, http.MethodGet, path, nil, &v)
	return v, err
}

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	s, err := get[Status](ctx, c, "/api/v1/status")
	if err == nil && s.Node.ID+s.Node.Name == "" {
		err = c.stranger()
	}
	return s, err
}

// Nodes asks for the nodes of the mesh.
func (c *Client) Nodes(ctx context.Context) ([]Node, error) {
	return get[[]Node](ctx, c, "/api/v1/nodes")
}

// Services asks for one service, or for all with "".
func (c *Client) Services(ctx context.Context, name string) ([]Service, error) {
	if name == "" {
		return get[[]Service](ctx, c, "/api/v1/services")
	}
	return get[[]Service](ctx, c, "/api/v1/services/"+url.PathEscape(name))
}

// Routes asks for the routes of one service, or for all with "".
func (c *Client) Routes(ctx context.Context, service string) ([]Route, error) {
	return get[[]Route](ctx, c, "/api/v1/routes?service="+url.QueryEscape(service))
}

// Connections asks for the tunnels that are open.
func (c *Client) Connections(ctx context.Context) ([]Connection, error) {
	return get[[]Connection](ctx, c, "/api/v1/connections")
}

// Graph asks for who reaches whom.
func (c *Client) Graph(ctx context.Context) (Graph, error) {
	return get[Graph](ctx, c, "/api/v1/graph")
}

// Settings asks for the configuration and where each value came from.
func (c *Client) Settings(ctx context.Context) ([]Setting, error) {
	return get[[]Setting](ctx, c, "/api/v1/config")
}

// Resolve asks the daemon's DNS.
func (c *Client) Resolve(ctx context.Context, name, typ string) (Resolution, error) {
	q := url.Values{"name": {name}, "type": {typ}}
	return get[Resolution](ctx, c, "/api/v1/resolve?"+q.Encode())
}

// Clocks compares the wall clock of the daemon's host with those of a few other nodes.
func (c *Client) Clocks(ctx context.Context) ([]Clock, error) {
	return get[[]Clock](ctx, c, "/api/v1/clocks")
}

// Reach asks how the daemon's host and other nodes reach each other; it takes seconds.
func (c *Client) Reach(ctx context.Context) (Reach, error) {
	return get[Reach](ctx, c, "/api/v1/reach")
}

// Ping measures one round trip to a node.
func (c *Client) Ping(ctx context.Context, node string) (Pong, error) {
	return get[Pong](ctx, c, "/api/v1/ping?node="+url.QueryEscape(node))
}

// Trace tells how packets get to a service or a node.
func (c *Client) Trace(ctx context.Context, target string) (Trace, error) {
	return get[Trace](ctx, c, "/api/v1/trace?target="+url.QueryEscape(target))
}

// Invite asks for a join token.
func (c *Client) Invite(ctx context.Context, req InviteRequest) (Invitation, error) {
	var inv Invitation
	err := c.do(ctx, http.MethodPost, "/api/v1/invite", req, &inv)
	return inv, err
}

// Join moves the daemon into another cluster.
func (c *Client) Join(ctx context.Context, token string) error {
	return c.do(ctx, http.MethodPost, "/api/v1/join", JoinRequest{Token: token}, nil)
}

// Leave says goodbye for good and stops the daemon.
func (c *Client) Leave(ctx context.Context, r LeaveRequest) (Farewell, error) {
	var f Farewell
	err := c.do(ctx, http.MethodPost, "/api/v1/leave", r, &f)
	return f, err
}

// Register adds instances that survive a restart of the daemon.
func (c *Client) Register(ctx context.Context, services []config.Service) (Registered, error) {
	var reg Registered
	err := c.do(ctx, http.MethodPost, "/api/v1/instances", services, &reg)
	return reg, err
}

// Hold adds instances that end when the returned closer is closed, or this process ends. Reading
// from it blocks until the daemon has gone away, and the instances with it.
func (c *Client) Hold(ctx context.Context, services []config.Service) (Registered, io.ReadCloser, error) {
	res, err := c.send(ctx, http.MethodPost, "/api/v1/instances?hold=1", services)
	if err != nil {
		return Registered{}, nil, err
	}
	var reg Registered
	if err := json.NewDecoder(io.LimitReader(res.Body, maxAnswer)).Decode(&reg); err != nil {
		return Registered{}, nil, errors.Join(micronet.E("api", micronet.Internal, "the daemon's answer: %w", err), res.Body.Close())
	}
	return reg, res.Body, nil
}

// Deregister withdraws an instance.
func (c *Client) Deregister(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "/api/v1/instances/"+url.PathEscape(id), nil, nil)
}

// Dial opens a raw stream to the best instance of a service, which has accepted it. The connection
// has a method Node() string: the name of the instance's node.
func (c *Client) Dial(ctx context.Context, service string) (net.Conn, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := c.upgrade(ctx, conn, service)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return stream, nil
}

func (c *Client) upgrade(ctx context.Context, conn net.Conn, service string) (net.Conn, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/api/v1/dial?service="+url.QueryEscape(service), nil)
	if err != nil {
		return nil, micronet.E("api.dial", micronet.Internal, "%w", err)
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", streamProtocol)
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := req.Write(conn); err != nil {
		return nil, c.transportError(err)
	}
	r := bufio.NewReader(conn)
	res, err := http.ReadResponse(r, req)
	if err != nil {
		return nil, c.transportError(err)
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer res.Body.Close()
		return nil, c.readProblem(res)
	}
	return &streamConn{Conn: conn, r: r, node: res.Header.Get(nodeHeader), id: res.Header.Get(streamHeader)}, nil
}

// streamConn reads first what came along with the answer's header.
type streamConn struct {
	net.Conn
	r    *bufio.Reader
	node string
	id   string
}

// ID names the stream to End, "" when the daemon gave no name.
func (c *streamConn) ID() string { return c.id }

// Node is the name of the node at the other end, "" when the daemon did not say.
func (c *streamConn) Node() string { return c.node }

func (c *streamConn) Read(b []byte) (int, error) { return c.r.Read(b) }

// CloseWrite ends the direction to the service.
func (c *streamConn) CloseWrite() error {
	if hc, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return hc.CloseWrite()
	}
	return errors.ErrUnsupported
}
