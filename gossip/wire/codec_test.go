package wire

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/hashicorp/go-msgpack/v2/codec"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

func sampleInstance(id string) micronet.Instance {
	return micronet.Instance{
		Service: "web", ID: id, Address: netip.MustParseAddr("127.0.0.1"), Port: 8080, ServicePort: 80,
		Protocol: micronet.HTTP, Tags: []string{"v1", "v2"}, Meta: map[string]string{"b": "2", "a": "1\n"},
		Weight: 100, Health: micronet.Passing,
	}
}

func sampleDocument() gossip.Document {
	return gossip.Document{
		Owner: micronet.NodeID{1}, Version: gossip.Version{Epoch: 3, Seq: 4}, Name: "alpha", Cluster: "main",
		Software: "1.2.3", Gateway: true, Heartbeat: []byte{1, 2, 3},
		Endpoints: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:8085"), netip.MustParseAddrPort("[2001:db8::1]:8085")},
		Instances: []micronet.Instance{sampleInstance("web-1"), sampleInstance("web-2")},
	}
}

func TestEncodeDecodeRoundTrip(t *testing.T) {
	c := New()
	d := sampleDocument()
	items, err := c.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(d.Owner, d.Version, d.Left, items)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, d) {
		t.Errorf("Decode(Encode(d)) = %+v, want %+v", got, d)
	}
}

// Few nodes have a right to show.
func TestRight(t *testing.T) {
	c, d := New(), sampleDocument()
	d.Right = make([]byte, gossip.MaxRight)
	items, err := c.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Decode(d.Owner, d.Version, d.Left, items); err != nil || !reflect.DeepEqual(got, d) {
		t.Errorf("Decode(Encode(d)) = %+v, %v", got, err)
	}
	d.Right = make([]byte, gossip.MaxRight+1)
	if _, err := c.Encode(d); err == nil || !strings.Contains(err.Error(), "a right of 257 bytes") {
		t.Errorf("a long one: %v", err)
	}
}

// Broadcasts arrive in a buffer that is used again.
func TestDecodeSharesNoMemory(t *testing.T) {
	c := New()
	d := sampleDocument()
	items, err := c.Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(d.Owner, d.Version, d.Left, items)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		clear(it.Value)
	}
	if !reflect.DeepEqual(got, d) {
		t.Errorf("after the input was overwritten the document is %+v", got)
	}
}

// The bytes of an item are a contract between versions: they may only change with recordVersion.
func TestEncodeWireVector(t *testing.T) {
	d := sampleDocument()
	d.Instances = d.Instances[:1]
	items, err := New().Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ key, hex string }{
		{"instance/web-1", "8aa161a93132372e302e302e31a168a770617373696e67a16d82a161a2310aa162a132a170cd1f90a172a468747470a173a3776562a2737050a17492a27631a27632a17601a17764"},
		{"node", "87a162c403010203a163a46d61696ea16592ae3139322e302e322e313a38303835b25b323030313a6462383a3a315d3a38303835a167c3a16ea5616c706861a173a5312e322e33a17601"},
	}
	if len(items) != len(want) {
		t.Fatalf("Encode gave %d items, want %d", len(items), len(want))
	}
	for i, w := range want {
		if got := hex.EncodeToString(items[i].Value); items[i].Key != w.key || got != w.hex {
			t.Errorf("item %d = %q %s, want %q %s", i, items[i].Key, got, w.key, w.hex)
		}
	}
}

func TestEncodeIsCanonical(t *testing.T) {
	a, b := sampleDocument(), sampleDocument()
	b.Instances[0], b.Instances[1] = b.Instances[1], b.Instances[0]
	b.Instances[0].Tags = []string{"v2", "v1", "", "v2"}
	b.Instances[0].Address = netip.MustParseAddr("::ffff:127.0.0.1")
	for i := range 100 {
		k := fmt.Sprint("k", i%30)
		a.Instances[0].Meta[k], b.Instances[1].Meta[k] = "x", "x"
	}
	c := New()
	x, err := c.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := c.Encode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(x, y) {
		t.Errorf("equal documents have different items:\n%q\n%q", x, y)
	}
	for _, it := range x {
		if err := scan(it.Value); err != nil {
			t.Errorf("our own item %q is not canonical: %v", it.Key, err)
		}
	}
}

