package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/tunnel"
)

func TestSplitAddress(t *testing.T) {
	for _, c := range []struct {
		in, host string
		port     uint16 // 0: refused
	}{
		{"10.0.0.1", "10.0.0.1", 8085},
		{"10.0.0.1:9000", "10.0.0.1", 9000},
		{"host", "host", 8085},
		{"host.example.com:1", "host.example.com", 1},
		{"::1", "::1", 8085},
		{"[::1]", "::1", 8085},
		{"[2001:db8::1]:9000", "2001:db8::1", 9000},
		{"", "", 0},
		{":9000", "", 0},
		{"host:", "", 0},
		{"host:0", "", 0},
		{"host:65536", "", 0},
		{"host:80x", "", 0},
		{"host:-1", "", 0},
		{"a:b:c", "", 0},
		{"[::1", "", 0},
	} {
		host, port, err := splitAddress(c.in, 8085)
		if (err != nil) != (c.port == 0) || host != c.host || port != c.port {
			t.Errorf("splitAddress(%q) = %q, %d, %v; want %q, %d", c.in, host, port, err, c.host, c.port)
		}
	}
}

// resolving is a network that knows one name.
type resolving struct{ micronet.Network }

func (resolving) LookupHost(_ context.Context, host string) ([]netip.Addr, error) {
	if host == "two" {
		return []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, nil
	}
	return nil, errors.New("no such host")
}

func TestResolveTargets(t *testing.T) {
	j := joiner{env: micronet.Env{Net: resolving{}}}
	targets, failed := j.resolve(context.Background(), []string{"10.0.0.1:9000", "two:9000", "two", "nowhere", "bad:port", "[::1]:8085"})
	if want := "[10.0.0.1:9000 two:9000 (10.0.0.2:9000) two (10.0.0.1:8085) two (10.0.0.2:8085) [::1]:8085]"; fmt.Sprint(targets) != want {
		t.Errorf("targets are %v, want %s", targets, want)
	}
	if len(failed) != 2 || failed["nowhere"] == nil || failed["bad:port"] == nil {
		t.Errorf("failed are %v", failed)
	}
	both := func(context.Context, netip.AddrPort, identity.Token) (tunnel.GuestConn, error) { return nil, nil }
	doors := (&joiner{dialTCP: both}).doors(identity.Token{})
	err := unreachable(targets, map[string]error{"10.0.0.1:9000": micronet.E("x", micronet.Timeout, "no reply"), "nowhere": errors.New("no such host")}, doors)
	wantError(t, "unreachable", err, micronet.Unreachable, "10.0.0.1:9000: no reply", "two:9000 (10.0.0.2:9000): no answer",
		"[::1]:8085: no answer", "nowhere: no such host", "open UDP or TCP port 9000 and 8085")
	wantError(t, "no target", unreachable(nil, map[string]error{"bad:port": errors.New("no HOST")}, doors), micronet.Unreachable, "bad:port: no HOST", "invite --address")
}

func TestInviteAddresses(t *testing.T) {
	own := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:9000"), netip.MustParseAddrPort("[2001:db8::1]:9000"), netip.MustParseAddrPort("127.0.0.1:9000")}
	for _, c := range []struct {
		named []string
		own   []netip.AddrPort
		want  string
	}{
		{nil, own, "[10.0.0.1:9000 [2001:db8::1]:9000]"},
		{nil, own[2:], "[127.0.0.1:9000]"},
		{[]string{"gate.example.com"}, own, "[gate.example.com:9000 10.0.0.1:9000 [2001:db8::1]:9000]"},
		{[]string{"gate:1", "192.0.2.1", "::1", "[::1]:7"}, nil, "[gate:1 192.0.2.1:9000 [::1]:9000 [::1]:7]"},
		{[]string{"10.0.0.1", "10.0.0.1:9000"}, own, "[10.0.0.1:9000 [2001:db8::1]:9000]"},
		{[]string{"a", "b", "c", "d", "e", "f", "g"}, own, "[a:9000 b:9000 c:9000 d:9000 e:9000 f:9000 g:9000 10.0.0.1:9000]"},
	} {
		got, err := inviteAddresses(c.named, 9000, c.own)
		if err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("inviteAddresses(%v, %v) = %v, %v; want %s", c.named, c.own, got, err, c.want)
		}
	}
	_, err := inviteAddresses([]string{"host:none"}, 9000, own)
	wantError(t, "a bad address", err, micronet.Invalid, "--address", "host:none")
}

