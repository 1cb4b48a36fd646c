package node

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/router"
	"github.com/micro/micro-net/tunnel"
)

// mesh makes the sight of a mesh: each node runs instances of as many services, all different up
// to the number of services.
func mesh(nodes, instances, services int) sight {
	now := time.Unix(1_000_000, 0)
	s := sight{
		now: now, self: micronet.Node{ID: id(0), Name: "node-0", Cluster: "main", Status: micronet.Alive, Epoch: 1, Heard: now}, synced: true,
		heard: func(micronet.NodeID) time.Time { return time.Time{} }, issued: func(micronet.NodeID) time.Time { return time.Time{} },
		name: calledBy(nil), lanes: func(micronet.NodeID) int { return 0 },
	}
	for n := range nodes {
		d := gossip.Document{Owner: id(n), Version: gossip.Version{Epoch: 1, Seq: 1}, Name: fmt.Sprintf("node-%d", n), Cluster: "main"}
		for i := range instances {
			service := fmt.Sprintf("service-%d", (n*instances+i)%services)
			d.Instances = append(d.Instances, micronet.Instance{
				Service: service, ID: fmt.Sprintf("%s-%d", service, i), Address: netip.MustParseAddr("127.0.0.1"), Port: 80, ServicePort: 80,
				Protocol: micronet.TCP, Tags: []string{"V2"}, Weight: micronet.DefaultWeight, Health: micronet.Passing,
			})
		}
		s.entries = append(s.entries, gossip.Entry{Document: d, Confirmed: now})
		if n > 0 {
			s.members = append(s.members, gossip.Member{ID: id(n), Epoch: 1, Status: micronet.Alive, Since: now})
		}
	}
	s.path = func(micronet.NodeID) (tunnel.PathInfo, bool) {
		return tunnel.PathInfo{Heard: now, RTT: time.Millisecond, Confirmed: true}, true
	}
	return s
}

// calledBy is a sight's name from a table.
func calledBy(names map[micronet.NodeID]string) func(micronet.NodeID) string {
	return func(id micronet.NodeID) string { return names[id] }
}

func id(n int) micronet.NodeID { return micronet.NodeID{byte(n >> 8), byte(n), 1} }

// BenchmarkView is what one look at the mesh costs: a view and the router's table. It is paid once
// a second and after changes.
func BenchmarkView(b *testing.B) {
	for _, size := range []struct{ nodes, instances, services int }{{3, 2, 4}, {100, 10, 1000}, {100, 100, 1000}} {
		b.Run(fmt.Sprintf("nodes=%d/instances=%d", size.nodes, size.nodes*size.instances), func(b *testing.B) {
			s := mesh(size.nodes, size.instances, size.services)
			r := router.New(router.Config{})
			b.ReportAllocs()
			for b.Loop() {
				v := makeView(s)
				r.Update(s.now, v.candidates(s.self.ID))
			}
		})
		b.Run(fmt.Sprintf("unchanged/nodes=%d/instances=%d", size.nodes, size.nodes*size.instances), func(b *testing.B) {
			s := mesh(size.nodes, size.instances, size.services)
			v := makeView(s)
			b.ReportAllocs()
			for b.Loop() {
				next := makeView(s)
				if !next.sameCandidates(v) {
					b.Fatal("the views differ")
				}
				v = next
			}
		})
	}
}
