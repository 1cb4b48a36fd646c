package node

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// redirected is a network whose VIPs another daemon has.
type redirected struct{ micronet.Network }

func (redirected) Redirect(_ context.Context, _ string, from netip.Prefix, _ net.Listener) (func() error, error) {
	return nil, fmt.Errorf("%s: %w", from, micronet.ErrRedirected)
}

// A first start that is refused keeps nothing: no cluster is founded, none is joined, and no use of
// the token is spent.
func TestRefusedFirstStartKeepsNothing(t *testing.T) {
	inBubble(t, 331, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		for _, c := range []struct {
			what   string
			token  string
			change func(*Config)
			words  []string
			kind   micronet.Kind
		}{
			{"the VIPs are taken, founding", "", func(c *Config) {
				c.Daemon.Capture, c.Env.Net = CaptureAuto, redirected{c.Env.Net}
			}, []string{"another daemon of this host has the addresses 127.80.0.0/12", "--vip-cidr 127.96.0.0/12"}, micronet.Refused},
			{"the VIPs are taken, joining", token, func(c *Config) {
				c.Daemon.Capture, c.Env.Net = CaptureAuto, redirected{c.Env.Net}
			}, []string{"another daemon of this host has the addresses"}, micronet.Refused},
			{"capture is wanted and not permitted", token, func(c *Config) {
				c.Daemon.Capture = CaptureOn
			}, []string{"CAP_NET_ADMIN"}, micronet.Refused},
			{"a service is our own port", token, func(c *Config) {
				c.Services = []config.Service{complete(t, config.Service{Name: "self", Port: 8500})}
			}, []string{"127.0.0.1:8500", "listener of micro-net itself"}, micronet.Refused},
			{"half a token", token[:len(token)-3], func(*Config) {}, []string{"token"}, micronet.Invalid},
		} {
			n := b.prepare("n")
			n.host.SetCredentials(micronet.Credentials{UID: 1000, GID: 1000, PID: 7})
			b.launch("n", c.token, c.change)
			wantError(t, c.what, b.ended(n, drainFor), c.kind, c.words...)
			files, err := n.host.FS().ReadDir(testDir)
			if err != nil || len(files) != 1 || files[0].Name() != fileLock {
				t.Errorf("%s: the data folder holds %v, %v; want the lock alone", c.what, files, err)
			}
		}
		b.start("n", token)
	})
}

// A redirect that was made for a start that then fails is undone.
func TestRefusedStartUndoesItsRedirect(t *testing.T) {
	inBubble(t, 332, func(t *testing.T, b *bubble) {
		a := b.start("a", "")
		token := b.invite(a)
		b.crash(a)
		n := b.prepare("n")
		undone := 0
		b.launch("n", token, func(c *Config) {
			c.Daemon.Capture, c.Env.Net = CaptureOn, &counting{Network: c.Env.Net, undone: &undone}
		})
		wantError(t, "nobody answers", b.ended(n, 2*joinTime), micronet.Unreachable)
		if undone != 1 {
			t.Errorf("the redirect was undone %d times, want once", undone)
		}
	})
}

// counting is a network that counts redirects that end.
type counting struct {
	micronet.Network
	undone *int
}

func (n *counting) Redirect(context.Context, string, netip.Prefix, net.Listener) (func() error, error) {
	return func() error { *n.undone++; return nil }, nil
}
