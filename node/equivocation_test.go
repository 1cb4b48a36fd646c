package node

import (
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// otherRecord is another record of the version that a node has published.
func otherRecord(t *testing.T, l *life) []byte {
	t.Helper()
	own, _ := l.records.catalog.Get(l.self)
	v := own.Document.Version
	liar := gossip.NewCatalog(gossip.CatalogConfig{
		Self: l.self, Epoch: v.Epoch, Key: l.keys.Sign, Cluster: l.pass.trust.Cluster(), Codec: wire.New(),
	})
	d := own.Document
	d.Software = "another"
	if _, err := liar.Publish(time.Now(), d); err != nil {
		t.Fatal(err)
	}
	for range v.Seq - 1 {
		if _, err := liar.Refresh(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	msg, _ := liar.Document(time.Now(), l.self)
	return msg
}

// Who tells some nodes one thing and others another is named by all that compare.
func TestQ9_EquivocationRaisesAnAlarm(t *testing.T) {
	inBubble(t, 192, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b", "c")
		msg := otherRecord(t, all[1].life())
		if w := warned(all[0], signedTwice); w != nil {
			t.Fatalf("a warns before: %+v", w)
		}
		for range 3 {
			if err := all[0].life().records.Import(msg); gossip.ReasonOf(err) != gossip.ReasonEquivocation {
				t.Fatalf("Import = %v, want an equivocation", err)
			}
		}
		if w := warned(all[0], signedTwice); w == nil || !strings.Contains(w.Text, "b ("+all[1].life().self.Short()) {
			t.Errorf("a warns %+v", w)
		}
		if w := warned(all[2], signedTwice); w != nil {
			t.Errorf("c, who heard one alone, warns %+v", w)
		}
	})
}

func TestOffendersAreBounded(t *testing.T) {
	e, now := newOffenders(nil), time.Unix(1000, 0)
	for n := range maxOffenders {
		if !e.note(now, id(n)) || e.note(now, id(n)) {
			t.Fatalf("node %d is not news once", n)
		}
	}
	if e.note(now, id(200)) || len(e.list(now)) != maxOffenders {
		t.Error("one too many is remembered")
	}
	if later := now.Add(offenceMemory); !e.note(later, id(200)) || len(e.list(later)) != 1 {
		t.Error("the old ones are not forgotten")
	}
	if got := e.list(now.Add(3 * offenceMemory)); len(got) != 0 {
		t.Errorf("%v are remembered for ever", got)
	}
}
