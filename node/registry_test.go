package node

import (
	"fmt"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// withoutChecks is one service that nobody checks.
func withoutChecks(name string, port int) []config.Service {
	s, err := config.Complete(config.Service{Name: name, Port: port, Checks: config.Checks{None: true}})
	if err != nil {
		panic(err)
	}
	return []config.Service{s}
}

func checked(name string, port int) []config.Service {
	s, err := config.Complete(config.Service{Name: name, Port: port})
	if err != nil {
		panic(err)
	}
	return []config.Service{s}
}

// listing shows what a registry holds: id, port, health and source.
func listing(r *registry) string {
	out := ""
	for _, e := range r.all() {
		out += fmt.Sprintf("%s:%d %s %s %d; ", e.service.ID, e.service.Port, e.health, e.source, e.owner)
	}
	return out
}

func TestRegistryAdd(t *testing.T) {
	changes := 0
	r := newRegistry(func() { changes++ })
	file, ours := source{"file", "/etc/x.yaml"}, source{kind: "api"}
	if errs := r.replace(file, 0, withoutChecks("filed", 1)); len(errs) > 0 {
		t.Fatal(errs)
	}
	if _, err := r.add(ours, 1000, withoutChecks("web", 80)); err != nil {
		t.Fatal(err)
	}
	state, before := listing(r), changes
	for _, c := range []struct {
		name     string
		owner    int
		services []config.Service
		kind     micronet.Kind
		words    string
	}{
		{"an id of another source", 0, withoutChecks("filed", 2), micronet.Refused, "from file /etc/x.yaml"},
		{"an id of another user", 1001, withoutChecks("web", 81), micronet.Refused, "another user"},
		{"one of two", 1000, append(withoutChecks("new", 3), withoutChecks("filed", 4)...), micronet.Refused, "filed"},
		{"twice in one", 1000, append(withoutChecks("new", 3), withoutChecks("new", 4)...), micronet.Invalid, "named twice"},
	} {
		_, err := r.add(ours, c.owner, c.services)
		wantError(t, c.name, err, c.kind, c.words)
		if got := listing(r); got != state || changes != before {
			t.Errorf("%s: the registry holds %s, it held %s", c.name, got, state)
		}
	}
	// The owner and root may replace; undo puts the former one back.
	for _, owner := range []int{1000, 0, api.AnyOwner} {
		undo, err := r.add(ours, owner, append(withoutChecks("web", 8080), withoutChecks("more", 5)...))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("filed:1 passing file /etc/x.yaml 0; more:5 passing api %d; web:8080 passing api %d; ", owner, owner); listing(r) != want {
			t.Errorf("the registry holds %s, want %s", listing(r), want)
		}
		undo()
		if got := listing(r); got != state {
			t.Errorf("after undo the registry holds %s, want %s", got, state)
		}
	}
}

func TestRegistryBound(t *testing.T) {
	r := newRegistry(func() {})
	var many []config.Service
	for i := range gossip.MaxInstances {
		s := withoutChecks("s", 1)[0]
		s.ID = fmt.Sprint(i)
		many = append(many, s)
	}
	if _, err := r.add(source{kind: "api"}, 0, many[:gossip.MaxInstances-1]); err != nil {
		t.Fatal(err)
	}
	two := append(withoutChecks("a", 1), withoutChecks("b", 2)...)
	_, err := r.add(source{kind: "api"}, 0, two)
	wantError(t, "two, with room for one", err, micronet.Overloaded, "256")
	if n := len(r.all()); n != gossip.MaxInstances-1 {
		t.Errorf("%d instances, want %d: all or nothing", n, gossip.MaxInstances-1)
	}
	if _, err := r.add(source{kind: "api"}, 0, two[:1]); err != nil {
		t.Errorf("the last one: %v", err)
	}
}

func TestRegistryReplaceAndMerge(t *testing.T) {
	r := newRegistry(func() {})
	src := source{"file", "f"}
	if _, err := r.add(source{kind: "api"}, 0, withoutChecks("taken", 9)); err != nil {
		t.Fatal(err)
	}
	errs := r.replace(src, 0, append(append(checked("a", 1), checked("b", 2)...), withoutChecks("taken", 3)...))
	if len(errs) != 1 {
		t.Fatalf("replace = %v, want one refusal", errs)
	}
	wantError(t, "the taken one", errs[0], micronet.Refused, "taken")
	r.setHealth("a", micronet.Warning, "slow")
	r.setHealth("b", micronet.Passing, "fine")
	// What stays keeps its health; a service whose checks are switched off passes.
	_ = r.replace(src, 0, append(checked("a", 11), withoutChecks("b", 2)...))
	if want := "a:11 warning file f 0; b:2 passing file f 0; taken:9 passing api 0; "; listing(r) != want {
		t.Errorf("replace: %s, want %s", listing(r), want)
	}
	_ = r.merge(src, 0, checked("c", 5))
	if want := "a:11 warning file f 0; b:2 passing file f 0; c:5 critical file f 0; taken:9 passing api 0; "; listing(r) != want {
		t.Errorf("merge: %s, want %s", listing(r), want)
	}
	r.removeSource(src)
	if want := "taken:9 passing api 0; "; listing(r) != want {
		t.Errorf("removeSource: %s, want %s", listing(r), want)
	}
}

func TestRegistryRemove(t *testing.T) {
	r := newRegistry(func() {})
	_ = r.replace(source{"file", "/f"}, 0, withoutChecks("filed", 1))
	if _, err := r.add(source{kind: "api"}, 1000, withoutChecks("web", 80)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.add(source{"hold", "1"}, 1000, withoutChecks("held", 81)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id    string
		owner int
		kind  micronet.Kind
		words string
	}{
		{"none", 0, micronet.NotFound, "no instance"},
		{"filed", api.AnyOwner, micronet.Refused, "comes from /f"},
		{"web", 1001, micronet.Refused, "another user"},
	} {
		_, err := r.remove(c.owner, c.id)
		wantError(t, c.id, err, c.kind, c.words)
	}
	undo, err := r.remove(1000, "web")
	if err != nil || len(r.kept()) != 0 {
		t.Errorf("remove = %v, kept %v", err, r.kept())
	}
	undo()
	if kept := r.kept(); len(kept) != 1 || kept[0].Owner != 1000 || kept[0].Service.ID != "web" {
		t.Errorf("after undo %+v is kept, want web alone: what is held ends with its holder", kept)
	}
	if _, err := r.remove(api.AnyOwner, "held"); err != nil {
		t.Error(err)
	}
}

// Numbers of holds never come back: one that ends must not take another's instances along.
func TestHoldsAreApart(t *testing.T) {
	n, err := New(WithName("x"))
	if err != nil {
		t.Fatal(err)
	}
	first := n.newSource("hold")
	n.holds.Store(1 << 16)
	if second := n.newSource("hold"); first == second {
		t.Errorf("two holds are called %v", first)
	}
}
