package sim

import (
	"bytes"
	"fmt"
	"net/netip"

	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// maxSealed bounds the sealed packets that are kept to be sent again.
const maxSealed = 512

// sealedFirst begins a sealed packet.
const sealedFirst = 0x80

// sealed is a sealed packet on its way to somebody.
type sealed struct {
	to   netip.AddrPort
	data []byte
}

// footprint is what hosts have sent so far that an insider may have caused.
type footprint struct {
	own       uint64            // bytes that the insider's host sent
	strangers map[string]uint64 // bytes to addresses that no host has, by sender
	inward    map[string]uint64 // bytes from the mesh port to other ports of the same host
	toVictims uint64            // bytes to the victims' hosts, from all but the insider's
}

// catch counts packets that go where no member is, and keeps the first sealed ones.
func (m *meter) catch(e netsim.Event) {
	switch {
	case e.Proto != netsim.UDP:
	case e.Src.Addr().IsLoopback():
		if e.Step == netsim.Sent && e.Src.Port() == meshPort && e.Dst.Port() != meshPort {
			m.inward[e.From] += uint64(e.Size)
		}
	case e.To == "":
		m.strangers[e.From] += uint64(e.Size)
	case e.Step == netsim.Sent:
		m.between[[2]string{e.From, e.To}] += uint64(e.Size)
		if m.keepsSealed && len(m.sealed) < maxSealed && len(e.Data) > 0 && e.Data[0] == sealedFirst {
			m.sealed = append(m.sealed, sealed{e.Dst, bytes.Clone(e.Data)})
		}
	}
}

// footprint returns what has been sent so far.
func (m *meter) footprint(i *insider) footprint {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := footprint{strangers: map[string]uint64{}, inward: map[string]uint64{}}
	for host, n := range m.strangers {
		f.strangers[host] = n
	}
	for host, n := range m.inward {
		f.inward[host] = n
	}
	for pair, n := range m.between {
		if pair[0] == i.machine.name {
			f.own += n
		} else if x := i.mesh.hostNamed(pair[1]); x != nil && i.about[x] && len(i.about) < len(i.mesh.machines)-1 {
			f.toVictims += n
		}
	}
	return f
}

// kept returns the nth of the sealed packets that were kept.
func (m *meter) kept(n int) (sealed, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.sealed) == 0 {
		return sealed{}, false
	}
	return m.sealed[n%len(m.sealed)], true
}

const (
	// strangerBurst and strangerRate bound what an honest node sends to addresses that never answered, while
	// somebody says that he is there.
	strangerBurst = 16 << 10
	strangerRate  = 1 << 10
	// victimBurst and victimRate bound what an honest node sends to each of those whom an insider is about: what it sends
	// anyhow, and its answers to the packets that one sender is allowed.
	victimBurst = 64 << 10
	victimRate  = 20 << 10
)

// checkFootprints: an insider makes others send little to where nobody is, and nothing to the programs of their own
// hosts, and to its victims not much more than usual.
func (m *mesh) checkFootprints() {
	for _, i := range m.insiders {
		if i.over {
			continue
		}
		now, took := m.observer.traffic.footprint(i), (m.now() - i.since).Seconds()
		for _, x := range m.machines {
			if x == i.machine || x.doubtful() {
				continue
			}
			if n, most := now.strangers[x.name]-i.before.strangers[x.name], strangerBurst+took*strangerRate; float64(n) > most {
				m.fail(x.name, string(scenario.Bounded), fmt.Sprintf("sent %d bytes to where nobody is, for what %s says", n, i.machine.name))
			}
			if n := now.inward[x.name] - i.before.inward[x.name]; n > 0 {
				m.fail(x.name, string(scenario.Bounded), fmt.Sprintf("sent %d bytes to programs of its own host, for what %s says", n, i.machine.name))
			}
		}
		if n, most := now.toVictims-i.before.toVictims, float64((len(m.machines)-2)*len(i.about))*(victimBurst+took*victimRate); float64(n) > most {
			m.fail(i.machine.name, string(scenario.Bounded), fmt.Sprintf("made others send %d bytes to its victims", n))
		}
	}
}

// since tells what was sent since an earlier footprint.
func (f footprint) since(before *footprint) string {
	most := func(now, then map[string]uint64) (n uint64) {
		for host := range now {
			n = max(n, now[host]-then[host])
		}
		return n
	}
	return fmt.Sprintf("sent %d bytes; of others one sent %d to where nobody is and %d into its own host, all together %d to the victims",
		f.own-before.own, most(f.strangers, before.strangers), most(f.inward, before.inward), f.toVictims-before.toVictims)
}