// Nobody is there: after 15 seconds each address is told, and the port to open.
func TestUnreachableIntroducer(t *testing.T) {
	inBubble(t, 50, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.inviteWith(a, api.InviteRequest{Addresses: []string{"10.0.7.7:9000", "nowhere"}})
		b.crash(a)
		// A stranger has one of the addresses.
		b.start("stranger", "")
		begin := time.Now()
		n := b.launch("n", token)
		err := b.ended(n, time.Minute)
		wantError(t, "unreachable", err, micronet.Unreachable, "10.0.7.7:9000: ", "10.0.0.1:8085: ", "nowhere", "open UDP or TCP port 9000 and 8085", "--address")
		if took := time.Since(begin); took < 15*time.Second || took > 16*time.Second {
			t.Errorf("it took %v, want 15 s", took)
		}
		if code := micronet.KindOf(err).ExitCode(); code != micronet.ExitUnreachable {
			t.Errorf("%v is exit code %d", err, code)
		}
	})
}

// The introducer is late: the joiner goes on asking.
func TestIntroducerThatIsLate(t *testing.T) {
	inBubble(t, 51, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		b.halt(a)
		n := b.launch("n", token)
		time.Sleep(8 * time.Second)
		b.start("a", "")
		b.await(6*time.Second, "both see both", func() error {
			if n.life() == nil {
				return errors.New("it has not joined")
			}
			return b.alive(2, a, n)()
		})
	})
}

// A node that is told to stop while it joins does so at once, and that is no error.
func TestStopWhileJoining(t *testing.T) {
	inBubble(t, 52, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		b.crash(a)
		n := b.launch("n", token)
		time.Sleep(3 * time.Second)
		begin := time.Now()
		b.halt(n)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("it took %v to stop", took)
		}
	})
}

func TestTokens(t *testing.T) {
	inBubble(t, 53, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		used := b.invite(a)
		b.start("b", used)
		fresh := func(r api.InviteRequest) string { return b.inviteWith(a, r) }
		expired := fresh(api.InviteRequest{TTL: "1s"})
		time.Sleep(2 * time.Second)
		good := fresh(api.InviteRequest{})
		for i, c := range []struct {
			name, token, wish string
			want              micronet.Kind
			words             string
		}{
			{"used", used, "", micronet.Refused, "used"},
			{"expired", expired, "", micronet.Refused, "expired"},
			{"short", good[:len(good)-3], "", micronet.Invalid, "token"},
			{"nonsense", "hello", "", micronet.Invalid, "mnj1_"},
			{"of a link", "mnl1_" + good[5:], "", micronet.Invalid, "link"},
			{"a taken name", good, "b", micronet.Refused, `"b" is taken`},
			{"for another name", fresh(api.InviteRequest{Name: "somebody"}), "anybody", micronet.Refused, "somebody"},
		} {
			begin := time.Now()
			n := b.launch(fmt.Sprintf("x%d", i), c.token, func(cfg *Config) { cfg.Name = c.wish })
			err := b.ended(n, time.Minute)
			wantError(t, c.name, err, c.want, c.words)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("%s: refused after %v, want at once", c.name, took)
			}
		}
		// What was refused has not used the good one up, and a name that nobody insists on finds a free one.
		n := b.start("again", good, func(c *Config) { c.Env.Host.Name = "b.example.com" })
		if got := n.backend().Status().Node.Name; got != "b-2" {
			t.Errorf("the second host called b is called %q, want b-2", got)
		}
		bound := b.start("bound", fresh(api.InviteRequest{Name: "named"}))
		if got := bound.backend().Status().Node.Name; got != "named" {
			t.Errorf("the token was for named, the node is called %q", got)
		}
		for _, r := range []api.InviteRequest{{TTL: "soon"}, {TTL: "-1s"}, {Uses: -1}, {Name: "No_Label"}, {Addresses: []string{"a:b:c"}}} {
			_, err := a.backend().Invite(r)
			wantError(t, fmt.Sprintf("%+v", r), err, micronet.Invalid)
		}
	})
}

