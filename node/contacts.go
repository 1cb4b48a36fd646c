package node

import (
	"context"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/tunnel"
)

// saveEvery is how often the address book is written when it has changed. saveSoon is how soon it is after
// a node was met for the first time: two that lost their power before would never find each other again
// without those through whom they met.
const (
	saveEvery = time.Minute
	saveSoon  = 5 * time.Second
)

// heardEvery is how exactly the address book knows when a node was alive last: it forgets after
// weeks, and need not be written for every sign of life.
const heardEvery = time.Hour

// contacts are the nodes this one has met: on disk to find back to after a restart, and in
// memory with what their credentials say. It is safe for concurrent use.
type contacts struct {
	env  micronet.Env
	disk disk
	pass *passport

	mu       sync.Mutex
	book     *gossip.AddressBook
	known    map[micronet.NodeID]identity.Credential // of those in the book
	changed  bool
	pressing bool // somebody was met for the first time, or left, since the file was written
	dropped  bool // the file is not ours any more
}

func loadContacts(env micronet.Env, d disk, pass *passport) (*contacts, error) {
	c := &contacts{
		env: env, disk: d, pass: pass, book: gossip.NewAddressBook(), known: map[micronet.NodeID]identity.Credential{},
	}
	err := d.readOr(filePeers, func(raw []byte) error {
		c.book = gossip.NewAddressBook()
		return openEnvelope(raw, c.book)
	}, "other nodes have to find this one")
	if err != nil {
		return nil, err
	}
	c.book.Expire(env.Wall())
	for _, p := range c.book.Peers() {
		// What this node has known itself it knows on, whatever others may rely on.
		if cred, err := pass.trust.VerifyCredential(p.Credential, env.Wall(), gossip.PeerKept); err == nil {
			c.known[p.ID] = cred
		}
	}
	return c, nil
}

// introduce takes the members that an authority named, which are not verified yet.
func (c *contacts) introduce(raws [][]byte) {
	for _, raw := range raws {
		cred, err := c.pass.trust.VerifyCredential(raw, c.env.Wall(), c.pass.lateness())
		if err != nil {
			c.env.Events.BackgroundError("node.join", err)
			continue
		}
		c.learn(cred, raw)
	}
}

// learn takes a verified credential. It reports whether it is newer than what was known.
func (c *contacts) learn(cred identity.Credential, raw []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	old, ok := c.known[cred.ID]
	if ok && !newer(cred, old) {
		return false
	}
	c.known[cred.ID] = cred
	c.changed, c.pressing = true, c.pressing || !ok
	before, _ := c.book.Get(cred.ID)
	p := gossip.KnownPeer{ID: cred.ID, Name: cred.Name, Credential: raw, Heard: c.env.Wall()}
	if before.Left >= cred.Epoch {
		p.Left = before.Left // it was made before the goodbye, and came late
	}
	err := c.book.Remember(p)
	if err != nil {
		c.env.Events.BackgroundError("node.contacts", err)
	}
	if len(c.known) > gossip.MaxPeers {
		c.pruneLocked()
	}
	return true
}

// pruneLocked drops what is known of nodes that the book has no room for, or has forgotten.
func (c *contacts) pruneLocked() {
	for id := range c.known {
		if _, ok := c.book.Get(id); !ok {
			delete(c.known, id)
		}
	}
}

func newer(a, b identity.Credential) bool {
	return a.Epoch > b.Epoch || (a.Epoch == b.Epoch && a.Seq > b.Seq)
}

// heard notes who is alive, and forgets those who have not been for weeks.
func (c *contacts) heard(alive func(micronet.NodeID) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.env.Wall()
	for _, p := range c.book.Peers() {
		if now.Sub(p.Heard) < heardEvery || !alive(p.ID) {
			continue
		}
		p.Heard = now
		if c.book.Remember(p) == nil {
			c.changed = true
		}
	}
	if c.book.Expire(now) > 0 {
		c.changed = true
		c.pruneLocked()
	}
}

// parted notes the goodbye of a node, so that it is not missed after a restart.
func (c *contacts) parted(id micronet.NodeID, epoch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, ok := c.book.Get(id)
	if !ok || epoch <= p.Left || epoch < c.known[id].Epoch {
		return
	}
	p.Left = epoch
	if c.book.Remember(p) == nil {
		c.changed, c.pressing = true, true
	}
}

// forget drops a node that left: it will come back by itself, or not at all.
func (c *contacts) forget(id micronet.NodeID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.book.Get(id); ok {
		c.book.Forget(id)
		delete(c.known, id)
		c.changed = true
	}
}

// peers returns what the path layer must know of those who are remembered.
func (c *contacts) peers() []tunnel.Peer {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []tunnel.Peer
	for _, p := range c.book.Peers() {
		if _, peer, err := c.pass.verify(c.env, p.Credential); err == nil {
			out = append(out, peer)
		}
	}
	return out
}

// remembered returns the address book.
func (c *contacts) remembered() []gossip.KnownPeer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.Peers()
}

