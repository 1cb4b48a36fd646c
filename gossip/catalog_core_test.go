package gossip

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func TestTokenBucket(t *testing.T) {
	start := time.Unix(1000, 0)
	var b tokenBucket
	for i := range 4 {
		if got := b.take(start, 2, 3); got != (i < 3) {
			t.Errorf("take %d of a burst of 3 = %v", i, got)
		}
	}
	if b.take(start.Add(-time.Hour), 2, 3) {
		t.Error("a clock that went back refilled the bucket")
	}
	if !b.take(start.Add(500*time.Millisecond), 2, 3) {
		t.Error("half a second at 2 per second gave no token")
	}
	if b.take(start.Add(500*time.Millisecond), 2, 3) {
		t.Error("half a second at 2 per second gave two tokens")
	}
}

func TestWireAge(t *testing.T) {
	for d, want := range map[time.Duration]uint32{
		-time.Hour: 1, 0: 1, 1: 2, time.Second: 2, 1500 * time.Millisecond: 3, 1<<63 - 1: 1<<32 - 1,
	} {
		if d == 1<<63-1 {
			d = time.Duration(maxAge) * time.Second
		}
		if got := wireAge(d); got != want {
			t.Errorf("wireAge(%v) = %d, want %d", d, got, want)
		}
	}
}

func itemsOf(pairs ...string) []Item {
	var out []Item
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, Item{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return out
}

func TestH8_ParseBodyIsStrict(t *testing.T) {
	good := itemsOf("a", "1", "b", "")
	if got, err := parseBody(appendItems(nil, good), 2); err != nil || !reflect.DeepEqual(got, good) {
		t.Errorf("parseBody = %v, %v, want %v", got, err, good)
	}
	body := appendItems(nil, good)
	for name, tc := range map[string]struct {
		body  []byte
		count uint32
	}{
		"twice":          {appendItems(nil, itemsOf("a", "1", "a", "2")), 2},
		"out of order":   {appendItems(nil, itemsOf("b", "1", "a", "2")), 2},
		"empty key":      {appendItems(nil, itemsOf("", "1")), 1},
		"long key":       {appendItems(nil, itemsOf(string(make([]byte, MaxItemKey+1)), "1")), 1},
		"long value":     {appendItems(nil, itemsOf("a", string(make([]byte, MaxItemValue+1)))), 1},
		"one too few":    {body, 1},
		"one too many":   {body, 3},
		"2^32 - 1":       {body, 1<<32 - 1},
		"value cut":      {body[:6], 1},
		"2^32 - 1 bytes": {[]byte{0, 1, 'a', 0xff, 0xff, 0xff, 0xff, 0}, 1},
	} {
		if items, err := parseBody(tc.body, tc.count); err == nil {
			t.Errorf("%s: parseBody took %v", name, items)
		}
	}
}

func TestDiffApply(t *testing.T) {
	cases := []struct{ old, new []Item }{
		{nil, nil},
		{nil, itemsOf("a", "1")},
		{itemsOf("a", "1"), nil},
		{itemsOf("a", "1", "c", "3"), itemsOf("b", "2")},
		{itemsOf("a", "1", "b", "2", "c", "3"), itemsOf("a", "1", "b", "x", "c", "3", "d", "4")},
		{itemsOf("b", "2", "d", "4"), itemsOf("a", "1", "b", "2", "c", "3")},
	}
	for _, tc := range cases {
		d := diff(Version{1, 1}, tc.old, tc.new)
		if got := d.apply(tc.old); !slices.EqualFunc(got, tc.new, func(a, b Item) bool { return a.Key == b.Key && string(a.Value) == string(b.Value) }) {
			t.Errorf("diff(%s, %s) applied gives %s", tc.old, tc.new, got)
		}
		if got := d.apply(tc.new); !reflect.DeepEqual(append([]Item{}, got...), append([]Item{}, tc.new...)) {
			t.Errorf("diff(%s, %s) applied twice gives %s", tc.old, tc.new, got)
		}
	}
}

// A base must be settle old as soon as anything is, however fast versions follow each other.
func TestHistoryBase(t *testing.T) {
	var h history
	start := time.Unix(1000, 0)
	at := map[uint64]time.Time{}
	for i := range 200 {
		now := start.Add(time.Duration(i) * 150 * time.Millisecond)
		seq := uint64(i + 1)
		s := signedHeader{header: header{version: Version{1, seq}}}
		h.publish(now, &s, nil, nil)
		at[seq] = now
		if i == 0 {
			continue
		}
		age := now.Sub(at[h.base.version.Seq])
		if h.base.version.Seq != 1 && (age < settle || age > 2*settle+150*time.Millisecond) {
			t.Fatalf("version %d is made from a base of %v", seq, age)
		}
		if i > 40 && h.base.version.Seq == 1 {
			t.Fatalf("version %d is still made from the first", seq)
		}
	}
}