// A token that leads to two addresses of one authority is used once, and so is the name.
func TestTwoWaysToOneAuthority(t *testing.T) {
	inBubble(t, 54, func(t *testing.T, b *bubble) {
		a := b.start("a", "", func(c *Config) { c.Advertise = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:8085")} })
		a.host.SetAddrs(netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.101/24"))
		token := b.inviteWith(a, api.InviteRequest{Uses: 2, Addresses: []string{"10.0.0.101"}})
		// So slow that both addresses are asked before one has answered.
		b.world.SetDefaultLink(netsim.Link{Latency: 300 * time.Millisecond})
		first := b.start("n", token)
		if got := first.backend().Status().Node.Name; got != "n" {
			t.Errorf("it is called %q", got)
		}
		b.start("m", token)
		n := b.launch("o", token)
		wantError(t, "a third use of two", b.ended(n, 10*time.Second), micronet.Refused, "used")
	})
}

// The data folder of one cluster, the token of another.
func TestFolderOfAnotherCluster(t *testing.T) {
	inBubble(t, 55, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		other := b.start("b", "", func(c *Config) { c.Cluster = "other" })
		b.halt(other)
		b.launch("b", b.invite(a))
		wantError(t, "another cluster", b.ended(other, time.Minute), micronet.Refused, `the cluster "other" (`, "leave", "--data-dir")
		// One of its own cluster is not needed, and is not looked at twice.
		c := b.start("c", b.invite(a))
		b.halt(c)
		b.start("c", b.invite(a))
	})
}

// What is at an address that is no authority of the cluster does not end the search.
func TestJoinGoesOnAfterAWrongAddress(t *testing.T) {
	inBubble(t, 56, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "member")
		token := b.inviteWith(all[0], api.InviteRequest{Addresses: []string{all[1].host.Addr().String()}})
		b.start("n", token)
	})
}

// answers of a fake authority, for the joiner alone.
func TestJoinerStopsAtAWordOfAnAuthority(t *testing.T) {
	inBubble(t, 57, func(t *testing.T, b *bubble) {
		asked := []netip.AddrPort{}
		j := joiner{env: b.host("h").Env()}
		j.dial = func(_ context.Context, addr netip.AddrPort, _ identity.Token) (tunnel.GuestConn, error) {
			asked = append(asked, addr)
			return nil, micronet.E("tunnel.join", micronet.Unauthorized, "who is there could not be proved")
		}
		_, err := j.join(context.Background(), identity.Token{Addresses: []string{"10.0.0.1"}})
		wantError(t, "a stranger", err, micronet.Unreachable, "10.0.0.1:8085: who is there could not be proved")
		if len(asked) < 10 || slices.ContainsFunc(asked, func(a netip.AddrPort) bool { return a.Port() != meshPort }) {
			t.Errorf("it asked %v", asked)
		}
		_, err = j.join(context.Background(), identity.Token{Addresses: []string{"bad:port"}})
		wantError(t, "nothing to ask", err, micronet.Unreachable, "bad:port")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := j.join(ctx, identity.Token{Addresses: []string{"10.0.0.1"}}); !errors.Is(err, errEnded) {
			t.Errorf("told to stop: %v", err)
		}
	})
}

// TestRemedyOfWhoAnswered: where somebody answers and is not believed, no port is shut.
func TestRemedyOfWhoAnswered(t *testing.T) {
	at := netip.MustParseAddrPort("192.0.2.1:8085")
	stranger := micronet.E("join", micronet.Unauthorized, "it does not show the root that the token names").WithFix("ask for a new token")
	for err, want := range map[error]string{nil: "open UDP port 8085", stranger: "ask for a new token"} {
		got := unreachable([]target{{addr: at}}, map[string]error{at.String(): err}, (&joiner{}).doors(identity.Token{}))
		wantError(t, want, got, micronet.Unreachable, "no address of the token answered", want)
	}
}
