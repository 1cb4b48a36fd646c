package osenv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	micronet "github.com/micro/micro-net"
)

var _ micronet.Redirector = Network{}

// Redirect adds one nftables table with one chain, through which everything that arrives over the
// loopback interface passes. TCP to the prefix, whatever the port, is given to the listener by
// transparent proxying, which looks at the packets alone: unlike with address translation, the
// kernel needs not track the connections of the whole host, and those that were accepted live on
// when the table is gone. Where nobody listens any more, new connections are refused. It takes
// Linux 5.9.
func (Network) Redirect(ctx context.Context, table string, from netip.Prefix, to net.Listener) (func() error, error) {
	at := micronet.AddrPortOf(to.Addr())
	if !from.Addr().Is4() || !at.Addr().Is4() {
		return nil, fmt.Errorf("redirect %s to %s: only IPv4 is captured", from, at)
	}
	if err := handedOver(ctx, func() error { return refuseTaken(table, from) }); err != nil {
		return nil, err
	}
	if err := control(to, transparent); err != nil {
		return nil, fmt.Errorf("accept for other addresses at %s: %w", at, err)
	}
	if err := deleteTable(table); err != nil {
		return nil, err
	}
	if err := addTable(table, from, at); err != nil {
		return nil, fmt.Errorf("add nftables table %s: %w", table, err)
	}
	return func() error { return deleteTable(table) }, nil
}

// transparent lets a socket stand for addresses that it is not bound to.
func transparent(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_TRANSPARENT, 1) }

func addTable(name string, from netip.Prefix, to netip.AddrPort) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: name})
	chain := c.AddChain(&nftables.Chain{
		Name: chainPrefix + strconv.Itoa(os.Getpid()), Table: t, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(tcpOverLoopback(from), proxyTo(to)...)})
	c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: append(tcpOverLoopback(from), refuseNew()...)})
	return c.Flush()
}

// chainPrefix begins the name of the one chain; the process id of its owner follows, so that a
// table that a crash left can be told from one that is in use.
const chainPrefix = "owner_"

const (
	// handoverFor is how long the owner of a table may take to end: who was killed a moment ago still
	// looks alive, and whoever starts a daemon again at once finds it so. lookAgain is how often it is
	// looked at meanwhile.
	handoverFor = 2 * time.Second
	lookAgain   = 20 * time.Millisecond
)

// handedOver waits for a former owner to end, and returns what is in the way then.
func handedOver(ctx context.Context, taken func() error) error {
	late := time.NewTimer(handoverFor)
	defer late.Stop()
	for {
		err := taken()
		if !errors.Is(err, micronet.ErrRedirected) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-late.C:
			return err
		case <-time.After(lookAgain):
		}
	}
}

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
		if ok && chain.Table.Name == table && pid != strconv.Itoa(os.Getpid()) && runsHere(pid) {
			return fmt.Errorf("%s belongs to the process %s: %w", from, pid, micronet.ErrRedirected)
		}
	}
	return nil
}

// tcpOverLoopback reads: iiftype loopback, meta l4proto tcp, ip daddr & mask == prefix.
func tcpOverLoopback(prefix netip.Prefix) []expr.Any {
	network := prefix.Masked().Addr().As4()
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], ^uint32(0)<<(32-prefix.Bits()))
	const daddrOffset = 16 // of the destination in the IPv4 header (RFC 791)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFTYPE, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint16(unix.ARPHRD_LOOPBACK)},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: daddrOffset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask[:], Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: network[:]},
	}
}

// proxyTo reads: tproxy to listener, accept. The packet of a connection that was accepted goes to
// its own socket. Where nobody listens the rule ends before "accept".
func proxyTo(listener netip.AddrPort) []expr.Any {
	addr := listener.Addr().As4()
	return []expr.Any{
		&expr.Immediate{Register: 1, Data: addr[:]},
		&expr.Immediate{Register: 2, Data: binaryutil.BigEndian.PutUint16(listener.Port())},
		&expr.TProxy{Family: unix.NFPROTO_IPV4, TableFamily: unix.NFPROTO_IPV4, RegAddr: 1, RegPort: 2},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

// refuseNew reads: tcp flags & (syn|ack) == syn, reject with tcp reset. Answers pass: backends are
// dialled from addresses of the prefix.
func refuseNew() []expr.Any {
	const flagsOffset, syn, ack = 13, 0x02, 0x10 // in the TCP header (RFC 9293)
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{syn | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{syn}},
		&expr.Reject{Type: unix.NFT_REJECT_TCP_RST},
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
