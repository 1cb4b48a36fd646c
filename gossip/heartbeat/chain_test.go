package heartbeat

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// reference computes all values of a chain from the description in the package's comment.
func reference(id micronet.NodeID, generation uint64, seed string, n int) [][16]byte {
	gen := string(binary.BigEndian.AppendUint64(nil, generation))
	sum := sha256.Sum256([]byte("micro-net heartbeat 1 seed\x00" + string(id[:]) + gen + seed))
	tweak := sha256.Sum256([]byte("micro-net heartbeat 1 link\x00" + string(id[:]) + gen))
	v := make([][16]byte, n+1)
	v[n] = [16]byte(sum[:16])
	for k := n; k > 0; k-- {
		at := string(binary.BigEndian.AppendUint32(nil, uint32(k)))
		sum = sha256.Sum256([]byte(string(tweak[:24]) + at + string(v[k][:])))
		v[k-1] = [16]byte(sum[:16])
	}
	return v
}

func TestChainValues(t *testing.T) {
	const seed = "0123456789abcdef"
	for _, n := range []int{1, 2, 3, 63, 64, 65, 1000, 4096} {
		want := reference(testID(1), 9, seed, n)
		c, err := NewChain(epoch, ChainConfig{Owner: testID(1), Seed: []byte(seed), Generation: 9, Length: uint32(n), Interval: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		if c.Anchor() != (Anchor{Value: want[0], Length: uint32(n), Interval: time.Second, Generation: 9}) {
			t.Errorf("n=%d: anchor %+v, want %x", n, c.Anchor(), want[0])
		}
		for k := 1; k <= n; k++ {
			got, v, age, ok := c.Beat(epoch.Add(time.Duration(k-1)*time.Second + 300*time.Millisecond))
			if !ok || int(got) != k || v != want[k] || age != 300*time.Millisecond {
				t.Fatalf("n=%d, beat %d: %d, %x, %v, %v, want %x", n, k, got, v, age, ok, want[k])
			}
		}
		if k, _, _, ok := c.Beat(epoch.Add(time.Duration(n) * time.Second)); ok {
			t.Errorf("n=%d: there is a beat %d after the last", n, k)
		}
		if held := (len(c.checkpoints) + cap(c.segment)) * valueSize; n == DefaultLength && held > 4096 {
			t.Errorf("a chain of %d holds %d bytes of values", n, held)
		}
	}
}

// A host that was asleep goes on with the beat that is due, and a clock that goes back reveals
// nothing anew.
func TestChainJumps(t *testing.T) {
	c := testChain(t, epoch, testID(1), 1)
	for _, step := range []struct {
		at   time.Duration
		beat uint32
		age  time.Duration
	}{
		{0, 1, 0},
		{1999 * time.Millisecond, 1, 1999 * time.Millisecond},
		{2 * time.Second, 2, 0},
		{time.Hour + 500*time.Millisecond, 1801, 500 * time.Millisecond},
		{time.Minute, 1801, 0},
		{-time.Minute, 1801, 0},
		{time.Hour + 2*time.Second, 1802, 0},
	} {
		if k, _, age, ok := c.Beat(epoch.Add(step.at)); !ok || k != step.beat || age != step.age {
			t.Errorf("after %v: beat %d, %v old, %v, want %d, %v old", step.at, k, age, ok, step.beat, step.age)
		}
	}
}

// No value of a chain verifies in another: owner, generation and position are hashed.
func TestChainsShareNothing(t *testing.T) {
	base := newTweak(testID(1), 1)
	otherOwner, otherGeneration := newTweak(testID(2), 1), newTweak(testID(1), 2)
	v := value{1, 2, 3}
	want := base.down(5, v)
	for name, got := range map[string]value{
		"owner": otherOwner.down(5, v), "generation": otherGeneration.down(5, v), "position": base.down(6, v),
	} {
		if got == want {
			t.Errorf("the %s does not matter: %x", name, got)
		}
	}
}

func TestChainRefuses(t *testing.T) {
	for name, c := range map[string]ChainConfig{
		"seed":     {Seed: make([]byte, 15)},
		"length":   {Seed: make([]byte, 16), Length: MaxLength + 1},
		"interval": {Seed: make([]byte, 16), Interval: time.Hour},
	} {
		if _, err := NewChain(epoch, c); micronet.KindOf(err) != micronet.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChainDue(t *testing.T) {
	config := ChainConfig{Owner: testID(1), Seed: make([]byte, 16), Length: 800, Interval: time.Second, Wall: epoch.Add(time.Hour)}
	c, err := NewChain(epoch, config)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		clock, wall time.Duration
		due         bool
	}{
		{0, 0, false},
		{698 * time.Second, 698 * time.Second, false},
		{699 * time.Second, 699 * time.Second, true}, // it began a second before
		{10 * time.Second, 12 * time.Second, false},
		{10 * time.Second, 12*time.Second + 1, true}, // the host slept for two seconds
		{10 * time.Second, time.Second, false},       // the wall clock was set back
	} {
		if got := c.Due(epoch.Add(x.clock), config.Wall.Add(x.wall)); got != x.due {
			t.Errorf("clock %v, wall %v: due %v, want %v", x.clock, x.wall, got, x.due)
		}
	}
	config.Wall = time.Time{}
	if c, err = NewChain(epoch, config); err != nil || c.Due(epoch, epoch.Add(time.Hour)) {
		t.Errorf("a chain that knows no wall clock looked at it (%v)", err)
	}
}
