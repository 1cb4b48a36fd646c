package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// grantTime bounds what the founder takes to say who may offer what.
const grantTime = time.Second

// grantOn lets machines offer a service, and makes grants count.
func (m *mesh) grantOn(service string, on []*machine) (undo func()) {
	if m.granted == nil {
		m.granted = map[*machine][]string{}
	}
	for _, x := range on {
		m.granted[x] = append(m.granted[x], service)
		m.tellNames(x.name, func(founder *machine) error {
			ctx, cancel := timeout(grantTime)
			defer cancel()
			return founder.life.node.GrantNames(ctx, x.name, m.granted[x]...)
		})
	}
	m.setNames(true)
	return func() { m.setNames(false) }
}

func (m *mesh) setNames(granted bool) {
	m.tellNames("", func(founder *machine) error {
		ctx, cancel := timeout(grantTime)
		defer cancel()
		return founder.life.node.SetNames(ctx, granted)
	})
}

// tellNames does something at the founder, which is the authority.
func (m *mesh) tellNames(of string, do func(*machine) error) {
	founder := m.machines[0]
	if !founder.alive() {
		m.fail(of, "scenario", "the founder is down, and nobody else can grant names")
		return
	}
	if err := do(founder); err != nil {
		m.fail(of, "scenario", fmt.Sprintf("names could not be granted: %s", err))
	}
}

// squat sends a record in which the insider offers what its victims do, many times more of it.
func (i *insider) squat() {
	d, ok := i.document(i.keys.ID())
	if !ok {
		return
	}
	for _, x := range i.mesh.machines {
		if victim, known := i.document(x.id); known && i.about[x] {
			d.Instances = append(d.Instances, stolen(victim)...)
		}
	}
	slices.SortFunc(d.Instances, func(a, b micronet.Instance) int { return cmp.Compare(a.ID, b.ID) })
	d.Instances = slices.CompactFunc(d.Instances, func(a, b micronet.Instance) bool { return a.ID == b.ID })
	items, err := wire.New().Encode(d)
	if err != nil {
		return
	}
	var body []byte
	for _, it := range items {
		body = appendItem(body, it.Key, it.Value)
	}
	i.spread(i.full(i.next(uint32(len(items)), body), body))
}

// stolen are the instances of a node as a squatter offers them.
func stolen(d gossip.Document) []micronet.Instance {
	out := slices.Clone(d.Instances)
	for k := range out {
		out[k].ID, out[k].Weight, out[k].Health = "squat-"+out[k].Service, 65535, micronet.Passing
	}
	return out
}
