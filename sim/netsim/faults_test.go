package netsim

import (
	"reflect"
	"testing"
	"time"
)

// TestFaultsMeetDatagramsAndStreams: a fault of datagrams alone would be hidden by programs that
// fall back to streams.
func TestFaultsMeetDatagramsAndStreams(t *testing.T) {
	const size = 1000 // bytes of one datagram, or one segment
	for _, c := range []struct {
		name  string
		link  Link
		least time.Duration // until it arrives; 0: never within a minute
		most  time.Duration
	}{
		{"nothing", Link{}, 0, time.Millisecond},
		{"latency", Link{Latency: 3 * time.Second}, 3 * time.Second, 3*time.Second + time.Millisecond},
		{"jitter", Link{Jitter: time.Hour, Latency: 5 * time.Second}, 5 * time.Second, time.Hour},
		{"loss", Link{Loss: 1}, -1, 0},
		{"bursts of packets", Link{Burst: Burst{Share: 1, Packets: 3}}, -1, 0},
		{"bursts of time", Link{Burst: Burst{Share: 1, Time: time.Hour}}, -1, 0},
		{"blocked", Link{Blocked: true}, -1, 0},
		{"bandwidth", Link{Bandwidth: 100}, 10 * time.Second, 10*time.Second + 500*time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			inWorld(t, 1, Options{}, func(t *testing.T, w *three) {
				stream, server := pair(t, w)
				a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
				time.Sleep(time.Second)
				arrives := func(send func(), arrived func() bool) {
					t.Helper()
					w.SetLink(w.a, w.b, c.link)
					start := time.Now()
					send()
					w.SetLink(w.a, w.b, Link{Loss: 1}) // no second try
					got := arrived()
					took := time.Since(start)
					if got != (c.least >= 0) || got && (took < c.least || took > c.most) {
						t.Errorf("arrived %v after %v, want %v to %v", got, took, c.least, c.most)
					}
				}
				arrives(func() { send(t, a, string(make([]byte, size)), at(addrB, 1)) }, func() bool {
					text, _ := hear(t, b, time.Hour)
					return text != ""
				})
				w.SetLink(w.a, w.b, Link{})
				time.Sleep(time.Minute)
				arrives(func() { write(t, stream, string(make([]byte, size))) }, func() bool {
					_ = server.SetReadDeadline(time.Now().Add(time.Hour))
					_, err := server.Read(make([]byte, size))
					return err == nil
				})
			})
		})
	}
}

// TestEveryWhyIsCounted: each reason of a drop, and each harm, has a counter of its own.
func TestEveryWhyIsCounted(t *testing.T) {
	counted := func(s Stats) (name string) {
		for i := range reflect.TypeOf(s).NumField() {
			if f := reflect.TypeOf(s).Field(i).Name; f != "Delivered" && reflect.ValueOf(s).Field(i).Uint() == 1 {
				name += f
			}
		}
		return name
	}
	seen := map[string]Why{}
	check := func(why Why, count func(s *Stats)) {
		var s Stats
		count(&s)
		name := counted(s)
		if other, taken := seen[name]; taken || name == "" {
			t.Errorf("%s is counted as %q, and so is %q", why, name, other)
		}
		seen[name] = why
	}
	for _, why := range []Why{
		WhyLoss, WhyBlocked, WhyMTU, WhyNoRoute, WhyDown, WhyNoSocket, WhyOverflow, WhyBurst, WhyQueue, WhyNAT, WhyFirewall,
	} {
		check(why, func(s *Stats) { s.drop(why) })
	}
	for _, why := range []Why{WhyCorrupt, WhyTruncated} {
		check(why, func(s *Stats) { s.deliver(why) })
	}
	var s Stats
	if s.deliver(""); s != (Stats{Delivered: 1}) {
		t.Errorf("%+v, want one delivered", s)
	}
}

// TestFatesOfOthersStay: whatever is wrong with the network, taking away a host that others do
// not talk to leaves their fates as they were.
func TestFatesOfOthersStay(t *testing.T) {
	link := Link{
		Latency: testLatency, Jitter: time.Millisecond, Loss: 0.1, Duplicate: 0.1, Reorder: 0.1,
		Burst: Burst{Share: 0.2, Packets: 3}, Corrupt: 0.1, Bandwidth: 100_000,
	}
	for _, time := range []time.Duration{0, 100 * time.Millisecond} {
		link.Burst.Time = time
		alone := arrivals(t, 7, link, 300, false)
		if with := arrivals(t, 7, link, 300, true); with != alone {
			t.Errorf("alone:\n%s\nwith another host:\n%s", alone, with)
		}
		if again := arrivals(t, 7, link, 300, false); again != alone {
			t.Errorf("one seed gave\n%s\nand\n%s", alone, again)
		}
		if other := arrivals(t, 8, link, 300, false); other == alone {
			t.Error("two seeds gave the same fates")
		}
	}
}

// Loss of datagrams alone: some of them arrive, and a stream does as if nothing were lost.
func TestDatagramsAreLostAlone(t *testing.T) {
	inWorld(t, 1, Options{}, func(t *testing.T, w *three) {
		stream, server := pair(t, w)
		a, b := listenPacket(t, w.a, wild(1)), listenPacket(t, w.b, wild(1))
		const sent, left = 400, 100
		w.SetLink(w.a, w.b, Link{Latency: testLatency, UDPLoss: 0.75})
		start := time.Now()
		for range sent {
			send(t, a, "one", at(addrB, 1))
			write(t, stream, "word")
			if read(t, server) != "word" {
				t.Fatal("the stream does not work")
			}
		}
		if took := time.Since(start); took > sent*testLatency+time.Second {
			t.Errorf("the stream took %s", took)
		}
		came := 0
		for got, _ := hear(t, b, time.Second); got != ""; got, _ = hear(t, b, time.Second) {
			came++
		}
		if came < left*7/10 || came > left*13/10 {
			t.Errorf("%d of %d datagrams arrived", came, sent)
		}
	})
}
