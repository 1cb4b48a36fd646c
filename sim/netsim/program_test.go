package netsim

import (
	"net/netip"
	"testing"

	micronet "github.com/micro/micro-net"
)

// TestProcessFinder: a connection belongs to the process that dialled it, and that to the set of its
// nearest ancestor.
func TestProcessFinder(t *testing.T) {
	inWorld(t, 1, steady(), func(t *testing.T, w *three) {
		finder := w.a.Env().Net.(micronet.ProcessFinder)
		w.a.SetProgram(10, Program{Parent: 1, Start: 100, UID: 7})
		w.a.SetProgram(11, Program{Parent: 10, Start: 101, UID: 7, Cgroup: "/web/worker"})
		w.a.SetCredentials(micronet.Credentials{PID: 11, UID: 7})
		l := listen(t, w.a, at(netip.MustParseAddr("127.0.0.1"), 8080))
		c := dial(t, w.a, at(netip.MustParseAddr("127.0.0.1"), 8080))
		s := accept(t, l)
		client, server := micronet.AddrPortOf(c.LocalAddr()), micronet.AddrPortOf(s.LocalAddr())
		found, ok := finder.ClientSocket(client, server)
		if !ok || found.UID != 7 {
			t.Fatalf("found %+v, %v", found, ok)
		}
		if _, ok := finder.ClientSocket(server, client); ok {
			t.Error("the server's end was taken for the client's")
		}
		root, uid, err := finder.Process(10)
		if err != nil || uid != 7 {
			t.Fatal(uid, err)
		}
		byRoot, byGroup := micronet.Processes{Root: root, UID: 7}, micronet.Processes{Cgroup: "/web", UID: 7}
		stranger := micronet.Processes{Root: micronet.ProcessID{PID: 10, Start: 99}, UID: 7}
		for _, c := range []struct {
			sets []micronet.Processes
			want int
		}{
			{[]micronet.Processes{byGroup, byRoot}, 1},
			{[]micronet.Processes{stranger, byGroup, {Cgroup: "/web/worker", UID: 7}}, 2},
			{[]micronet.Processes{stranger, {Cgroup: "/we", UID: 7}}, -1},
		} {
			got, held := finder.Sockets(c.sets)[found.ID]
			if !held {
				got = -1
			}
			if got != c.want || finder.SetOf(11, c.sets) != c.want {
				t.Errorf("%+v: %d and %d, want %d", c.sets, got, finder.SetOf(11, c.sets), c.want)
			}
		}
		if got := finder.SetOf(11, []micronet.Processes{{Root: root, UID: 8}}); got != -1 {
			t.Errorf("another user's set %d has it", got)
		}
		if _, _, err := finder.Process(12); err == nil {
			t.Error("a process that nobody made was found")
		}
	})
}
