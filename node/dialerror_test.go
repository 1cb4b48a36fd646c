package node

import (
	"context"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// Whoever dials through the API hears which node fell silent, also when it did so a moment ago.
func TestDialASilentNode(t *testing.T) {
	inBubble(t, 337, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "a calls it", b.answers(all[0], "echo", "b"))
		b.crash(all[1])
		// The first attempt takes longer than a node counts as heard.
		for _, what := range []string{"heard a moment ago", "not heard for a while"} {
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			conn, err := all[0].backend().Dial(ctx, "echo", micronet.Caller{})
			cancel()
			if err == nil {
				t.Fatalf("%s: a connection to %v", what, conn.RemoteAddr())
			}
			// Whether a connection was there when b crashed decides which of the two it is.
			kind := micronet.Timeout
			if micronet.KindOf(err) == micronet.Unreachable {
				kind = micronet.Unreachable // of a connection that was there when b crashed
			}
			wantError(t, what, err, kind, "echo: b", "fell silent", "try again")
		}
		time.Sleep(freshFor)
		_, err := all[0].backend().Dial(context.Background(), "echo", micronet.Caller{})
		wantError(t, "known to be silent", err, micronet.Unreachable, "silent")
	})
}

func TestDialBadNames(t *testing.T) {
	inBubble(t, 338, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		for name, want := range map[string]micronet.Kind{
			"Web_": micronet.Invalid, "web:80": micronet.Invalid, "": micronet.Invalid, "a..b": micronet.Invalid, "-x": micronet.Invalid,
			"web": micronet.NotFound, "Web": micronet.NotFound, "go.micro.srv": micronet.NotFound, "v2.web.service": micronet.NotFound,
		} {
			_, err := a.backend().Dial(context.Background(), name, micronet.Caller{})
			wantError(t, name, err, want)
		}
		// Consul's files may have such names.
		b.serve(a, "plain", "a")
		ln := b.listen(a.host, "127.0.0.1:0")
		b.accept(ln, echo("odd"))
		port := int(micronet.AddrPortOf(ln.Addr()).Port())
		odd := config.Service{Name: "my_svc", ID: "odd", Port: port, ServicePort: port, Address: "127.0.0.1", Protocol: "tcp", Weight: 1, Checks: config.Checks{None: true}}
		if errs := a.node.registry.merge(source{"file", "consul"}, 0, []config.Service{odd}); len(errs) > 0 {
			t.Fatal(errs)
		}
		b.await(5*time.Second, "it is found", func() error {
			c, err := a.backend().Dial(context.Background(), "my_svc", micronet.Caller{})
			if err == nil {
				err = c.Close()
			}
			return err
		})
	})
}

func TestPeerError(t *testing.T) {
	inner := micronet.E("tunnel.open", micronet.Unreachable, "the peer fell silent").WithPeer(id(1))
	for _, c := range []struct {
		err  error
		want string // "" none
	}{
		{inner, "the peer fell silent"},
		{micronet.E("proxy.dial", micronet.Unreachable, "web: the last: %w", micronet.E("x", micronet.Timeout, "late: %w", inner)), "the peer fell silent"},
		{micronet.E("proxy.dial", micronet.Unreachable, "web: %w", context.Canceled), ""},
		{context.Canceled, ""},
		{nil, ""},
	} {
		cause, found := peerError(c.err)
		if found != (c.want != "") || (found && cause.Error() != c.want) {
			t.Errorf("%v: %v, %v; want %q", c.err, cause, found, c.want)
		}
	}
}
