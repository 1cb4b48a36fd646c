package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/osenv"
	"github.com/micro/micro-net/internal/policy"
)

// daemonUID is the user that runs the daemon in all tests.
const daemonUID = 1000

// fakeNet is the host's network with callers, port owners and interfaces of the test's choice.
type fakeNet struct {
	osenv.Network
	cred    micronet.Credentials
	credErr error
	owner   int // of every port; -1 unknown
	denied  bool
	local   []netip.Prefix
}

func (n *fakeNet) PeerCredentials(c net.Conn) (micronet.Credentials, error) {
	if _, ok := c.(*net.UnixConn); !ok {
		return micronet.Credentials{}, errors.New("not the socket itself")
	}
	return n.cred, n.credErr
}

func (n *fakeNet) PortOwner(netip.AddrPort) (int, bool) { return n.owner, n.owner >= 0 }

func (n *fakeNet) Interfaces() ([]micronet.Interface, error) {
	return []micronet.Interface{{Name: "eth0", Prefixes: n.local}}, nil
}

func (n *fakeNet) DialUnix(ctx context.Context, path string) (net.Conn, error) {
	if n.denied {
		return nil, &net.OpError{Op: "dial", Net: "unix", Err: fs.ErrPermission}
	}
	return n.Network.DialUnix(ctx, path)
}

// world is a server on a unix socket and on an in-memory TCP listener.
type world struct {
	t       testing.TB
	net     *fakeNet
	backend *fakeBackend
	server  *Server
	socket  string
	tcp     *memListener
	stop    func() error
}

