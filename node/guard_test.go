package node

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/policy"
)

var noC = policy.Rule{Name: "no-c", From: policy.Callers{Node: "c"}, To: policy.Targets{Service: "echo"}, Action: policy.Deny}

// TestQ22_DestinationDecides: the receiving daemon refuses by the name in the caller's certificate, and
// says by which policy; the caller need not know the policy.
func TestQ22_DestinationDecides(t *testing.T) {
	inBubble(t, 61, func(t *testing.T, b *bubble) {
		log := &recorder{}
		all := b.mesh("a", "c")
		all = append(all[:1:1], b.start("b", b.invite(all[0]), func(c *Config) { c.Env.Log = log.logger() }), all[1])
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "c calls echo", b.answers(all[2], "echo", "b"))
		b.await(5*time.Second, "a calls echo", b.answers(all[0], "echo", "b"))
		all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{noC}))

		_, err := all[2].backend().Dial(context.Background(), "echo", micronet.Caller{})
		wantError(t, "a call of c", err, micronet.Refused, `refused by the policy "no-c" at b: node c may not call echo`)
		status, says := b.throughProxy(all[2], "http://echo/")
		if status != http.StatusForbidden {
			t.Errorf("HTTP status %d", status)
		}
		contains(t, "Micro-Net-Error", says, `the policy "no-c" at b`)
		b.await(time.Second, "a still calls echo", b.answers(all[0], "echo", "b"))
		b.await(time.Second, "the host calls itself", b.answers(all[1], "echo", "b"))

		all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{{Name: "nobody", Action: policy.Deny}}))
		_, err = all[1].backend().Dial(context.Background(), "echo", micronet.Caller{})
		wantError(t, "a call of the own host", err, micronet.Refused, `the policy "nobody" at b`)
		if n := log.count("a policy refused a connection"); n != 2 {
			t.Errorf("%d log lines", n)
		}
		var text strings.Builder
		if err := all[1].backend().Metrics(&text); err != nil {
			t.Fatal(err)
		}
		contains(t, "metrics", text.String(), `micronet_policy_refusals_total{effect="refuse",policy="no-c"} 2`)
	})
}

// throughProxy asks the outbound proxy of a host, and returns the status and the error header; 0 where the
// answer is no HTTP.
func (b *bubble) throughProxy(n *simNode, url string) (int, string) {
	b.t.Helper()
	c, err := n.host.Env().Net.Dial(context.Background(), netip.Addr{}, netip.MustParseAddrPort("127.0.0.1:8081"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: echo\r\nConnection: close\r\n\r\n", url)
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		b.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Micro-Net-Error")
}

// TestQ23_TighteningCutsWithinTwoSeconds: a connection that a new policy refuses ends on both sides. The called
// node decides and counts, once.
func TestQ23_TighteningCutsWithinTwoSeconds(t *testing.T) {
	inBubble(t, 62, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		ln := b.listen(all[1].host, "127.0.0.1:0")
		b.accept(ln, func(c net.Conn) { _, _ = io.Copy(c, c) })
		b.register(all[1], "echo", ln)
		ctx := context.Background()
		for _, n := range []*simNode{all[0], all[2]} {
			b.await(5*time.Second, "echo is known", func() error {
				_, err := b.lookup(ctx, n, "echo")
				return err
			})
		}
		live := map[string]net.Conn{}
		for _, n := range []*simNode{all[0], all[2]} {
			c, err := n.node.Dial(ctx, "echo")
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			say(t, c)
			live[n.host.Name()] = c
		}
		refused := func(n *simNode) uint64 { return n.life().guard.tally("no-c").refused }
		all[2].life().enforce(t.Context(), policy.Compile([]policy.Rule{noC}))
		say(t, live["c"]) // the node that is called decides
		all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{noC}))
		all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{noC})) // while it ends
		if here, there := refused(all[1]), refused(all[2]); here != 1 || there != 0 {
			t.Errorf("b counts %d, c %d", here, there)
		}
		begin := time.Now()
		if _, err := live["c"].Read(make([]byte, 1)); err == nil || err == io.EOF || time.Since(begin) > 2*time.Second {
			t.Errorf("c read %v after %v, want a reset", err, time.Since(begin))
		}
		say(t, live["a"])

		// What only tells counts who is there when it comes, once.
		watch := policy.Rule{Name: "watch", To: policy.Targets{Service: "echo"}, Action: policy.Audit}
		for range 2 {
			all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{noC, watch}))
			if n := all[1].life().guard.tally("watch"); n.audited != 1 || n.refused != 0 {
				t.Errorf("the connection of a that is open is counted %+v", n)
			}
		}
		watch.From.Node = "a" // another rule
		all[1].life().enforce(t.Context(), policy.Compile([]policy.Rule{noC, watch}))
		if n := all[1].life().guard.tally("watch"); n.audited != 2 {
			t.Errorf("a rule that was changed has counted %+v", n)
		}
		say(t, live["a"])
	})
}

