package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/osenv"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

var update = flag.Bool("update", false, "rewrite the files in testdata")

// wall is the date in all tests.
var wall = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// world is a fake daemon on a unix socket, and what a run of the program sees.
type world struct {
	unhardened error // why core files cannot be kept off
	t          *testing.T
	dir        string
	backend    *fakeBackend
	net        *fakeNet
	files      map[string]string
	vars       map[string]string
	exec       *fakeExec
	stdin      io.Reader
	stop       func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), backend: newFakeBackend(), net: &fakeNet{}, files: map[string]string{}, vars: map[string]string{},
		exec: &fakeExec{signals: make(chan syscall.Signal, 4)}, stdin: strings.NewReader(""), stop: func() {},
	}
	w.vars["HOME"], w.vars["XDG_RUNTIME_DIR"] = w.dir, filepath.Join(w.dir, "none")
	w.vars[apiVariable] = "unix://" + w.socket()
	return w
}

func (w *world) socket() string { return filepath.Join(w.dir, "api.sock") }

// start opens the fake daemon's API.
func (w *world) start() *world {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	env := w.env()
	env.Host.UID = os.Geteuid()
	ln, err := w.net.ListenUnix(ctx, w.socket(), 0o666)
	if err != nil {
		w.t.Fatal(err)
	}
	srv := api.NewServer(env, w.backend, api.Config{})
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx, ln, nil) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the fake daemon: %v", err)
		}
	})
	w.t.Cleanup(func() { w.stop() })
	return w
}

func (w *world) env() micronet.Env {
	return micronet.Env{
		Net: w.net, FS: fakeFS{osenv.FS{}, w.files}, Exec: w.exec, Wall: func() time.Time { return wall },
		Host: micronet.Host{Name: "host", UID: 1000, Getenv: func(k string) string { return w.vars[k] }},
	}.EnsureDefaults()
}

// result is what one run of the program did.
type result struct {
	code     int
	out, err string
}

func (w *world) app(out, errs io.Writer) *app {
	return &app{
		env: w.env(), in: w.stdin, out: out, err: errs,
		build:      build{Version: "v1.2.3", Commit: "c0ffee", Date: "2026-11-23T10:00:00Z", Go: "go1.26", OS: "linux", Arch: "amd64"},
		executable: os.Executable, tempDir: os.MkdirTemp, harden: func() error { return w.unhardened },
	}
}

func (w *world) run(args ...string) result {
	w.t.Helper()
	var out, errs output
	code := w.app(&out, &errs).run(w.t.Context(), args)
	return result{code, w.plain(out.String()), w.plain(errs.String())}
}

// plain replaces what differs from run to run.
func (w *world) plain(s string) string { return strings.ReplaceAll(s, w.dir, "$DIR") }

// golden compares text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it)\n--- got\n%s--- want\n%s", path, got, want)
	}
}

// fakeNet is the host's network, with its resolver on another port, and things that fail.
type fakeNet struct {
	osenv.Network
	resolver netip.AddrPort // stands for port 53 of every host
	holder   string
	busy     bool // no port is free
}

func (n *fakeNet) DialPacket(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	if to.Port() == dnsPort {
		to = n.resolver
	}
	return n.Network.DialPacket(ctx, to)
}

func (n *fakeNet) Listen(ctx context.Context, addr netip.AddrPort) (net.Listener, error) {
	if n.busy {
		return nil, syscall.EADDRINUSE
	}
	if addr.Port() != 0 {
		addr = netip.AddrPortFrom(addr.Addr(), 0) // no real port is taken
	}
	return n.Network.Listen(ctx, addr)
}

func (n *fakeNet) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	if n.busy {
		return nil, syscall.EADDRINUSE
	}
	return n.Network.ListenPacket(ctx, netip.AddrPortFrom(addr.Addr(), 0))
}

func (n *fakeNet) PortHolder(string, netip.AddrPort) string { return n.holder }

// fakeFS has some files of its own; everything below /proc and /etc that it lacks is missing.
type fakeFS struct {
	osenv.FS
	files map[string]string
}

func (f fakeFS) ReadFile(path string) ([]byte, error) {
	if s, ok := f.files[path]; ok {
		return []byte(s), nil
	}
	if strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/etc/") {
		return nil, &os.PathError{Op: "open", Path: path, Err: os.ErrNotExist}
	}
	return f.FS.ReadFile(path)
}

// fakeExec runs real children; signals come from the test.
type fakeExec struct {
	osenv.Exec
	signals chan syscall.Signal
}

func (e *fakeExec) Signals(context.Context, ...syscall.Signal) <-chan syscall.Signal {
	return e.signals
}

