package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

const (
	demoService = "hello"
	demoPort    = 7070 // what callers use at the VIP; the instances listen elsewhere
	demoWait    = 20 * time.Second
)

// demo is three daemons as processes of their own on loopback, a sample service, and a tour.
type demo struct {
	env    micronet.Env
	binary string // this program
	dir    string // everything the demo writes
	out    io.Writer

	nodes   map[string]*demoNode
	servers map[string]*demoServer
	all     sync.WaitGroup
}

type demoNode struct {
	name, dir, vips string
	process         *demoProcess
	client          *api.Client
	status          api.Status
}

type demoServer struct {
	process *demoProcess
	port    int
}

// demoProcess is a child that is waited for exactly once.
type demoProcess struct {
	micronet.Process
	ended chan struct{}
	log   *lockedBuffer
}

// runDemo starts everything, runs the tour, and stays until ctx ends unless once is set. It
// leaves nothing behind.
func runDemo(ctx context.Context, env micronet.Env, binary, dir string, out io.Writer, once bool) (err error) {
	d := &demo{env: env, binary: binary, dir: dir, out: out, nodes: map[string]*demoNode{}, servers: map[string]*demoServer{}}
	defer func() { err = errors.Join(err, d.cleanUp()) }()
	if err := d.tour(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return d.explain(err)
	}
	if once {
		fmt.Fprintln(out, "\nThe tour is over; everything worked.")
		return nil
	}
	d.farewell()
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopping.")
	return nil
}

type demoStep struct {
	title string
	do    func(context.Context) error
}

func (d *demo) tour(ctx context.Context) error {
	for i, s := range []demoStep{
		{"Three daemons on this machine: a founds a cluster, b and c join it with a token", d.startNodes},
		{"Two instances of a small HTTP service, one at a and one at b", d.startServers},
		{"c resolves the name", d.resolve},
		{"c calls it by name; requests spread over both instances", d.spread},
		{"The instance at a is killed; no request fails", d.killInstance},
		{"The daemon of b is killed; its instance leaves the answers", d.killDaemon},
		{"The daemon of b comes back by itself, without a token", d.restartDaemon},
	} {
		fmt.Fprintf(d.out, "\n%d. %s.\n", i+1, s.title)
		if err := s.do(ctx); err != nil {
			return fmt.Errorf("step %d (%s): %w", i+1, s.title, err)
		}
	}
	return nil
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "   "+format+"\n", args...) }

func (d *demo) startNodes(ctx context.Context) error {
	if err := d.startNode(ctx, "a", ""); err != nil {
		return err
	}
	for _, name := range []string{"b", "c"} {
		inv, err := d.nodes["a"].client.Invite(ctx, api.InviteRequest{})
		if err != nil {
			return err
		}
		if err := d.startNode(ctx, name, inv.Token); err != nil {
			return err
		}
	}
	return d.await(ctx, "all three see each other", func() (bool, error) {
		for _, n := range d.nodes {
			s, err := n.client.Status(ctx)
			if err != nil || s.Nodes.Alive != len(d.nodes) {
				return false, err
			}
		}
		return true, nil
	})
}

// startNode starts a daemon in its own folder, or again in the folder it had.
func (d *demo) startNode(ctx context.Context, name, token string) error {
	n, again := d.nodes[name]
	if !again {
		n = &demoNode{name: name, dir: filepath.Join(d.dir, name), vips: fmt.Sprintf("127.%d.0.0/16", 81+len(d.nodes))}
		d.nodes[name] = n
	}
	socket := filepath.Join(n.dir, "api.sock")
	mesh := "127.0.0.1:0"
	if again {
		mesh = n.status.Listeners.Mesh // the others remember this address
	}
	argv := []string{
		d.binary, "up", "--name", name, "--cluster", "demo", "--data-dir", n.dir, "--config-dir", filepath.Join(n.dir, "config"),
		"--api-socket", socket, "--listen", mesh, "--api-addr", "127.0.0.1:0", "--dns-addr", "127.0.0.1:0",
		"--proxy-addr", "127.0.0.1:0", "--vip-cidr", n.vips, "--capture", "off",
	}
	if token != "" {
		// A file, as a token on the command line can be read by every user of the host.
		file := filepath.Join(d.dir, name+".token")
		if err := micronet.WriteFile(d.env.FS, file, []byte(token), 0o600); err != nil {
			return err
		}
		argv = append(argv, "--join", "@"+file)
	}
	p, err := d.start(argv)
	if err != nil {
		return err
	}
	n.process, n.client = p, api.NewClient(d.env.Net, "unix://"+socket)
	err = d.await(ctx, "", func() (bool, error) {
		select {
		case <-p.ended:
			return false, fmt.Errorf("daemon %s ended: %s", name, p.log.last())
		default:
		}
		s, err := n.client.Status(ctx)
		if err == nil {
			n.status = s
		}
		return err == nil && s.Ready, nil
	})
	if err == nil {
		d.say("%s is up: mesh %s, DNS %s, proxy %s", name, n.status.Listeners.Mesh, n.status.Listeners.DNS, n.status.Listeners.Proxy)
	}
	return err
}

