package osenv

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// tcpListen is the state of a listening socket in /proc/net/tcp.
const tcpListen = "0A"

// PortHolder finds the program that holds a local port through /proc. Without root only the
// caller's own programs can be named.
func (Network) PortHolder(network string, addr netip.AddrPort) string {
	if s, ok := findSocket(network, addr); ok {
		return holderOf(s.inode)
	}
	return ""
}

// PortOwner finds the user whose program listens on a local TCP port.
func (Network) PortOwner(addr netip.AddrPort) (uid int, known bool) {
	s, ok := findSocket("tcp", addr)
	return s.uid, ok
}

// boundSocket is one line of a socket table of proc(5).
type boundSocket struct {
	inode string
	uid   int
}

// findSocket prefers the socket on exactly this address to those on all addresses, as the kernel
// does.
func findSocket(network string, addr netip.AddrPort) (boundSocket, bool) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	exactly := func(local netip.AddrPort) bool { return local == addr }
	also := func(local netip.AddrPort) bool {
		return local.Port() == addr.Port() && overlap(local.Addr(), addr.Addr())
	}
	for _, fits := range []func(netip.AddrPort) bool{exactly, also} {
		for _, table := range []string{"/proc/net/" + network, "/proc/net/" + network + "6"} {
			if s, ok := findIn(table, network == "tcp", fits); ok {
				return s, true
			}
		}
	}
	return boundSocket{}, false
}

// findIn reads a socket table: column 1 is the local address, 3 the state, 7 the user, 9 the inode.
func findIn(table string, listening bool, fits func(netip.AddrPort) bool) (boundSocket, bool) {
	f, err := os.Open(table)
	if err != nil {
		return boundSocket{}, false
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		col := strings.Fields(sc.Text())
		if len(col) < 10 || (listening && col[3] != tcpListen) {
			continue
		}
		if local, ok := parseProcAddr(col[1]); ok && fits(local) {
			uid, err := strconv.Atoi(col[7])
			return boundSocket{inode: col[9], uid: uid}, err == nil
		}
	}
	return boundSocket{}, false
}

// overlap reports whether two sockets on these addresses exclude each other. All IPv6 addresses
// include IPv4's, unless a socket is told otherwise.
func overlap(a, b netip.Addr) bool {
	includes := func(all, one netip.Addr) bool { return all.IsUnspecified() && (all.Is6() || one.Is4()) }
	return a == b || includes(a, b) || includes(b, a)
}

// parseProcAddr reads "0100007F:1F90": each 32-bit word in the host's byte order.
func parseProcAddr(s string) (netip.AddrPort, bool) {
	host, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if !ok || err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	addr, ok := netip.AddrFromSlice(raw)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(addr.Unmap(), uint16(n)), ok && err == nil
}

func holderOf(inode string) string {
	link := "socket:[" + inode + "]"
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	for _, proc := range procs {
		fds, err := os.ReadDir(proc + "/fd")
		if err != nil {
			continue
		}
		for _, fd := range fds {
			if target, err := os.Readlink(proc + "/fd/" + fd.Name()); err == nil && target == link {
				return describe(proc)
			}
		}
	}
	return ""
}

func describe(proc string) string {
	comm, err := os.ReadFile(proc + "/comm")
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%s (pid %s)", printable(strings.TrimSpace(string(comm))), filepath.Base(proc))
}

// printable replaces what could drive a terminal: programs choose their names.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