// fakeBackend is a daemon with three nodes and two services.
type fakeBackend struct {
	mu         sync.Mutex
	status     api.Status
	nodes      []api.Node
	services   []api.Service
	routes     []api.Route
	links      []api.Connection
	graph      api.Graph
	settings   []api.Setting
	policies   []api.Policy
	fail       error    // of every call that can fail
	bound      error    // why the root key has to stay here
	unheard    string   // the warning of leave
	fault      string   // of the issuance log
	damaged    int      // times that it was
	replaced   []string // by every registration
	resolution api.Resolution
	pong       api.Pong
	trace      api.Trace
	clocks     []api.Clock
	reach      api.Reach
	dial       func() (net.Conn, error)
	calls      []string
	held       chan string // ids of holds that begin, "-" when one ends
}

func newFakeBackend() *fakeBackend {
	b := &fakeBackend{held: make(chan string, 16)}
	b.status = api.Status{
		Node:  api.StatusNode{ID: "aaaaaaaaaaaaaaaa", Name: "a", Cluster: "main", Version: "v1.2.3", Address: "192.0.2.1:8085", Roles: []string{"root", "authority"}},
		Ready: true, Nodes: api.NodeCounts{Alive: 2, Dead: 1}, Services: 2,
		Listeners:   api.Listeners{Mesh: "[::]:8085", TCP: "[::]:8085", API: "127.0.0.1:8500", Socket: "/run/micro-net/api.sock", DNS: "127.0.0.1:8600", Proxy: "off", VIPs: "bound"},
		Certificate: api.Certificate{Expires: wall.Add(14 * 24 * time.Hour)},
		Warnings:    []api.Warning{{Code: "one-authority", Text: "only this node can invite", Fix: "promote another"}},
	}
	b.policies = []api.Policy{
		{Name: "no-c", From: policy.Callers{Node: "c"}, To: policy.Targets{Service: "web"}, Action: policy.Deny, Refused: 7},
		{Name: "try-v2", From: policy.Callers{Service: "!shop"}, To: policy.Targets{Tag: "v2"}, Action: policy.Audit, Audited: 12},
		{Name: "newer", Action: policy.Allow, Problem: "field 9"},
	}
	b.nodes = []api.Node{
		{ID: "aaaaaaaaaaaaaaaa", Name: "a", Cluster: "main", Status: micronet.Alive, Address: "192.0.2.1:8085", Version: "v1.2.3", Roles: []string{"root", "authority"}, Self: true},
		{ID: "bbbbbbbbbbbbbbbb", Name: "b", Cluster: "main", Status: micronet.Alive, Address: "192.0.2.2:8085", Version: "v1.2.3", RTTMs: 1.234, AgeMs: 400},
		{ID: "cccccccccccccccc", Name: "c", Cluster: "main", Status: micronet.Dead, Address: "192.0.2.3:8085", Version: "v1.2.2", AgeMs: 3 * 3600 * 1000},
	}
	b.services = []api.Service{
		{Name: "redis", Protocol: "tcp", Ports: []int{6379}, VIP: "127.80.0.2", DNS: "redis.micro.internal", Instances: []api.Instance{
			{ID: "redis", Node: "b", Cluster: "main", Address: "127.0.0.1", Port: 6379, Weight: 100, Health: micronet.Critical, AgeMs: 1500},
		}},
		{Name: "web", Protocol: "http", Ports: []int{80}, VIP: "127.80.0.1", DNS: "web.micro.internal", Tags: []string{"v1", "v2"}, FirstHolder: "a", Instances: []api.Instance{
			{ID: "web-1", Node: "a", Cluster: "main", Address: "127.0.0.1", Port: 8080, Weight: 100, Health: micronet.Passing, Tags: []string{"v1"}, HeldMs: 3 * 24 * 3600 * 1000},
			{ID: "web-2", Node: "b", Cluster: "main", Address: "fd00::1", Port: 8080, Weight: 50, Health: micronet.Warning, Tags: []string{"v2"}, Meta: map[string]string{"k": "v"}, HeldMs: 240000},
			{ID: "web-3", Node: "c", Cluster: "main", Address: "127.0.0.1", Port: 80, Weight: 50, Health: micronet.Passing, Withheld: `c was not granted the name "web"`},
		}},
	}
	b.routes = []api.Route{
		{Service: "web", Instance: "web-1", Node: "a", Cluster: "main", Path: micronet.PathLocal, Transport: micronet.TransportNone, Metric: 100, Weight: 100, State: micronet.RouteUp},
		{Service: "web", Instance: "web-2", Node: "b", Cluster: "main", Via: []string{"c"}, Path: micronet.PathRelay, Transport: micronet.TransportQUIC, Metric: 4200, RTTMs: 12, Weight: 50, State: micronet.RouteEjected, Reason: "3 failures"},
	}
	b.links = []api.Connection{{
		Node: "b", ID: "bbbbbbbbbbbbbbbb", Cluster: "main", Path: micronet.PathDirect, Transport: micronet.TransportQUIC, Remote: "192.0.2.2:8085",
		RTTMs: 1.234, Loss: 0.01, MTU: 1436, Streams: 2, SentBytes: 1 << 20, ReceivedBytes: 500, Since: wall.Add(-time.Hour),
	}}
	b.graph = api.Graph{Nodes: b.nodes, Edges: []api.Edge{{From: "a", To: "b", Path: micronet.PathDirect, RTTMs: 1.234}, {From: "a", To: "c", Path: micronet.PathRelay}}}
	b.settings = []api.Setting{{Key: "name", Value: "a", Origin: "flag"}, {Key: "advertise", Value: []string{"192.0.2.1", "192.0.2.9"}, Origin: "env:MICRO_NET_ADVERTISE"}, {Key: "dev", Value: false, Origin: "default"}}
	b.resolution = api.Resolution{Name: "web.micro.internal.", Type: "A", Rcode: "NOERROR", AgeMs: 1500, Answers: []api.ResolvedRecord{{Name: "web.micro.internal.", Type: "A", TTL: 5, Data: "127.80.0.1"}}}
	b.pong = api.Pong{Node: "b", ID: "bbbbbbbbbbbbbbbb", Remote: "192.0.2.2:8085", Path: micronet.PathDirect, Transport: micronet.TransportQUIC, RTTMs: 1.5}
	b.trace = api.Trace{
		Target: "web", Node: "b", ID: "bbbbbbbbbbbbbbbb", Path: micronet.PathRelay, RTTMs: 46, Why: "none of 1 addresses of the node answers",
		Hops: []api.Hop{
			{Kind: api.HopNode, Name: "a", Address: "192.0.2.1:8085"},
			{Kind: api.HopRelay, Name: "c", Address: "192.0.2.3:8085"},
			{Kind: api.HopNode, Name: "b", Address: "192.0.2.2:8085", RTTMs: 46},
			{Kind: api.HopInstance, Name: "web-2", Address: "127.0.0.1:80"},
		},
		Ways: []api.Way{
			{Path: micronet.PathRelay, Transport: micronet.TransportTCP, Relay: "c", Remote: "192.0.2.3:8085", State: api.WayInUse, RTTMs: 46},
			{Path: micronet.PathDirect, Transport: micronet.TransportQUIC, Remote: "192.0.2.2:8085", State: api.WaySilent, Unanswered: 12},
		},
	}
	return b
}

