package gossip

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	micronet "github.com/micro/micro-net"
)

// Receive takes a broadcast message: a document, a delta or an announcement. The slice is only
// used during the call. On an error nothing held has changed; ReasonOf tells the rule.
func (c *Catalog) Receive(now time.Time, msg []byte) (Outcome, error) {
	out, err := c.receive(now, msg)
	if reason := ReasonOf(err); reason != "" {
		c.refused[reason]++
	}
	return out, err
}

// Import takes a full document from another catalog or from disk. Its age goes on from the one
// in the message; who loads it from disk passes the time at which it was stored.
func (c *Catalog) Import(now time.Time, raw []byte) (Outcome, error) {
	if len(raw) > 0 && kind(raw[0]) != kindFull {
		err := refuse(micronet.NodeID{}, ReasonMalformed, "type %d of the message is not a full document", raw[0])
		c.refused[ReasonMalformed]++
		return Outcome{}, err
	}
	return c.Receive(now, raw)
}

// receive goes from cheap checks to dear ones. Nothing is remembered of an owner before its
// signature was verified.
func (c *Catalog) receive(now time.Time, raw []byte) (Outcome, error) {
	m, err := c.parse(raw)
	if err != nil {
		return Outcome{}, err
	}
	if m.owner == c.cfg.Self {
		return c.receiveOwn(&m)
	}
	o := c.origins[m.owner]
	if o == nil {
		o = newOrigin()
	}
	if c.old(o, &m.signedHeader) {
		return Outcome{}, nil
	}
	if err := c.authorise(now, o, &m); err != nil {
		return Outcome{}, err
	}
	return c.takeOver(now, &m)
}

func (c *Catalog) parse(raw []byte) (message, error) {
	if len(raw) > c.limits.MaxDocument {
		return message{}, refuse(micronet.NodeID{}, ReasonTooLarge, "a message of %d bytes, at most %d are allowed", len(raw), c.limits.MaxDocument)
	}
	m, err := parseMessage(raw)
	switch {
	case errors.Is(err, errFormat):
		return message{}, refuse(micronet.NodeID{}, ReasonFormat, "%w", err)
	case err != nil:
		return message{}, refuse(micronet.NodeID{}, ReasonMalformed, "%w", err)
	}
	if m.cluster != c.cfg.Cluster {
		return message{}, refuse(m.owner, ReasonForeign, "it belongs to cluster %x", m.cluster)
	}
	if err := m.header.check(); err != nil {
		return message{}, refuse(m.owner, ReasonVersion, "%w", err)
	}
	return m, nil
}

// old reports, and counts, that the header brings nothing.
func (c *Catalog) old(o *origin, s *signedHeader) bool {
	switch {
	case s.version.Less(o.signed.version):
		c.stats.Stale++
	case o.held && s.sameHeader(o.signed), s.version == o.skipped:
		c.stats.Duplicates++
	default:
		return false
	}
	return true
}

// authorise decides whether the owner may be heard and did sign the header, and finds
// equivocations.
func (c *Catalog) authorise(now time.Time, o *origin, m *message) error {
	if now.Before(o.quarantine) {
		return refuse(m.owner, ReasonQuarantine, "its updates are ignored for %v more: %s", o.quarantine.Sub(now), o.reason)
	}
	if err := c.cfg.Admit(m.owner); err != nil {
		return refuse(m.owner, ReasonUnadmitted, "%w", err)
	}
	if m.raw != o.known.raw && !m.verify() {
		return refuse(m.owner, ReasonSignature, "the signature is not the owner's")
	}
	for _, s := range []*signedHeader{o.signed, o.known} {
		if s.version == m.version && !s.sameHeader(&m.signedHeader) {
			o.conflict, c.list = m.version, nil
			return refuse(m.owner, ReasonEquivocation, "version %d.%d was signed twice with other items", m.version.Epoch, m.version.Seq)
		}
	}
	return nil
}

