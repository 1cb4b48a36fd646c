package tunnel

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

func native32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

var (
	tos4     = appendControl(nil, unix.IPPROTO_IP, unix.IP_TOS, []byte{2})
	tos4Out  = appendControl(nil, unix.IPPROTO_IP, unix.IP_TOS, native32(2))
	class6   = appendControl(nil, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, native32(2))
	segments = appendControl(nil, unix.IPPROTO_UDP, unix.UDP_SEGMENT, binary.NativeEndian.AppendUint16(nil, 1200))
	info4    = appendControl(nil, unix.IPPROTO_IP, unix.IP_PKTINFO, []byte{3, 0, 0, 0, 9, 9, 9, 9, 10, 0, 0, 7})
	info6    = appendControl(nil, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(addr16("2001:db8::7"), 3, 0, 0, 0))
	info46   = appendControl(nil, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, append(addr16("::ffff:10.0.0.7"), 3, 0, 0, 0))
)

func addr16(s string) []byte { a := netip.MustParseAddr(s).As16(); return a[:] }

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestCutPacketInfo(t *testing.T) {
	for name, tt := range map[string]struct {
		in, want []byte
		local    string
	}{
		"v4":                 {join(tos4, info4), tos4, "10.0.0.7"},
		"v6":                 {join(info6, class6), class6, "2001:db8::7"},
		"v4-mapped":          {join(tos4, info4, info46), tos4, "10.0.0.7"},
		"v4-mapped, one":     {join(info46, tos4), tos4, "10.0.0.7"},
		"ECN alone":          {class6, class6, ""},
		"nothing":            {nil, nil, ""},
		"cut in the middle":  {join(tos4, info4[:20]), tos4, ""},
		"too short a header": {join(tos4, info4)[:len(tos4)+3], tos4, ""},
	} {
		oob := bytes.Clone(tt.in)
		n, local := cutPacketInfo(oob)
		if !bytes.Equal(oob[:n], tt.want) {
			t.Errorf("%s: left %x, want %x", name, oob[:n], tt.want)
		}
		if tt.local == "" && local.IsValid() || tt.local != "" && local != netip.MustParseAddr(tt.local) {
			t.Errorf("%s: local %v, want %q", name, local, tt.local)
		}
	}
}

func TestRewriteControl(t *testing.T) {
	source := sourceControl(netip.MustParseAddr("10.0.0.7"))
	source6 := sourceControl(netip.MustParseAddr("2001:db8::7"))
	for name, tt := range map[string]struct {
		oob, source []byte
		v4          bool
		want        []byte
	}{
		"v6 to v4":           {join(segments, class6), nil, true, join(segments, tos4Out)},
		"v6 to v4, source":   {join(segments, class6), source, true, join(source, segments, tos4Out)},
		"v6 to v6":           {join(segments, class6), source6, false, join(source6, segments, class6)},
		"guest's v4":         {tos4, nil, true, tos4Out},
		"v4 to v6":           {tos4, nil, false, class6},
		"packet info leaves": {join(info4, info6, class6), nil, false, class6},
		"nothing":            {nil, nil, true, nil},
		"garbage":            {[]byte{1, 2, 3}, source, true, source},
	} {
		if got := rewriteControl(nil, tt.oob, tt.source, tt.v4); !bytes.Equal(got, tt.want) {
			t.Errorf("%s:\n%x, want\n%x", name, got, tt.want)
		}
	}
	all := rewriteControl(nil, join(segments, class6), source6, true)
	if len(all) > maxControl {
		t.Errorf("%d bytes, the buffer has %d", len(all), maxControl)
	}
}

// The messages are those that the standard tools write.
func TestSourceControlAgainstXNet(t *testing.T) {
	v4 := ipv4.ControlMessage{Src: []byte{10, 0, 0, 7}}
	if got, want := sourceControl(netip.MustParseAddr("10.0.0.7")), v4.Marshal(); !bytes.Equal(got, want) {
		t.Errorf("v4: %x, want %x", got, want)
	}
	v6 := ipv6.ControlMessage{Src: addr16("2001:db8::7")}
	if got, want := sourceControl(netip.MustParseAddr("2001:db8::7")), v6.Marshal(); !bytes.Equal(got, want) {
		t.Errorf("v6: %x, want %x", got, want)
	}
	if sourceControl(netip.Addr{}) != nil {
		t.Error("no address makes a message")
	}
}

func TestControlAllocatesNothing(t *testing.T) {
	in, source := join(segments, class6), sourceControl(netip.MustParseAddr("10.0.0.7"))
	buf, received := make([]byte, 0, maxControl), join(tos4, info4)
	if n := testing.AllocsPerRun(100, func() {
		buf = rewriteControl(buf[:0], in, source, true)
		copy(received, info4)
		cutPacketInfo(received)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzControlMessages(f *testing.F) {
	f.Add(join(tos4, info4, info46))
	f.Add(join(segments, class6))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, in []byte) {
		once := rewriteControl(nil, in, nil, true)
		if again := rewriteControl(nil, once, nil, true); !bytes.Equal(once, again) {
			t.Fatalf("%x became %x, then %x", in, once, again)
		}
		oob := bytes.Clone(in)
		n, _ := cutPacketInfo(oob)
		if _, local := cutPacketInfo(bytes.Clone(oob[:n])); n > len(in) || local.IsValid() {
			t.Fatalf("%x keeps %x", in, oob[:n])
		}
	})
}