func (b *fakeBackend) note(format string, args ...any) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf(format, args...))
	return b.fail
}

func (b *fakeBackend) noted() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.calls, "\n")
}

// change alters the daemon while it runs.
func (b *fakeBackend) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *fakeBackend) Status() api.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.status
}

func (b *fakeBackend) Nodes() []api.Node             { return b.nodes }
func (b *fakeBackend) Connections() []api.Connection { return b.links }
func (b *fakeBackend) Graph() api.Graph              { return b.graph }
func (b *fakeBackend) Settings() []api.Setting       { return b.settings }
func (b *fakeBackend) Healthy() error                { return b.fail }
func (b *fakeBackend) Ready() error                  { return b.fail }
func (b *fakeBackend) Metrics(io.Writer) error       { return b.fail }

func (b *fakeBackend) Services(name string) ([]api.Service, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return nil, b.fail
	}
	if name == "" {
		return b.services, nil
	}
	for _, s := range b.services {
		if s.Name == name {
			return []api.Service{s}, nil
		}
	}
	return nil, micronet.E("services", micronet.NotFound, "no service %q in the mesh", name).WithFix("see `micro-net services`")
}

func (b *fakeBackend) Routes(string) ([]api.Route, error) { return b.routes, b.fail }

func (b *fakeBackend) Invite(r api.InviteRequest) (api.Invitation, error) {
	err := b.note("invite %+v", r)
	return api.Invitation{Token: "mnj1_abc", Addresses: []string{"192.168.1.2:8085"}, Expires: wall.Add(15 * time.Minute), Warning: "all addresses are private"}, err
}

