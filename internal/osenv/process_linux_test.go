package osenv

import (
	"context"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
)

var _ micronet.ProcessFinder = Network{}

// accepted is a connection that a child made to a listener of the test.
type accepted struct {
	*child
	conn   net.Conn
	client netip.AddrPort
	server netip.AddrPort
}

func acceptChild(t *testing.T, addr string, prepare ...func(*exec.Cmd)) accepted {
	t.Helper()
	ln, err := Network{}.Listen(context.Background(), netip.MustParseAddrPort(addr))
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { ln.Close() })
	arrived := make(chan net.Conn, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			arrived <- c
		}
	}()
	a := accepted{child: startChild(t, "dial="+ln.Addr().String(), prepare...)}
	a.conn = within(t, "a connection", arrived)
	t.Cleanup(func() { a.conn.Close() })
	a.client, a.server = micronet.AddrPortOf(a.conn.RemoteAddr()), micronet.AddrPortOf(a.conn.LocalAddr())
	return a
}

// TestClientSocket finds the very socket behind a connection, and the process that holds it.
func TestClientSocket(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		a := acceptChild(t, addr)
		s, ok := Network{}.ClientSocket(a.client, a.server)
		if !ok || s.UID != os.Geteuid() {
			t.Fatalf("%s: %+v, %v", addr, s, ok)
		}
		root, uid, err := Network{}.Process(a.Process.Pid)
		if err != nil || uid != os.Geteuid() || root.Start == 0 {
			t.Fatalf("%+v, %d, %v", root, uid, err)
		}
		mine, _, err := Network{}.Process(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		child := micronet.Processes{Root: root, UID: uid}
		above := micronet.Processes{Root: mine, UID: micronet.AnyUser}
		past := micronet.Processes{Root: micronet.ProcessID{PID: root.PID, Start: root.Start - 1, Boot: root.Boot}, UID: uid}
		rebooted := micronet.Processes{Root: micronet.ProcessID{PID: root.PID, Start: root.Start, Boot: "another"}, UID: uid}
		for want, sets := range map[int][]micronet.Processes{
			0:  {child},
			1:  {above, child, past}, // the nearest
			2:  {past, rebooted, above},
			-1: {past, rebooted},
		} {
			got, held := Network{}.Sockets(sets)[s.ID]
			if !held {
				got = -1
			}
			if got != want || (Network{}).SetOf(a.Process.Pid, sets) != want {
				t.Errorf("%s: set %d and %d, want %d", addr, got, Network{}.SetOf(a.Process.Pid, sets), want)
			}
		}
		a.end()
	}
}

// TestClientSocketIsExact: the listener, and a connection between other addresses, are not taken for it.
func TestClientSocketIsExact(t *testing.T) {
	a := acceptChild(t, "127.0.0.1:0")
	other := netip.MustParseAddr("127.0.0.9")
	for _, q := range [][2]netip.AddrPort{
		{a.server, a.server},
		{a.server, netip.AddrPortFrom(other, 1)},
		{netip.AddrPortFrom(other, a.client.Port()), a.server},
		{a.client, netip.AddrPortFrom(other, a.server.Port())},
		{a.client, netip.MustParseAddrPort("[::1]:1")},
		{netip.AddrPort{}, a.server},
	} {
		if s, ok := (Network{}).ClientSocket(q[0], q[1]); ok {
			t.Errorf("%v: %+v", q, s)
		}
	}
	a.end()
	if s, ok := (Network{}).ClientSocket(a.client, a.server); ok {
		t.Errorf("a socket that is closed: %+v", s)
	}
}

// TestSetOfIsTheUsersOwn: a process of another user belongs to no set of this one.
func TestSetOfIsTheUsersOwn(t *testing.T) {
	needRoot(t)
	c := startChild(t, "machine", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		c.Path = copyOfTest(t)
	})
	mine, _, err := Network{}.Process(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for uid, want := range map[int]int{micronet.AnyUser: 0, 65534: 0, 0: -1} {
		if got := (Network{}).SetOf(c.Process.Pid, []micronet.Processes{{Root: mine, UID: uid}}); got != want {
			t.Errorf("uid %d: set %d, want %d", uid, got, want)
		}
	}
	if _, _, err := (Network{}).Process(1 << 29); err == nil {
		t.Error("a process that cannot be was found")
	}
}

// copyOfTest is this program where everybody may execute it.
func copyOfTest(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "osenv")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := dir + "/child"
	if err := os.WriteFile(name, raw, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCgroups(t *testing.T) {
	groups := cgroupsOf("12:memory:/system.slice/web.service\n0::/system.slice/web.service/worker:1\nnonsense\n")
	if !slices.Equal(groups, []string{"/system.slice/web.service", "/system.slice/web.service/worker:1"}) {
		t.Errorf("%q", groups)
	}
	for above, want := range map[string]bool{
		"/system.slice": true, "/system.slice/": true, "/system.slice/web.service": true, "/system.slice/web": false, "/": false, "": false,
	} {
		if below("/system.slice/web.service", above) != want {
			t.Errorf("below %q is %v", above, !want)
		}
	}
	raw, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range cgroupsOf(string(raw)) {
		// A longer group of another user, who has no process here, takes nothing away; nor does a later set.
		sets := []micronet.Processes{{Cgroup: "/", UID: micronet.AnyUser}, {Cgroup: g, UID: micronet.AnyUser}, {Cgroup: g + "/", UID: os.Geteuid() + 1}, {Cgroup: g, UID: os.Geteuid()}}
		want := 1
		if strings.Trim(g, "/") == "" {
			want = -1
		}
		if got := (Network{}).SetOf(os.Getpid(), sets); want == 1 && got != want {
			t.Errorf("%s: set %d", g, got)
		}
	}
}

// BenchmarkSockets is one look through the processes of this host, for one that was registered.
func BenchmarkSockets(b *testing.B) {
	root, _, err := Network{}.Process(os.Getpid())
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Network{}.Sockets([]micronet.Processes{{Root: root, UID: micronet.AnyUser}})
	}
}

func FuzzDiagAnswer(f *testing.F) {
	r := diagRequest{netip.MustParseAddrPort("127.0.0.1:40000"), netip.MustParseAddrPort("127.0.0.1:80")}
	answer := make([]byte, diagAnswerSize)
	answer[0], answer[1] = 2, 1
	copy(answer[4:], []byte{0x9c, 0x40, 0, 80, 127, 0, 0, 1})
	copy(answer[24:], []byte{127, 0, 0, 1})
	answer[68] = 7
	if s, ok := r.read(answer); !ok || s.ID == 0 {
		f.Fatalf("%+v, %v", s, ok)
	}
	f.Add(answer)
	f.Add(answer[:20])
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, ok := r.read(b); ok && (s.ID == 0 || len(b) < diagAnswerSize) {
			t.Errorf("%+v", s)
		}
	})
}
