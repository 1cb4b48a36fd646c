package light

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
)

// watch looks every keepAlive for peers that have fallen silent and for those that were not used for
// long.
func (t *Tunnel) watch(ctx context.Context) {
	tick := time.NewTicker(keepAlive + t.env.Phase)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, p := range t.look(now) {
				t.group.Go(func() { t.ask(p) })
			}
		}
	}
}

// look forgets idle peers and returns those that are to be asked for a sign of life.
func (t *Tunnel) look(now time.Time) []*peer {
	var quiet []*peer
	for _, id := range t.known() {
		path, _ := t.socket.Path(id) // never asked with the lock held
		if p := t.lookAt(id, now, now.Sub(path.Heard) >= keepAlive); p != nil {
			quiet = append(quiet, p)
		}
	}
	return quiet
}

func (t *Tunnel) lookAt(id micronet.NodeID, now time.Time, quiet bool) *peer {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.peers[id]
	switch {
	case p == nil:
		return nil
	case p.open == 0 && now.Sub(p.used) >= t.idle:
		t.downLocked(p, "idle")
		t.forgetLocked(p)
		return nil
	case p.open == 0 || p.asked || !quiet:
		return nil
	}
	_, p.asked = t.socket.(pinger)
	if !p.asked {
		return nil
	}
	return p
}

// ask wants a sign of life from a peer, and ends its streams when there is none.
func (t *Tunnel) ask(p *peer) {
	alive := t.answers(p)
	t.mu.Lock()
	p.asked = false
	if alive || p.life.Err() != nil {
		t.mu.Unlock()
		return
	}
	streams := t.downLocked(p, "the peer fell silent")
	t.mu.Unlock()
	for _, s := range streams {
		s.cut(fellSilent("tunnel.stream", p.id))
	}
}

// answers asks a peer again and again, as single packets get lost.
func (t *Tunnel) answers(p *peer) bool {
	began := time.Now()
	ctx, cancel := context.WithTimeout(p.life, silence)
	defer cancel()
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, pingTime)
		_, err := t.socket.(pinger).Ping(once, p.id)
		path, _ := t.socket.Path(p.id)
		if err == nil || path.Heard.After(began) {
			cancel()
			return true
		}
		<-once.Done()
		cancel()
	}
	return false
}
