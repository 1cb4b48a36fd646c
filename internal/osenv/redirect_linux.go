package osenv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	micronet "github.com/micro/micro-net"
)

var _ micronet.Redirector = Network{}

// Redirect adds one nftables table with one rule in the output hook: TCP to the prefix, whatever
// the port, goes to the listener. Deleting the table undoes everything at once, also for the
// connections that were redirected, unless the host has other NAT rules: they must have ended
// before. Without a listener, new connections are refused.
func (Network) Redirect(_ context.Context, table string, from netip.Prefix, to netip.AddrPort) (func() error, error) {
	if !from.Addr().Is4() || !to.Addr().Is4() {
		return nil, fmt.Errorf("redirect %s to %s: only IPv4 is captured", from, to)
	}
	if err := refuseTaken(table, from); err != nil {
		return nil, err
	}
	if err := deleteTable(table); err != nil {
		return nil, err
	}
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: table})
	chain := c.AddChain(&nftables.Chain{
		Name: chainPrefix + strconv.Itoa(os.Getpid()), Table: t, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookOutput, Priority: nftables.ChainPriorityNATDest,
	})
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: redirectRule(from, to)})
	if err := c.Flush(); err != nil {
		return nil, fmt.Errorf("add nftables table %s: %w", table, err)
	}
	return func() error { return deleteTable(table) }, nil
}

// chainPrefix begins the name of the one chain; the process id of its owner follows, so that a
// table that a crash left can be told from one that is in use.
const chainPrefix = "output_"

// refuseTaken is an error when another process of this program redirects the prefix already.
func refuseTaken(table string, from netip.Prefix) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("list nftables chains: %w", err)
	}
	for _, chain := range chains {
		pid, ok := strings.CutPrefix(chain.Name, chainPrefix)
		if ok && chain.Table.Name == table && pid != strconv.Itoa(os.Getpid()) && sameProgram(pid) {
			return fmt.Errorf("%s belongs to the process %s: %w", from, pid, micronet.ErrRedirected)
		}
	}
	return nil
}

// sameProgram reports whether a process runs and has our name.
func sameProgram(pid string) bool {
	theirs, err := os.ReadFile("/proc/" + pid + "/comm")
	if err != nil {
		return false
	}
	ours, err := os.ReadFile("/proc/self/comm")
	return err == nil && string(theirs) == string(ours)
}

// redirectRule reads: meta l4proto tcp, ip daddr & mask == prefix, dnat to listener.
func redirectRule(from netip.Prefix, to netip.AddrPort) []expr.Any {
	network := from.Masked().Addr().As4()
	listener := to.Addr().As4()
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-from.Bits()))
	const daddrOffset = 16 // of the destination in the IPv4 header (RFC 791)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: daddrOffset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask[:], Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: network[:]},
		&expr.Immediate{Register: 1, Data: listener[:]},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(to.Port())},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1, RegProtoMin: 2},
	}
}

func deleteTable(name string) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err != nil {
		return fmt.Errorf("list nftables tables: %w", err)
	}
	for _, t := range tables {
		if t.Name != name {
			continue
		}
		c.DelTable(t)
		if err := c.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delete nftables table %s: %w", name, err)
		}
	}
	return nil
}