func TestEncodeRefusals(t *testing.T) {
	long := strings.Repeat("x", 5000)
	cases := map[string]func(d *gossip.Document){
		"node name":            func(d *gossip.Document) { d.Name = "Not A Label" },
		"cluster":              func(d *gossip.Document) { d.Cluster = "service" },
		"software":             func(d *gossip.Document) { d.Software = long },
		"endpoint port":        func(d *gossip.Document) { d.Endpoints[0] = netip.MustParseAddrPort("192.0.2.1:0") },
		"endpoint unspecified": func(d *gossip.Document) { d.Endpoints[0] = netip.MustParseAddrPort("0.0.0.0:1") },
		"endpoint zone":        func(d *gossip.Document) { d.Endpoints[0] = netip.MustParseAddrPort("[2001:db8::1%eth0]:1") },
		"endpoints":            func(d *gossip.Document) { d.Endpoints = make([]netip.AddrPort, 9) },
		"id empty":             func(d *gossip.Document) { d.Instances[0].ID = "" },
		"id long":              func(d *gossip.Document) { d.Instances[0].ID = long[:256] },
		"id control":           func(d *gossip.Document) { d.Instances[0].ID = "a\x1b[31m" },
		"service empty":        func(d *gossip.Document) { d.Instances[0].Service = "" },
		"service reserved":     func(d *gossip.Document) { d.Instances[0].Service = "localhost" },
		"service reserved up":  func(d *gossip.Document) { d.Instances[0].Service = "WPAD" },
		"service not utf-8":    func(d *gossip.Document) { d.Instances[0].Service = "a\xff" },
		"service bidi":         func(d *gossip.Document) { d.Instances[0].Service = "a\u202eb" },
		"port":                 func(d *gossip.Document) { d.Instances[0].Port = 0 },
		"service port":         func(d *gossip.Document) { d.Instances[0].ServicePort = 0 },
		"weight 0":             func(d *gossip.Document) { d.Instances[0].Weight = 0 },
		"weight negative":      func(d *gossip.Document) { d.Instances[0].Weight = -1 },
		"weight high":          func(d *gossip.Document) { d.Instances[0].Weight = 65536 },
		"protocol":             func(d *gossip.Document) { d.Instances[0].Protocol = "sctp" },
		"health":               func(d *gossip.Document) { d.Instances[0].Health = "fine" },
		"address none":         func(d *gossip.Document) { d.Instances[0].Address = netip.Addr{} },
		"address link-local":   func(d *gossip.Document) { d.Instances[0].Address = netip.MustParseAddr("169.254.169.254") },
		"address link-local 6": func(d *gossip.Document) { d.Instances[0].Address = netip.MustParseAddr("fe80::1") },
		"address multicast":    func(d *gossip.Document) { d.Instances[0].Address = netip.MustParseAddr("224.0.0.1") },
		"address broadcast":    func(d *gossip.Document) { d.Instances[0].Address = netip.MustParseAddr("255.255.255.255") },
		"address unspecified":  func(d *gossip.Document) { d.Instances[0].Address = netip.MustParseAddr("::") },
		"address identity":     func(d *gossip.Document) { d.Instances[0].Address = micronet.NodeID{9}.Addr().Addr() },
		"tag control":          func(d *gossip.Document) { d.Instances[0].Tags = []string{"a\n"} },
		"tag long":             func(d *gossip.Document) { d.Instances[0].Tags = []string{long} },
		"tags": func(d *gossip.Document) {
			d.Instances[0].Tags = nil
			for i := range 33 {
				d.Instances[0].Tags = append(d.Instances[0].Tags, fmt.Sprint(i))
			}
		},
		"meta key":   func(d *gossip.Document) { d.Instances[0].Meta = map[string]string{"": "x"} },
		"meta long":  func(d *gossip.Document) { d.Instances[0].Meta = map[string]string{"x": long[:513]} },
		"meta esc":   func(d *gossip.Document) { d.Instances[0].Meta = map[string]string{"x": "\x1b]0;x"} },
		"meta pairs": func(d *gossip.Document) { d.Instances[0].Meta = manyPairs(33) },
		"instances":  func(d *gossip.Document) { d.Instances = make([]micronet.Instance, gossip.MaxInstances+1) },
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			d := sampleDocument()
			change(&d)
			if items, err := New().Encode(d); err == nil {
				t.Errorf("Encode took it: %q", items)
			}
		})
	}
}

func manyPairs(n int) map[string]string {
	m := map[string]string{}
	for i := range n {
		m[fmt.Sprint(i)] = "x"
	}
	return m
}

func TestEncodeTakesAnyPrintableName(t *testing.T) {
	for _, name := range []string{"web", "go.micro.srv.greeter", "my_svc", "Größe", strings.Repeat("x", 255)} {
		d := sampleDocument()
		d.Instances[0].Service = name
		items, err := New().Encode(d)
		if err != nil {
			t.Errorf("Encode of service %q: %v", name, err)
			continue
		}
		if got, err := New().Decode(d.Owner, d.Version, false, items); err != nil || got.Instances[0].Service != name {
			t.Errorf("Decode of service %q = %v, %v", name, got.Instances, err)
		}
	}
}