// of returns the newest credential of a node, zero when none was seen.
func (c *contacts) of(id micronet.NodeID) (cred identity.Credential, seen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cred, seen = c.known[id]
	return cred, seen
}

// name tells what a node is called by its credential, "" when that was not seen.
func (c *contacts) name(id micronet.NodeID) string {
	cred, _ := c.of(id)
	return cred.Name
}

// epoch is the start that a node's credential is of, zero when it was not seen.
func (c *contacts) epoch(id micronet.NodeID) uint64 {
	cred, _ := c.of(id)
	return cred.Epoch
}

// origin is the root that the certificate of a node leads to, zero when its credential was not seen.
func (c *contacts) origin(id micronet.NodeID) identity.KeyID {
	cred, _ := c.of(id)
	return cred.Origin
}

// renewAfter is when a node should ask for a new certificate, zero when its credential was not seen.
func (c *contacts) renewAfter(id micronet.NodeID) time.Time {
	cred, seen := c.of(id)
	if !seen {
		return time.Time{}
	}
	return cred.RenewAfter()
}

// issued is when the certificate of a node begins, zero when its credential was not seen.
func (c *contacts) issued(id micronet.NodeID) time.Time {
	cred, _ := c.of(id)
	return cred.Begins
}

// check verifies anew the newest credential of a node that is remembered.
func (c *contacts) check(id micronet.NodeID, trust *identity.Trust) error {
	p, known := c.remembers(id)
	if !known {
		return nil
	}
	_, err := trust.VerifyCredential(p.Credential, c.env.Wall(), gossip.PeerKept)
	return err
}

func (c *contacts) remembers(id micronet.NodeID) (gossip.KnownPeer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.book.Get(id)
}

// save writes the address book if it changed. It is not called twice at once. What could not be
// written is tried again at the next call.
func (c *contacts) save() {
	raw, err := c.unsaved()
	if err == nil && raw != nil {
		err = c.disk.save(filePeers, rawJSON(raw))
	}
	if err == nil {
		return
	}
	c.env.Events.BackgroundError("node.contacts", err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = true
}

// unsaved returns the book as it is to be written, nil when there is nothing to do.
func (c *contacts) unsaved() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed || c.dropped {
		return nil, nil
	}
	c.changed, c.pressing = false, false
	return c.book.MarshalJSON()
}

// rawJSON is JSON that is written as it is.
type rawJSON []byte

// MarshalJSON returns the bytes.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

// keep writes the address book from time to time, and at the end.
func (c *contacts) keep(ctx context.Context, alive func(micronet.NodeID) bool) error {
	soon := time.NewTicker(saveSoon + c.env.Phase)
	defer soon.Stop()
	t := time.NewTicker(saveEvery + c.env.Phase)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			c.save()
			return nil
		case <-soon.C:
			if c.isPressing() {
				c.save()
			}
		case <-t.C:
			c.heard(alive)
			c.save()
		}
	}
}

func (c *contacts) isPressing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pressing
}

// isAuthority reports whether a node says that it can sign.
func (c *contacts) isAuthority(id micronet.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isAuthorityLocked(id)
}

// hasRoot reports whether a node says that the cluster's root key is there.
func (c *contacts) hasRoot(id micronet.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id].Flags&identity.FlagRoot != 0
}

func (c *contacts) isAuthorityLocked(id micronet.NodeID) bool {
	return c.known[id].Flags&identity.FlagAuthority != 0
}

// silence is how long ago a node that is remembered was alive, and the epoch of its goodbye, 0 without one.
type silence struct {
	id   micronet.NodeID
	ago  time.Duration
	left uint64
}

// silent tells of all that are remembered and were alive within the last days how long ago that was.
func (c *contacts) silent() []silence {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, peers := c.env.Wall(), c.book.Peers()
	out := make([]silence, 0, len(peers))
	for i := range peers {
		p := &peers[i]
		if ago := now.Sub(p.Heard); ago < gossip.DefaultKeep && c.isKnownLocked(p.ID) {
			out = append(out, silence{p.ID, max(0, ago), p.Left})
		}
	}
	return out
}

// isKnown reports whether a certificate of a node has been seen.
func (c *contacts) isKnown(id micronet.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isKnownLocked(id)
}

func (c *contacts) isKnownLocked(id micronet.NodeID) bool {
	_, ok := c.known[id]
	return ok
}

// drop stops writing: the file belongs to another cluster now, or to nobody.
func (c *contacts) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dropped = true
}

// placeBits4 and placeBits6 are the parts of an address that nodes of one place share.
const (
	placeBits4 = 24
	placeBits6 = 48
)

// place tells where a node is, as far as its addresses do: the network of the first of them that is not
// of its host alone; "" when there is none.
func (c *contacts) place(id micronet.NodeID) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.known[id].Endpoints {
		a := e.Addr().Unmap()
		if a.IsLoopback() || a.IsLinkLocalUnicast() {
			continue
		}
		bits := placeBits6
		if a.Is4() {
			bits = placeBits4
		}
		if p, err := a.WithZone("").Prefix(bits); err == nil {
			return p.String()
		}
	}
	return ""
}