func (d *demo) startServers(ctx context.Context) error {
	for _, name := range []string{"a", "b"} {
		if err := d.startServer(ctx, name); err != nil {
			return err
		}
	}
	return d.await(ctx, "c knows both", func() (bool, error) {
		all, err := d.nodes["c"].client.Services(ctx, demoService)
		if micronet.KindOf(err) == micronet.NotFound || (err == nil && len(all) == 0) {
			return false, nil
		}
		return err == nil && passing(all[0]) == len(d.servers), err
	})
}

func passing(s api.Service) (n int) {
	for _, i := range s.Instances {
		if i.Health == micronet.Passing {
			n++
		}
	}
	return n
}

func (d *demo) startServer(ctx context.Context, at string) error {
	p, err := d.start([]string{d.binary, "demo-service", at})
	if err != nil {
		return err
	}
	s := &demoServer{process: p}
	d.servers[at] = s
	if err := d.await(ctx, "", func() (bool, error) {
		_, err := fmt.Sscanf(p.log.String(), "listening on port %d\n", &s.port)
		return err == nil, nil
	}); err != nil {
		return err
	}
	_, err = d.nodes[at].client.Register(ctx, []config.Service{{
		Name: demoService, Port: s.port, ServicePort: demoPort, Protocol: string(micronet.HTTP),
	}})
	if err == nil {
		d.say("an instance listens on 127.0.0.1:%d and is registered at %s", s.port, at)
	}
	return err
}

// resolver asks the DNS server of a node, over UDP.
func (d *demo) resolver(node string) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		addr, err := netip.ParseAddrPort(d.nodes[node].status.Listeners.DNS)
		if err != nil {
			return nil, err
		}
		return d.env.Net.DialPacket(ctx, addr)
	}}
}

func (d *demo) resolve(ctx context.Context) error {
	addrs, err := d.resolver("c").LookupHost(ctx, demoService+".micro.internal.")
	if err != nil {
		return err
	}
	d.say("%s.micro.internal A %s, the address that stands for the service on c", demoService, strings.Join(addrs, " "))
	answers, err := d.srv(ctx)
	for _, a := range answers {
		d.say("SRV %s port %d weight %d", strings.TrimSuffix(a.Target, "."), a.Port, a.Weight)
	}
	if n := len(answers); err == nil && n != len(d.servers) {
		err = fmt.Errorf("SRV answers %d instances, want %d", n, len(d.servers))
	}
	return err
}

func (d *demo) srv(ctx context.Context) ([]*net.SRV, error) {
	_, answers, err := d.resolver("c").LookupSRV(ctx, demoService, "tcp", "micro.internal.")
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return nil, nil
	}
	return answers, err
}

// request calls the service once at c, by name and on a new connection, and returns who answered.
func (d *demo) request(ctx context.Context) (string, error) {
	r := d.resolver("c")
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, hostport string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(hostport)
			if err != nil {
				return nil, err
			}
			addrs, err := r.LookupNetIP(ctx, "ip4", host+".")
			if err != nil {
				return nil, err
			}
			return d.env.Net.Dial(ctx, netip.Addr{}, netip.AddrPortFrom(addrs[0].Unmap(), demoPort))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s.micro.internal:%d/", demoService, demoPort), nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", res.Status)
	}
	return strings.TrimSpace(string(body)), err
}

// requests calls the service until enough says so, at most maxRequests times.
func (d *demo) requests(ctx context.Context, enough func(who map[string]int, n int) (bool, error)) (map[string]int, error) {
	who := map[string]int{}
	for n := range maxRequests {
		done, err := enough(who, n)
		if err != nil {
			return nil, err
		}
		if done {
			for _, body := range slices.Sorted(maps.Keys(who)) {
				d.say("%4d × %s", who[body], body)
			}
			return who, nil
		}
		body, err := d.request(ctx)
		if err != nil {
			return nil, fmt.Errorf("request %d: %w", n+1, err)
		}
		who[body]++
	}
	return nil, fmt.Errorf("%d requests did not meet every instance: %v", maxRequests, who)
}

const (
	// maxRequests bounds one step. The router prefers the faster instance, so that on a busy
	// machine the other one may wait for its turn.
	maxRequests = 5000
	fewRequests = 40
)

func (d *demo) spread(ctx context.Context) error {
	_, err := d.requests(ctx, func(who map[string]int, n int) (bool, error) {
		return n >= fewRequests && len(who) == len(d.servers), nil
	})
	return err
}

// killInstance kills the instance at a once it has answered, and goes on for a while.
func (d *demo) killInstance(ctx context.Context) error {
	killed := 0
	_, err := d.requests(ctx, func(who map[string]int, n int) (bool, error) {
		if killed == 0 && n >= fewRequests/4 && who[greeting("a")] > 0 {
			killed = n
			return false, d.servers["a"].process.kill(ctx)
		}
		return killed > 0 && n >= killed+fewRequests, nil
	})
	delete(d.servers, "a")
	if err == nil {
		d.say("the kill came after request %d; no request failed", killed)
	}
	return err
}

