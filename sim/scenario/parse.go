package scenario

import "time"

const (
	// maxEntries bounds the links, services, traffic and expectations of a scenario, each.
	maxEntries = 1000
	// maxGroups bounds its groups.
	maxGroups = 200
)

// Parse reads a scenario file. name is what mistakes call it. The error joins up to 20 *Mistake
// in the order of the file; its kind is micronet.Invalid.
func Parse(name string, data []byte) (*Scenario, error) {
	root, m := parseTree(name, data)
	if m != nil {
		return nil, m
	}
	r := newReader(name)
	r.read(root)
	if err := r.err(); err != nil {
		return nil, err
	}
	return r.s, nil
}

func newReader(name string) *reader {
	return &reader{
		s:     &Scenario{File: name, Fidelity: Full, Relay: RelayAuto, TCP: TCPAuto, Network: Link{ICMP: true}},
		verbs: verbs(), conds: conditions(), later: map[string]*value{},
	}
}

// read reads what the parts need that refer to others, then those.
func (r *reader) read(root *value) {
	r.object(root, r.head(), "name", "duration")
	r.groups(root)
	r.each(r.later["links"], maxEntries, r.link)
	n := len(r.list)
	r.each(r.later["services"], maxEntries, r.service)
	r.servicesBroken = len(r.list) > n
	r.ports()
	r.each(r.later["traffic"], maxEntries, r.traffic)
	r.timeline(r.later["timeline"])
	r.each(r.later["expect"], maxEntries, r.expectation)
	if !r.groupsBroken {
		r.checkUses()
	}
}

// head is the keys of a scenario.
func (r *reader) head() fields {
	out := fields{
		"name":     into(r, &r.s.Name, (*value).lineText),
		"about":    into(r, &r.s.About, (*value).about),
		"fidelity": into(r, &r.s.Fidelity, oneOf(Full, Gossip)),
		"relay":    into(r, &r.s.Relay, oneOf(RelayAuto, RelayOn, RelayOff)),
		"tcp":      into(r, &r.s.TCP, oneOf(TCPAuto, TCPOff)),
		"network":  func(v *value) { r.object(v, r.linkFields(&r.s.Network)) },
		"duration": into(r, &r.s.Duration, (*value).positive),
	}
	for _, part := range []string{"nodes", "groups", "links", "services", "traffic", "timeline", "expect"} {
		out[part] = func(v *value) { r.later[part] = v }
	}
	return out
}

// end is the last moment of the scenario, as far as it is known.
func (r *reader) end() time.Duration {
	if r.s.Duration == 0 {
		return maxTime
	}
	return r.s.Duration
}

// moment reads a time within the scenario.
func (r *reader) moment(v *value) (time.Duration, *Mistake) {
	at, m := v.duration()
	if m == nil && at > r.end() {
		m = v.mistake("make duration longer", "%s is after the end, at %s", at, r.end())
	}
	return at, m
}
