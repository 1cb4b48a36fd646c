package sim

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/sim/scenario"
)

const (
	// noticeTime is how long two nodes may share a name, or two records a version, until somebody has to
	// have noticed.
	noticeTime = 30 * time.Second
	// standstill is how old what a node believes may be: it looks once a second and at every change.
	standstill = 10 * time.Second
)

// rights is what a machine's disk said when it was looked at last.
type rights struct {
	wipes      int
	key        []byte
	membership []byte
}

// tellBreaches fails the run for what the witness saw.
func (m *mesh) tellBreaches() {
	for _, f := range m.witness.breaches() {
		if x := m.hostNamed(f.node); x != nil && !x.doubtful() && m.demands(scenario.Invariant(f.invariant)) {
			m.fail(f.node, f.invariant, f.text)
		}
	}
}

func (m *mesh) hostNamed(name string) *machine {
	for _, x := range m.machines {
		if x.name == name {
			return x
		}
	}
	return nil
}

// checkForge lets the witness see what came in a way that it does not watch. And nobody shows a member that does
// not exist.
func (m *mesh) checkForge(s *sight) {
	s.machine.inside.look()
	for i := range s.Nodes {
		if id := s.Nodes[i].ID; m.machineOf(id) == nil && !m.witness.knows(id) {
			m.fail(s.machine.name, string(scenario.NoForge), "shows "+id.Short()+" "+s.Nodes[i].Name+", who is no member")
		}
	}
}

// checkRollback: a daemon that was started again soon holds nothing older than it did before. While it
// was away it knew nothing, and the first who answers may not have the newest.
func (m *mesh) checkRollback(s *sight) {
	x := s.machine
	x.inside.look()
	if time.Since(x.since) < bootTime+hearTime || !m.hearsHonest(x) {
		return
	}
	for _, id := range m.witness.fallen(x.name) {
		if o := m.machineOf(id); o != nil && !o.doubtful() && o.alive() && m.oracle.connected(x, o) >= hearTime {
			m.fail(x.name, string(scenario.NoRollback), "held a later record of "+o.name+" before it was started again")
		}
	}
}

// hearsHonest reports whether a machine can hear another one that does not lie.
func (m *mesh) hearsHonest(x *machine) bool {
	for _, y := range m.machines {
		if y != x && y.steady() && m.oracle.connected(x, y) >= hearTime {
			return true
		}
	}
	return false
}

// checkIdentity: at no node do two live ones have one name for long.
func (m *mesh) checkIdentity(s *sight) {
	name, n := s.namesakes()
	if n == 0 {
		s.machine.alike = time.Time{}
		return
	}
	if s.machine.alike.IsZero() {
		s.machine.alike = time.Now()
	}
	if time.Since(s.machine.alike) > noticeTime {
		m.fail(s.machine.name, string(scenario.OneIdentity), "two nodes are called "+name)
	}
}

// checkIdentities: no two machines run one identity unless one is a copy of the other, a token for one let
// in one, and who signs two records under one version is found out by those who hold them.
func (m *mesh) checkIdentities(seen []sight) {
	holders := map[micronet.NodeID]*machine{}
	for i := range seen {
		x := seen[i].machine
		if y := holders[seen[i].Self]; y != nil && x.twinOf == nil && y.twinOf == nil {
			m.fail(x.name, string(scenario.OneIdentity), "has the identity of "+y.name)
		}
		holders[seen[i].Self] = x
	}
	m.checkBatches()
	m.checkEquivocation(seen)
}

// checkEquivocation: where honest nodes hold different records of a liar under one version, one of them knows.
func (m *mesh) checkEquivocation(seen []sight) {
	type record struct {
		owner   micronet.NodeID
		version gossip.Version
	}
	held, noticed, twice := map[record][headerSize]byte{}, map[micronet.NodeID]bool{}, map[micronet.NodeID]bool{}
	for i := range seen {
		s := &seen[i]
		for k := range s.Documents {
			r := record{s.Documents[k].Document.Owner, s.Documents[k].Document.Version}
			if s.machine.doubtful() || !m.witness.liar(r.owner) {
				continue
			}
			raw, _ := s.Signed(r.owner)
			h, _ := headerOf(raw)
			noticed[r.owner] = noticed[r.owner] || s.Documents[k].Conflict
			first, there := held[r]
			twice[r.owner] = twice[r.owner] || there && first != h
			held[r] = h
		}
	}
	for id := range m.witness.allLiars() {
		m.countContest(id, twice[id] && !noticed[id])
	}
}

