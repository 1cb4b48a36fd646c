package tunnel_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/tunnel"
	"github.com/micro/micro-net/tunnel/tunneltest"
)

func TestPipeConforms(t *testing.T) {
	tunneltest.Conform(t, makePipes)
}

func TestPipeConformsInRealTime(t *testing.T) {
	tunneltest.ConformReal(t, makePipes)
}

func makePipes(*testing.T) tunneltest.Pair {
	w := tunnel.NewWire()
	a, b := micronet.NodeID{1}, micronet.NodeID{2}
	return tunneltest.Pair{
		A: tunnel.NewPipe(w, a, nil), B: tunnel.NewPipe(w, b, nil), IDA: a, IDB: b, Buffered: 64 << 10,
	}
}

func TestPipeRefusesWhatNobodyAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := tunnel.NewWire()
		drops := 0
		a := tunnel.NewPipe(w, micronet.NodeID{1}, nil)
		b := tunnel.NewPipe(w, micronet.NodeID{2}, &micronet.Events{PacketDropped: func(micronet.PacketDrop) { drops++ }})
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for _, p := range []*tunnel.Pipe{a, b} {
			group.Go(func() { _ = p.Run(ctx) })
		}
		synctest.Wait()
		var last tunnel.Outbound
		for range 1025 {
			out, err := a.Open(ctx, micronet.NodeID{2}, tunnel.Opening{Purpose: tunnel.PurposeControl})
			if err != nil {
				t.Fatalf("Open = %v", err)
			}
			last = out
		}
		if err := last.Answered(ctx); micronet.KindOf(err) != micronet.Overloaded || drops != 1 {
			t.Errorf("Answered = %v with %d drops, want Overloaded and 1", err, drops)
		}
		cancel()
		group.Wait()
	})
}

func TestPipeEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := tunnel.NewWire()
		var changes []micronet.TunnelChange
		a := tunnel.NewPipe(w, micronet.NodeID{1}, &micronet.Events{
			TunnelChanged: func(c micronet.TunnelChange) { changes = append(changes, c) },
		})
		b := tunnel.NewPipe(w, micronet.NodeID{2}, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { _ = a.Run(ctx) })
		group.Go(func() { _ = b.Run(ctx) })
		synctest.Wait()
		if _, err := a.Open(ctx, micronet.NodeID{2}, tunnel.Opening{Purpose: tunnel.PurposeControl}); err != nil {
			t.Fatal(err)
		}
		b.Disconnect(micronet.NodeID{1}, "revoked")
		want := []micronet.TunnelChange{
			{Peer: micronet.NodeID{2}, Up: true, Reason: "dialled"},
			{Peer: micronet.NodeID{2}, Reason: "revoked"},
		}
		if len(changes) != 2 || changes[0] != want[0] || changes[1] != want[1] {
			t.Errorf("events = %+v, want %+v", changes, want)
		}
		cancel()
		group.Wait()
	})
}
