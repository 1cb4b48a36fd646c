package osenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	micronet "github.com/micro/micro-net"
)

// inNamespace is set in the copy of the test binary that runs in a network namespace of its own.
// Its value is the machine of the process outside.
const inNamespace = "MICRO_NET_TEST_NETNS"

// TestInNamespace runs the tests below where they can change addresses and rules without anybody
// noticing.
func TestInNamespace(t *testing.T) {
	needRoot(t)
	if os.Getenv(inNamespace) != "" {
		t.Skip("is in the namespace already")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip (iproute2)")
	}
	name := fmt.Sprintf("mn-osenv-%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("needs network namespaces: ip netns add: %s", out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("ip netns del: %s", out)
		}
	})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("ip", "netns", "exec", name, self, "-test.run", "^TestNamespace", "-test.v", "-test.timeout", "2m")
	c.Env = append(os.Environ(), inNamespace+"="+machine())
	out, err := c.CombinedOutput()
	t.Logf("in the namespace %s:\n%s", name, out)
	if err != nil {
		t.Error(err)
	}
	if n := strings.Count(string(out), "--- PASS"); n < 9 {
		t.Errorf("%d tests passed in the namespace", n)
	}
}

// namespace skips outside of one, and makes its loopback interface usable.
func namespace(t *testing.T) {
	t.Helper()
	outside := os.Getenv(inNamespace)
	if outside == "" {
		t.Skip("runs in a network namespace, from TestInNamespace")
	}
	if outside == machine() {
		t.Fatal("this is the namespace of the host")
	}
	ip(t, "link set lo up")
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %s", args, out)
	}
}

const vipTable = "micro_net_test"

func vips() netip.Prefix { return netip.MustParsePrefix("127.80.0.0/12") }

func redirect(t *testing.T, ln net.Listener) func() error {
	t.Helper()
	undo, err := Network{}.Redirect(t.Context(), vipTable, vips(), ln)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := undo(); err != nil {
			t.Error(err)
		}
	})
	return undo
}

// tables lists the nftables tables of all families.
func tables(t *testing.T) (names []string) {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range all {
		names = append(names, table.Name)
	}
	return names
}

// connectTo connects to a VIP and returns the address it was meant for, as the listener sees it.
func connectTo(t *testing.T, ln net.Listener, vip string) netip.AddrPort {
	t.Helper()
	to := netip.MustParseAddrPort(vip)
	dialled, accepted := meet(t, ln, netip.Addr{}, to.Addr().String(), to.Port())
	if got := addrPort(dialled.RemoteAddr()); got != to {
		t.Errorf("the caller of %s is connected to %s", to, got)
	}
	dst := addrPort(accepted.LocalAddr())
	go func() { _, _ = io.Copy(accepted, accepted); _ = accepted.Close() }()
	if _, err := dialled.Write([]byte("echo")); err != nil {
		t.Fatal(err)
	}
	if err := dialled.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(dialled); string(got) != "echo" || err != nil {
		t.Errorf("over %s: %q %v", vip, got, err)
	}
	return dst
}

func refused(t *testing.T, addr string) {
	t.Helper()
	to := netip.MustParseAddrPort(addr)
	c, err := dial(netip.Addr{}, to.Addr().String(), to.Port())
	if !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("%s: %v, want refused", addr, err)
	}
	if c != nil {
		_ = c.Close()
	}
}

func TestNamespaceRedirectTakesTheWholeRange(t *testing.T) {
	namespace(t)
	ln, _ := listen(t, "127.0.0.1:0")
	refused(t, "127.80.0.1:80")
	redirect(t, ln)
	for _, vip := range []string{"127.80.0.1:80", "127.80.0.0:1", "127.95.255.255:65535", "127.88.7.6:8500", "127.80.0.1:80"} {
		if got := connectTo(t, ln, vip); got.String() != vip {
			t.Errorf("%s was meant for %s", vip, got)
		}
	}
}

// A program that listens on all addresses at the same port does not get what is meant for a VIP.
func TestNamespaceRedirectBeatsWildcardListeners(t *testing.T) {
	namespace(t)
	ln, _ := listen(t, "127.0.0.1:0")
	_, port := listen(t, "0.0.0.0:0")
	redirect(t, ln)
	vip := netip.AddrPortFrom(netip.MustParseAddr("127.81.0.1"), port).String()
	if got := connectTo(t, ln, vip); got.String() != vip {
		t.Errorf("%s was meant for %s", vip, got)
	}
}