// countContest notes whether a liar has signed twice and nobody knows.
func (m *mesh) countContest(id micronet.NodeID, unnoticed bool) {
	since, there := m.contests[id]
	switch {
	case !unnoticed:
		delete(m.contests, id)
	case !there:
		m.contests[id] = m.now()
	case m.now()-since > noticeTime:
		m.fail("", string(scenario.OneIdentity), "nobody notices that "+m.nameOf(id)+" signs two records under one version")
	}
}

// checkDurable: the key on a disk stays, there is a certificate of it, and an epoch is on disk before
// anything is published in it. All are judged when they change, too; a crash changes a disk and tells nobody.
func (m *mesh) checkDurable(s *sight) {
	x := s.machine
	fail := func(why string) {
		if why != "" {
			m.fail(x.name, string(scenario.Durable), why)
		}
	}
	if key, ok := x.read("node.key"); ok {
		fail(x.judgeKey(key))
	}
	if raw, ok := x.read("membership.json"); ok {
		fail(x.judgeCertificate(raw, s.Self))
	}
	if raw, ok := x.read("epoch.json"); ok {
		fail(unsaved(raw, m.witness.epochOf(x.name)))
	}
}

// judgeKey tells what is wrong with the key that is on the disk now, "" for nothing.
func (x *machine) judgeKey(key []byte) string {
	if x.rights.wipes != x.wipes {
		x.rights = rights{wipes: x.wipes}
	}
	if x.rights.key == nil {
		x.rights.key = key
	}
	if !bytes.Equal(key, x.rights.key) {
		return "has another key than before"
	}
	return ""
}

// judgeCertificate does the same with the certificate, of which each is looked at once.
func (x *machine) judgeCertificate(raw []byte, id micronet.NodeID) string {
	if bytes.Equal(raw, x.rights.membership) {
		return ""
	}
	x.rights.membership = raw
	return certified(raw, id)
}

// unsaved tells that a daemon has used an epoch that its file does not know, "" when it does.
func unsaved(file []byte, used uint64) string {
	var starts struct{ Data struct{ Epoch uint64 } }
	if json.Unmarshal(file, &starts) == nil && starts.Data.Epoch < used {
		return fmt.Sprintf("published in epoch %d and has %d on its disk", used, starts.Data.Epoch)
	}
	return ""
}

func certified(raw []byte, id micronet.NodeID) string {
	membership, err := identity.UnmarshalMembership(raw)
	if err != nil {
		return "has a certificate that cannot be read: " + err.Error()
	}
	leaf, err := x509.ParseCertificate(membership.Chain[0])
	if err != nil {
		return "has a certificate that cannot be read: " + err.Error()
	}
	if key, ok := leaf.PublicKey.(ed25519.PublicKey); !ok || !bytes.Equal(key, id[:]) {
		return "has a certificate of another key"
	}
	return ""
}

// read returns a file of the machine's daemon. One that is not there is empty; false means that the disk does
// not answer.
func (x *machine) read(name string) ([]byte, bool) {
	raw, err := x.host.FS().ReadFile(filepath.Join(dataDir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return []byte{}, true
	}
	return raw, err == nil
}

// checkBlast: whatever a member sends, the daemons of all others go on.
func (m *mesh) checkBlast(s *sight) {
	x := s.machine
	if !x.steady() || time.Since(x.since) < bootTime+hearTime {
		return
	}
	if age := time.Since(s.Made); age > standstill {
		m.fail(x.name, string(scenario.Blast), fmt.Sprintf("has not looked at what it knows for %v", age.Round(time.Second)))
	}
	if !s.Ready && m.hearsHonest(x) {
		m.fail(x.name, string(scenario.Blast), "runs and is not ready")
	}
}
