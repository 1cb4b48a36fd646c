package netsim

import (
	"net/netip"
	"time"
)

// flowsMax is how many flows a firewall remembers for each protocol, Linux's nf_conntrack_max on
// a small machine. When it is full, packets of new flows are dropped on the way out.
const flowsMax = 1 << 16

// Firewall says what a firewall in front of a host drops, silently. The zero Firewall drops
// nothing. Traffic inside the host never passes it.
type Firewall struct {
	BlockInbound bool          // let in only what comes from where this host sent something, to where it sent it from
	BlockUDP     bool          // no datagrams, in or out
	BlockTCP     bool          // no segments, in or out
	Timeout      time.Duration // how long a datagram sent lets answers in; 0: 2 min. Connections: 2 h 4 min
}

// EnsureDefaults returns f with what was left out.
func (f Firewall) EnsureDefaults() Firewall {
	if f.Timeout == 0 {
		f.Timeout = udpTimeout
	}
	return f
}

// firewall is a Firewall at work. It is in front of its host: a crash does not clear its memory.
type firewall struct {
	rules Firewall
	flows map[Proto]*memory[flow]
}

// flow is one direction of a conversation, as the host sees it.
type flow struct{ local, remote netip.AddrPort }

// SetFirewall puts a firewall in front of a host, in place of the one before. It knows of no
// conversation that began earlier; those of the host's own go on with the next packet it sends.
func (w *World) SetFirewall(h *Host, rules Firewall) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.firewall = &firewall{
		rules: rules.EnsureDefaults(),
		flows: map[Proto]*memory[flow]{UDP: {}, TCP: {}},
	}
}

func (f *firewall) ttl(proto Proto) time.Duration {
	if proto == TCP {
		return tcpTimeout
	}
	return f.rules.Timeout
}

func (f *firewall) blocks(proto Proto) bool {
	return proto == UDP && f.rules.BlockUDP || proto == TCP && f.rules.BlockTCP
}

// leaves reports whether a packet of the host may leave, and remembers that it did.
func (f *firewall) leaves(p *packet, now time.Duration) bool {
	if f.blocks(p.proto) {
		return false
	}
	return !f.rules.BlockInbound || f.flows[p.proto].see(flow{p.src, p.dst}, now, f.ttl(p.proto), flowsMax)
}

// enters reports whether a packet may enter, addressed as the host sees it.
func (f *firewall) enters(proto Proto, x header, now time.Duration) bool {
	if f.blocks(proto) {
		return false
	}
	if !f.rules.BlockInbound {
		return true
	}
	proto = proto.about()
	k := flow{x.dst, x.src}
	if !f.flows[proto].fresh(k, now, f.ttl(proto)) {
		return false
	}
	return proto != TCP || f.flows[TCP].see(k, now, tcpTimeout, flowsMax) // known: there is room
}

// about is the protocol that a packet is about: reports are about datagrams.
func (p Proto) about() Proto {
	if p == ICMP {
		return UDP
	}
	return p
}
