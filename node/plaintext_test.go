package node

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// tap is a host's network, and keeps a copy of every packet that leaves it, as a wire would see it.
type tap struct {
	micronet.Network
	mu      sync.Mutex
	packets [][]byte
}

func (n *tap) ListenPacket(ctx context.Context, addr netip.AddrPort) (net.PacketConn, error) {
	c, err := n.Network.ListenPacket(ctx, addr)
	return tapped{c, n}, err
}

type tapped struct {
	net.PacketConn
	tap *tap
}

func (c tapped) WriteTo(b []byte, to net.Addr) (int, error) {
	if !micronet.AddrPortOf(to).Addr().IsLoopback() { // the DNS server answers this host's programs
		c.tap.mu.Lock()
		c.tap.packets = append(c.tap.packets, slices.Clone(b))
		c.tap.mu.Unlock()
	}
	return c.PacketConn.WriteTo(b, to)
}

// seen counts the packets that hold a text, and all bytes.
func (n *tap) seen(word string) (packets, total int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.packets {
		total += len(p)
		if bytes.Contains(p, []byte(word)) {
			packets++
		}
	}
	return packets, total
}

// TestQ21_NothingIsReadableOnTheWire: neither what programs say to each other, nor what the nodes do: joining,
// gossip, the catalog. Only the two daemons at the ends can read it. What is in clear is the credential with
// which a node shows itself to one that does not know it: its key, its name and its addresses.
func TestQ21_NothingIsReadableOnTheWire(t *testing.T) {
	inBubble(t, 74, func(t *testing.T, b *bubble) {
		var taps []*tap
		listening := func(c *Config) {
			n := &tap{Network: c.Env.Net}
			taps = append(taps, n)
			c.Env.Net = n
		}
		first := b.start("vault-node", "", listening)
		token := b.invite(first)
		second := b.start("teller-node", token, listening)
		b.await(15*time.Second, "both see both", b.alive(2, first, second))
		b.serve(first, "payments-ledger", "receipt-marker")
		b.await(5*time.Second, "a call is answered", b.answers(second, "payments-ledger", "receipt-marker"))
		const word = "the-secret-of-the-caller"
		said := strings.Repeat(word, 1000)
		if got, err := b.call(second, "payments-ledger", said); err != nil || got != "receipt-marker:"+said {
			t.Fatalf("the call: %d bytes, %v", len(got), err)
		}
		time.Sleep(time.Minute) // renewals, comparisons, full exchanges of membership
		for _, secret := range []string{word, "secret", "receipt-marker", "payments-ledger", "ledger", "micro.internal", token} {
			for i, n := range taps {
				packets, total := n.seen(secret)
				if packets != 0 {
					t.Errorf("%q is readable in %d packets of node %d", secret, packets, i)
				}
				if total < len(said) {
					t.Fatalf("only %d bytes were seen at node %d: the tap does not work", total, i)
				}
			}
		}
	})
}
