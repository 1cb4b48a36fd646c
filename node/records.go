package node

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// wantQueue bounds the versions waiting to be fetched; beyond it the newest wish is dropped, as
// the next synchronisation finds the difference again.
const wantQueue = 256

// records is the catalog behind a lock, with what follows from its outcomes. Its methods are
// short and may be called from membership's goroutines.
type records struct {
	effects
	self  micronet.NodeID
	env   micronet.Env
	wants chan gossip.Want

	mu         sync.Mutex
	catalog    *gossip.Catalog
	divergence *gossip.Divergence
	synced     bool                          // synchronised once with somebody
	strangers  map[micronet.NodeID]time.Time // whose documents came before their certificates, and when
}

// strangerFor is how long the certificate of a document's owner may be behind.
const strangerFor = time.Minute

// maxStrangers bounds the owners that are remembered because their documents came too early; those of
// further ones are found by the next comparison.
const maxStrangers = 256

// effects are what the catalog asks for. None of them blocks.
type effects struct {
	spread  func(key string, msg []byte) // to all members
	changed func()                       // the view must be made anew
	behind  func()                       // others hold a newer record of this node than it does
	rival   func(*gossip.Document, time.Duration)
	lied    func(owner micronet.NodeID) // it signed two documents of one version
	jumped  func(owner micronet.NodeID) // its versions have left out more than it can have counted
}

var _ gossip.Store = (*records)(nil)

func newRecords(env micronet.Env, cfg gossip.CatalogConfig, e effects) *records {
	return &records{
		self: cfg.Self, env: env, effects: e, wants: make(chan gossip.Want, wantQueue), catalog: gossip.NewCatalog(cfg), divergence: gossip.NewDivergence(),
		strangers: map[micronet.NodeID]time.Time{},
	}
}

// do runs one call of the catalog and performs its outcome outside the lock.
func (r *records) do(f func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error)) error {
	out, err := r.call(f)
	r.perform(out)
	return err
}

// call does the part of do that needs the lock.
func (r *records) call(f func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error)) (gossip.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	out, err := f(r.catalog, time.Now())
	if out.Behind != (gossip.Version{}) {
		// Somebody holds a newer document of ours: our disk is older than our word, or our
		// identity lives twice. Going above it is the only way to be heard again.
		if out.Behind.Epoch >= r.catalog.Epoch() {
			err = errors.Join(err, r.catalog.Raise(out.Behind.Epoch+1))
		}
	}
	return out, err
}

func (r *records) perform(out gossip.Outcome) {
	if owner, ok := gossip.OwnerOf(out.Broadcast); ok {
		r.spread(owner.String(), out.Broadcast)
	}
	for _, w := range out.Fetch {
		select {
		case r.wants <- w:
		default:
			r.env.Events.PacketDropped(micronet.PacketDrop{Where: "catalog", Why: "fetch-queue-full", Peer: w.Owner})
		}
	}
	if len(out.Changed) > 0 {
		r.changed()
	}
	if out.Behind != (gossip.Version{}) {
		r.behind()
	}
	if !out.Jumped.IsZero() {
		r.jumped(out.Jumped)
	}
	if out.Rival != nil {
		r.rival(out.Rival, out.RivalAge)
	}
}

// publish announces what this node offers.
func (r *records) publish(d gossip.Document) error {
	return r.do(func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error) { return c.Publish(now, d) })
}

func (r *records) goodbye() error {
	return r.do(func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error) { return c.Goodbye(now) })
}

func (r *records) refresh() error {
	return r.do(func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error) { return c.Refresh(now) })
}

// outgrow goes above an epoch that others do not believe any more, and returns the new one, which counts
// from the next publication on. known says that others made it go above already, because they know a
// later one.
func (r *records) outgrow(above uint64) (epoch uint64, known bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known = r.catalog.Epoch() > above; !known {
		err = r.catalog.Raise(above + 1)
	}
	return r.catalog.Epoch(), known, err
}

// received takes a broadcast message of a member.
func (r *records) received(msg []byte) {
	err := r.do(func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error) { return c.Receive(now, msg) })
	r.refused(err)
}

func (r *records) refused(err error) {
	if err == nil {
		return
	}
	reason := gossip.ReasonOf(err)
	if e, ok := errors.AsType[*micronet.Error](err); ok && reason == gossip.ReasonUnadmitted {
		r.estrange(e.Peer)
	}
	if owner := gossip.BlamedFor(err); reason == gossip.ReasonEquivocation && owner != r.self {
		r.lied(owner)
	}
	r.env.Events.RecordRefused(micronet.RecordRefusal{Owner: gossip.BlamedFor(err), Reason: string(reason)})
}

// estrange remembers whose document came before its certificate.
func (r *records) estrange(owner micronet.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.strangers[owner]; !known && len(r.strangers) < maxStrangers {
		r.strangers[owner] = time.Now()
	}
}

