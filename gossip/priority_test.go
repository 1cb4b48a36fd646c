package gossip_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/micro/micro-net/gossip"
)

func TestPriorities(t *testing.T) {
	c := newTestCatalog(1)
	now := time.Now()
	record, err := c.Publish(now, gossip.Document{Name: "a", Cluster: "main"})
	if err != nil {
		t.Fatal(err)
	}
	goodbye, err := c.Goodbye(now)
	if err != nil {
		t.Fatal(err)
	}
	revocation := gossip.Statement{Raw: []byte("r"), Revokes: true}
	other := gossip.Statement{Raw: []byte("s")}
	for _, step := range []struct {
		msg  []byte
		want gossip.Priority
	}{
		{revocation.Message(), gossip.PriorityRevocation},
		{goodbye.Broadcast, gossip.PriorityLeave},
		{record.Broadcast, gossip.PriorityRecord},
		{other.Message(), gossip.PriorityRecord},
		{[]byte("something"), gossip.PriorityHint},
		{nil, gossip.PriorityHint},
	} {
		if got := gossip.PriorityOf(step.msg); got != step.want {
			t.Errorf("%q has priority %d, want %d", step.msg, got, step.want)
		}
	}
	if raw, ok := gossip.StatementIn(revocation.Message()); !ok || !bytes.Equal(raw, revocation.Raw) {
		t.Errorf("%q, %t", raw, ok)
	}
	if _, ok := gossip.StatementIn(record.Broadcast); ok {
		t.Error("a record is taken for a statement")
	}
	if long := (&gossip.Statement{Raw: make([]byte, gossip.MaxBroadcast)}); long.Message() != nil {
		t.Error("a message is longer than a broadcast")
	}
}