// raw encodes any value as an item of a newer version, or of a liar, would be.
func raw(t testing.TB, v any) []byte {
	t.Helper()
	b, err := New().encode(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func instanceMap(change map[string]any) map[string]any {
	m := map[string]any{
		"a": "10.0.0.1", "h": "passing", "p": uint64(80), "r": "tcp", "s": "web", "sp": uint64(80), "v": uint64(1), "w": uint64(1),
	}
	for k, v := range change {
		if m[k] = v; v == nil {
			delete(m, k)
		}
	}
	return m
}

func decodeInstance(t testing.TB, value []byte) (gossip.Document, error) {
	t.Helper()
	return New().Decode(micronet.NodeID{1}, gossip.Version{Epoch: 1, Seq: 1}, false, []gossip.Item{
		{Key: "instance/x", Value: value},
		{Key: "node", Value: raw(t, map[string]any{"n": "alpha", "c": "main", "v": uint64(1)})},
	})
}

func TestDecodeOfNewerVersions(t *testing.T) {
	d, err := decodeInstance(t, raw(t, instanceMap(map[string]any{
		"v": uint64(2), "zone": map[string]any{"x": []any{int64(-7), 1.5, nil, true}}, "b": []byte{1, 2}, "h": "sleeping",
	})))
	if err != nil || len(d.Instances) != 1 {
		t.Fatalf("Decode = %+v, %v, want one instance", d, err)
	}
	if got := d.Instances[0].Health; got != micronet.Critical {
		t.Errorf("an unknown state is read as %q, want critical", got)
	}
	if d, err = decodeInstance(t, raw(t, instanceMap(map[string]any{"r": "quic"}))); err != nil || len(d.Instances) != 0 {
		t.Errorf("Decode of an unknown protocol = %+v, %v, want no instance and no error", d.Instances, err)
	}
	d, err = New().Decode(micronet.NodeID{1}, gossip.Version{Epoch: 1, Seq: 1}, false, []gossip.Item{
		{Key: "node", Value: raw(t, map[string]any{"n": "alpha", "c": "main", "v": uint64(1)})},
		{Key: "overlay", Value: []byte{0xc1, 0xff}},
	})
	if err != nil || d.Name != "alpha" {
		t.Errorf("Decode with an unknown item = %+v, %v", d, err)
	}
}

func TestH12_DecodeRefusals(t *testing.T) {
	cases := map[string]map[string]any{
		"no version":        {"v": nil},
		"no service":        {"s": nil},
		"no address":        {"a": nil},
		"address form":      {"a": "010.0.0.1"},
		"address 4 in 6":    {"a": "::ffff:10.0.0.1"},
		"address long form": {"a": "2001:db8:0:0::1"},
		"metadata service":  {"a": "169.254.169.254"},
		"port 0":            {"p": uint64(0)},
		"port 65536":        {"p": uint64(65536)},
		"port negative":     {"p": int64(-1)},
		"port text":         {"p": "80"},
		"weight 2^32":       {"w": uint64(1 << 32)},
		"weight 65536":      {"w": uint64(65536)},
		"service number":    {"s": uint64(1)},
		"tags unsorted":     {"t": []string{"b", "a"}},
		"tags twice":        {"t": []string{"a", "a"}},
		"tags numbers":      {"t": []uint64{1, 2}},
		"meta a list":       {"m": []string{"a"}},
		"meta numbers":      {"m": map[string]uint64{"a": 1}},
		"protocol empty":    {"r": ""},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			if d, err := decodeInstance(t, raw(t, instanceMap(change))); err == nil {
				t.Errorf("Decode took it: %+v", d.Instances)
			}
		})
	}
	if _, err := New().Decode(micronet.NodeID{1}, gossip.Version{Epoch: 1, Seq: 1}, false, nil); err == nil {
		t.Error("Decode took a document without its node")
	}
}

