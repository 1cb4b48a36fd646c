package node

import (
	"context"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

func TestTrace(t *testing.T) {
	named(t, 83, func(t *testing.T, _ *bubble, a, b *simNode) {
		trace := func(word string) api.Trace {
			t.Helper()
			got, err := a.backend().Trace(context.Background(), word)
			if err != nil {
				t.Fatalf("%s: %v", word, err)
			}
			return got
		}
		got := trace("far")
		if got.Node != "b" || got.ID != b.node.ID().String() || got.Path != micronet.PathDirect || got.Why != "" || got.RTTMs <= 0 {
			t.Errorf("far: %+v", got)
		}
		kinds := ""
		for _, h := range got.Hops {
			kinds += string(h.Kind) + " " + h.Name + "; "
		}
		if kinds != "node a; node b; instance far; " {
			t.Errorf("hops of far: %s", kinds)
		}
		if len(got.Ways) == 0 || got.Ways[0].State != api.WayInUse || got.Ways[0].Path != micronet.PathDirect {
			t.Errorf("ways of far: %+v", got.Ways)
		}
		if got := trace("b"); len(got.Hops) != 2 || got.Hops[1].Name != "b" {
			t.Errorf("b: %+v", got)
		}
		if got := trace("a"); got.Path != micronet.PathLocal || len(got.Ways) != 0 || len(got.Hops) != 1 {
			t.Errorf("a: %+v", got)
		}
		_, err := a.backend().Trace(context.Background(), "nobody")
		wantError(t, "nobody", err, micronet.NotFound, "nobody")
	})
}

func TestWhyNotDirect(t *testing.T) {
	for _, c := range []struct {
		path   micronet.PathKind
		direct directWays
		want   string
	}{
		{micronet.PathDirect, directWays{2, 1, 0}, ""},
		{micronet.PathRelay, directWays{2, 2, 1}, "a direct address answers, and the relay is much faster"},
		{micronet.PathRelay, directWays{2, 1, 1}, "a direct address answers, and nothing but probes gets through: a device between drops QUIC's packets"},
		{micronet.PathRelay, directWays{}, "no address of the node can be tried from here"},
		{micronet.PathRelay, directWays{all: 3}, "none of 3 addresses of the node answers: NATs or firewalls are between, or the link is down"},
		{"", directWays{all: 1}, "none of 1 addresses of the node answers, and no relay leads there"},
	} {
		if got := whyNotDirect(c.path, c.direct); got != c.want {
			t.Errorf("%q %+v: %q", c.path, c.direct, got)
		}
	}
}
