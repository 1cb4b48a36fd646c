package node

import (
	"time"

	micronet "github.com/micro/micro-net"
)

// registered bounds how long an answer to a registration waits for its effect.
const registered = time.Second

// settled waits until the view shows this node's instances as the registry has them, checks
// included that never ran before: who registers a service and asks for it right away, finds it. The
// end of the life ends the wait.
func (l *life) settled(ids ...string) {
	late := time.NewTimer(registered)
	defer late.Stop()
	for {
		changed, over := l.views.wait(), l.node.lives.wait()
		if l.isSettled(ids) {
			return
		}
		select {
		case <-changed:
		case <-over:
			return
		case <-late.C:
			return
		}
	}
}

func (l *life) isSettled(ids []string) bool {
	shown := map[string]micronet.Health{}
	for _, list := range l.view.Load().instances {
		for i := range list {
			if list[i].node.ID == l.self {
				shown[list[i].instance.ID] = list[i].instance.Health
			}
		}
	}
	for _, id := range ids {
		e, there := l.node.registry.get(id)
		health, visible := shown[id]
		switch {
		case there != visible:
			return false
		case there && (e.health != health || (!e.service.Checks.None && e.output == "")):
			return false
		}
	}
	return true
}
