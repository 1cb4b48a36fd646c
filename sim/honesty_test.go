package sim

import (
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/sim/scenario"
)

const judged = "expect: [{always: [no_forge, no_rollback, one_identity, durable, blast]}]\n"

// broke takes the failures that were noted, and demands one of an invariant.
func (m *mesh) broke(t *testing.T, want scenario.Invariant) {
	t.Helper()
	for _, f := range m.failures {
		if f.invariant == string(want) {
			m.failures = nil
			return
		}
	}
	t.Errorf("%s was not broken: %v", want, m.failures)
	m.failures = nil
}

// What must never be is noticed when it is.
func TestHonestyIsChecked(t *testing.T) {
	watch(t, quiet+"nodes: 3\nduration: 60s\n"+judged, map[time.Duration]func(*mesh){
		50 * time.Second: func(m *mesh) {
			x := m.machines[1]
			s, _ := x.snapshot()
			m.witness.of[x.name].epoch += 1 << 20
			m.checkDurable(&sight{x, s})
			m.broke(t, scenario.Durable)
			m.witness.of[x.name].epoch -= 1 << 20
			x.rights.key = []byte("another")
			m.checkDurable(&sight{x, s})
			m.broke(t, scenario.Durable)
			x.rights.key, _ = x.read("node.key")
			old := s
			old.Made = time.Now().Add(-time.Minute)
			m.checkBlast(&sight{x, old})
			m.broke(t, scenario.Blast)
			m.checkIdentities([]sight{{x, s}, {m.machines[2], s}})
			m.broke(t, scenario.OneIdentity)
			stranger := s
			stranger.Nodes = append([]micronet.Node{{ID: nobody(1)}}, s.Nodes...)
			m.checkForge(&sight{x, stranger})
			m.broke(t, scenario.NoForge)
			m.witness.of[x.name].held[m.machines[0].id] = seen{version: gossip.Version{Epoch: gossip.MaxEpoch, Seq: 1}}
			m.witness.of[x.name].sum = [sha256.Size]byte{}
			x.inside.look()
			m.tellBreaches()
			m.broke(t, scenario.NoRollback)
		},
	})
}

// A record counts as its owner's when that one signed and published it.
func TestWitnessKnowsForgeries(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	i := &insider{}
	i.keys.Sign = key
	owner := micronet.NodeID(key.Public().(ed25519.PublicKey))
	record := func(seq uint64, body string) []byte {
		h := header{cluster: [16]byte{1}, owner: owner, version: gossip.Version{Epoch: 1, Seq: seq}, hash: sha256.Sum256([]byte(body))}
		return i.full(h, []byte(body))
	}
	w := newWitness()
	good := record(1, "items")
	w.published("n1", owner, good, nil)
	altered := append(append([]byte{}, good[:len(good)-1]...), 'x')
	unsigned := append([]byte{}, good...)
	unsigned[bodyAt-1] ^= 1
	for why, tc := range map[string]struct {
		owner micronet.NodeID
		raw   []byte
	}{
		"":              {owner, good},
		"contents":      {owner, altered},
		"did not sign":  {owner, unsigned},
		"another owner": {nobody(1), good},
		"published":     {owner, record(2, "items")},
		"no record":     {owner, good[:20]},
	} {
		if got := w.forged(tc.owner, tc.raw); (got == "") != (why == "") || !strings.Contains(got, why) {
			t.Errorf("want %q, got %q", why, got)
		}
	}
	w.distrusts(owner)
	if why := w.forged(owner, record(2, "items")); why != "" {
		t.Errorf("a liar's own record is one that %s", why)
	}
}

// What an insider sends must reach those whom it is sent to, or the scenarios show nothing.
func TestForgeriesAreMet(t *testing.T) {
	for forgery, want := range map[scenario.Forgery]string{
		scenario.ForgeReplay: "underlay: replay", scenario.ForgeBombs: "gossip: unexpected-kind",
		scenario.ForgeReflect: "gossip: sender-rate", scenario.ForgeBlock: "incompatible protocol version", scenario.ForgeEquivocate: "equivocation",
		scenario.ForgeFuture: "version", scenario.ForgeEndpoints: "strangers",
		scenario.ForgeForeign: "underlay: credential",
	} {
		text := quiet + "nodes: 4\nduration: 45s\ntimeline: [{at: 20s, for: 20s, insider: {node: 4, forge: " + string(forgery) + ", about: 1-3}}]\n"
		watch(t, text, map[time.Duration]func(*mesh){
			39 * time.Second: func(m *mesh) {
				if !m.met(want) {
					t.Errorf("%s: nobody met %q: %v", forgery, want, m.recorder.dropsOf("n1"))
				}
			},
		})
	}
}

// What an insider says of its sums must be read, or it keeps nobody from comparing.
func TestLiesAboutSumsAreRead(t *testing.T) {
	for _, forgery := range []string{"withhold", "suppress"} {
		text := quiet + "nodes: 4\nduration: 45s\ntimeline: [{at: 20s, for: 20s, insider: {node: 4, forge: " + forgery + ", about: 1-3}}]\n"
		watch(t, text, map[time.Duration]func(*mesh){
			39 * time.Second: func(m *mesh) {
				if n := m.recorder.dropsOf("n1")["heartbeat: malformed"]; n > 0 {
					t.Errorf("%s: %d packets were malformed", forgery, n)
				}
			},
		})
	}
}

// met reports whether a node has dropped, refused or reported something, or the network has seen it.
func (m *mesh) met(what string) bool {
	for _, x := range m.machines[:3] {
		for why := range m.recorder.dropsOf(x.name) {
			if why == what {
				return true
			}
		}
	}
	for _, e := range m.recorder.last() {
		if e.Node != "n4" && (e.Kind == "refused" || e.Kind == "error") && strings.Contains(e.Detail, what) {
			return true
		}
	}
	return what == "strangers" && m.observer.traffic.footprint(m.insiders[0]).strangers["n1"] > 0
}
