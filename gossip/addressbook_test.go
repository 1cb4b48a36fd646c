package gossip

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

var bookTime = time.Date(2030, 1, 2, 3, 4, 5, 6, time.UTC)

func knownPeer(i int) KnownPeer {
	return KnownPeer{
		ID: redialID(i), Name: fmt.Sprint("n", i), Credential: []byte{byte(i)},
		Heard: bookTime.Add(time.Duration(i) * time.Minute),
	}
}

func filledBook(t testing.TB, n int) *AddressBook {
	t.Helper()
	b := NewAddressBook()
	for i := range n {
		if err := b.Remember(knownPeer(i)); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestAddressBookRoundTrip(t *testing.T) {
	b := filledBook(t, 5)
	p := knownPeer(2)
	p.Revoked = true
	if err := b.Remember(p); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	read := NewAddressBook()
	if err := json.Unmarshal(data, read); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read.Peers(), b.Peers()) || len(b.Peers()) != 5 {
		t.Errorf("read %v, wrote %v", read.Peers(), b.Peers())
	}
	again, err := json.Marshal(read)
	if err != nil || !bytes.Equal(again, data) {
		t.Errorf("written again: %s, %v, want %s", again, err, data)
	}
}

func TestAddressBookRemembers(t *testing.T) {
	b := filledBook(t, 3)
	if got := b.Peers(); got[0].ID != redialID(0) || got[2].ID != redialID(2) {
		t.Errorf("Peers = %v, want them by id", got)
	}
	got, ok := b.Get(redialID(1))
	if !ok || got.Name != "n1" {
		t.Fatalf("Get = %v, %v", got, ok)
	}
	got.Credential[0] = 99
	if again, _ := b.Get(redialID(1)); again.Credential[0] != 1 {
		t.Error("a changed copy changes the book")
	}
	revoked := knownPeer(1)
	revoked.Revoked = true
	for _, p := range []KnownPeer{revoked, knownPeer(1)} {
		if err := b.Remember(p); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := b.Get(redialID(1)); !got.Revoked {
		t.Error("a revoked peer is not revoked any more")
	}
	b.Forget(redialID(0))
	if _, ok := b.Get(redialID(0)); ok || len(b.Peers()) != 2 {
		t.Error("a forgotten peer is still there")
	}
	for name, spoil := range map[string]func(*KnownPeer){
		"id":         func(p *KnownPeer) { p.ID = micronet.NodeID{} },
		"name":       func(p *KnownPeer) { p.Name = strings.Repeat("x", 64) },
		"credential": func(p *KnownPeer) { p.Credential = make([]byte, 513) },
		"date":       func(p *KnownPeer) { p.Heard = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		p := knownPeer(7)
		spoil(&p)
		if err := b.Remember(p); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("Remember with a bad %s = %v, want invalid", name, err)
		}
	}
}

func TestAddressBookExpires(t *testing.T) {
	b := filledBook(t, 3) // heard 0, 1 and 2 minutes after bookTime
	if got := b.Expire(bookTime.Add(PeerKept + time.Minute)); got != 1 {
		t.Errorf("Expire dropped %d, want 1", got)
	}
	// A clock that was wrong once must not keep a peer for ever.
	p := knownPeer(9)
	p.Heard = bookTime.AddDate(50, 0, 0)
	if err := b.Remember(p); err != nil {
		t.Fatal(err)
	}
	b.Expire(bookTime)
	if got, _ := b.Get(p.ID); !got.Heard.Equal(bookTime) {
		t.Errorf("heard %v, want %v", got.Heard, bookTime)
	}
}

func TestAddressBookIsBounded(t *testing.T) {
	b := filledBook(t, MaxPeers+2)
	if got := len(b.Peers()); got != MaxPeers {
		t.Fatalf("%d peers, want %d", got, MaxPeers)
	}
	for i, want := range map[int]bool{0: false, 1: false, 2: true, MaxPeers + 1: true} {
		if _, ok := b.Get(redialID(i)); ok != want {
			t.Errorf("peer %d is there: %v, want %v", i, ok, want)
		}
	}
	data, err := json.Marshal(b)
	if err != nil || len(data) > MaxBookBytes {
		t.Errorf("a full book has %d bytes, %v", len(data), err)
	}
	if err := json.Unmarshal(data, NewAddressBook()); err != nil {
		t.Error(err)
	}
}

func TestAddressBookRefusesBadFiles(t *testing.T) {
	id := redialID(1).String()
	for name, data := range map[string]string{
		"empty":          ``,
		"torn":           `{"version":1,"peers":[{"id":"` + id,
		"null":           `null`,
		"foreign":        `{"hello":"world"}`,
		"another form":   `[]`,
		"newer":          `{"version":2,"peers":[]}`,
		"no list":        `{"version":1,"peers":{}}`,
		"twice":          `{"version":1,"peers":[{"id":"` + id + `"},{"id":"` + id + `"}]}`,
		"no id":          `{"version":1,"peers":[{"name":"x"}]}`,
		"bad id":         `{"version":1,"peers":[{"id":"x"}]}`,
		"long name":      `{"version":1,"peers":[{"id":"` + id + `","name":"` + strings.Repeat("x", 64) + `"}]}`,
		"too many":       `{"version":1,"peers":[` + strings.Repeat("{},", MaxPeers) + `{}]}`,
		"too large":      `{"version":1,"peers":[]` + strings.Repeat(" ", MaxBookBytes) + `}`,
		"something more": `{"version":1,"peers":[]}{}`,
	} {
		b := filledBook(t, 1)
		if err := b.UnmarshalJSON([]byte(data)); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
		if len(b.Peers()) != 1 {
			t.Errorf("%s: the book was changed", name)
		}
	}
	b := NewAddressBook()
	if err := b.UnmarshalJSON([]byte(`{"version":1,"new":3,"peers":[{"id":"` + id + `","later":[]}]}`)); err != nil {
		t.Errorf("unknown fields: %v", err)
	}
}

// What is accepted is valid, bounded, and comes back the same.
func FuzzAddressBook(f *testing.F) {
	for _, n := range []int{0, 1, 3} {
		data, err := json.Marshal(filledBook(f, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"version":1,"peers":[{"id":"` + redialID(1).String() + `","heard":"0001-01-01T00:00:00+23:59"}]}`))
	f.Add([]byte(`{"version":1,"peers":[{"id":"` + redialID(1).String() + `","credential":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := NewAddressBook()
		if b.UnmarshalJSON(data) != nil {
			return
		}
		written, err := json.Marshal(b)
		if err != nil {
			t.Fatalf("accepted, but not written: %v", err)
		}
		read := NewAddressBook()
		if err := read.UnmarshalJSON(written); err != nil || !reflect.DeepEqual(read.Peers(), b.Peers()) {
			t.Errorf("%v, %v came back as %v", err, b.Peers(), read.Peers())
		}
	})
}
