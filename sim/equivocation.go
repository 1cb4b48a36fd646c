package sim

import (
	"strconv"

	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
)

// equivocate signs another record for each peer, all under one version.
func (i *insider) equivocate() {
	d, ok := i.document(i.keys.ID())
	if !ok {
		return
	}
	first := i.next(0, nil)
	i.each(func(p parts, o gossip.Member) {
		d.Software = "sim for " + strconv.Itoa(i.mesh.machineOf(o.ID).index)
		if count, body, ok := itemsOf(d); ok {
			h := i.next(count, body)
			h.version = first.version
			_ = p.swim.Transport.Send(o.ID, append([]byte{kindUser}, i.full(h, body)...))
		}
	})
}

// itemsOf writes what a document says as its owner signs it.
func itemsOf(d gossip.Document) (count uint32, body []byte, ok bool) {
	items, err := wire.New().Encode(d)
	for _, it := range items {
		body = appendItem(body, it.Key, it.Value)
	}
	return uint32(len(items)), body, err == nil
}
