package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node"
	"github.com/micro/micro-net/sim/scenario"
)

// maxFound bounds the breaches that wait to be told.
const maxFound = 32

// witness sees every record that a daemon takes over, at the moment it does: after each broadcast and at
// the end of each stream that brings records. It knows what each owner has published, which no node
// does, and so what was forged. Daemons call it from goroutines of their own.
type witness struct {
	mu      sync.Mutex
	cluster [16]byte
	signed  map[[headerSize]byte]bool // headers that owners published
	owners  map[micronet.NodeID]bool  // who published any
	liars   map[micronet.NodeID]bool  // who may have signed what its daemon did not publish
	of      map[string]*testimony     // by machine
	found   []failure
	alert   func() // something was found; called with the lock held, nil for nobody
}

// testimony is what the witness has seen at one machine.
type testimony struct {
	node   *node.Node        // the present life
	sum    [sha256.Size]byte // of the catalog that was looked at last
	held   map[micronet.NodeID]seen
	before map[micronet.NodeID]gossip.Version // what former lives held
	epoch  uint64                             // the highest one that this life has published in
}

type seen struct {
	version  gossip.Version
	received time.Time
}

func newWitness() *witness {
	return &witness{
		signed: map[[headerSize]byte]bool{}, owners: map[micronet.NodeID]bool{}, liars: map[micronet.NodeID]bool{},
		of: map[string]*testimony{},
	}
}

// distrusts says that a node signs more than its daemon publishes from now on.
func (w *witness) distrusts(id micronet.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.liars[id] = true
}

// born begins the testimony of another life of a machine's daemon.
func (w *witness) born(machine string, n *node.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := &testimony{node: n, held: map[micronet.NodeID]seen{}, before: map[micronet.NodeID]gossip.Version{}}
	if former := w.of[machine]; former != nil {
		t.before = former.before
		for id, s := range former.held {
			if t.before[id].Less(s.version) {
				t.before[id] = s.version
			}
		}
	}
	w.of[machine] = t
}

// published takes a message that a daemon spreads; those about others' records are not its own word. durable reads
// what a crash would leave of a file now.
func (w *witness) published(machine string, self micronet.NodeID, msg []byte, durable func(name string) []byte) {
	h, ok := headerOf(msg)
	if !ok || micronet.NodeID(h[18:50]) != self {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cluster = [16]byte(h[2:18])
	w.signed[h], w.owners[self] = true, true
	if t, epoch := w.of[machine], versionOf(h).Epoch; t != nil && epoch > t.epoch {
		t.epoch = epoch
		if why := unsaved(durable("epoch.json"), epoch); why != "" {
			w.tell(machine, scenario.Durable, why)
		}
	}
}

// epochOf is the highest epoch in which a machine's present daemon has published.
func (w *witness) epochOf(machine string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if t := w.of[machine]; t != nil {
		return t.epoch
	}
	return 0
}

// look compares what a daemon holds with what it held before. Looks come one after the other: what is held
// is asked for within.
func (w *witness) look(machine string, n *node.Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.of[machine]
	if t == nil || t.node != n {
		return
	}
	s, ok := n.Snapshot()
	if !ok || s.Catalog == t.sum {
		return
	}
	t.sum = s.Catalog
	for i := range s.Documents {
		e := &s.Documents[i]
		now, last := seen{e.Document.Version, e.Received}, t.held[e.Document.Owner]
		if now == last {
			continue
		}
		t.held[e.Document.Owner] = now
		if now.version.Less(last.version) {
			w.tell(machine, scenario.NoRollback, fmt.Sprintf("version %v of the record of %s gave way to %v", last.version, e.Document.Owner.Short(), now.version))
		}
		if e.Document.Owner == s.Self {
			continue // it holds its own before it spreads it
		}
		if raw, ok := s.Signed(e.Document.Owner); ok {
			if why := w.forged(e.Document.Owner, raw); why != "" {
				w.tell(machine, scenario.NoForge, "holds a record of "+e.Document.Owner.Short()+" "+why)
			}
		}
	}
}

// forged tells what is wrong with a record, "" for nothing.
func (w *witness) forged(owner micronet.NodeID, raw []byte) string {
	h, ok := headerOf(raw)
	if !ok || raw[0] != catalogFull {
		return "that is no record"
	}
	at := bodyAt - ed25519.SignatureSize
	switch body := raw[bodyAt:]; {
	case micronet.NodeID(h[18:50]) != owner || [16]byte(h[2:18]) != w.cluster:
		return "of another owner or cluster"
	case !ed25519.Verify(owner[:], append([]byte(signDomain), h[:]...), raw[at:bodyAt]):
		return "that it did not sign"
	case sha256.Sum256(body) != [sha256.Size]byte(h[70:102]):
		return "with other contents than it signed"
	case !w.owners[owner]:
		return "who is no member"
	case !w.liars[owner] && !w.signed[h]:
		return "that it never published"
	}
	return ""
}

func (w *witness) tell(machine string, broken scenario.Invariant, text string) {
	if len(w.found) < maxFound {
		w.found = append(w.found, failure{node: machine, invariant: string(broken), text: text})
		if w.alert != nil {
			w.alert()
		}
	}
}

// breaches returns what was found since it was asked last.
func (w *witness) breaches() []failure {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.found
	w.found = nil
	return out
}

// fallen lists the owners of which a machine holds less than a former life of its daemon did.
func (w *witness) fallen(machine string) (out []micronet.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.of[machine]
	if t == nil {
		return nil
	}
	for id, v := range t.before {
		if t.held[id].version.Less(v) && !w.liars[id] {
			out = append(out, id)
		}
	}
	return out
}

// bodyAt is where the items of a full document begin: behind its type, its age, its header and signature.
const bodyAt = 5 + headerSize + ed25519.SignatureSize

// headerOf returns the header of a message of the catalog.
func headerOf(msg []byte) (h [headerSize]byte, ok bool) {
	at := 1
	if len(msg) > 0 && msg[0] == catalogFull {
		at = 5
	}
	if len(msg) < at+headerSize+ed25519.SignatureSize || msg[0] < catalogFull || msg[0] > catalogAnnounce {
		return h, false
	}
	return [headerSize]byte(msg[at:]), true
}

func versionOf(h [headerSize]byte) gossip.Version {
	return gossip.Version{Epoch: binary.BigEndian.Uint64(h[50:]), Seq: binary.BigEndian.Uint64(h[58:])}
}

// allLiars are those who may.
func (w *witness) allLiars() map[micronet.NodeID]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.liars)
}

// knows reports whether a node has ever published anything.
func (w *witness) knows(id micronet.NodeID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.owners[id]
}

// liar reports whether a node may sign what its daemon does not publish.
func (w *witness) liar(id micronet.NodeID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.liars[id]
}
