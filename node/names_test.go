package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

// leads checks that callers at n are led to a service at one node alone; "" for nobody.
func leads(n *simNode, service, to string) func() error {
	return func() error {
		s, _ := n.node.Snapshot()
		var at []string
		for _, k := range s.Offered(service) {
			at = append(at, n.life().view.Load().nameOf(k.Node))
		}
		if got := strings.Join(at, " "); got != to {
			return fmt.Errorf("%s leads to %s at %q, want %q", n.host.Name(), service, got, to)
		}
		return nil
	}
}

func all(checks ...func() error) func() error {
	return func() error {
		for _, c := range checks {
			if err := c(); err != nil {
				return err
			}
		}
		return nil
	}
}

// told finds an instance in what `services` shows at n.
func told(t *testing.T, n *simNode, service, node string) api.Instance {
	t.Helper()
	list, err := n.backend().Services(service)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list[0].Instances, func(i api.Instance) bool { return i.Node == node })
	if i < 0 {
		t.Fatalf("%s does not show %s at %s: %+v", n.host.Name(), service, node, list)
	}
	return list[0].Instances[i]
}

// A name that was not granted gets no traffic anywhere, is shown with the reason, and its owner is told.
func TestQ11_UngrantedNamesGetNoTraffic(t *testing.T) {
	inBubble(t, 193, func(t *testing.T, b *bubble) {
		mesh := b.mesh("a", "b", "c")
		b.serve(mesh[1], "payments", "b")
		b.await(5*time.Second, "a and c see b's", all(leads(mesh[0], "payments", "b"), leads(mesh[2], "payments", "b")))
		ctx := context.Background()
		if _, err := mesh[0].backend().SetNames(ctx, api.NamesRequest{Mode: "granted"}); micronet.KindOf(err) != micronet.Refused || !strings.Contains(err.Error(), "payments at b") {
			t.Fatalf("what is offered would be lost, and SetNames = %v", err)
		}
		b.stays(time.Second, "nothing has changed", leads(mesh[2], "payments", "b"))
		if _, err := mesh[0].backend().GrantNames(ctx, api.GrantRequest{Node: "b", Patterns: []string{"pay*"}}); err != nil {
			t.Fatal(err)
		}
		if got, err := mesh[0].backend().SetNames(ctx, api.NamesRequest{Mode: "granted"}); err != nil || got.Mode != "granted" || len(got.Grants) != 1 {
			t.Fatalf("SetNames = %+v, %v", got, err)
		}
		b.await(time.Second, "c knows", func() error {
			if mesh[2].backend().Names().Mode != "granted" {
				return fmt.Errorf("names are open at c")
			}
			return nil
		})
		b.serve(mesh[2], "payments", "c")
		b.await(5*time.Second, "a shows c's", func() error {
			if list, err := mesh[0].backend().Services("payments"); err != nil || len(list[0].Instances) != 2 {
				return fmt.Errorf("%+v, %v", list, err)
			}
			return nil
		})
		b.stays(10*time.Second, "nobody is led to c", all(leads(mesh[0], "payments", "b"), leads(mesh[1], "payments", "b"), leads(mesh[2], "payments", "b")))
		for _, n := range mesh {
			if got := told(t, n, "payments", "c"); got.Withheld != `c was not granted the name "payments"` {
				t.Errorf("%s shows %+v", n.host.Name(), got)
			}
			b.await(time.Second, "a call", b.answers(n, "payments", "b"))
		}
		if w := warned(mesh[2], "not-granted"); w == nil || !strings.Contains(w.Text, "payments") {
			t.Errorf("c is not told: %+v", w)
		}
		if w := warned(mesh[0], "names-withheld"); w == nil || !strings.Contains(w.Text, "payments at c") {
			t.Errorf("a is not told: %+v", w)
		}
		b.serve(mesh[1], "orders", "b")
		b.await(5*time.Second, "a is told of both", func() error {
			if w := warned(mesh[0], "names-withheld"); w == nil || !strings.Contains(w.Fix, "`micro-net node grant c payments`") || !strings.Contains(w.Fix, "`micro-net node grant b 'pay*' orders`") {
				return fmt.Errorf("%+v", w)
			}
			return nil
		})
		if got := mesh[2].backend().Withheld(withoutChecks("payments", 80)); len(got) != 1 || !strings.Contains(got[0], "node grant c payments") {
			t.Errorf("who registers at c is told %q", got)
		}
		if got := mesh[1].backend().Withheld(withoutChecks("orders", 80)); len(got) != 1 || !strings.Contains(got[0], "`micro-net node grant b 'pay*' orders`") {
			t.Errorf("what b was granted already is lost in %q", got)
		}
		if got := mesh[1].backend().Withheld(withoutChecks("payments", 80)); len(got) != 0 {
			t.Errorf("who registers at b is told %q", got)
		}
	})
}

