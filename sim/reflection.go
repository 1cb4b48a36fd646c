package sim

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// reflected is how many requests of each kind an insider sends to each peer for each victim in a round:
// with ten rounds a second, far more than anybody answers.
const reflected = 30

// reflect asks everybody to probe the victims, and to send the answers of probes to them; and nodes and addresses
// that no member has.
func (i *insider) reflect() {
	p, ok := i.parts()
	if !ok {
		return
	}
	self := gossip.Member{ID: p.swim.Self, Epoch: p.swim.Epoch}
	i.victims(func(_ parts, victim gossip.Member) {
		i.each(func(p parts, o gossip.Member) {
			for k := range reflected {
				seq := uint32(i.rounds*reflected + k)
				_ = p.swim.Transport.Send(o.ID, indirectPing(seq, victim.ID, memberName(victim.ID, victim.Epoch), self))
				_ = p.swim.Transport.Send(o.ID, ping(seq, memberName(o.ID, o.Epoch), victim))
			}
		})
	})
	stranger := nobody(uint64(i.rounds))
	i.tell(indirectPing(uint32(i.rounds), stranger, memberName(stranger, 1), self), micronet.NodeID{})
	i.tell(indirectPing(uint32(i.rounds), stranger, "169.254.169.254:80", self), micronet.NodeID{})
}

// indirectPing asks to probe somebody and to tell the asker.
func indirectPing(seq uint32, target micronet.NodeID, name string, asker gossip.Member) []byte {
	at, from := target.Addr(), asker.ID.Addr()
	b := fieldCount([]byte{kindIndirectPing}, 8)
	b = appendNumber(appendText(b, "SeqNo"), seq)
	b = appendText(appendText(b, "Target"), string(at.Addr().AsSlice()))
	b = appendNumber(appendText(b, "Port"), uint32(at.Port()))
	b = appendText(appendText(b, "Node"), name)
	b = append(appendText(b, "Nack"), 0xc3)
	return appendAsker(b, from.Addr().AsSlice(), uint32(from.Port()), memberName(asker.ID, asker.Epoch))
}

// ping probes somebody in the name of another one, who gets the answer.
func ping(seq uint32, name string, asker gossip.Member) []byte {
	from := asker.ID.Addr()
	b := fieldCount([]byte{kindPing}, 5)
	b = appendNumber(appendText(b, "SeqNo"), seq)
	b = appendText(appendText(b, "Node"), name)
	return appendAsker(b, from.Addr().AsSlice(), uint32(from.Port()), memberName(asker.ID, asker.Epoch))
}

func appendAsker(b, addr []byte, port uint32, name string) []byte {
	b = appendText(appendText(b, "SourceAddr"), string(addr))
	b = appendNumber(appendText(b, "SourcePort"), port)
	return appendText(appendText(b, "SourceNode"), name)
}
