package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/micro/micro-net/proxy"
	"github.com/micro/micro-net/sim/scenario"
)

// visit is a caller as a simulated program saw it: the address that it came from, which the daemon
// of the program's host chose for the calling node, and the machine that it said it runs on.
type visit struct {
	from netip.Addr
	said string
}

// maxVisits bounds the different visits that one program remembers between two checks.
const maxVisits = 4096

// note remembers a visit that was not seen before.
func (p *program) note(v visit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[v] || len(p.visits) >= maxVisits {
		return
	}
	p.seen[v] = true
	p.visits = append(p.visits, v)
}

// fresh returns the visits since it was asked last.
func (p *program) fresh() []visit {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.visits
	p.visits = nil
	return out
}

// checkUnauthorized: whoever reaches a program is the member that the address it comes from stands
// for. The callers of a simulation tell the truth, so that one under another's address shows that a
// daemon let somebody in as somebody else. Only addresses that were not seen before are looked up.
func (m *mesh) checkUnauthorized() {
	for _, s := range m.services {
		for _, x := range s.places() {
			if p := s.on[x].program; p != nil {
				m.checkVisits(s, x, p.fresh())
			}
		}
	}
}

func (m *mesh) checkVisits(s *service, x *machine, list []visit) {
	if len(list) == 0 {
		return
	}
	table, err := vipsOf(x)
	if err != nil {
		m.recorder.add(x.name, "error", "", "which callers stand for which addresses: "+err.Error())
		return
	}
	for _, v := range list {
		if why := m.unauthorized(table, v); why != "" {
			m.fail(x.name, string(scenario.NoUnauthorized), s.spec.Name+" was reached from "+v.from.String()+", "+why)
		}
	}
}

// unauthorized tells what is wrong with a visit. The first address of the prefix is what daemons
// use when they cannot keep a new one, and stands for nobody.
func (m *mesh) unauthorized(table *proxy.VIPs, v visit) string {
	if v.from == proxy.FirstVIP(table.Prefix()) {
		return ""
	}
	id, ok := table.Node(v.from)
	if !ok {
		return "which stands for no node"
	}
	switch x := m.machineOf(id); {
	case x == nil:
		return "which stands for " + id.Short() + ", no member"
	case x.name != v.said && !x.doubtful():
		return fmt.Sprintf("which stands for %s, by %s", x.name, v.said)
	}
	return ""
}

// vipsOf reads the addresses that a machine's daemon has given out. They are on its disk before they
// are used.
func vipsOf(x *machine) (*proxy.VIPs, error) {
	raw, err := x.host.FS().ReadFile(filepath.Join(dataDir, "vips.json"))
	if err != nil {
		return nil, err
	}
	var sealed struct{ Data json.RawMessage } // the form of all files of a node
	if err := json.Unmarshal(raw, &sealed); err != nil {
		return nil, err
	}
	return proxy.LoadVIPs(daemon().VIPs, sealed.Data)
}

// hear notes that a byte came from a caller on a machine, as that says.
func (p *program) hear(said string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.bytes[said]; known || len(p.bytes) < maxVisits {
		p.bytes[said] = time.Now()
	}
}

// heard is when a byte came last from a caller on a machine, zero for never.
func (p *program) heard(name string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes[name]
}

// hearing tells of each byte that comes.
type hearing struct {
	io.Reader
	tell func()
}

func (h hearing) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if n > 0 {
		h.tell()
	}
	return n, err
}
