package gossip

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// MaxPeers bounds an address book. The peer that was heard longest ago is dropped first.
	MaxPeers = 4096
	// PeerKept is how long a peer is remembered after it was last heard.
	PeerKept = 30 * 24 * time.Hour
	// MaxBookBytes bounds the JSON form of an address book.
	MaxBookBytes = 8 << 20

	bookVersion       = 1
	maxPeerName       = 63
	maxPeerCredential = 512
)

// KnownPeer is what is remembered of a peer over restarts.
type KnownPeer struct {
	ID         micronet.NodeID `json:"id"`
	Name       string          `json:"name,omitempty"`       // at most 63 bytes
	Credential []byte          `json:"credential,omitempty"` // at most 512 bytes
	Heard      time.Time       `json:"heard"`                // last sign of life, by Env.Wall
	Revoked    bool            `json:"revoked,omitempty"`    // never dialled, and kept so that it stays so
	Left       uint64          `json:"left,omitempty"`       // epoch of its goodbye, 0 without one
}

func (p *KnownPeer) validate() error {
	switch {
	case p.ID.IsZero():
		return errors.New("a peer has no id")
	case p.Heard.UTC().Year() < 1 || p.Heard.UTC().Year() > 9999:
		return fmt.Errorf("peer %s: the date has no written form (RFC 3339)", p.ID.Short())
	case len(p.Name) > maxPeerName:
		return fmt.Errorf("peer %s: the name has %d bytes, %d are allowed", p.ID.Short(), len(p.Name), maxPeerName)
	case len(p.Credential) > maxPeerCredential:
		return fmt.Errorf("peer %s: the credential has %d bytes, %d are allowed", p.ID.Short(), len(p.Credential), maxPeerCredential)
	}
	return nil
}

func (p *KnownPeer) clone() KnownPeer {
	c := *p
	c.Credential = append([]byte(nil), p.Credential...) // nil when empty, as from a file
	return c
}

// AddressBook remembers the peers a node has met, so that it finds back to them after a restart
// or a long partition. It is a pure core and not safe for concurrent use; the zero value is
// not usable, NewAddressBook makes one.
type AddressBook struct {
	peers map[micronet.NodeID]*KnownPeer
	list  []KnownPeer // of Peers, nil after a change
}

// NewAddressBook returns an empty book.
func NewAddressBook() *AddressBook {
	return &AddressBook{peers: make(map[micronet.NodeID]*KnownPeer)}
}

// Remember adds a peer or replaces what was known of it. A revoked peer stays revoked. An
// invalid peer is refused.
func (b *AddressBook) Remember(p KnownPeer) error {
	if err := p.validate(); err != nil {
		return micronet.E("gossip.addressbook", micronet.Invalid, "%w", err)
	}
	c := p.clone()
	c.Heard = c.Heard.UTC().Round(0) // the form in which it comes back from a file
	if old := b.peers[p.ID]; old != nil {
		c.Revoked = c.Revoked || old.Revoked
	}
	b.peers[p.ID], b.list = &c, nil
	if len(b.peers) > MaxPeers {
		delete(b.peers, b.oldest())
	}
	return nil
}

// oldest returns the peer that was heard longest ago.
func (b *AddressBook) oldest() micronet.NodeID {
	var found *KnownPeer
	for _, p := range b.peers {
		if found == nil || cmp.Or(p.Heard.Compare(found.Heard), p.ID.Compare(found.ID)) < 0 {
			found = p
		}
	}
	return found.ID
}

// Forget drops a peer: it left for good.
func (b *AddressBook) Forget(id micronet.NodeID) {
	delete(b.peers, id)
	b.list = nil
}

// Get returns a peer.
func (b *AddressBook) Get(id micronet.NodeID) (KnownPeer, bool) {
	p, ok := b.peers[id]
	if !ok {
		return KnownPeer{}, false
	}
	return p.clone(), true
}

// Peers returns all peers, sorted by id. The list is read-only, and stays what it is when the book
// changes.
func (b *AddressBook) Peers() []KnownPeer {
	if b.list != nil {
		return b.list
	}
	all := make([]KnownPeer, 0, len(b.peers))
	for _, id := range slices.SortedFunc(maps.Keys(b.peers), micronet.NodeID.Compare) {
		all = append(all, b.peers[id].clone())
	}
	b.list = all
	return all
}

// Expire drops the peers that were not heard for PeerKept, and returns how many. A time in the
// future, left by a clock that was wrong, counts as now.
func (b *AddressBook) Expire(wall time.Time) int {
	before := len(b.peers)
	b.list = nil
	for id, p := range b.peers {
		if p.Heard.After(wall) {
			p.Heard = wall.UTC().Round(0)
		}
		if wall.Sub(p.Heard) > PeerKept {
			delete(b.peers, id)
		}
	}
	return before - len(b.peers)
}

// bookFile is the JSON form. Unknown fields are skipped: a newer daemon may have written them.
type bookFile struct {
	Version int      `json:"version"`
	Peers   bookList `json:"peers"`
}

// MarshalJSON writes the book, sorted by id.
func (b *AddressBook) MarshalJSON() ([]byte, error) {
	return json.Marshal(bookFile{Version: bookVersion, Peers: b.Peers()})
}

// UnmarshalJSON reads what MarshalJSON wrote and replaces the content of the book. A file that
// is torn, too large, of another version or holds an invalid peer is refused as a whole.
func (b *AddressBook) UnmarshalJSON(data []byte) error {
	if len(data) > MaxBookBytes {
		return micronet.E("gossip.addressbook", micronet.Invalid, "%d bytes, %d are allowed", len(data), MaxBookBytes)
	}
	var f bookFile
	if err := json.Unmarshal(data, &f); err != nil {
		return micronet.E("gossip.addressbook", micronet.Invalid, "%w", err)
	}
	if f.Version != bookVersion {
		return micronet.E("gossip.addressbook", micronet.Invalid,
			"version %d, this software reads %d", f.Version, bookVersion)
	}
	read := NewAddressBook()
	for _, p := range f.Peers {
		if _, twice := read.peers[p.ID]; twice {
			return micronet.E("gossip.addressbook", micronet.Invalid, "peer %s is listed twice", p.ID.Short())
		}
		if err := read.Remember(p); err != nil {
			return err
		}
	}
	*b = *read
	return nil
}

// bookList decodes one peer at a time, so that a list that is too long ends early.
type bookList []KnownPeer

// UnmarshalJSON implements json.Unmarshaler.
func (l *bookList) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New("peers is no list"), err)
	}
	*l = nil
	for d.More() {
		if len(*l) >= MaxPeers {
			return fmt.Errorf("more than %d peers", MaxPeers)
		}
		var p KnownPeer
		if err := d.Decode(&p); err != nil {
			return err
		}
		*l = append(*l, p)
	}
	return nil
}
