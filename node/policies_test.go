package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/policy"
	"github.com/micro/micro-net/node/api"
)

// apply applies rules at a node, which is an authority.
func (b *bubble) apply(n *simNode, rules ...policy.Rule) api.PolicyChange {
	b.t.Helper()
	done, err := n.backend().ApplyPolicies(context.Background(), rules)
	if err != nil {
		b.t.Fatal(err)
	}
	return done
}

// dials checks that an instance takes a connection from a node.
func (b *bubble) dials(n *simNode, service string) func() error {
	return func() error {
		c, err := n.backend().Dial(context.Background(), service, micronet.Caller{})
		if err == nil {
			err = c.Close()
		}
		return err
	}
}

// holds checks the names of the policies that nodes have.
func holds(want string, by ...*simNode) func() error {
	return func() error {
		for _, n := range by {
			names := ""
			for _, p := range n.backend().Policies() {
				names += p.Name + " "
			}
			if names != want {
				return fmt.Errorf("%s has %q", n.host.Name(), names)
			}
		}
		return nil
	}
}

// TestQ22_PolicyOfTheMesh: what an authority states counts at every node within two seconds, cuts what runs,
// survives a restart, and is taken back everywhere; nobody else can state it.
func TestQ22_PolicyOfTheMesh(t *testing.T) {
	inBubble(t, 83, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		ln := b.listen(all[1].host, "127.0.0.1:0")
		b.accept(ln, func(c net.Conn) { _, _ = io.Copy(c, c) })
		b.register(all[1], "echo", ln)
		b.await(5*time.Second, "echo is known", func() error { _, err := b.lookup(t.Context(), all[2], "echo"); return err })
		live, err := all[2].node.Dial(t.Context(), "echo")
		if err != nil {
			t.Fatal(err)
		}
		defer live.Close()
		say(t, live)

		_, err = all[2].backend().ApplyPolicies(t.Context(), []policy.Rule{noC})
		wantError(t, "apply at c", err, micronet.Refused, "run it on a")
		wantError(t, "delete of nothing", all[0].backend().DeletePolicy(t.Context(), "no-c"), micronet.NotFound, "policy list")
		done := b.apply(all[0], noC, policy.Rule{Name: "try", Action: policy.Audit})
		if len(done.Applied) != 2 {
			t.Errorf("applied %+v", done)
		}
		begin := time.Now()
		if _, err := live.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || time.Since(begin) > 2*time.Second {
			t.Errorf("c read %v after %v, want a reset", err, time.Since(begin))
		}
		b.await(2*time.Second, "all have them", holds("no-c try ", all...))
		_, err = all[2].backend().Dial(t.Context(), "echo", micronet.Caller{})
		wantError(t, "a call of c", err, micronet.Refused, `the policy "no-c" at b`)
		if done := b.apply(all[0], noC); len(done.Unchanged) != 1 || len(done.Applied) != 0 {
			t.Errorf("applied again: %+v", done)
		}
		b.await(5*time.Second, "a may call", b.dials(all[0], "echo"))
		if p := all[1].backend().Policies(); p[1].Audited == 0 || p[0].Refused == 0 {
			t.Errorf("b counted %+v", p)
		}

		b.halt(all[1])
		all[1] = b.start("b", "")
		if err := holds("no-c try ", all[1])(); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		if err := all[0].backend().DeletePolicy(t.Context(), "no-c"); err != nil {
			t.Fatal(err)
		}
		b.await(2*time.Second, "all have let go of it", holds("try ", all...))
		b.await(10*time.Second, "c may call again", b.dials(all[2], "echo"))
	})
}

// TestApplyIsAllOrNothing: a rule that cannot be stated keeps the others from counting.
func TestApplyIsAllOrNothing(t *testing.T) {
	inBubble(t, 84, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		_, err := a.backend().ApplyPolicies(t.Context(), []policy.Rule{noC, {Name: "odd", Action: "limit"}})
		wantError(t, "an unknown action", err, micronet.Invalid, `"limit" is no action`)
		many := make([]policy.Rule, config.MaxPolicies)
		for i := range many {
			many[i] = policy.Rule{Name: fmt.Sprintf("p-%d", i), Action: policy.Audit}
		}
		b.apply(a, many...)
		_, err = a.backend().ApplyPolicies(t.Context(), []policy.Rule{{Name: "p-0", Action: policy.Allow}, noC})
		wantError(t, "one too many", err, micronet.Refused, "1025 policies, at most 1024")
		if p := a.backend().Policies(); len(p) != config.MaxPolicies || p[0].Action != policy.Audit {
			t.Errorf("%d policies, the first %+v", len(p), p[0])
		}
	})
}

