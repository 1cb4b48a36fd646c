package node

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
)

var crashPoints = flag.Int("crash-points", 3000, "how many crashes TestH33_CrashPoints makes")

// wrecker makes a history of writes in a data folder and looks at what a crash in front of each step of
// each write would leave: the start after it must find, of everything, what was there before the
// write or what was to be there after it.
type wrecker struct {
	t     *testing.T
	r     *rand.Rand
	host  *netsim.Host // where it is written
	later *netsim.Host // where the start after a crash is tried
	e     *estate

	writes, points, nested int
	wrecks                 []netsim.DiskImage // of the write that goes on
	tap                    bool
}

func (w *wrecker) env(h *netsim.Host, before func()) micronet.Env {
	env := h.Env()
	env.FS = tappedFS{env.FS, before}
	return env
}

// wreck takes what a crash would leave now, in two ways: nothing that was not synced, and a part of it.
func (w *wrecker) wreck() {
	if w.tap {
		d := w.host.Disk()
		w.wrecks = append(w.wrecks, d.Wreck(0), d.Wreck(w.r.Uint64()|1))
	}
}

// write does one thing and looks at all crashes within it.
func (w *wrecker) write(name string, do func() error) {
	before := w.e.belongings()
	w.tap, w.wrecks = true, nil
	err := do()
	w.tap = false
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	after := w.e.belongings()
	w.writes++
	for i, image := range w.wrecks {
		w.recover(fmt.Sprintf("write %d, %s, crash %d of %d", w.writes, name, i+1, len(w.wrecks)), image, before, after, w.r.IntN(16) == 0)
	}
	w.recover(fmt.Sprintf("write %d, %s, crash after it", w.writes, name), w.host.Disk().Wreck(0), after, after, false)
}

// recover starts from what a crash left, perhaps with a crash at each step of that as well.
func (w *wrecker) recover(what string, image netsim.DiskImage, before, after belongings, again bool) {
	w.points++
	h := w.later
	h.Disk().Restore(image)
	var starting, founding []netsim.DiskImage // what crashes within the start and the founding after it would leave
	wrecks := &starting
	e, err := openEstate(w.t, w.env(h, func() {
		if again && (wrecks == &starting || w.r.IntN(8) == 0) {
			*wrecks = append(*wrecks, h.Disk().Wreck(w.r.Uint64()))
		}
	}))
	if err != nil {
		w.t.Fatalf("%s: the start after it: %v", what, err)
	}
	if mends := e.d.diary.mends(); len(mends) > 0 {
		w.t.Fatalf("%s: something was damaged: %v", what, mends)
	}
	if lost := compare(e.belongings(), before, after); lost != "" {
		w.t.Fatalf("%s: %s", what, lost)
	}
	wrecks = &founding
	w.refound(what, e)
	again = false
	for _, image := range starting {
		w.nested++
		w.recover(what+", and again in the start after it", image, before, after, false)
	}
	for _, image := range founding {
		w.nested++
		h.Disk().Restore(image)
		if e, err = openEstate(w.t, h.Env()); err != nil {
			w.t.Fatalf("%s, and again in the founding after it: %v", what, err)
		}
		w.refound(what+", and again in the founding after it", e)
	}
}

// refound founds a cluster where there is none after a crash: it is no node that has lost its membership.
func (w *wrecker) refound(what string, e *estate) {
	if e.pass != nil {
		return
	}
	if err := e.found(); err != nil {
		w.t.Fatalf("%s: founding after it: %v", what, err)
	}
}

// compare says what is neither as before nor as after. Between two clusters, or none, all that belongs to one
// changes with it.
func compare(got, before, after belongings) string {
	if before.Cluster != after.Cluster {
		switch got.Cluster {
		case "":
			if before.Cluster != "" && after.Cluster != "" {
				return "the node is in no cluster"
			}
			got.ID, got.Epoch = after.ID, after.Epoch // leaving, or founding: they go, or have come, before
		case before.Cluster:
			after = before
		default:
			before = after
		}
		if got.Cluster == "" {
			return ""
		}
	}
	g, b, a := reflect.ValueOf(got), reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range g.NumField() {
		if v := g.Field(i).Interface(); v != b.Field(i).Interface() && v != a.Field(i).Interface() {
			return fmt.Sprintf("%s is %v, it was %v, and was to be %v", g.Type().Field(i).Name, v, b.Field(i), a.Field(i))
		}
	}
	return ""
}

// step draws what is written next.
func (w *wrecker) step() {
	e := w.e
	if e.pass == nil {
		w.write("found", e.found)
		return
	}
	all := []struct {
		name   string
		weight int
		can    bool
		do     func() error
	}{
		{"start", 3, true, e.start},
		{"raise the epoch", 1, true, e.raise},
		{"give an address", 3, true, e.address},
		{"register", 3, true, e.register},
		{"deregister", 1, len(e.node.registry.kept()) > 0, e.deregister},
		{"invite", 4, e.auth != nil, func() error { return e.invite(1 + w.r.IntN(3)) }},
		{"redeem", 8, e.auth != nil && len(e.open) > 0, func() error { return e.redeem(w.r) }},
		{"redeem what was used up", 2, e.auth != nil && len(e.former) > 0, func() error { return e.thieve(w.r) }},
		{"renew", 2, e.auth != nil && e.auth.asked[e.keys.ID()].count < maxRenewals, e.renew},
		{"renew over a full log", 1, e.auth != nil && e.auth.asked[e.keys.ID()].count < maxRenewals, func() error {
			e.auth.log.size = maxIssued
			return e.renew()
		}},
		{"meet", 2, e.auth != nil, e.meet},
		{"free a name", 1, e.auth != nil && len(e.auth.names.Names) > 1, e.release},
		{"promote", 1, e.pass.root.Load() != nil && e.pass.promotion.Load() == nil, e.promote},
		{"remove the root key", 1, e.pass.root.Load() != nil && e.pass.promotion.Load() != nil, e.removeRoot},
		{"move", 1, w.writes%40 > 30, e.move},
		{"leave", 1, w.writes%40 > 30 || e.auth == nil, e.leave},
	}
	var total int
	for _, s := range all {
		if s.can {
			total += s.weight
		}
	}
	n := w.r.IntN(total)
	for _, s := range all {
		if !s.can {
			continue
		}
		if n -= s.weight; n < 0 {
			w.write(s.name, s.do)
			return
		}
	}
}

// TestH33_CrashPoints: whatever is written, a crash at any moment of it loses nothing that was acknowledged,
// gives nothing back that was used, and leaves nothing that cannot be read.
func TestH33_CrashPoints(t *testing.T) {
	begin := time.Now()
	points, nested, writes := 0, 0, 0
	for seed := uint64(1); points < *crashPoints; seed++ {
		world := netsim.New(seed, netsim.Options{})
		w := &wrecker{t: t, r: rand.New(rand.NewPCG(seed, 0)), host: world.Host("h"), later: world.Host("later")}
		var err error
		if w.e, err = openEstate(t, w.env(w.host, w.wreck)); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			w.step()
		}
		points, nested, writes = points+w.points, nested+w.nested, writes+w.writes
		if t.Failed() {
			t.Fatalf("with seed %d", seed)
		}
	}
	t.Logf("%d crashes within %d writes, %d of them in the start after another one, in %v", points, writes, nested, time.Since(begin).Round(time.Second))
}
