package server

import (
	"context"
	"strings"
	"sync"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
)

// flightKey is what makes two questions to an upstream the same one.
type flightKey struct {
	name       string
	qtype      uint16
	edns, do   bool
	rd, cd, ad bool
}

func keyOf(e *exchange) flightKey {
	k := flightKey{
		name: strings.ToLower(e.asked.Name), qtype: e.asked.Qtype,
		rd: e.query.RecursionDesired, cd: e.query.CheckingDisabled, ad: e.query.AuthenticatedData,
	}
	if e.opt != nil {
		k.edns, k.do = true, e.opt.Do()
	}
	return k
}

// flights lets questions that are the same wait for one answer: many askers cost one question,
// nobody can provoke many chances to guess an id, and a resolver that asks us back what we asked
// it waits for itself instead of multiplying the question.
type flights struct {
	mu   sync.Mutex // nothing is waited for under it
	open map[flightKey]*flight
}

type flight struct {
	landed chan struct{}
	answer *wire.Msg // read only; set before landed is closed
	err    error
}

// share returns what ask returns, for this caller or another that asked before it.
func (f *flights) share(ctx context.Context, k flightKey, ask func() (*wire.Msg, error)) (*wire.Msg, error) {
	f.mu.Lock()
	one, joined := f.open[k]
	if !joined {
		one = &flight{landed: make(chan struct{})}
		f.open[k] = one
	}
	f.mu.Unlock()
	if joined {
		select {
		case <-one.landed:
			return one.answer, one.err
		case <-ctx.Done():
			return nil, micronet.E("dns.forward", micronet.Closed, "the server stops")
		}
	}
	one.answer, one.err = ask()
	f.mu.Lock()
	delete(f.open, k)
	f.mu.Unlock()
	close(one.landed)
	return one.answer, one.err
}