// receiveOwn looks at what others say is ours. A forger must not make us raise our epoch.
func (c *Catalog) receiveOwn(m *message) (Outcome, error) {
	own := c.own()
	if m.version == c.rival && m.kind == kindFull && !m.sameHeader(own.signed) && m.verify() {
		var out Outcome
		c.rivalOf(m, &out)
		return out, nil
	}
	if !c.newerThanOwn(m.version) && (m.version != own.signed.version || m.sameHeader(own.signed)) {
		c.stats.Duplicates++
		return Outcome{}, nil
	}
	if !m.verify() {
		return Outcome{}, refuse(m.owner, ReasonSignature, "it is said to be our own, with a wrong signature")
	}
	var out Outcome
	if m.version == own.signed.version {
		own.conflict, c.list = m.version, nil
		if m.version.Epoch >= c.epoch { // else we are on the way above it already
			out.Behind = m.version
			c.rivalOf(m, &out)
		}
		return out, refuse(m.owner, ReasonEquivocation,
			"version %d.%d of our own document was signed twice: this identity lives twice, or lost its state", m.version.Epoch, m.version.Seq)
	}
	out.Behind = m.version
	c.rivalOf(m, &out)
	return out, nil
}

// rivalOf adds the document of a message in our name that is not ours, or asks for it.
func (c *Catalog) rivalOf(m *message, out *Outcome) {
	c.rival = Version{}
	if m.kind != kindFull || hashBody(m.body) != m.hash {
		c.rival = m.version
		out.Fetch = append(out.Fetch, Want{Owner: c.cfg.Self})
		return
	}
	if d, err := c.decodeFor(m.owner, m.version, m.left, bytes.Clone(m.body), m.count); err == nil {
		out.Rival, out.RivalAge = &d, m.age
	}
}

// newerThanOwn reports whether v is beyond what we have published or are about to.
func (c *Catalog) newerThanOwn(v Version) bool {
	last := c.own().signed.version
	if last.Epoch < c.epoch {
		last = Version{Epoch: c.epoch}
	}
	return last.Less(v)
}

// takeOver handles a header that is genuine and newer than what is held. The owner's budget is
// spent once per version and last, so that nobody can use it up by repeating what it signed.
func (c *Catalog) takeOver(now time.Time, m *message) (Outcome, error) {
	if m.age > 0 && c.outlived(now, now.Add(-m.age), m.left) {
		c.stats.Stale++
		return Outcome{}, nil
	}
	body, err := c.items(m)
	if err != nil {
		return Outcome{}, err
	}
	o, ok := c.ensure(now, m.owner)
	if !ok {
		return Outcome{}, refuse(m.owner, ReasonFull, "the catalog holds %d nodes already", len(c.ids))
	}
	if body == nil && !o.known.version.Less(m.version) {
		c.stats.Duplicates++
		return Outcome{}, nil
	}
	if err := c.room(o, m.owner, body); err != nil {
		return Outcome{}, err
	}
	first := o.known.version != m.version
	if first {
		if err := c.spend(now, o, m.owner); err != nil {
			return Outcome{}, err
		}
	}
	if o.known.version.Less(m.version) {
		known := m.signedHeader
		o.known = &known
	}
	if body == nil {
		return c.want(m), nil
	}
	if c.completes(o, m, body) {
		m.signedHeader = *o.known
	}
	return c.accept(now, o, m, body, first)
}

// completes reports whether the items of an older version are those of the newer one that was
// announced.
func (c *Catalog) completes(o *origin, m *message, body []byte) bool {
	k := o.known
	if !m.version.Less(k.version) || !o.pending() || k.hash != m.hash || k.count != m.count {
		return false
	}
	_, err := c.decodeFor(k.owner, k.version, k.left, body, k.count)
	return err == nil
}

// room checks the bounds in bytes.
func (c *Catalog) room(o *origin, owner micronet.NodeID, body []byte) error {
	if n := fullOverhead + len(body); n > c.limits.MaxDocument {
		return refuse(owner, ReasonTooLarge, "the document has %d bytes, at most %d are allowed", n, c.limits.MaxDocument)
	}
	if n := c.stats.Bytes + int64(len(body)-len(o.body)); body != nil && n > c.limits.MaxTotal {
		return refuse(owner, ReasonFull, "all documents would have %d bytes, at most %d are allowed", n, c.limits.MaxTotal)
	}
	return nil
}

// spend uses one update of the owner's budget, or puts it into quarantine.
func (c *Catalog) spend(now time.Time, o *origin, owner micronet.NodeID) error {
	if o.budget.take(now, c.limits.Rate, c.limits.Burst) {
		if o.reason != "" {
			o.reason, c.list = "", nil
		}
		return nil
	}
	o.quarantine, o.reason, c.list = now.Add(c.limits.Quarantine), ReasonRate, nil
	return refuse(owner, ReasonRate, "more than %g updates a second", c.limits.Rate)
}

