package heartbeat

import (
	"bytes"
	"encoding/hex"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

func TestEntryForm(t *testing.T) {
	e := entry{prefix: 0x0102030405060708, mark: 0xee, beat: 4096, value: value{0xaa, 15: 0xbb}, age: 25}
	b := e.append(nil)
	want := "0102030405060708" + "ee" + "001000" + "aa0000000000000000000000000000bb" + "0019"
	if got := hex.EncodeToString(b); got != want || len(b) != entrySize {
		t.Errorf("%s, want %s", got, want)
	}
	if got := parseEntry(append(b, 9)); got != e {
		t.Errorf("%+v, want %+v", got, e)
	}
	if MaxEntries != 36 {
		t.Errorf("a packet holds %d entries", MaxEntries)
	}
}

func TestAgeOf(t *testing.T) {
	for d, want := range map[time.Duration]uint16{
		-time.Hour: 0, 0: 0, 49 * ms: 0, 50 * ms: 1, 149 * ms: 1, 150 * ms: 2, 2 * sec: 20,
		6553 * sec: 65530, 6553500 * ms: 65535, 1 << 62: 65535,
	} {
		if got := ageOf(d); got != want {
			t.Errorf("ageOf(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestPacketForm(t *testing.T) {
	for name, payload := range map[string][]byte{
		"nothing": {}, "format": {2}, "format 0": make([]byte, 31), "cut off": append([]byte{1}, make([]byte, 29)...),
		"one byte more": append([]byte{1}, make([]byte, 31)...), "too long": append([]byte{1}, make([]byte, 37*30)...),
	} {
		table := NewTable(testID(0))
		if _, err := table.Receive(epoch, testID(1), payload); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		if s := table.Stats(); s.Malformed != 1 || s.Packets != 1 {
			t.Errorf("%s: %+v", name, s)
		}
	}
	for name, payload := range map[string][]byte{"empty": {1}, "full": append([]byte{1}, make([]byte, 36*30)...)} {
		if _, err := NewTable(testID(0)).Receive(epoch, testID(1), payload); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a packet holds, a table believes only true values, and no sign of life lies in the
// future.
func FuzzReceive(f *testing.F) {
	chain := testChain(f, epoch, testID(1), 1)
	honest := entry{prefix: prefixOf(testID(1)), mark: chain.anchor.Value[0], beat: 3, value: chain.at(3), age: 4}
	f.Add(honest.append([]byte{packetFormat}))
	forged := honest
	forged.value[0]++
	f.Add(forged.append(honest.append([]byte{packetFormat})))
	f.Add(bytes.Repeat([]byte{packetFormat}, 61))
	f.Fuzz(func(t *testing.T, payload []byte) {
		table := NewTable(testID(0))
		now := epoch.Add(20 * time.Second)
		if err := table.Track(epoch, testID(1), chain.Anchor()); err != nil {
			t.Fatal(err)
		}
		news, err := table.Receive(now, testID(2), payload)
		o := table.owners[testID(1)]
		if (err != nil || o.chain.beat == 0) && len(news) > 0 {
			t.Errorf("news %v, error %v, beat %d", news, err, o.chain.beat)
		}
		if o.chain.beat > 0 && o.chain.value != testChain(t, epoch, testID(1), 1).at(o.chain.beat) {
			t.Errorf("beat %d with value %x", o.chain.beat, o.chain.value)
		}
		if at, ok := table.Heard(testID(1)); ok && at.After(now) {
			t.Errorf("heard at %v, now is %v", at, now)
		}
	})
}
