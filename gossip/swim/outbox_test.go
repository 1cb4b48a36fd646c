package swim

import (
	"fmt"
	"slices"
	"testing"

	"github.com/micro/micro-net/gossip"
)

func took(msgs [][]byte) (s []string) {
	for _, m := range msgs {
		s = append(s, string(m))
	}
	return s
}

func TestOutboxOrder(t *testing.T) {
	var o outbox
	o.put("a", []byte("a1"))
	o.put("b", []byte("b1"))
	if got := took(o.take(0, 100, 3)); !slices.Equal(got, []string{"a1", "b1"}) {
		t.Errorf("take = %q, want both", got)
	}
	o.put("c", []byte("c1"))
	o.put("a", []byte("a2"))
	// The least sent first; what does not fit waits.
	if got := took(o.take(1, 6, 3)); !slices.Equal(got, []string{"c1", "a2"}) {
		t.Errorf("take = %q, want the new ones", got)
	}
	if got := took(o.take(0, 100, 3)); !slices.Equal(got, []string{"c1", "a2", "b1"}) {
		t.Errorf("take = %q, want all", got)
	}
	if got := took(o.take(0, 100, 3)); !slices.Equal(got, []string{"c1", "a2", "b1"}) {
		t.Errorf("take = %q, want all for the last time", got)
	}
	if got := o.take(0, 100, 3); got != nil {
		t.Errorf("take = %q, want nothing", got)
	}
}

// Who must not be listened to goes before what anybody says, however often it was sent.
func TestOutboxSendsRevocationsFirst(t *testing.T) {
	var o outbox
	revocation := (&gossip.Statement{Raw: []byte("r"), Revokes: true}).Message()
	o.put("hint", []byte("hint"))
	o.put("other", (&gossip.Statement{Raw: []byte("s")}).Message())
	o.put("revocation", revocation)
	for range 3 {
		if got := took(o.take(0, 100, 3)); !slices.Equal(got, []string{string(revocation), "\x04s", "hint"}) {
			t.Fatalf("take = %q", got)
		}
	}
	o.put("revocation", revocation)
	for i := range 2 * maxBroadcasts {
		o.put(fmt.Sprint(i), []byte("x"))
	}
	if got := took(o.take(0, 2, 3)); !slices.Equal(got, []string{string(revocation)}) {
		t.Errorf("%q: a full queue has dropped the revocation", got)
	}
}

// One that waits alone is replaced, and another of the same length comes: both are sent.
func TestOutboxKeepsEqualLengths(t *testing.T) {
	var o outbox
	o.put("a", []byte("1"))
	o.take(0, 10, 9)
	o.put("a", []byte("2"))
	o.put("b", []byte("3"))
	if got := took(o.take(0, 10, 9)); !slices.Equal(got, []string{"2", "3"}) {
		t.Errorf("take = %q, want both", got)
	}
}

func TestOutboxIsBounded(t *testing.T) {
	var o outbox
	o.put("old", []byte("old"))
	o.take(0, 10, 9)
	for i := range maxBroadcasts - 1 {
		if o.put(fmt.Sprint(i), []byte("x")) {
			t.Fatalf("dropped at %d", i)
		}
	}
	if !o.put("one more", []byte("y")) {
		t.Error("nothing was dropped")
	}
	if len(o.items) != maxBroadcasts || slices.ContainsFunc(o.items, func(i *outItem) bool { return i.key == "old" }) {
		t.Errorf("%d items, or the most sent one is still there", len(o.items))
	}
	if o.put("one more", []byte("z")) {
		t.Error("a replacement dropped something")
	}
}

func TestRetransmits(t *testing.T) {
	for n, want := range map[int]int{1: 4, 2: 4, 9: 4, 10: 8, 99: 8, 100: 12, 1000: 16} {
		if got := retransmits(4, n); got != want {
			t.Errorf("retransmits(4, %d) = %d, want %d", n, got, want)
		}
	}
}