// items returns the canonical list that the header was signed for, nil when it must be fetched.
// A document with other items is refused; a delta that does not fit only lacks its base, or was
// altered on the way while its header was not.
func (c *Catalog) items(m *message) ([]byte, error) {
	var held []byte
	o := c.origins[m.owner]
	if o != nil && o.held {
		held = o.body
		if o.signed.hash == m.hash && o.signed.count == m.count {
			m.kind = kindAnnounce // whatever else it carries was not checked
			return nonNil(held), nil
		}
	}
	switch {
	case m.kind == kindFull && hashBody(m.body) != m.hash:
		return nil, refuse(m.owner, ReasonHash, "the items are not those that were signed")
	case m.kind == kindFull:
		return nonNil(bytes.Clone(m.body)), nil
	case m.kind == kindDelta && o != nil && o.held && !o.signed.version.Less(m.base):
		old, err := parseBody(held, o.signed.count)
		if err != nil {
			return nil, refuse(m.owner, ReasonContent, "%w", err)
		}
		if body := appendItems(nil, m.apply(old)); hashBody(body) == m.hash {
			return nonNil(body), nil
		}
	}
	return nil, nil
}

// nonNil tells an empty list of items from none.
func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// want passes on that a version exists whose items are not here. What did not fit here is not
// passed on.
func (c *Catalog) want(m *message) Outcome {
	c.stats.Announced++
	return Outcome{
		Broadcast: encodeAnnounce(&m.signedHeader),
		Fetch:     []Want{{Owner: m.owner, Version: m.version}},
	}
}

// accept takes a document over. A delta is passed on even if its header was announced before:
// it saves others from fetching.
func (c *Catalog) accept(now time.Time, o *origin, m *message, body []byte, first bool) (Outcome, error) {
	d, err := c.decodeFor(m.owner, m.version, m.left, body, m.count)
	if err != nil {
		o.skipped = m.version
		reason := ReasonContent
		if r, ok := errors.AsType[*refusal](err); ok {
			reason = r.reason
		}
		return Outcome{}, refuse(m.owner, reason, "%w", err)
	}
	var out Outcome
	if o.held && !m.left && jumps(o.signed.version, m.version) {
		c.stats.Jumps++
		out.Jumped = m.owner
	}
	if c.hold(o, m.signedHeader, body, d, now, now.Add(-m.age)) {
		out.Changed = []micronet.NodeID{m.owner}
	}
	if first || m.kind == kindDelta {
		out.Broadcast = c.passOn(m, body)
	}
	return out, nil
}

// passOn is the message by which others learn of a document that was taken over.
func (c *Catalog) passOn(m *message, body []byte) []byte {
	switch {
	case fullOverhead+len(body) <= MaxBroadcast:
		return encodeFull(uint32(m.age/time.Second), &m.signedHeader, body)
	case m.kind == kindDelta:
		if msg := encodeDelta(&m.signedHeader, &m.delta); len(msg) <= MaxBroadcast {
			return msg
		}
	}
	return encodeAnnounce(&m.signedHeader)
}

// decode reads items. A fault of the codec must cost the record that brings it out and not the daemon: all
// others get the same record, and would be lost with this one.
func (c *Catalog) decode(owner micronet.NodeID, v Version, left bool, items []Item) (d Document, err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = &refusal{reason: ReasonPoison, err: fmt.Errorf("the codec failed: %v", fault)}
		}
	}()
	return c.cfg.Codec.Decode(owner, v, left, items)
}

// decodeFor reads a canonical list of items as a document of owner.
func (c *Catalog) decodeFor(owner micronet.NodeID, v Version, left bool, body []byte, count uint32) (Document, error) {
	items, err := parseBody(body, count)
	if err != nil {
		return Document{}, err
	}
	d, err := c.decode(owner, v, left, items)
	if err == nil && left && len(d.Instances) > 0 {
		err = fmt.Errorf("a goodbye with %d instances", len(d.Instances))
	}
	d.Owner, d.Version, d.Left = owner, v, left
	return d, err
}
