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

// maxVisits bounds the different visits that one program remembers.
const maxVisits = 4096

// note remembers a visit, and tells of one that was not seen before.
func (p *program) note(v visit) {
	p.mu.Lock()
	fresh := !p.seen[v] && len(p.seen) < maxVisits
	if fresh {
		p.seen[v] = true
	}
	p.mu.Unlock()
	if fresh {
		p.tells.visited(v)
	}
}

// watchProgram is what a program tells: each caller, and each byte once there is anybody who may not be served.
func (m *mesh) watchProgram(s *service, x *machine) tells {
	t := tells{visited: func(visit) {}, heard: func(string) {}}
	if !m.demands(scenario.NoUnauthorized) {
		return t
	}
	t.visited = func(v visit) { m.moments.add(func(time.Duration) { m.judgeVisit(s, x, v) }) }
	t.heard = func(said string) {
		if m.barring.Load() {
			m.moments.add(func(ago time.Duration) { m.judgeByte(s, x, said, ago) })
		}
	}
	return t
}

// judgeVisit: whoever reaches a program is the member that the address it comes from stands for. The callers of a
// simulation tell the truth, so that one under another's address shows that a daemon let somebody in as somebody
// else. Each pair of an address and a machine is looked up once.
func (m *mesh) judgeVisit(s *service, x *machine, v visit) {
	table, err := vipsOf(x)
	if err != nil {
		m.recorder.add(x.name, "error", "", "which callers stand for which addresses: "+err.Error())
		return
	}
	if why := m.unauthorized(table, v); why != "" {
		m.fail(x.name, string(scenario.NoUnauthorized), s.spec.Name+" was reached from "+v.from.String()+", "+why)
	}
}

// judgeByte: a byte of a caller must not come when its node is known to be revoked, or a policy refuses it.
func (m *mesh) judgeByte(s *service, x *machine, said string, ago time.Duration) {
	for _, b := range m.banishments {
		switch {
		case b.machine.name == said:
			m.judgeBanished(b, x, m.now()-ago)
		case b.machine == x:
			if y := m.hostNamed(said); y != nil {
				m.judgeBanished(b, y, m.now()-ago)
			}
		}
	}
	for _, r := range m.rulings {
		if r.service == s.spec.Name && r.refuses(said) && m.ruledFor(r, x)-ago > 0 {
			m.tellRuled(r, x, said)
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
	if _, known := p.bytes[said]; known || len(p.bytes) < maxVisits {
		p.bytes[said] = time.Now()
	}
	p.mu.Unlock()
	p.tells.heard(said)
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
