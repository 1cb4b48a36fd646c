package sim

import "github.com/micro/micro-net/sim/report"

// times lists how long things took that have ended. A start is no healing, and a mesh that was broken
// again before it had converged tells nothing.
func (m *mesh) times() (t report.Times) {
	for i, h := range m.observer.heals {
		if h.took > 0 && !m.isStart(i) {
			t.Heal = append(t.Heal, h.took)
		}
	}
	for _, d := range m.departures {
		if d.over {
			t.Gone = append(t.Gone, d.took)
		}
	}
	for _, a := range m.arrivals {
		if a.over {
			t.Known = append(t.Known, a.took)
		}
	}
	for _, p := range m.traffic.allPauses() {
		t.Paused = append(t.Paused, p.took)
	}
	m.lessons(func(_ *banishment, l *lesson) {
		switch {
		case !l.knows || l.since == never:
			return
		case l.late:
			t.RevokedLate = append(t.RevokedLate, l.took)
		default:
			t.Revoked = append(t.Revoked, l.took)
		}
		if l.talked || l.flows > 0 {
			t.Severed = append(t.Severed, l.flows)
		}
	})
	return t
}

// isStart reports whether the mesh became whole for the ith time because it began.
func (m *mesh) isStart(i int) bool { return i == 0 && m.observer.heals[i].at < firstSteps }