func (b *fakeBackend) Issuances() (api.IssuanceLog, error) {
	log := api.IssuanceLog{Head: "0a1b2c", Fault: b.fault, Issued: []api.Issuance{
		{Number: 1, Time: wall, What: "found", Node: "a", ID: "aaaaaaaaaaaaaaaa", Serial: "01", Ends: wall.Add(14 * 24 * time.Hour)},
		{Number: 2, Time: wall.Add(time.Hour), What: "join", Node: "b", ID: "bbbbbbbbbbbbbbbb", Serial: "02", Ends: wall.Add(14*24*time.Hour + time.Hour)},
		{Number: 3, Time: wall.Add(2 * time.Hour), What: "revoke", Node: "b", ID: "bbbbbbbbbbbbbbbb"},
	}}
	for i := range b.damaged {
		log.Issued = append(log.Issued, api.Issuance{Number: uint64(4 + i), Time: wall.Add(3 * time.Hour), What: "damaged", Node: "a", ID: "aaaaaaaaaaaaaaaa"})
	}
	return log, b.fail
}

func (b *fakeBackend) Promote(_ context.Context, r api.PromoteRequest) (api.Promoted, error) {
	return api.Promoted{Node: r.Node, ID: "bbbbbbbbbbbbbbbb", Ends: wall.Add(365 * 24 * time.Hour)}, b.note("promote %s", r.Node)
}

func (b *fakeBackend) Demote(_ context.Context, r api.DemoteRequest) (api.Demoted, error) {
	return api.Demoted{Node: r.Node, ID: "bbbbbbbbbbbbbbbb"}, b.note("demote %s %v", r.Node, r.Force)
}

func (b *fakeBackend) RotateRoot(_ context.Context, r api.RotateRequest) (api.Rotation, error) {
	out := api.Rotation{Root: "0a1b2c3d4e5f60718293", Step: api.RotationRenewing, Nodes: 3, Renewed: 1, Waiting: []string{"b", "c"}}
	if r.Status {
		ended := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		return api.Rotation{Root: out.Root, Step: api.RotationRetired, Nodes: 3, Renewed: 3, Waiting: []string{}, Ended: &ended}, nil
	}
	if r.Retire {
		out.Step = api.RotationRetired
	}
	return out, b.note("rotate %v %v", r.Retire, r.Force)
}

func (b *fakeBackend) ExportRoot(passphrase string) (api.SealedRoot, error) {
	if passphrase == "" && b.fail == nil {
		return api.SealedRoot{}, micronet.E("root export", micronet.Invalid, "the passphrase has 0 characters")
	}
	return api.SealedRoot{Root: []byte("sealed")}, b.note("export %s", passphrase)
}

func (b *fakeBackend) RootKept(s api.SealedRoot) error {
	return b.note("kept %s %s", s.Root, s.Passphrase)
}

func (b *fakeBackend) RemoveRoot(r api.RootRemoval) error {
	if r.Check {
		return b.bound
	}
	return b.note("remove %s %s %v", r.Root, r.Passphrase, r.Force)
}

func (b *fakeBackend) ImportRoot(s api.SealedRoot) error {
	return b.note("import %s %s", s.Root, s.Passphrase)
}

func (b *fakeBackend) Revoke(_ context.Context, r api.Revocation) (api.Revoked, error) {
	out := api.Revoked{ID: "bbbbbbbbbbbbbbbb", Name: r.Node}
	if r.Disavow {
		out.Warning = r.Node + " could sign for the cluster"
	}
	return out, b.note("revoke %+v", r)
}

func (b *fakeBackend) Forget(_ context.Context, r api.Forgetting) (api.Revoked, error) {
	return api.Revoked{ID: "bbbbbbbbbbbbbbbb", Name: r.Node}, b.note("forget %+v", r)
}

func (b *fakeBackend) Names() api.Names {
	return api.Names{Mode: "granted", Grants: []api.Grant{
		{Node: "a", ID: "aaaaaaaaaaaaaaaa", Patterns: []string{"web", "api-*"}, Ungranted: []string{}},
		{Node: "b", ID: "bbbbbbbbbbbbbbbb", Patterns: []string{}, Ungranted: []string{"payments"}},
	}}
}

func (b *fakeBackend) SetNames(_ context.Context, r api.NamesRequest) (api.Names, error) {
	out := b.Names()
	out.Mode = r.Mode
	return out, b.note("names %s %v", r.Mode, r.Force)
}

func (b *fakeBackend) GrantNames(_ context.Context, r api.GrantRequest) (api.Names, error) {
	return b.Names(), b.note("grant %s %v %v", r.Node, r.Patterns, r.Force)
}

func (b *fakeBackend) Withheld(services []config.Service) (out []string) {
	for _, s := range services {
		if s.Name == "payments" {
			out = append(out, "nobody is led to payments: a was not granted the name")
		}
	}
	return out
}