// withheldSays checks that routes and explain show what is withheld, and returns what a call ends with.
func withheldSays(t *testing.T, n *simNode, service string) error {
	t.Helper()
	routes, err := n.backend().Routes(service)
	if err != nil || len(routes) != 1 || routes[0].State != micronet.RouteWithheld || !strings.Contains(routes[0].Reason, "node grant") {
		t.Errorf("%s has routes %+v, %v", n.host.Name(), routes, err)
	}
	e, err := n.backend().Explain(t.Context(), service, micronet.Caller{})
	if err != nil || len(e.Candidates) != 1 || e.Candidates[0].Picked || !strings.Contains(e.Answer, "and withheld") {
		t.Errorf("%s explains %+v, %v", n.host.Name(), e, err)
	}
	_, err = n.backend().Dial(t.Context(), service, micronet.Caller{})
	return err
}

// Grants go with the statements: they reach who is restarted, and are taken back.
func TestGrantsComeAndGo(t *testing.T) {
	inBubble(t, 194, func(t *testing.T, b *bubble) {
		mesh := b.mesh("a", "b", "c")
		b.serve(mesh[1], "web", "b")
		b.await(5*time.Second, "all see it", all(leads(mesh[0], "web", "b"), leads(mesh[1], "web", "b"), leads(mesh[2], "web", "b")))
		ctx := context.Background()
		set := func(mode string, force bool) {
			t.Helper()
			if _, err := mesh[0].backend().SetNames(ctx, api.NamesRequest{Mode: mode, Force: force}); err != nil {
				t.Fatal(err)
			}
		}
		grant := func(force bool, patterns ...string) error {
			_, err := mesh[0].backend().GrantNames(ctx, api.GrantRequest{Node: "b", Patterns: patterns, Force: force})
			return err
		}
		set("granted", true)
		b.await(time.Second, "nobody is led to it", all(leads(mesh[0], "web", ""), leads(mesh[1], "web", ""), leads(mesh[2], "web", "")))
		if list, err := mesh[2].backend().Services("web"); err != nil || list[0].DNS != "" || list[0].VIP != "" {
			t.Errorf("a service of which all is withheld has a name: %+v, %v", list, err)
		}
		for _, n := range mesh {
			says := withheldSays(t, n, "web")
			wantError(t, "a call at "+n.host.Name(), says, micronet.Refused, `"web" is registered at b, and withheld`, "`micro-net node grant b web`")
		}
		wantError(t, "a pattern for nothing", grant(true, "web,api"), micronet.Invalid, `"web,api" fits no service: ',' is in no name`)
		if err := grant(false, "web"); err != nil {
			t.Fatal(err)
		}
		b.await(time.Second, "all are led to it", all(leads(mesh[0], "web", "b"), leads(mesh[2], "web", "b")))
		b.halt(mesh[2])
		again := b.start("c", "")
		b.await(5*time.Second, "c, started again", all(leads(again, "web", "b"), func() error {
			if again.life().names.Load() == nil {
				return fmt.Errorf("names are open at c")
			}
			return nil
		}))
		wantError(t, "taking it back", grant(false), micronet.Refused, "web at b", "--force")
		if err := grant(true); err != nil {
			t.Fatal(err)
		}
		b.await(time.Second, "nobody again", all(leads(mesh[0], "web", ""), leads(again, "web", "")))
		set("open", false)
		b.await(time.Second, "all again", all(leads(mesh[0], "web", "b"), leads(again, "web", "b")))
		_, err := mesh[1].backend().SetNames(ctx, api.NamesRequest{Mode: "open"})
		wantError(t, "at b", err, micronet.Refused, "no authority", "run it on a")
		_, err = mesh[1].backend().SetNames(ctx, api.NamesRequest{Mode: "granted"})
		wantError(t, "at b", err, micronet.Refused, "no authority", "run it on a")
		_, err = mesh[0].backend().SetNames(ctx, api.NamesRequest{Mode: "shut"})
		wantError(t, "an unknown mode", err, micronet.Invalid, "shut")
	})
}

