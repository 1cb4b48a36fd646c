package sim

import (
	"sync"
	"time"

	"github.com/micro/micro-net/sim/netsim"
)

// patience is how long the program that makes a call waits for something to come back, as it knows time. While its host stands
// still it notices nothing, and has waited for nothing.
type patience struct {
	wait   time.Duration
	host   *netsim.Host
	giveUp func()
	now    func() time.Duration
	last   time.Duration // when something came back; used by the caller alone

	mu    sync.Mutex // guards timer until it is there
	timer *time.Timer
}

// newPatience calls giveUp when nothing has come for so long.
func newPatience(wait time.Duration, host *netsim.Host, now func() time.Duration, giveUp func()) *patience {
	p := &patience{wait: wait, host: host, giveUp: giveUp, now: now, last: now()}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(p.wait, p.over)
	return p
}

// came notes that something has come back.
func (p *patience) came() {
	p.last = p.now()
	p.timer.Reset(p.wait)
}

// over: time has passed for everybody else, but not for a host that stands still.
func (p *patience) over() {
	if !p.host.Stalled() {
		p.giveUp()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer.Reset(p.wait)
}

// stood is for how long nothing has come back, as the program knows time.
func (p *patience) stood() time.Duration {
	if p.host.Stalled() {
		return 0
	}
	return p.now() - max(p.last, p.host.Woke())
}