func (b *fakeBackend) Join(_ context.Context, token string) error { return b.note("join %s", token) }

func (b *fakeBackend) Leave(_ context.Context, r api.LeaveRequest) (api.Farewell, error) {
	return api.Farewell{Warning: b.unheard}, b.note("leave %v", r.Force)
}

func (b *fakeBackend) Register(_ int, services []config.Service) (api.Registered, error) {
	done := api.Registered{IDs: []string{}, Replaced: b.replaced}
	for _, s := range services {
		done.IDs = append(done.IDs, s.ID)
		if err := b.note("register %s %s %s:%d->%d %s %v %v", s.Name, s.ID, s.Address, s.ServicePort, s.Port, s.Protocol, s.Tags, s.Meta); err != nil {
			return api.Registered{}, err
		}
	}
	return done, nil
}

func (b *fakeBackend) Hold(owner int, services []config.Service) ([]string, io.Closer, error) {
	done, err := b.Register(owner, services)
	if err != nil {
		return nil, nil, err
	}
	b.held <- done.IDs[0]
	return done.IDs, closer(func() { b.held <- "-" }), nil
}

type closer func()

func (c closer) Close() error { c(); return nil }

func (b *fakeBackend) Deregister(_ int, id string) error { return b.note("deregister %s", id) }

func (b *fakeBackend) Resolve(_ context.Context, name, typ string) (api.Resolution, error) {
	return b.resolution, b.note("resolve %s %s", name, typ)
}

func (b *fakeBackend) Ping(_ context.Context, node string) (api.Pong, error) {
	return b.pong, b.note("ping %s", node)
}

func (b *fakeBackend) Trace(_ context.Context, target string) (api.Trace, error) {
	return b.trace, b.note("trace %s", target)
}

func (b *fakeBackend) Policies() []api.Policy { return b.policies }

func (b *fakeBackend) ApplyPolicies(_ context.Context, rules []policy.Rule) (api.PolicyChange, error) {
	done := api.PolicyChange{Applied: []string{}, Unchanged: []string{}}
	for i := range rules {
		if rules[i].Name == "no-c" {
			done.Unchanged = append(done.Unchanged, rules[i].Name)
		} else {
			done.Applied = append(done.Applied, rules[i].Name)
		}
		if err := b.note("apply %s", rules[i].String()); err != nil {
			return api.PolicyChange{}, err
		}
	}
	return done, nil
}

func (b *fakeBackend) DeletePolicy(_ context.Context, name string) error {
	return b.note("delete policy %s", name)
}

func (b *fakeBackend) TestPolicy(from, to string) ([]api.PolicyVerdict, error) {
	v := api.PolicyVerdict{
		From: api.PolicyCaller{Node: from, Cluster: "main"}, Service: to, Instances: []string{"web-1@a"}, Allowed: from != "c",
		Reason: "allowed by default: no policy refuses it", Audited: []string{"try-v2"},
	}
	if !v.Allowed {
		v.Rule, v.Reason, v.Audited = "no-c", `refused by the policy "no-c"`, nil
	}
	return []api.PolicyVerdict{v}, b.note("test policy %s %s", from, to)
}

func (b *fakeBackend) Explain(_ context.Context, service string, from micronet.Caller) (api.Explanation, error) {
	e := api.Explanation{Service: service, From: api.PolicyCaller{Node: "a", Service: from.Service, Cluster: "main"}, Answer: "web-1 of node a, local, takes the call: allowed by default: no policy refuses it"}
	for _, r := range b.routes {
		c := api.Candidate{Route: r, Picked: len(e.Candidates) == 0, Allowed: true, Policy: "allowed by default: no policy refuses it"}
		e.Candidates = append(e.Candidates, c)
	}
	return e, b.note("explain %s", service)
}

func (b *fakeBackend) Reach(context.Context) (api.Reach, error) { return b.reach, b.fail }

func (b *fakeBackend) Clocks(context.Context) []api.Clock { return b.clocks }

func (b *fakeBackend) Dial(context.Context, string, micronet.Caller) (net.Conn, error) {
	if b.fail != nil {
		return nil, b.fail
	}
	return b.dial()
}

// text joins the parts of a result for a golden file.
func (r result) text() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "exit %d\n", r.code)
	if r.out != "" {
		fmt.Fprintf(&b, "--- stdout\n%s", r.out)
	}
	if r.err != "" {
		fmt.Fprintf(&b, "--- stderr\n%s", r.err)
	}
	return b.String()
}

// output collects what several goroutines write.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}