func newWorld(t testing.TB, c Config) *world {
	t.Helper()
	w := &world{t: t, backend: &fakeBackend{}, tcp: newMemListener()}
	w.net = &fakeNet{cred: micronet.Credentials{UID: daemonUID}, owner: -1, local: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/24")}}
	if !c.TCPAddr.IsValid() {
		c.TCPAddr = netip.MustParseAddrPort("127.0.0.1:8500")
	}
	if c.Write == "" {
		c.Write = WriteServices
	}
	env := micronet.Env{Net: w.net, Host: micronet.Host{UID: daemonUID}}.EnsureDefaults()
	w.server = NewServer(env, w.backend, c)
	return w
}

// start serves both listeners.
func (w *world) start() *world {
	w.t.Helper()
	w.socket = filepath.Join(w.t.TempDir(), "api.sock")
	ln, err := w.net.ListenUnix(context.Background(), w.socket, 0o666)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.serve(ln)
}

func (w *world) serve(unix net.Listener) *world {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx, unix, w.tcp) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-done })
	w.t.Cleanup(func() {
		if err := w.stop(); err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	return w
}

func (w *world) client() *Client { return NewClient(w.net, "unix://"+w.socket) }

// request is one HTTP request of a test.
type request struct {
	method, path, body string
	header             map[string]string
	host               string // "": 127.0.0.1:8500
	from               string // TCP client; "": loopback; "unix": the socket
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(q request) answer {
	w.t.Helper()
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		if q.from == "unix" {
			return w.net.DialUnix(ctx, w.socket)
		}
		return w.tcp.dial(q.from)
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequest(q.method, "http://127.0.0.1:8500"+q.path, bytes.NewReader([]byte(q.body)))
	if err != nil {
		w.t.Fatal(err)
	}
	if q.host != "" {
		req.Host = q.host
	}
	if q.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range q.header {
		req.Header.Set(k, v)
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		return answer{body: err.Error()} // status 0: no answer
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(body)}
}

// memListener accepts connections made with dial; they look like TCP from anywhere.
type memListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemListener() *memListener {
	return &memListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *memListener) dial(from string) (net.Conn, error) {
	if from == "" {
		from = "127.0.0.1:40000"
	}
	near, far := net.Pipe()
	select {
	case l.conns <- &memConn{far, net.TCPAddrFromAddrPort(netip.MustParseAddrPort(from))}:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *memListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8500} }

type memConn struct {
	net.Conn
	remote net.Addr
}

func (c *memConn) RemoteAddr() net.Addr { return c.remote }

// fakeBackend notes what it was asked.
type fakeBackend struct {
	mu         sync.Mutex
	fail       error
	registered []config.Service
	owner      int
	ended      chan struct{} // closed when a hold ends
	dialed     func() (net.Conn, error)
	invited    InviteRequest
	joined     string
	root       RootRemoval
	revoked    Revocation
	rules      []policy.Rule
	from       micronet.Caller // of Dial and Explain
	named      NamesRequest
	granted    GrantRequest
}

func (b *fakeBackend) Status() Status {
	return Status{Node: StatusNode{Name: "a"}, Warnings: []Warning{}}
}
func (b *fakeBackend) Nodes() []Node                        { return []Node{} }
func (b *fakeBackend) Services(string) ([]Service, error)   { return []Service{}, b.fail }
func (b *fakeBackend) Routes(string) ([]Route, error)       { return []Route{}, b.fail }
func (b *fakeBackend) Connections() []Connection            { return []Connection{} }
func (b *fakeBackend) Graph() Graph                         { return Graph{} }
func (b *fakeBackend) Settings() []Setting                  { return []Setting{} }
func (b *fakeBackend) Healthy() error                       { return nil }
func (b *fakeBackend) Ready() error                         { return b.fail }
func (b *fakeBackend) Deregister(owner int, _ string) error { b.owner = owner; return b.fail }

func (b *fakeBackend) Policies() []Policy {
	return []Policy{{Name: "no-c", From: policy.Callers{Node: "c"}}}
}

func (b *fakeBackend) ApplyPolicies(_ context.Context, rules []policy.Rule) (PolicyChange, error) {
	b.rules = rules
	return PolicyChange{}, b.fail
}

func (b *fakeBackend) DeletePolicy(_ context.Context, name string) error {
	b.rules = []policy.Rule{{Name: name}}
	return b.fail
}

func (b *fakeBackend) TestPolicy(from, to string) ([]PolicyVerdict, error) {
	return []PolicyVerdict{{From: PolicyCaller{Node: from}, Service: to}}, b.fail
}

func (b *fakeBackend) Explain(_ context.Context, service string, from micronet.Caller) (Explanation, error) {
	b.from = from
	return Explanation{Service: service}, b.fail
}

func (b *fakeBackend) Metrics(w io.Writer) error {
	_, err := io.WriteString(w, "micronet_up 1\n")
	return errors.Join(err, b.fail)
}

func (b *fakeBackend) Invite(r InviteRequest) (Invitation, error) {
	b.invited = r
	return Invitation{Token: "mnj1_x", Addresses: []string{}}, b.fail
}

func (b *fakeBackend) Issuances() (IssuanceLog, error) {
	return IssuanceLog{Issued: []Issuance{}, Head: "00"}, b.fail
}

func (b *fakeBackend) ExportRoot(passphrase string) (SealedRoot, error) {
	return SealedRoot{Root: []byte("sealed with " + passphrase)}, b.fail
}

func (b *fakeBackend) RootKept(SealedRoot) error { return b.fail }

func (b *fakeBackend) Promote(_ context.Context, r PromoteRequest) (Promoted, error) {
	return Promoted{Node: r.Node}, b.fail
}

func (b *fakeBackend) Demote(_ context.Context, r DemoteRequest) (Demoted, error) {
	return Demoted{Node: r.Node}, b.fail
}

func (b *fakeBackend) RotateRoot(context.Context, RotateRequest) (Rotation, error) {
	return Rotation{Step: RotationAnnounced}, b.fail
}

func (b *fakeBackend) RemoveRoot(r RootRemoval) error { b.root = r; return b.fail }
func (b *fakeBackend) ImportRoot(s SealedRoot) error  { b.root.SealedRoot = s; return b.fail }

func (b *fakeBackend) Revoke(_ context.Context, r Revocation) (Revoked, error) {
	b.revoked = r
	return Revoked{ID: "aa", Name: r.Node, Warning: "beware"}, b.fail
}

func (b *fakeBackend) Forget(_ context.Context, r Forgetting) (Revoked, error) {
	return Revoked{ID: "bb", Name: r.Node}, b.fail
}

func (b *fakeBackend) Names() Names { return Names{Mode: "open", Grants: []Grant{}} }

func (b *fakeBackend) SetNames(_ context.Context, r NamesRequest) (Names, error) {
	b.named = r
	return Names{Mode: r.Mode, Grants: []Grant{}}, b.fail
}

func (b *fakeBackend) GrantNames(_ context.Context, r GrantRequest) (Names, error) {
	b.granted = r
	return Names{Mode: "granted", Grants: []Grant{{Node: r.Node, Patterns: r.Patterns, Ungranted: []string{}}}}, b.fail
}

func (b *fakeBackend) Withheld(s []config.Service) []string {
	return []string{"nobody is led to " + s[0].ID}
}

func (b *fakeBackend) Join(_ context.Context, token string) error {
	b.joined = token
	return b.fail
}

func (b *fakeBackend) Leave(context.Context, LeaveRequest) (Farewell, error) {
	return Farewell{Warning: "nobody was told"}, b.fail
}

func (b *fakeBackend) Register(owner int, s []config.Service) (Registered, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owner, b.registered = owner, s
	ids := []string{}
	for i := range s {
		ids = append(ids, s[i].ID)
	}
	return Registered{IDs: ids, Replaced: ids}, b.fail
}

func (b *fakeBackend) Hold(owner int, s []config.Service) ([]string, io.Closer, error) {
	done, err := b.Register(owner, s)
	ended := b.ended
	return done.IDs, closer(func() { close(ended) }), err
}

type closer func()

func (c closer) Close() error { c(); return nil }

func (b *fakeBackend) Resolve(_ context.Context, name, typ string) (Resolution, error) {
	return Resolution{Name: name, Type: typ}, b.fail
}

func (b *fakeBackend) Ping(_ context.Context, node string) (Pong, error) {
	return Pong{Node: node}, b.fail
}

func (b *fakeBackend) Trace(_ context.Context, target string) (Trace, error) {
	return Trace{Target: target}, b.fail
}

func (b *fakeBackend) Reach(context.Context) (Reach, error) { return Reach{Port: 8085}, b.fail }

func (b *fakeBackend) Clocks(context.Context) []Clock { return []Clock{{Node: "b", OffsetMs: 1500}} }

func (b *fakeBackend) Dial(_ context.Context, _ string, from micronet.Caller) (net.Conn, error) {
	b.from = from
	if b.fail != nil {
		return nil, b.fail
	}
	return b.dialed()
}
