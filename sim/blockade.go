package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"net"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/tunnel"
)

const (
	// nobodies is how many members that do not exist an insider lists.
	nobodies = 50
	// chunk is what an endless stream consists of.
	chunk = 64 << 10
)

// foreign is a range of versions that nobody here speaks.
var foreign = [6]byte{6, 9, 7, 3, 4, 3}

// misversion tells everybody of members, itself and others, that speak another language: memberlist refuses
// every synchronisation that lists such a one.
func (i *insider) misversion() {
	p, ok := i.parts()
	if !ok {
		return
	}
	name := memberName(p.swim.Self, p.swim.Epoch)
	i.tell(aliveAs(uint32(1000+i.rounds), name, p.swim.Self, p.swim.Credential, foreign), micronet.NodeID{})
	i.victims(func(_ parts, o gossip.Member) {
		i.tell(aliveAs(uint32(2+i.rounds), memberName(o.ID, o.Epoch), o.ID, o.Credential, foreign), micronet.NodeID{})
	})
}

// missync synchronises with everybody, with a list of such members and of some that do not exist.
func (i *insider) missync() {
	list := i.wrongMembers()
	i.open(tunnel.PurposeMembership, func(s tunnel.Stream) error {
		_, err := s.Write(list)
		return err
	})
}

// wrongMembers is the beginning of a synchronisation of membership.
func (i *insider) wrongMembers() []byte {
	var list []byte
	n := 0
	add := func(name string, id micronet.NodeID, credential []byte, state uint32) {
		list = fieldCount(list, 7)
		list = appendNumber(appendText(appendText(appendText(list, "Name"), name), "Incarnation"), 9)
		list = appendNumber(appendText(list, "State"), state)
		list = appendPlace(list, id, credential, foreign)
		n++
	}
	i.each(func(_ parts, o gossip.Member) { add(memberName(o.ID, o.Epoch), o.ID, o.Credential, 0) })
	for k := range uint64(nobodies) {
		id := nobody(k)
		add(memberName(id, 1), id, []byte("not a credential"), uint32(k%4))
	}
	b := fieldCount([]byte{kindPushPull}, 3)
	b = appendNumber(appendText(b, "Nodes"), uint32(n))
	b = appendNumber(appendText(b, "UserStateLen"), 0)
	return append(append(appendText(b, "Join"), 0xc3), list...)
}

// nobody is the id of a node that does not exist.
func nobody(k uint64) micronet.NodeID {
	return micronet.NodeID(sha256.Sum256(binary.BigEndian.AppendUint64([]byte("nobody"), k)))
}

// blockade answers whoever synchronises with the insider in one of three ways that lead nowhere: with what
// nobody can use, without an end, and not at all.
func blockade(i *insider) *grip {
	list := i.wrongMembers() // of now: the daemon's goroutines may not ask the simulation
	turn := make(chan int, 1)
	turn <- 0
	next := func() int {
		n := <-turn
		turn <- n + 1
		return n % 3
	}
	return &grip{
		packet: func(_ micronet.NodeID, payload []byte) [][]byte { return selfish(payload) }, // takes nothing back
		member: func(conn net.Conn, _ micronet.NodeID) bool {
			i.mesh.ending.Go(func() { mislead(conn, next(), list) })
			return true
		},
		catalog: func(in tunnel.Inbound) bool {
			i.mesh.ending.Go(func() {
				if in.Accept() == nil {
					mislead(in, next(), frame(frameUnknown, bytes.Repeat([]byte{7}, chunk)))
				}
			})
			return true
		},
		state: func([]byte) []byte { return []byte("no digest") },
	}
}

// mislead answers a stream in one of the three ways, for as long as the insider's patience lasts.
func mislead(conn net.Conn, how int, words []byte) {
	ctx, cancel := timeout(streamTime)
	defer cancel()
	defer closeAtEnd(ctx, conn)()
	switch how {
	case 0:
		_, _ = conn.Write(words)
	case 1:
		for sent := 0; sent < endless; sent += len(words) {
			if _, err := conn.Write(words); err != nil {
				return
			}
		}
	default:
		<-ctx.Done()
	}
}