// Where names are open, who begins to offer what another node has held for long is named for a while.
func TestNewHolders(t *testing.T) {
	now := time.Unix(100_000, 0)
	h := newHolders()
	look := func(after time.Duration, at map[int]string) *view {
		now = now.Add(after)
		s := mesh(3, 0, 1)
		s.now = now
		for i := range s.entries {
			s.entries[i].Confirmed = now
			s.entries[i].Document.Instances = nil
			if service := at[i]; service != "" {
				s.entries[i].Document.Instances = instancesOf(false, service)
			}
		}
		v := makeView(s)
		v.made = now
		v.held = h.take(now, v)
		return v
	}
	look(0, map[int]string{0: "web"})
	if v := look(time.Minute, map[int]string{0: "web", 1: "web"}); len(v.newHolders(now)) != 0 {
		t.Errorf("a second one after a minute is news: %+v", v.newHolders(now))
	}
	v := look(heldLong, map[int]string{0: "web", 1: "web", 2: "web"})
	news := v.newHolders(now)
	if len(news) != 1 || news[0].node != id(2) {
		t.Fatalf("news are %+v, want the third", news)
	}
	if w := newHolderWarning(v, now, news); !strings.Contains(w.Text, "web at node-2, for 0s (node-0 has held it for 11m0s)") {
		t.Errorf("%s", w.Text)
	}
	if first, _, ok := v.held.first("web"); !ok || first != id(0) {
		t.Errorf("the first is %s, %v", first.Short(), ok)
	}
	// Who starts again is no news, also where it was away.
	look(time.Minute, map[int]string{0: "web", 1: "web"})
	if v = look(time.Minute, map[int]string{0: "web", 1: "web", 2: "web"}); len(v.newHolders(now)) != 1 || !v.newHolders(now)[0].at.Equal(news[0].at) {
		t.Errorf("after a restart: %+v", v.newHolders(now))
	}
	for range 61 {
		v = look(time.Minute, map[int]string{0: "web", 1: "web", 2: "web"})
	}
	if len(v.newHolders(now)) != 0 {
		t.Error("it is news for ever")
	}
	for range 61 {
		v = look(time.Minute, map[int]string{1: "web"})
	}
	if first, _, ok := v.held.first("web"); !ok || first != id(1) || len(v.held.all()) != 1 {
		t.Errorf("after the others have gone the first is %s of %d", first.Short(), len(v.held.all()))
	}
}

// The router is told when grants change, though no record has.
func TestGrantsChangeCandidates(t *testing.T) {
	s := mesh(3, 2, 2)
	open := makeView(s)
	s.names = policy.NewNames(map[micronet.NodeID][]string{id(1): {"*"}})
	v := makeView(s)
	if v.sameCandidates(open) {
		t.Error("the candidates are the same")
	}
	for _, c := range v.candidates(id(0)) {
		if c.Node != id(1) {
			t.Errorf("%s at %s is a candidate", c.Instance.Service, c.Node.Short())
		}
	}
	if len(v.candidates(id(0))) != 2 || len(v.withheld) == 0 {
		t.Errorf("%d candidates, %d services withheld", len(v.candidates(id(0))), len(v.withheld))
	}
}

// TestFirstHolder: the first is who has held a service longest, in whatever order they are looked at.
func TestFirstHolder(t *testing.T) {
	begin := time.Now()
	for range 20 { // maps have another order each time
		h := newHeld(map[holder]time.Time{
			{"web", micronet.NodeID{1}}: begin, {"web", micronet.NodeID{2}}: begin.Add(time.Second), {"web", micronet.NodeID{3}}: begin.Add(2 * time.Second),
			{"api", micronet.NodeID{1}}: begin, {"api", micronet.NodeID{2}}: begin, {"api", micronet.NodeID{3}}: begin.Add(time.Second),
		})
		if id, since, ok := h.first("web"); !ok || id != (micronet.NodeID{1}) || !since.Equal(begin) {
			t.Fatalf("web: %v, %v, %v", id, since, ok)
		}
		if _, since, ok := h.first("api"); ok || !since.Equal(begin) {
			t.Fatalf("api: %v, %v", since, ok)
		}
		if _, _, ok := h.first("none"); ok {
			t.Fatal("a service that nobody holds has a first holder")
		}
	}
}