// greeting is what an instance answers.
func greeting(at string) string { return "hello from the instance at " + at }

func (d *demo) killDaemon(ctx context.Context) error {
	if err := d.startServer(ctx, "a"); err != nil {
		return err
	}
	if err := d.awaitSRV(ctx, "SRV answers both instances again", 2); err != nil {
		return err
	}
	if err := d.nodes["b"].process.kill(ctx); err != nil {
		return err
	}
	begin := time.Now()
	if err := d.awaitSRV(ctx, "SRV answers one instance", 1); err != nil {
		return err
	}
	d.say("that took %.1f s", time.Since(begin).Seconds())
	return nil
}

func (d *demo) restartDaemon(ctx context.Context) error {
	if err := d.startNode(ctx, "b", ""); err != nil {
		return err
	}
	return d.awaitSRV(ctx, "SRV answers both instances again", 2)
}

func (d *demo) awaitSRV(ctx context.Context, what string, want int) error {
	return d.await(ctx, what, func() (bool, error) {
		answers, err := d.srv(ctx)
		return len(answers) == want, err
	})
}

// await polls until ok, and says what came true.
func (d *demo) await(ctx context.Context, what string, ok func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, demoWait)
	defer cancel()
	var last error
	for {
		done, err := ok()
		if done && err == nil {
			if what != "" {
				d.say("%s", what)
			}
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited %v for: %s", demoWait, what), last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *demo) farewell() {
	n := d.nodes["c"].status.Listeners
	sock := "unix://" + filepath.Join(d.dir, "c", "api.sock")
	dnsHost, dnsPort, _ := strings.Cut(n.DNS, ":")
	fmt.Fprintf(d.out, `
Everything is still running. In another terminal, as the node c:

   export MICRO_NET_API=%s
   %[2]s status
   %[2]s nodes
   %[2]s routes %[3]s
   %[2]s call %[3]s
   dig @%[4]s -p %[5]s %[3]s.micro.internal
   curl -x socks5h://%[6]s http://%[3]s:%[7]d/

Ctrl-C ends the demo.
`, sock, d.binary, demoService, dnsHost, dnsPort, n.Proxy, demoPort)
}

// explain adds the last words of each daemon to a failure.
func (d *demo) explain(err error) error {
	for _, name := range []string{"a", "b", "c"} {
		if n := d.nodes[name]; n != nil && n.process != nil {
			fmt.Fprintf(d.out, "\nThe log of %s ends with:\n%s\n", name, n.process.log.last())
		}
	}
	return micronet.E("demo", micronet.Internal, "%w", err)
}

func (d *demo) start(argv []string) (*demoProcess, error) {
	log := &lockedBuffer{}
	// The children outlive a cancelled context on purpose: cleanUp ends them politely.
	p, err := d.env.Exec.Start(context.Background(), micronet.Command{Argv: argv, Stdout: log, Stderr: log})
	if err != nil {
		return nil, err
	}
	child := &demoProcess{Process: p, ended: make(chan struct{}), log: log}
	d.all.Go(func() {
		defer close(child.ended)
		// The exit code does not matter: killing it is part of the tour.
		_, _ = child.Wait()
	})
	return child, nil
}

func (p *demoProcess) kill(ctx context.Context) error {
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *demo) cleanUp() error {
	var processes []*demoProcess
	for _, n := range d.nodes {
		if n.process != nil {
			processes = append(processes, n.process)
		}
	}
	for _, s := range d.servers {
		processes = append(processes, s.process)
	}
	for _, p := range processes {
		// One that has ended already cannot take a signal, and need not.
		_ = p.Signal(syscall.SIGTERM)
	}
	late := time.AfterFunc(10*time.Second, func() {
		for _, p := range processes {
			_ = p.Signal(syscall.SIGKILL)
		}
	})
	defer late.Stop()
	d.all.Wait()
	return removeTree(d.env.FS, d.dir)
}

func removeTree(fsys micronet.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = removeTree(fsys, path)
		} else {
			err = fsys.Remove(path)
		}
		if err != nil {
			return err
		}
	}
	return fsys.Remove(dir)
}

// serveDemo is the sample service: it says who it is, and ends politely on SIGTERM.
func serveDemo(ctx context.Context, env micronet.Env, name string, out io.Writer) error {
	ln, err := env.Net.Listen(ctx, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on port %d\n", ln.Addr().(*net.TCPAddr).Port)
	srv := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, greeting(name))
	})}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// lockedBuffer keeps the last of a child's output.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// maxLog is what is kept of a child's output, about.
const maxLog = 64 << 10

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > maxLog {
		l.b.Next(maxLog / 2)
	}
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// last returns the last lines.
func (l *lockedBuffer) last() string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-12):], "\n")
}