func TestNamespaceRedirectLeavesOthersAlone(t *testing.T) {
	namespace(t)
	ln, _ := listen(t, "127.0.0.1:0")
	other, port := listen(t, "0.0.0.0:0")
	redirect(t, ln)
	for _, addr := range []string{"127.0.0.1", "127.79.255.255", "127.96.0.0"} {
		_, accepted := meet(t, other, netip.Addr{}, addr, port)
		want := netip.AddrPortFrom(netip.MustParseAddr(addr), port)
		if got := addrPort(accepted.LocalAddr()); got != want {
			t.Errorf("%s was meant for %s", want, got)
		}
	}
	refused(t, "127.96.0.1:80")
	refused(t, "127.79.0.1:80")
	// UDP is not taken.
	pc, err := Network{}.ListenPacket(t.Context(), netip.MustParseAddrPort("127.80.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	c, err := Network{}.DialPacket(t.Context(), addrPort(pc.LocalAddr()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	if err := pc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := pc.ReadFrom(make([]byte, 16)); n != 4 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestNamespaceUndoRemovesTheTable(t *testing.T) {
	namespace(t)
	ln, _ := listen(t, "127.0.0.1:0")
	undo := redirect(t, ln)
	if got := tables(t); len(got) != 1 || got[0] != vipTable {
		t.Errorf("tables %q", got)
	}
	for range 2 { // undone twice is undone
		if err := undo(); err != nil {
			t.Fatal(err)
		}
	}
	if got := tables(t); len(got) != 0 {
		t.Errorf("tables %q are left", got)
	}
	refused(t, "127.80.0.1:80")
}

// Whoever dials from an address of the prefix gets the answers, as with programs that are told who
// calls by such an address.
func TestNamespaceRedirectLetsAnswersThrough(t *testing.T) {
	namespace(t)
	ln, _ := listen(t, "127.0.0.1:0")
	redirect(t, ln)
	backend, port := listen(t, "127.0.0.1:0")
	dialled, accepted := meet(t, backend, netip.MustParseAddr("127.83.1.2"), "127.0.0.1", port)
	if got := addrPort(accepted.RemoteAddr()).Addr().String(); got != "127.83.1.2" {
		t.Errorf("the backend is called by %s", got)
	}
	carries(t, dialled, accepted, "question")
	carries(t, accepted, dialled, "answer")
}

// Connections outlive the listener and then the redirect. While it stands, nobody else gets what is
// new, also who listens on all addresses.
func TestNamespaceConnectionsOutliveTheListener(t *testing.T) {
	namespace(t)
	ln, _ := listen(t, "127.0.0.1:0")
	_, port := listen(t, "0.0.0.0:0")
	undo := redirect(t, ln)
	vip := netip.AddrPortFrom(netip.MustParseAddr("127.80.0.1"), port)
	dialled, accepted := meet(t, ln, netip.Addr{}, vip.Addr().String(), port)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, vip.String())
	carries(t, dialled, accepted, "without the listener")
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	carries(t, dialled, accepted, "without the redirect")
	carries(t, accepted, dialled, "back")
}

func carries(t *testing.T, from, to net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(from, text); err != nil {
		t.Fatal(err)
	}
	if err := to.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, len(text))
	if _, err := io.ReadFull(to, buf); err != nil || string(buf) != text {
		t.Errorf("%q %v", buf, err)
	}
}

// A daemon that crashed leaves its table. The next one replaces it, and touches no other.
func TestNamespaceTableOfACrashIsReplaced(t *testing.T) {
	namespace(t)
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	foreign := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: vipTable + "_of_somebody"})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.DelTable(foreign)
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	})

	dead, _ := listen(t, "127.0.0.1:0")
	if _, err := (Network{}).Redirect(t.Context(), vipTable, vips(), dead); err != nil {
		t.Fatal(err)
	}
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	_, port := listen(t, "0.0.0.0:0")
	refused(t, netip.AddrPortFrom(netip.MustParseAddr("127.80.0.1"), port).String())

	ln, _ := listen(t, "127.0.0.1:0")
	undo := redirect(t, ln)
	if got := connectTo(t, ln, "127.80.0.1:80"); got.String() != "127.80.0.1:80" {
		t.Errorf("meant for %s", got)
	}
	if got := tables(t); len(got) != 2 {
		t.Errorf("tables %q", got)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if got := tables(t); len(got) != 1 || got[0] != foreign.Name {
		t.Errorf("tables %q", got)
	}
}

// sameName has a child run under the test's own name.
func sameName(c *exec.Cmd) {
	if self, err := os.Executable(); err == nil {
		c.Path = self
	}
}

// Who was killed a moment ago is no owner, though nobody has asked yet how it ended. Who runs is.
func TestNamespaceTableOfTheKilledIsReplaced(t *testing.T) {
	namespace(t)
	owner := startChild(t, "redirect="+vipTable, sameName)
	if owner.says != "done <nil>" {
		t.Fatal(owner.says)
	}
	if err := refuseTaken(vipTable, vips()); !errors.Is(err, micronet.ErrRedirected) {
		t.Fatalf("while its owner runs: %v", err)
	}
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	ln, _ := listen(t, "127.0.0.1:0")
	redirect(t, ln)
	if got := connectTo(t, ln, "127.80.0.1:80"); got.String() != "127.80.0.1:80" {
		t.Errorf("meant for %s", got)
	}
}

func TestNamespaceWatchInterfaces(t *testing.T) {
	namespace(t)
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	changed := Network{}.WatchInterfaces(ctx)
	if changed == nil {
		t.Fatal("changes cannot be seen")
	}
	sees := func(address string, want bool) {
		for {
			within(t, "a change of addresses", changed)
			if has(t, address) == want {
				return
			}
		}
	}
	ip(t, "addr add 10.77.0.1/24 dev lo")
	sees("10.77.0.1/24", true)
	ip(t, "addr del 10.77.0.1/24 dev lo")
	sees("10.77.0.1/24", false)
	// Many changes at once, none of which is looked at: nobody waits for us.
	for i := range 50 {
		ip(t, fmt.Sprintf("addr add 10.78.0.%d/32 dev lo", i+1))
	}
	ip(t, "link set lo down")
	ip(t, "link set lo up")
	cancel()
	settleGoroutines(t, before)
}

func has(t *testing.T, prefix string) bool {
	t.Helper()
	all, err := Network{}.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range all {
		for _, p := range i.Prefixes {
			if p.String() == prefix {
				return true
			}
		}
	}
	return false
}

// A namespace is another machine: loopback does not lead from one to the other.
func TestNamespaceIsAnotherMachine(t *testing.T) {
	namespace(t)
	outside, inside := os.Getenv(inNamespace), machine()
	bootOut, _, _ := strings.Cut(outside, "/")
	bootIn, _, _ := strings.Cut(inside, "/")
	if inside == "" || inside == outside || bootIn != bootOut {
		t.Errorf("outside %q, inside %q", outside, inside)
	}
}
