package gossip

import (
	"bytes"
	"crypto/ed25519"
	"time"

	micronet "github.com/micro/micro-net"
)

// Publish makes d the document of this node and returns what to broadcast. Owner, Version and
// Left of d are set here. Nothing happens when the items are those already published in this
// epoch. Others quarantine an owner that publishes more often than Limits.Rate: callers gather
// changes for a moment.
func (c *Catalog) Publish(now time.Time, d Document) (Outcome, error) {
	d.Left = false
	items, err := c.encodeOwn(d)
	if err != nil {
		return Outcome{}, err
	}
	own := c.own()
	if own.signed.version.Epoch == c.epoch && !own.signed.left && bytes.Equal(own.body, appendItems(nil, items)) {
		return Outcome{}, nil
	}
	return c.publish(now, d, items)
}

// Refresh publishes the same items under the next sequence: a sign of life that others take over
// without fetching, and by which they know that what they hold is still true. It does nothing
// before the first Publish and after a Goodbye.
func (c *Catalog) Refresh(now time.Time) (Outcome, error) {
	own := c.own()
	if !own.held || own.signed.left {
		return Outcome{}, nil
	}
	items, err := c.encodeOwn(own.document)
	if err != nil {
		return Outcome{}, err
	}
	return c.publish(now, own.document, items)
}

// Goodbye publishes the last document of this epoch: the node without its instances, marked as
// left. Publish is refused afterwards until Raise. Before the first Publish there is nobody to
// say goodbye for, and nothing happens.
func (c *Catalog) Goodbye(now time.Time) (Outcome, error) {
	own := c.own()
	if !own.held || own.signed.left {
		return Outcome{}, nil
	}
	d := own.document
	d.Left, d.Instances = true, nil
	items, err := c.encodeOwn(d)
	if err != nil {
		return Outcome{}, err
	}
	return c.publish(now, d, items)
}

// Raise begins a new epoch, which must be above the present one. It takes effect with the next
// Publish.
func (c *Catalog) Raise(epoch uint64) error {
	if epoch <= c.epoch || epoch > MaxEpoch {
		return micronet.E("catalog.raise", micronet.Invalid, "epoch %d does not follow %d", epoch, c.epoch)
	}
	c.epoch = epoch
	return nil
}

// own returns the origin of this node, an empty one before the first Publish.
func (c *Catalog) own() *origin {
	if o := c.origins[c.cfg.Self]; o != nil {
		return o
	}
	return newOrigin()
}

func (c *Catalog) encodeOwn(d Document) ([]Item, error) {
	const op = "catalog.publish"
	key := c.cfg.Key
	if len(key) != ed25519.PrivateKeySize || !bytes.Equal(key[ed25519.SeedSize:], c.cfg.Self[:]) {
		return nil, micronet.E(op, micronet.Refused, "the node has no key to sign with").WithFix("join a cluster first")
	}
	if c.epoch == 0 || c.epoch > MaxEpoch {
		return nil, micronet.E(op, micronet.Invalid, "epoch %d is out of range", c.epoch)
	}
	items, err := c.cfg.Codec.Encode(d)
	if err == nil {
		err = checkItems(items)
	}
	if err != nil {
		return nil, &micronet.Error{Op: op, Kind: micronet.Invalid, Err: err}
	}
	return items, nil
}

// publish signs items under the next version, takes them over here and returns the message for
// the others.
func (c *Catalog) publish(now time.Time, d Document, items []Item) (Outcome, error) {
	v, err := c.nextVersion(d.Left)
	if err != nil {
		return Outcome{}, err
	}
	body := appendItems(nil, items)
	if fullOverhead+len(body) > c.limits.MaxDocument {
		return Outcome{}, micronet.E("catalog.publish", micronet.Invalid, "the node's document has %d bytes, at most %d are allowed",
			fullOverhead+len(body), c.limits.MaxDocument).WithFix("announce fewer instances, tags or meta values")
	}
	// What others will read is kept, and not what was given: values they would refuse end here.
	if d, err = c.decodeFor(c.cfg.Self, v, d.Left, body, uint32(len(items))); err != nil {
		return Outcome{}, &micronet.Error{Op: "catalog.publish", Kind: micronet.Invalid, Err: err}
	}
	o, ok := c.ensure(now, c.cfg.Self)
	if !ok {
		return Outcome{}, micronet.E("catalog.publish", micronet.Overloaded, "the catalog is full: %d nodes", len(c.ids))
	}
	s := sign(c.cfg.Key, header{
		cluster: c.cfg.Cluster, owner: c.cfg.Self, version: v, left: d.Left,
		count: uint32(len(items)), hash: hashBody(body),
	})
	out := Outcome{Broadcast: c.recent.publish(now, &s, items, body)}
	if c.hold(o, s, body, d, now, now) {
		out.Changed = []micronet.NodeID{c.cfg.Self}
	}
	return out, nil
}

// nextVersion is the version after the last one of ours.
func (c *Catalog) nextVersion(left bool) (Version, error) {
	last := c.own().signed
	if last.left && last.version.Epoch == c.epoch {
		return Version{}, micronet.E("catalog.publish", micronet.Refused, "the node said goodbye in epoch %d", c.epoch).
			WithFix("raise the epoch first")
	}
	v := Version{Epoch: c.epoch, Seq: 1}
	if last.version.Epoch == c.epoch {
		v.Seq = last.version.Seq + 1
	}
	if left {
		v.Seq = LastSeq
	}
	return v, nil
}
