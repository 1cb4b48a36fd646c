package tunnel

import (
	"bytes"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func FuzzFrame(f *testing.F) {
	f.Add(append(appendFrameHeader(nil, &frame{receiver: 1, sender: 2, counter: 3}), make([]byte, 40)...))
	f.Add(append(appendFrameHeader(nil, &frame{credential: []byte("credential")}), make([]byte, 16)...))
	f.Add([]byte{firstSealed})
	f.Fuzz(func(t *testing.T, in []byte) {
		parsed, err := parseFrame(in)
		if err != nil {
			return
		}
		header := appendFrameHeader(nil, &parsed)
		header[2] = in[2] // unknown flags are authenticated, not understood
		if !bytes.Equal(header, parsed.header) || !bytes.Equal(append(header, parsed.sealed...), in) {
			t.Fatalf("%x became %x", in, header)
		}
	})
}

func FuzzPlaintext(f *testing.F) {
	f.Add(appendMessage(nil, &message{kind: messagePacket, channel: 1, payload: []byte("x")}))
	f.Add(appendMessage(nil, &message{kind: messageProbe, nonce: 1}))
	f.Add(appendMessage(nil, &message{kind: messageReply, nonce: 1, counts: true, took: 1<<32 + 2}))
	f.Add(appendMessage(nil, &message{kind: messageReply, nonce: 1, observed: netip.MustParseAddrPort("10.0.0.1:1")}))
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := parseMessage(in)
		if err != nil {
			return
		}
		again, err := parseMessage(appendMessage(nil, &m))
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

func FuzzGuestHello(f *testing.F) {
	f.Add(appendGuestHello(nil, guestHello{testCluster}))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := parseGuestHello(in)
		if err != nil {
			return
		}
		if again, err := parseGuestHello(appendGuestHello(nil, h)); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

// FuzzReceive hands any datagram, from somebody who holds all keys, to the core.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 1}, uint64(1), false)
	f.Add([]byte{1, 1, 'x'}, uint64(2), true)
	f.Add([]byte{3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, uint64(3), true)
	f.Fuzz(func(t *testing.T, plain []byte, counter uint64, attach bool) {
		c, p, other, _ := benchPair(t)
		fr := frame{receiver: other.tag, sender: c.tag, session: p.session, counter: counter}
		if attach {
			fr.credential = c.local.Credential
		}
		fr.header = appendFrameHeader(nil, &fr)
		k := c.pair(p, p.BoxKey, c.key)
		data := k.send.Seal(bytes.Clone(fr.header), fr.nonce(), plain, fr.header)
		out := new(effects)
		other.receive(arrival{now: time.Unix(1000, 0), from: ap(1), data: data}, out)
		other.tick(time.Unix(1001, 0), out)
		if len(out.deliveries) != 0 {
			t.Fatal("delivered without a challenge")
		}
		sent := 0
		for _, d := range out.datagrams {
			sent += len(d.data)
		}
		if sent > amplification*len(data)+declaredBurst {
			t.Fatalf("%d bytes for %d", sent, len(data))
		}
	})
}
