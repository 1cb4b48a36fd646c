package gossip_test

import (
	"testing"
	"time"

	"github.com/micro/micro-net/gossip"
)

// benchDeltas gives the full document of a node with n instances and a chain of deltas from it.
func benchDeltas(b *testing.B, n, count int) (full []byte, deltas [][]byte) {
	b.Helper()
	c := newTestCatalog(1)
	d := testDocument("alpha", instanceNames(n)...)
	mustPublish(b, c, catalogStart, d)
	full = mustDocument(b, c, catalogStart, 1)
	for i := range count {
		d.Instances[0].Weight = 1 + i
		deltas = append(deltas, mustPublish(b, c, catalogStart.Add(time.Duration(i)*time.Minute), d))
	}
	return full, deltas
}

func BenchmarkReceiveDelta(b *testing.B) {
	const chain = 100
	full, deltas := benchDeltas(b, 20, chain)
	b.ReportAllocs()
	var c *gossip.Catalog
	for i := 0; b.Loop(); i++ {
		if i%chain == 0 {
			b.StopTimer()
			c = newTestCatalog(2)
			mustReceive(b, c, catalogStart, full)
			b.StartTimer()
		}
		if out, err := c.Receive(catalogStart, deltas[i%chain]); err != nil || len(out.Changed) != 1 {
			b.Fatalf("%+v, %v", out, err)
		}
	}
}

func BenchmarkReceiveDuplicate(b *testing.B) {
	full, deltas := benchDeltas(b, 20, 2)
	c := newTestCatalog(2)
	mustReceive(b, c, catalogStart, full)
	mustReceive(b, c, catalogStart, deltas[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Receive(catalogStart, deltas[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func benchCatalogs(b *testing.B) (x, y *gossip.Catalog) {
	b.Helper()
	x, y = newTestCatalog(5001), newTestCatalog(5002)
	for seed := range 1000 {
		msg := mustPublish(b, newTestCatalog(seed), catalogStart, testDocument("node", "web-1"))
		mustReceive(b, x, catalogStart, msg)
		if seed%100 != 0 {
			mustReceive(b, y, catalogStart, msg)
		}
	}
	return x, y
}

func BenchmarkCompare1000(b *testing.B) {
	x, y := benchCatalogs(b)
	digest := x.Digest(catalogStart)
	b.ReportAllocs()
	for b.Loop() {
		if want, _, err := y.Compare(catalogStart, digest); err != nil || len(want) != 10 {
			b.Fatal(len(want), err)
		}
	}
}

func BenchmarkDigest1000(b *testing.B) {
	x, _ := benchCatalogs(b)
	b.ReportAllocs()
	for b.Loop() {
		x.Digest(catalogStart)
	}
}
