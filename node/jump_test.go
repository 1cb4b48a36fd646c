package node

import (
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// A node that numbers its own record far ahead is named by those who take it over.
func TestQ14_OwnJumpRaisesAnAlarm(t *testing.T) {
	inBubble(t, 193, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		l := all[1].life()
		own, _ := l.records.catalog.Get(l.self)
		ahead := gossip.NewCatalog(gossip.CatalogConfig{
			Self: l.self, Epoch: own.Document.Version.Epoch + 1<<40, Key: l.keys.Sign, Cluster: l.pass.trust.Cluster(), Codec: wire.New(),
		})
		if _, err := ahead.Publish(time.Now(), own.Document); err != nil {
			t.Fatal(err)
		}
		msg, _ := ahead.Document(time.Now(), l.self)
		if w := warned(all[0], versionJump); w != nil {
			t.Fatalf("a warns before: %+v", w)
		}
		if err := all[0].life().records.Import(msg); err != nil {
			t.Fatal(err)
		}
		if w := warned(all[0], versionJump); w == nil || !strings.Contains(w.Text, "b ("+l.self.Short()) {
			t.Errorf("a warns %+v", w)
		}
	})
}