func TestH8_Scan(t *testing.T) {
	nested := strings.Repeat("81a161", 8)
	cases := []struct {
		name, hex string
		ok        bool
	}{
		{"empty map", "80", true},
		{"nothing", "", false},
		{"not a map", "01", false},
		{"trailing", "8000", false},
		{"truncated map", "81", false},
		{"keys twice", "82a16101a16102", false},
		{"keys out of order", "82a16201a16101", false},
		{"key a number", "810101", false},
		{"map16 too short", "de000180", false},
		{"map32", "df00000001a16101", false},
		{"map 2^32 without data", "dfffffffff", false},
		{"array 2^32 without data", "81a161ddffffffff", false},
		{"array 65535 without data", "81a161dcffff", false},
		{"string 2^32 without data", "81a161dbffffffff", false},
		{"bytes 2^32 without data", "81a161c6ffffffff", false},
		{"uint8 too wide", "81a161cc7f", false},
		{"uint8", "81a161cc80", true},
		{"uint16 too wide", "81a161cd00ff", false},
		{"uint16", "81a161cd0100", true},
		{"uint32 too wide", "81a161ce0000ffff", false},
		{"uint64 too wide", "81a161cf00000000ffffffff", false},
		{"uint64", "81a161cf0000000100000000", true},
		{"int8 too wide", "81a161d0e0", false},
		{"int8", "81a161d0df", true},
		{"int8 positive", "81a161d07f", false},
		{"int16 too wide", "81a161d1ff80", false},
		{"int16", "81a161d1ff7f", true},
		{"int64", "81a161d38000000000000000", true},
		{"int truncated", "81a161d3ff", false},
		{"str8 too wide", "81a161d90161", false},
		{"str8", "81a161d920" + strings.Repeat("61", 32), true},
		{"str16 too wide", "81a161da0020" + strings.Repeat("61", 32), false},
		{"bin8", "81a161c40101", true},
		{"bin16 too wide", "81a161c5000101", false},
		{"not UTF-8", "81a161a1ff", false},
		{"extension", "81a161d40101", false},
		{"never used", "81a161c1", false},
		{"float32", "81a161ca3f800000", true},
		{"float64 truncated", "81a161cb3f80", false},
		{"8 levels", nested[:6*7] + "80", true},
		{"9 levels", nested + "80", false},
		{"10,000 levels", strings.Repeat("81a161", 10000) + "80", false},
	}
	for _, tc := range cases {
		b, err := hex.DecodeString(tc.hex)
		if err != nil {
			t.Fatalf("%s: %v", tc.name, err)
		}
		if err := scan(b); (err == nil) != tc.ok {
			t.Errorf("scan(%s) = %v, want ok %v", tc.name, err, tc.ok)
		}
	}
}

// A short input must not make the decoder reserve much memory.
func TestH9_DecodeMemoryIsBounded(t *testing.T) {
	for _, text := range []string{"81a174dcffff", "81a16ddeffff", "81a174dd7fffffff", "81a161dbffffffff"} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		n := testing.AllocsPerRun(10, func() {
			var r instanceRecord
			if New().decode(b, &r) == nil {
				t.Fatalf("decode(%s) took it", text)
			}
		})
		if n > 20 {
			t.Errorf("decode(%s) made %v allocations", text, n)
		}
	}
}

func FuzzItems(f *testing.F) {
	items, err := New().Encode(sampleDocument())
	if err != nil {
		f.Fatal(err)
	}
	for _, it := range items {
		f.Add(it.Key, it.Value)
	}
	f.Add("instance/a", raw(f, instanceMap(map[string]any{"z": []any{1, "x", nil}})))
	node := raw(f, map[string]any{"n": "alpha", "c": "main", "v": uint64(1)})
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		c := New()
		in := []gossip.Item{{Key: key, Value: value}}
		if key != "node" {
			in = append(in, gossip.Item{Key: "node", Value: node})
		}
		d, err := c.Decode(micronet.NodeID{1}, gossip.Version{Epoch: 1, Seq: 1}, false, in)
		if err != nil {
			return
		}
		out, err := c.Encode(d)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := c.Decode(d.Owner, d.Version, false, out)
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("Decode(Encode(d)) = %+v, %v, want %+v", again, err, d)
		}
	})
}

// What scan passes, the decoder must pass too: two readers of one format must not disagree.
func FuzzScan(f *testing.F) {
	f.Add([]byte{0x80})
	f.Add(raw(f, instanceMap(nil)))
	f.Add(raw(f, map[string]any{"a": []any{-1, -200, 70000, 1.5, []byte("x"), nil, true, strings.Repeat("x", 300)}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if scan(b) != nil {
			return
		}
		var v map[string]any
		if err := codec.NewDecoderBytes(b, &New().handle).Decode(&v); err != nil {
			t.Fatalf("scan passed %x, the decoder says %v", b, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	d := sampleDocument()
	for i := range 10 {
		d.Instances = append(d.Instances, sampleInstance(fmt.Sprint("i", i)))
	}
	c := New()
	items, err := c.Encode(d)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(d.Owner, d.Version, false, items); err != nil {
			b.Fatal(err)
		}
	}
}