// unvouched lists whose documents have come and not their certificates, for at least so long.
func (r *records) unvouched(age time.Duration) (out []micronet.NodeID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, since := range r.strangers {
		if time.Since(since) >= age {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, micronet.NodeID.Compare)
	return out
}

// admitted asks for the document of a node whose certificate has come, if it came before that.
func (r *records) admitted(owner micronet.NodeID) {
	if r.wasEarly(owner) {
		r.perform(gossip.Outcome{Fetch: []gossip.Want{{Owner: owner}}})
	}
}

// wasEarly reports whether a document of a node came before its certificate, and forgets that.
func (r *records) wasEarly(owner micronet.NodeID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, early := r.strangers[owner]
	delete(r.strangers, owner)
	return early
}

// Import takes a document that was fetched. It is spread no further, as whoever lacks it fetches
// it as well; only a goodbye is, because its owner is about to fall silent.
func (r *records) Import(document []byte) error {
	err := r.do(func(c *gossip.Catalog, now time.Time) (gossip.Outcome, error) {
		out, err := c.Import(now, document)
		if owner, ok := gossip.OwnerOf(document); ok {
			if e, held := c.Get(owner); !held || !e.Document.Left {
				out.Broadcast = nil
			}
		}
		return out, err
	})
	r.refused(err)
	return err
}

// Digest is what others compare their catalog with.
func (r *records) Digest() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.Digest(time.Now())
}

// fingerprint is the same where the same documents are held.
func (r *records) fingerprint() [sha256.Size]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.Fingerprint()
}

// diverges takes whether a peer holds the same, and reports whether to compare with it now.
func (r *records) diverges(now time.Time, id micronet.NodeID, same bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.divergence.Heard(now, id, same)
}

// compared tells how a comparison ended.
func (r *records) compared(id micronet.NodeID, moved bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.divergence.Compared(time.Now(), id, moved)
}

// Compare tells which documents to ask for and which to offer.
func (r *records) Compare(digest []byte) (want, offer []micronet.NodeID, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.Compare(time.Now(), digest)
}

// Document returns a document for sending.
func (r *records) Document(id micronet.NodeID) ([]byte, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.Document(time.Now(), id)
}

// lacks reports whether a version is still to be fetched. A wish without a version is for whatever
// the owner has.
func (r *records) lacks(w gossip.Want) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.catalog.Get(w.Owner)
	return !ok || w.Version == (gossip.Version{}) || e.Document.Version.Less(w.Version)
}

// merge compares a member's digest with what is held, and asks for what is missing.
func (r *records) merge(digest []byte) {
	want, _, err := r.Compare(digest)
	if err != nil {
		r.refused(err)
		return
	}
	var out gossip.Outcome
	for _, id := range want {
		out.Fetch = append(out.Fetch, gossip.Want{Owner: id})
	}
	r.perform(out)
}

// wanted drains the queue of wishes, of which first was the first, and returns the owners of those
// that nobody has fulfilled meanwhile, sorted.
func (r *records) wanted(first gossip.Want) (owners []micronet.NodeID) {
	for w := first; ; {
		if r.lacks(w) {
			owners = append(owners, w.Owner)
		}
		select {
		case w = <-r.wants:
		default:
			slices.SortFunc(owners, micronet.NodeID.Compare)
			return slices.Compact(owners)
		}
	}
}

// versions are those held of some owners, zero for none.
func (r *records) versions(owners []micronet.NodeID) []gossip.Version {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]gossip.Version, len(owners))
	for i, id := range owners {
		if e, ok := r.catalog.Get(id); ok {
			out[i] = e.Document.Version
		}
	}
	return out
}

// version is that held of an owner, zero for none.
func (r *records) version(owner micronet.NodeID) gossip.Version {
	return r.versions([]micronet.NodeID{owner})[0]
}

// drop forgets the record of an owner who may publish no more.
func (r *records) drop(owner micronet.NodeID) {
	r.mu.Lock()
	defer r.changed() // once the lock is given back, which is whatever happens
	defer r.mu.Unlock()
	r.catalog.Forget(owner)
}

// entries returns all documents held, sorted by owner.
func (r *records) entries() []gossip.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.All()
}

// rights are what owners show of their right to sign, by owner. Nothing of it was looked at.
func (r *records) rights() map[micronet.NodeID][]byte {
	out := map[micronet.NodeID][]byte{}
	entries := r.entries()
	for i := range entries {
		if d := &entries[i].Document; len(d.Right) > 0 {
			out[d.Owner] = d.Right
		}
	}
	return out
}

// expire forgets the records of nodes that have not been alive for long, and returns whose.
func (r *records) expire(alive func(micronet.NodeID) bool) []micronet.NodeID {
	r.mu.Lock()
	gone := r.catalog.Expire(time.Now(), alive)
	r.divergence.Expire(time.Now())
	waiting := len(r.strangers)
	maps.DeleteFunc(r.strangers, func(_ micronet.NodeID, since time.Time) bool { return time.Since(since) >= strangerFor })
	lost := waiting - len(r.strangers)
	r.mu.Unlock()
	if lost > 0 {
		r.env.Log.Warn("records came of nodes that are no members; they are not used", "count", lost)
	}
	if len(gone) > 0 {
		r.changed()
	}
	return gone
}

// epoch is the one in which this node publishes.
func (r *records) epoch() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.Epoch()
}

func (r *records) stats() gossip.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.catalog.Stats(time.Now())
}

func (r *records) setSynced() {
	r.mu.Lock()
	first := !r.synced
	r.synced = true
	r.mu.Unlock()
	if first {
		r.changed()
	}
}

func (r *records) isSynced() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.synced
}
