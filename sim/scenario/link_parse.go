package scenario

import "time"

// link reads one entry of links.
func (r *reader) link(v *value) {
	l := LinkRule{Line: v.line}
	if r.linkRule(v, &l) {
		r.s.Links = append(r.s.Links, l)
	}
}

// linkRule reads who is meant, and how their paths are.
func (r *reader) linkRule(v *value, l *LinkRule) bool {
	return r.object(v, r.linkRuleFields(l), "from", "to") && r.says(v, &l.Link)
}

// says demands that the file says something of the link.
func (r *reader) says(v *value, l *Link) bool {
	if l.IsZero() {
		r.fail(v.mistake("add a key like latency: 100ms", "it says nothing of the link"))
		return false
	}
	return true
}

func (r *reader) linkRuleFields(l *LinkRule) fields {
	out := r.linkFields(&l.Link)
	out["from"] = r.nodes(&l.From)
	out["to"] = r.nodes(&l.To)
	out["both"] = into(r, &l.Both, (*value).boolean)
	return out
}

// linkFields are the keys of a Link.
func (r *reader) linkFields(l *Link) fields {
	return fields{
		"latency":   named(l, namedLatency, into(r, &l.Latency, (*value).latency)),
		"jitter":    named(l, namedJitter, into(r, &l.Jitter, (*value).latency)),
		"loss":      named(l, namedLoss, into(r, &l.Loss, (*value).share)),
		"udp_loss":  named(l, namedUDPLoss, into(r, &l.UDPLoss, (*value).share)),
		"burst":     named(l, namedBurst, func(v *value) { r.burst(v, &l.Burst) }),
		"duplicate": named(l, namedDuplicate, into(r, &l.Duplicate, (*value).share)),
		"reorder":   named(l, namedReorder, into(r, &l.Reorder, (*value).share)),
		"corrupt":   named(l, namedCorrupt, into(r, &l.Corrupt, (*value).share)),
		"bandwidth": named(l, namedBandwidth, into(r, &l.Bandwidth, (*value).bandwidth)),
		"queue":     named(l, namedQueue, into(r, &l.Queue, (*value).size)),
		"mtu":       named(l, namedMTU, into(r, &l.MTU, within(minMTU, maxMTU))),
		"icmp":      named(l, namedICMP, into(r, &l.ICMP, (*value).boolean)),
		"drops":     named(l, namedDrops, into(r, &l.Drops, content)),
	}
}

// noContent is how files write AnyContent.
const noContent Content = "nothing"

func content(v *value) (Content, *Mistake) {
	kind, m := oneOf(noContent, QUIC, CarriedQUIC)(v)
	if kind == noContent {
		return AnyContent, m
	}
	return kind, m
}

const (
	minMTU = 576   // what every host takes (RFC 791)
	maxMTU = 65535 // what IP can carry
	// maxLatency bounds latency and jitter: more would be a partition.
	maxLatency = time.Minute
)

func named(l *Link, key linkKeys, set setter) setter {
	return func(v *value) {
		l.named |= key
		set(v)
	}
}

func (v *value) latency() (time.Duration, *Mistake) {
	d, m := v.duration()
	if m == nil && d > maxLatency {
		m = v.mistake("", "%s is out of bounds: want at most %s", d, maxLatency)
	}
	return d, m
}

// burst reads a mapping, or 0 for none.
func (r *reader) burst(v *value, b *Burst) {
	if v.kind == number && v.raw == "0" {
		return
	}
	b.Loss = 1
	if !r.object(v, r.burstFields(b), "share", "length") {
		return
	}
	if b.Share >= 1 {
		r.fail(v.mistake("use loss", "a burst that never ends"))
	}
}

func (r *reader) burstFields(b *Burst) fields {
	return fields{
		"share":  into(r, &b.Share, (*value).share),
		"length": into(r, &b.Length, (*value).positive),
		"loss":   into(r, &b.Loss, (*value).share),
	}
}