// say expects an echo.
func say(t *testing.T, c net.Conn) {
	t.Helper()
	buf := make([]byte, 2)
	if _, err := io.WriteString(c, "hi"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "hi" {
		t.Fatalf("heard %q, %v", buf, err)
	}
}

func TestGuard(t *testing.T) {
	var told []micronet.Judgement
	events := &micronet.Events{PolicyApplied: func(j micronet.Judgement) { told = append(told, j) }}
	self, known, stranger := micronet.NodeID{1}, micronet.NodeID{2}, micronet.NodeID{3}
	g := newGuard(events, self, "here", origin{
		cluster: "eu",
		name: func(id micronet.NodeID) (string, string) {
			return map[micronet.NodeID]string{known: "shop-1"}[id], "eu"
		},
		tags: func(_ micronet.NodeID, service string) []string { return map[string][]string{"shop": {"v2"}}[service] },
	})
	web := &micronet.Instance{Service: "web", Tags: []string{"blue"}}
	if err := g.Admit(micronet.Caller{Node: stranger}, web); err != nil {
		t.Errorf("without policies: %v", err)
	}
	g.set(policy.Compile([]policy.Rule{
		{Name: "v2", From: policy.Callers{Service: "shop", Tag: "v2"}, To: policy.Targets{Tag: "blue"}, Action: policy.Deny},
		{Name: "try", From: policy.Callers{Node: "shop-*"}, Action: policy.Audit},
	}))
	wantError(t, "a node without a name", g.Admit(micronet.Caller{Node: stranger}, web), micronet.Internal, "does not know the certificate")
	wantError(t, "shop", g.Admit(micronet.Caller{Node: known, Service: "shop"}, web), micronet.Internal, "shop of node shop-1 may not call web")
	if err := g.Admit(micronet.Caller{Node: known, Service: "cart"}, web); err != nil {
		t.Errorf("cart: %v", err)
	}
	if err := g.Allows(micronet.Caller{Node: self, Service: "shop"}, web); err == nil {
		t.Error("the own host's shop may")
	}
	if len(told) != 3 || told[1].Rule != "v2" || told[1].Audited || told[2].Rule != "try" || !told[2].Audited || told[2].Caller.Name != "shop-1" {
		t.Errorf("told %+v", told)
	}
	if a, b := g.tally("v2"), g.tally("try"); a != (tally{refused: 1}) || b != (tally{audited: 1}) {
		t.Errorf("counted %+v, %+v", a, b)
	}
	g.set(policy.Compile(nil))
	if got := g.tally("v2"); got != (tally{}) {
		t.Errorf("a rule that is gone counts %+v", got)
	}
}

// A change of the policies costs what it costs to look at each rule once.
func TestNewRules(t *testing.T) {
	rules := func(n int, denies string) *policy.Snapshot {
		list := make([]policy.Rule, n)
		for i := range list {
			list[i] = policy.Rule{Name: fmt.Sprintf("r%d", i), Action: policy.Allow}
			if list[i].Name == denies {
				list[i].Action = policy.Deny
			}
		}
		return policy.Compile(list)
	}
	const n = 1000
	former, now := rules(n-1, ""), rules(n, "r7")
	for name, came := range newRules(former, now) {
		if want := name == "r7" || name == fmt.Sprintf("r%d", n-1); came != want {
			t.Errorf("%s came: %v", name, came)
		}
	}
	if got := testing.AllocsPerRun(1, func() { newRules(former, now) }); got > n {
		t.Errorf("%v allocations for %d rules", got, n)
	}
}
