package osenv

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	micronet "github.com/micro/micro-net"
)

// nobody is a user that every Linux has.
const nobody = 65534

func asNobody(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
}

func accept(t *testing.T, ln net.Listener) net.Conn {
	t.Helper()
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func credentials(t *testing.T, c net.Conn) micronet.Credentials {
	t.Helper()
	got, err := Network{}.PeerCredentials(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestQ36_PeerCredentials(t *testing.T) {
	path := socketPath(t)
	ln := listenUnix(t, path)
	c := startChild(t, "connect="+path)
	got := credentials(t, accept(t, ln))
	if got.UID != os.Geteuid() || got.GID != os.Getegid() || got.PID != c.Process.Pid {
		t.Errorf("%+v, want uid %d, gid %d, pid %d", got, os.Geteuid(), os.Getegid(), c.Process.Pid)
	}
	if os.Geteuid() == 0 && !slices.Contains(got.Groups, "root") {
		t.Errorf("root's groups are %q", got.Groups)
	}
}

func TestQ36_PeerCredentialsOfAnotherUser(t *testing.T) {
	needRoot(t)
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	ln := listenUnix(t, path)
	c := startChild(t, "connect="+path, asNobody)
	got := credentials(t, accept(t, ln))
	if got.UID != nobody || got.GID != nobody || got.PID != c.Process.Pid {
		t.Errorf("%+v", got)
	}
	// The group a process runs with counts, also when its user is in none of the name.
	c = startChild(t, "connect="+path, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: 0}}
	})
	if got := credentials(t, accept(t, ln)); got.UID != nobody || got.PID != c.Process.Pid || !slices.Contains(got.Groups, "root") {
		t.Errorf("%+v", got)
	}
}

func TestQ36_PeerCredentialsOfAnUnknownUser(t *testing.T) {
	needRoot(t)
	path := socketPath(t)
	if err := os.Chmod(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	ln := listenUnix(t, path)
	startChild(t, "connect="+path, func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4711471, Gid: 4711471}}
	})
	if got := credentials(t, accept(t, ln)); got.UID != 4711471 || len(got.Groups) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestQ36_PeerCredentialsNeedAKernelSocket(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if _, err := (Network{}).PeerCredentials(a); err == nil || err.Error() != "*net.pipe is no kernel socket" {
		t.Errorf("%v", err)
	}
}

// self is what holds a port of this process.
func self(t *testing.T) string {
	t.Helper()
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(comm)) + " (pid " + strconv.Itoa(os.Getpid()) + ")"
}

func TestPortHolder(t *testing.T) {
	_, four := listen(t, "127.0.0.1:0")
	_, all := listen(t, "[::]:0")
	pc, err := Network{}.ListenPacket(t.Context(), netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	udp := addrPort(pc.LocalAddr()).Port()
	for _, test := range []struct {
		network, addr string
		port          uint16
		want          string
	}{
		{"tcp", "127.0.0.1", four, self(t)},
		{"tcp", "0.0.0.0", four, self(t)}, // who wants all is stopped by who has one
		{"tcp", "::", four, self(t)},
		{"tcp", "127.0.0.2", four, ""},
		{"tcp", "::1", four, ""},
		{"tcp", "127.0.0.1", all, self(t)},
		{"tcp", "127.80.0.1", all, self(t)},
		{"tcp", "::1", all, self(t)},
		{"udp", "127.0.0.1", udp, self(t)},
		{"udp", "0.0.0.0", udp, self(t)},
		{"sctp", "127.0.0.1", four, ""},
	} {
		addr := netip.AddrPortFrom(netip.MustParseAddr(test.addr), test.port)
		if got := (Network{}).PortHolder(test.network, addr); got != test.want {
			t.Errorf("%s %s: %q, want %q", test.network, addr, got, test.want)
		}
	}
}

// A connection from a port is no listener on it.
func TestPortHolderPassesOverConnections(t *testing.T) {
	ln, port := listen(t, "127.0.0.1:0")
	a, _ := meet(t, ln, netip.Addr{}, "127.0.0.1", port)
	if got := (Network{}).PortHolder("tcp", addrPort(a.LocalAddr())); got != "" {
		t.Errorf("%q", got)
	}
}

func TestPortHolderIsAnotherProcess(t *testing.T) {
	ln, port := listen(t, "127.0.0.1:0")
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	c := startChild(t, "listen="+netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port).String())
	if c.says != "done <nil>" {
		t.Fatal(c.says)
	}
	got := Network{}.PortHolder("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port))
	if !strings.HasSuffix(got, "(pid "+strconv.Itoa(c.Process.Pid)+")") {
		t.Errorf("%q, want pid %d", got, c.Process.Pid)
	}
}

func TestPortOwner(t *testing.T) {
	_, port := listen(t, "127.0.0.1:0")
	at := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), port) }
	for _, addr := range []string{"127.0.0.1", "::ffff:127.0.0.1"} {
		if uid, known := (Network{}).PortOwner(at(addr)); !known || uid != os.Geteuid() {
			t.Errorf("%s: %d %v", addr, uid, known)
		}
	}
	if _, known := (Network{}).PortOwner(at("127.0.0.2")); known {
		t.Error("a port without a listener has an owner")
	}
}