// TestExplainAndTest: both name the rule that decides, for each instance, and agree with what a call does.
func TestExplainAndTest(t *testing.T) {
	inBubble(t, 85, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		for i, n := range all {
			s := withoutChecks("pay", 9000)
			s[0].Tags = [][]string{{"v1"}, {"v2"}}[i]
			if _, err := n.backend().Register(0, append(s, withoutChecks("shop", 9001)...)); err != nil {
				t.Fatal(err)
			}
		}
		b.apply(all[0], policy.Rule{Name: "no-v1", To: policy.Targets{Service: "pay", Tag: "v1"}, From: policy.Callers{Service: "!shop"}, Action: policy.Deny})
		b.await(5*time.Second, "a knows all", func() error {
			if n := len(all[0].life().view.Load().instances["pay"]); n != 2 {
				return fmt.Errorf("%d instances", n)
			}
			return nil
		})
		back := all[0].backend()
		for _, c := range []struct{ from, want string }{
			{"a", `a: no [pay@a] refused by the policy "no-v1"; a: yes [pay@b] allowed by default: no policy refuses it; `},
			{"shop", `shop@a: yes [pay@a pay@b] allowed by default: no policy refuses it; shop@b: yes [pay@a pay@b] allowed by default: no policy refuses it; `},
			{"x@b", `x@b: no [pay@a] refused by the policy "no-v1"; x@b: yes [pay@b] allowed by default: no policy refuses it; `},
		} {
			list, err := back.TestPolicy(c.from, "pay")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, v := range list {
				got += fmt.Sprintf("%s: %s %v %s; ", strings.TrimPrefix(v.From.Service+"@"+v.From.Node, "@"), map[bool]string{true: "yes", false: "no"}[v.Allowed], v.Instances, v.Reason)
			}
			if got != c.want {
				t.Errorf("from %s: %s, want %s", c.from, got, c.want)
			}
		}
		done := b.apply(all[0], policy.Rule{Name: "typo", From: policy.Callers{Node: "B*", Service: "!shpo"}, To: policy.Targets{Service: "PAY"}, Action: policy.Audit},
			policy.Rule{Name: "gone", From: policy.Callers{Node: "zzzzzz"}, Action: policy.Audit})
		if got := strings.Join(done.Warnings, ", "); got != `typo: no service "shpo" is known now; did you mean "shop"?, gone: no node "zzzzzz" is known now` {
			t.Errorf("apply warns %s", got)
		}
		list, err := back.TestPolicy("a", "pya")
		if err != nil || len(list) != 1 || len(list[0].Instances) != 0 || !strings.Contains(list[0].Reason, "nobody is led to an instance of it") {
			t.Errorf("an unknown service: %+v, %v", list, err)
		}
		_, err = back.Services("pya")
		wantError(t, "an unknown service", err, micronet.NotFound, `did you mean "pay"?`)
		for from, kind := range map[string]micronet.Kind{"nobody": micronet.NotFound, "shop@z": micronet.NotFound, "@a": micronet.Invalid} {
			_, err := back.TestPolicy(from, "pay")
			wantError(t, from, err, kind, "")
		}
		for service, picked := range map[string]string{"": "b", "shop": "a"} {
			e, err := back.Explain(t.Context(), "pay", micronet.Caller{Service: service, Attested: true})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, c := range e.Candidates {
				if c.Picked {
					got += c.Node
				}
			}
			if got != picked || len(e.Candidates) != 2 || !strings.Contains(e.Answer, "pay of node "+picked) {
				t.Errorf("as %q: %+v", service, e)
			}
		}
		b.apply(all[0], policy.Rule{Name: "nobody", To: policy.Targets{Service: "pay"}, Action: policy.Deny})
		e, err := back.Explain(t.Context(), "pay", micronet.Caller{})
		if err != nil || !strings.Contains(e.Answer, `refused by the policy "nobody": node a may not call pay`) {
			t.Errorf("%+v, %v", e, err)
		}
		for as, says := range map[string]string{"shpo": `no service "shpo" in the mesh to call as; did you mean "shop"?`, "web@b": `no service "web@b"`} {
			_, err := back.Explain(t.Context(), "pay", micronet.Caller{Service: as, Attested: true})
			wantError(t, "as "+as, err, micronet.NotFound, says)
		}
		if _, err := back.Explain(t.Context(), "pay", micronet.Caller{Service: "Shop", Attested: true}); err != nil {
			t.Errorf("as Shop: %v", err)
		}
		_, err = back.Explain(t.Context(), "nothing", micronet.Caller{})
		wantError(t, "an unknown service", err, micronet.NotFound, "")
	})
}
