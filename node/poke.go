package node

import (
	"context"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/tunnel"
)

const (
	// askedPokes is how many nodes are asked whether strangers get in here.
	askedPokes = 3
	// pokeTime bounds asking them, at once. pokeLate is how much later than the answer a packet may arrive.
	pokeTime = 2 * time.Second
	pokeLate = 300 * time.Millisecond
	// maxPokes is how many nodes are poked at once; others are refused.
	maxPokes = 4
)

// servePoke sends who asks packets from a port that it has heard nothing from.
func (l *life) servePoke(ctx context.Context, in tunnel.Inbound) {
	select {
	case l.poking <- struct{}{}:
		defer func() { <-l.poking }()
	default:
		l.deny(in, "pokes-full", micronet.Overloaded, "it pokes others")
		return
	}
	if err := l.under.Poke(ctx, in.From()); err != nil {
		_ = in.Refuse(micronet.KindOf(err), cause(err))
		return
	}
	l.reply(in, struct{}{})
}

// stranger finds out whether packets get in from ports that this node has sent nothing to: a few of the others send some. Those
// inside its own network say nothing about the world outside, if anybody is there.
func (b backend) stranger(ctx context.Context, nodes []api.Reachable) {
	outside := false
	for i := range nodes {
		outside = outside || (nodes[i].UDP && !nodes[i].Inside)
	}
	ctx, cancel := context.WithTimeout(ctx, pokeTime)
	defer cancel()
	var asking sync.WaitGroup
	asked := 0
	for i := range nodes {
		if n := &nodes[i]; n.UDP && n.Inside != outside && asked < askedPokes {
			asked++
			asking.Go(func() { n.Stranger = b.l.pokedBy(ctx, n.ID) })
		}
	}
	asking.Wait()
}

// pokedBy asks one node; "" where that is not possible.
func (l *life) pokedBy(ctx context.Context, text string) api.StrangerState {
	id, err := micronet.ParseNodeID(text)
	if err != nil {
		return ""
	}
	began := time.Now()
	if l.ask(ctx, id, controlRequest{Verb: verbPoke}, &struct{}{}) != nil {
		return ""
	}
	select {
	case <-time.After(pokeLate):
	case <-ctx.Done():
	}
	if l.under.PokedAt(id).After(began) {
		return api.StrangerArrived
	}
	return api.StrangerLost
}