// Two users may listen on one port at different addresses: each owns its own only.
func TestPortOwnerOfAnotherUser(t *testing.T) {
	needRoot(t)
	_, port := listen(t, "127.0.0.1:0")
	at := func(addr string) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr(addr), port) }
	owner := func(addr string) int {
		uid, known := Network{}.PortOwner(at(addr))
		if !known {
			return -1
		}
		return uid
	}
	if c := startChild(t, "listen="+at("127.0.0.2").String(), asNobody); c.says != "done <nil>" {
		t.Fatal(c.says)
	}
	if got := owner("127.0.0.2"); got != nobody {
		t.Errorf("127.0.0.2 belongs to %d", got)
	}
	if !hasIPv6(t) {
		return
	}
	if got := owner("::1"); got != -1 {
		t.Errorf("::1 belongs to %d before anybody listens there", got)
	}
	if c := startChild(t, "listen="+at("::1").String(), asNobody); c.says != "done <nil>" {
		t.Fatal(c.says)
	}
	if got := [...]int{owner("::1"), owner("127.0.0.1")}; got != [...]int{nobody, 0} {
		t.Errorf("::1 and 127.0.0.1 belong to %v", got)
	}
}

// A listener on all IPv4 addresses says nothing of ::1.
func TestPortOwnerOfAllIPv4(t *testing.T) {
	_, port := listen(t, "0.0.0.0:0")
	if uid, known := (Network{}).PortOwner(netip.AddrPortFrom(netip.MustParseAddr("::1"), port)); known {
		t.Errorf("::1 belongs to %d", uid)
	}
	if uid, known := (Network{}).PortOwner(netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), port)); !known || uid != os.Geteuid() {
		t.Errorf("127.9.9.9: %d %v", uid, known)
	}
}

func TestParseProcAddr(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000:0035":                         "0.0.0.0:53",
		"00000000000000000000000001000000:1F90": "[::1]:8080",
		"00000000000000000000000000000000:0001": "[::]:1",
		"0000000000000000FFFF00000100007F:FFFF": "127.0.0.1:65535",
		"B80D01200000000000000000DEC0ADDE:0050": "[2001:db8::dead:c0de]:80",
		"":                                      "", "0100007F": "", "0100007F:": "", "0100007F:10000": "", "01:1": "", "0100007G:1": "", "0100007F0100007F:1": "",
	} {
		got, ok := parseProcAddr(text)
		if ok != (want != "") || (ok && got.String() != want) {
			t.Errorf("%q: %s %v, want %s", text, got, ok, want)
		}
	}
}

func TestSocketTable(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tcp")
	write(t, table, `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 0100007F:AAAA 01 00000000:00000000 00:00000000 00000000  1001        0 11 1
short line
   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1002        0 22 1
   2: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  many        0 33 1
`)
	port := func(n uint16) func(netip.AddrPort) bool { return func(a netip.AddrPort) bool { return a.Port() == n } }
	if got, ok := findIn(table, true, port(8080)); !ok || got != (boundSocket{inode: "22", uid: 1002}) {
		t.Errorf("%+v %v", got, ok)
	}
	if got, ok := findIn(table, false, port(8080)); !ok || got.inode != "11" {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := findIn(table, true, port(8081)); ok {
		t.Error("a line without a user id is taken")
	}
	if _, ok := findIn(table+".missing", true, port(8080)); ok {
		t.Error("a table that is not there has sockets")
	}
}

func TestH36_NamesOfProgramsAreHarmless(t *testing.T) {
	if got := printable("re\x1b[2Jdis\nserver"); got != "re?[2Jdis?server" {
		t.Errorf("%q", got)
	}
}

func TestRedirectTakesIPv4Only(t *testing.T) {
	ln, port := listen(t, "127.0.0.1:0")
	_, err := Network{}.Redirect(t.Context(), "micro_net_test", netip.MustParsePrefix("fd00::/64"), ln)
	if err == nil || err.Error() != fmt.Sprintf("redirect fd00::/64 to 127.0.0.1:%d: only IPv4 is captured", port) {
		t.Errorf("%v", err)
	}
}

func TestRedirectNeedsRights(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs a user without rights")
	}
	ln, _ := listen(t, "127.0.0.1:0")
	_, err := Network{}.Redirect(t.Context(), "micro_net_test", netip.MustParsePrefix("127.80.0.0/12"), ln)
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("%v", err)
	}
}
