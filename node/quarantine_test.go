package node

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/gossip"
)

// A node that publishes more often than one may is named in status and metrics until it is listened to again.
func TestQuarantineIsTold(t *testing.T) {
	inBubble(t, 172, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		l := all[1].life()
		for range 4 * gossip.DefaultBurst {
			l.report("test", l.records.refresh())
			msg, _ := l.records.Document(l.self)
			all[0].life().records.received(msg)
		}
		w := warned(all[0], "quarantined")
		if w == nil || !strings.Contains(w.Text, "b (too-many-updates, for 30s more)") {
			t.Fatalf("a warns %+v", w)
		}
		var text bytes.Buffer
		if err := all[0].backend().Metrics(&text); err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			`micronet_origin_quarantined{node="b"} 1`, "micronet_catalog_quarantined 1",
			`micronet_origin_records_refused_total{node="b",reason="too-many-updates"} 1`,
		} {
			if !strings.Contains(text.String(), line) {
				t.Errorf("%s is missing", line)
			}
		}
		if w := warned(all[1], "quarantined"); w != nil {
			t.Errorf("b warns %+v", w)
		}
		time.Sleep(gossip.DefaultQuarantine + time.Second)
		if w := warned(all[0], "quarantined"); w != nil {
			t.Errorf("a still warns %+v", w)
		}
		text.Reset()
		if err := all[0].backend().Metrics(&text); err != nil || strings.Contains(text.String(), "micronet_origin_quarantined{") {
			t.Errorf("the metric is still there: %v", err)
		}
	})
}

// Only what an owner must have signed, or done too often, is its fault.
func TestBlame(t *testing.T) {
	if got := gossip.BlamedFor(nil); !got.IsZero() {
		t.Errorf("nobody did anything, and %s is blamed", got.Short())
	}
	inBubble(t, 173, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		l, other := all[0].life(), all[1].life().self
		var whole []byte
		b.await(5*time.Second, "the record is here", func() error {
			var held bool
			if whole, held = l.records.Document(other); !held {
				return errors.New("it is not")
			}
			return nil
		})
		forged := bytes.Clone(whole)
		forged[40] ^= 1
		for name, msg := range map[string][]byte{"forged": forged, "cut": whole[:20], "nothing": nil} {
			_, err := l.records.catalog.Receive(time.Now(), msg)
			if err == nil || !gossip.BlamedFor(err).IsZero() {
				t.Errorf("%s: %v, blamed is %s", name, err, gossip.BlamedFor(err).Short())
			}
		}
	})
}
