package node

import (
	"fmt"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/node/api"
)

// quarantined is a node whose updates are ignored for a while, because it sends more than one node may.
type quarantined struct {
	node   string
	until  time.Time
	reason gossip.Reason
}

// quarantines lists them in the order of the catalog.
func (l *life) quarantines(now time.Time) []quarantined {
	var out []quarantined
	entries := l.records.entries()
	for i := range entries {
		if e := &entries[i]; now.Before(e.Quarantined) {
			out = append(out, quarantined{l.node.nameOf(e.Document.Owner), e.Quarantined, e.Reason})
		}
	}
	return out
}

// quarantineWarning names the nodes that are not listened to; false when there is none.
func quarantineWarning(now time.Time, list []quarantined) (api.Warning, bool) {
	if len(list) == 0 {
		return api.Warning{}, false
	}
	words := make([]string, len(list))
	for i, q := range list {
		words[i] = fmt.Sprintf("%s (%s, for %s more)", q.node, q.reason, q.until.Sub(now).Round(time.Second))
	}
	return api.Warning{
		Code: "quarantined", Text: fmt.Sprintf("updates of %d nodes are ignored, what they said before still counts: %s", len(list), shortList(words)),
		Fix: "see what changes so often there, `micro-net services` on that node; a node that nobody runs any more should not have its key",
	}, true
}

// maxOriginLabels bounds the nodes that are named in metrics; all further ones are counted together.
const maxOriginLabels = 64

// originGauges writes which nodes are in quarantine.
func (b backend) originGauges(w io.Writer, now time.Time) error {
	const name = namespace + "_origin_quarantined"
	list := b.l.quarantines(now)
	if _, err := fmt.Fprintf(w, "# HELP %s Nodes whose updates are ignored for a while.\n# TYPE %s gauge\n", name, name); err != nil {
		return err
	}
	for i, q := range list[:min(len(list), maxOriginLabels)] {
		if i > 0 && list[i-1].node == q.node {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s{node=%q} 1\n", name, q.node); err != nil {
			return err
		}
	}
	if more := len(list) - maxOriginLabels; more > 0 {
		_, err := fmt.Fprintf(w, "%s{node=%q} %d\n", name, otherLabel, more)
		return err
	}
	return nil
}

// nameOf names a node for people: by its name, or by the beginning of its id where that is not known.
func (n *Node) nameOf(id micronet.NodeID) string {
	if l := n.current.Load(); l != nil {
		if v := l.view.Load(); v != nil && v.byID[id] != nil && v.byID[id].Name != "" {
			return v.byID[id].Name
		}
	}
	return id.Short()
}
