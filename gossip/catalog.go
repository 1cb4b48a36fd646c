package gossip

import (
	"crypto/ed25519"
	"crypto/sha256"
	"maps"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// CatalogConfig is what a Catalog is made from.
type CatalogConfig struct {
	Self    micronet.NodeID
	Epoch   uint64             // of this start: 1 to MaxEpoch, above that of every earlier start
	Key     ed25519.PrivateKey // of Self; nil: Publish and Goodbye are refused
	Cluster [16]byte           // documents of other clusters are refused
	Codec   Codec
	Limits  Limits
	// Admit says whether owner is a member. It is asked before any signature is checked, must be
	// quick, and must not call the catalog. nil: everybody is.
	Admit func(owner micronet.NodeID) error
}

// Catalog holds the newest document of each node. It is a pure core: it reads no clock, starts no
// goroutine, does no I/O, and is not safe for concurrent use. Its user holds one lock around each call.
//
// Of two documents of one owner the one with the newer Version stays, whatever the order or
// number of arrivals: catalogs that heard the same are equal. Two documents of the same version
// are an equivocation; the first stays.
//
//	          newer header                       items that fit the signed hash
//	unknown ────────────────▶ known (Wanted) ────────────────────────────────────▶ held
//	   ▲                          │ items against the rules: skipped until newer     │
//	   └──────────────────────────┴────────── Forget, Expire ────────────────────────┘
type Catalog struct {
	// constant
	cfg    CatalogConfig
	limits Limits

	epoch   uint64
	origins map[micronet.NodeID]*origin
	ids     []micronet.NodeID // keys of origins, sorted
	recent  history
	rival   Version           // of our own, not published here, and its document was not seen yet
	stats   Stats             // the counters; the rest is computed
	sum     [sha256.Size]byte // of all that is held, when summed
	summed  bool
	list    []Entry // of All, nil after a change
	refused map[Reason]uint64
}

// origin is all that is known of one owner.
type origin struct {
	held      bool          // signed, body and document are set
	signed    *signedHeader // of the document held; never changed, only replaced
	body      []byte        // its canonical list of items
	document  Document
	received  time.Time
	confirmed time.Time

	known      *signedHeader // the newest header received: the held one, or a newer; as signed
	skipped    Version       // last version whose items broke the rules; not asked for again
	conflict   Version       // version of which a second document was seen
	budget     tokenBucket
	quarantine time.Time // end of it
	reason     Reason    // of the quarantine
}

// newOrigin is a node of which nothing was received.
func newOrigin() *origin {
	none := new(signedHeader)
	return &origin{signed: none, known: none}
}

// Entry is one document as this node holds it. Everything in it is read-only.
type Entry struct {
	Document  Document
	Received  time.Time // when this version arrived here
	Confirmed time.Time // newest proof or report that the owner's version was still this one
	Conflict  bool      // its owner signed another document of the same version
	// Quarantined is the end of the time in which the owner's updates are ignored, zero for none.
	Quarantined time.Time
	Reason      Reason // of the quarantine
}

// Want is a version that is known to exist and whose items are not held.
type Want struct {
	Owner   micronet.NodeID
	Version Version
}

// Outcome is what a call changed, and what its user is asked to do.
type Outcome struct {
	Changed []micronet.NodeID // documents with other items, epoch or Left than before; sorted
	// Broadcast is a message of at most MaxBroadcast bytes to spread to all members, nil for none.
	// A newer message may replace a waiting one of the same owner. Import returns one too; who is
	// catching up with a whole catalog need not spread it.
	Broadcast []byte
	Fetch     []Want // to be fetched now, or a moment later if Wanted still lists them
	// Behind is a version of our own document that is newer than ours, or another one of the same
	// version: our state was lost, or our identity lives twice. The remedy is Raise to an epoch
	// above it, then Publish. Zero: we are not behind.
	Behind Version
	// Rival is the document that came with Behind, or was fetched for it, and RivalAge how long its
	// signer was last heard to confirm it; nil when it is not here.
	Rival    *Document
	RivalAge time.Duration
	// Jumped is whose versions have left out more than any honest node counts meanwhile; zero: nobody's. The document
	// was taken over: its owner signed it.
	Jumped micronet.NodeID
}

// NewCatalog returns an empty catalog.
func NewCatalog(cfg CatalogConfig) *Catalog {
	if cfg.Admit == nil {
		cfg.Admit = func(micronet.NodeID) error { return nil }
	}
	return &Catalog{
		cfg:     cfg,
		limits:  cfg.Limits.EnsureDefaults(),
		epoch:   cfg.Epoch,
		origins: map[micronet.NodeID]*origin{},
		refused: map[Reason]uint64{},
	}
}

// Epoch returns the epoch in which this node publishes.
func (c *Catalog) Epoch() uint64 { return c.epoch }

// Get returns the document held of a node.
func (c *Catalog) Get(id micronet.NodeID) (Entry, bool) {
	o := c.origins[id]
	if o == nil || !o.held {
		return Entry{}, false
	}
	return o.entry(), true
}

// All returns the documents held, sorted by owner. The list is read-only, and stays what it is when
// the catalog changes.
func (c *Catalog) All() []Entry {
	if c.list == nil {
		c.list = make([]Entry, 0, len(c.ids))
		for _, id := range c.ids {
			if o := c.origins[id]; o.held {
				c.list = append(c.list, o.entry())
			}
		}
	}
	return c.list
}

func (o *origin) entry() Entry {
	e := Entry{
		Document: o.document, Received: o.received, Confirmed: o.confirmed,
		Conflict: o.conflict == o.signed.version,
	}
	if o.reason != "" {
		e.Quarantined, e.Reason = o.quarantine, o.reason
	}
	return e
}

// Wanted lists the versions that are known to exist and are not held, sorted by owner.
func (c *Catalog) Wanted() []Want {
	var out []Want
	for _, id := range c.ids {
		if o := c.origins[id]; o.pending() {
			out = append(out, Want{Owner: id, Version: o.known.version})
		}
	}
	return out
}

// pending reports whether a newer version than the held one is known and worth fetching.
func (o *origin) pending() bool {
	return o.signed.version.Less(o.known.version) && o.skipped != o.known.version
}

// Document returns the full message of a held document: what Import takes, signed by its owner,
// with its age.
func (c *Catalog) Document(now time.Time, id micronet.NodeID) ([]byte, bool) {
	o := c.origins[id]
	if o == nil || !o.held {
		return nil, false
	}
	return encodeFull(c.age(now, o), o.signed, o.body), true
}

// age is what is told to others: nothing for our own document, as nobody knows it better.
func (c *Catalog) age(now time.Time, o *origin) uint32 {
	if o.signed.owner == c.cfg.Self {
		return 0
	}
	return wireAge(now.Sub(o.confirmed))
}

// Stats returns the counters and sizes.
func (c *Catalog) Stats(now time.Time) Stats {
	s := c.stats
	s.Refused = maps.Clone(c.refused)
	for _, o := range c.origins {
		if o.held {
			s.Documents++
			s.Instances += len(o.document.Instances)
		}
		if o.pending() {
			s.Pending++
		}
		if now.Before(o.quarantine) {
			s.Quarantined++
		}
	}
	return s
}

// Forget drops all that is known of a node. Whoever still holds its document can bring it back,
// unless Admit refuses it.
func (c *Catalog) Forget(id micronet.NodeID) {
	o := c.origins[id]
	if o == nil {
		return
	}
	c.stats.Bytes -= int64(len(o.body))
	c.summed, c.list = false, nil
	delete(c.origins, id)
	if i, ok := slices.BinarySearchFunc(c.ids, id, compareIDs); ok {
		c.ids = slices.Delete(c.ids, i, i+1)
	}
}

// Expire forgets the nodes that are not alive and whose document nobody has seen confirmed for
// Limits.Keep, and returns them sorted. Everybody reckons with the same age, so that a document
// that one node expired does not come back from another.
func (c *Catalog) Expire(now time.Time, alive func(micronet.NodeID) bool) []micronet.NodeID {
	var gone []micronet.NodeID
	for _, id := range c.ids {
		o := c.origins[id]
		if id != c.cfg.Self && c.outlived(now, o.confirmed, o.signed.left) && !alive(id) {
			gone = append(gone, id)
		}
	}
	for _, id := range gone {
		c.Forget(id)
	}
	return gone
}

// outlived reports whether a document has been confirmed by nobody for so long that it is forgotten. A goodbye
// is kept longer than what came before it, so that nobody who still holds that can bring it back.
func (c *Catalog) outlived(now, confirmed time.Time, left bool) bool {
	keep := c.limits.Keep
	if left {
		keep += keep / 3
	}
	return now.Sub(confirmed) >= keep
}

// ensure returns the origin of id, made if there is room for it.
func (c *Catalog) ensure(now time.Time, id micronet.NodeID) (*origin, bool) {
	if o := c.origins[id]; o != nil {
		return o, true
	}
	if len(c.ids) >= c.limits.MaxDocuments {
		return nil, false
	}
	o := newOrigin()
	o.confirmed = now
	c.origins[id] = o
	i, _ := slices.BinarySearchFunc(c.ids, id, compareIDs)
	c.ids = slices.Insert(c.ids, i, id)
	return o, true
}

// hold replaces the document of an origin and reports whether anything but its sequence changed.
func (c *Catalog) hold(o *origin, s signedHeader, body []byte, d Document, now, confirmed time.Time) bool {
	changed := !o.held || o.signed.hash != s.hash || o.signed.left != s.left ||
		o.signed.version.Epoch != s.version.Epoch
	c.stats.Bytes += int64(len(body) - len(o.body))
	c.stats.Accepted++
	c.summed, c.list = false, nil
	o.held, o.body, o.document = true, body, d
	o.signed = o.known // mostly it is the newest
	if s.raw != o.known.raw {
		other := s
		o.signed = &other
	}
	o.received, o.confirmed = now, confirmed
	return changed
}
