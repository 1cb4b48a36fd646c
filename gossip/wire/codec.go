package wire

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/go-msgpack/v2/codec"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

const (
	nodeKey        = "node"
	instancePrefix = "instance/"
)

// Codec is the gossip.Codec of the mesh.
type Codec struct {
	handle codec.MsgpackHandle
}

var _ gossip.Codec = (*Codec)(nil)

// New returns a Codec, which may be used by several goroutines.
func New() *Codec {
	c := &Codec{}
	c.handle.Canonical = true
	c.handle.WriteExt = true // strings and bytes are told apart
	c.handle.PositiveIntUnsigned = true
	c.handle.MaxDepth = maxDepth + 1
	return c
}

// Encode returns the items "node" and "instance/<id>", ascending. Tags are sorted and made unique
// on the way; any other value against the rules is an error that names it.
func (c *Codec) Encode(d gossip.Document) ([]gossip.Item, error) {
	if len(d.Instances) > gossip.MaxInstances {
		return nil, fmt.Errorf("%d instances, at most %d are allowed", len(d.Instances), gossip.MaxInstances)
	}
	items := make([]gossip.Item, 0, 1+len(d.Instances))
	for i := range d.Instances {
		in := &d.Instances[i]
		item, err := c.Item(in)
		if err != nil {
			return nil, fmt.Errorf("instance %q: %w", in.ID, err)
		}
		items = append(items, item)
	}
	r := nodeOut(&d)
	if err := r.check(); err != nil {
		return nil, err
	}
	value, err := c.encode(&r)
	if err != nil {
		return nil, err
	}
	items = append(items, gossip.Item{Key: nodeKey, Value: value})
	slices.SortFunc(items, func(a, b gossip.Item) int { return strings.Compare(a.Key, b.Key) })
	return items, nil
}

// Item returns the item of one instance.
func (c *Codec) Item(in *micronet.Instance) (gossip.Item, error) {
	value, err := c.writeInstance(in)
	return gossip.Item{Key: instancePrefix + in.ID, Value: value}, err
}

// Decode reads the items it knows. An instance whose protocol is of a newer version is left out,
// as nobody here could speak to it.
func (c *Codec) Decode(owner micronet.NodeID, v gossip.Version, left bool, items []gossip.Item) (gossip.Document, error) {
	d := gossip.Document{Owner: owner, Version: v, Left: left}
	seen := false
	for _, it := range items {
		var err error
		id, isInstance := strings.CutPrefix(it.Key, instancePrefix)
		switch {
		case isInstance:
			err = c.readInstance(&d, id, it.Value)
		case it.Key == nodeKey:
			seen = true
			err = c.readNode(&d, it.Value)
		}
		if err != nil {
			return gossip.Document{}, fmt.Errorf("item %q: %w", it.Key, err)
		}
	}
	if !seen {
		return gossip.Document{}, fmt.Errorf("the item %q is missing", nodeKey)
	}
	return d, nil
}

func (c *Codec) writeInstance(in *micronet.Instance) ([]byte, error) {
	r := instanceOut(in)
	if err := r.check(in.ID); err != nil {
		return nil, err
	}
	if !in.Protocol.Valid() {
		return nil, fmt.Errorf("protocol %q is not known", in.Protocol)
	}
	if health(r.Health) != in.Health {
		return nil, fmt.Errorf("health %q is not known", in.Health)
	}
	return c.encode(&r)
}

func (c *Codec) readNode(d *gossip.Document, value []byte) error {
	var r nodeRecord
	if err := c.decode(value, &r); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	d.Name, d.Cluster, d.Software, d.Gateway = r.Name, r.Cluster, r.Software, r.Gateway
	d.Heartbeat, d.Right = bytes.Clone(r.Heartbeat), bytes.Clone(r.Right)
	for _, s := range r.Endpoints {
		e, err := parseEndpoint(s)
		if err != nil {
			return err
		}
		d.Endpoints = append(d.Endpoints, e)
	}
	return nil
}

func (c *Codec) readInstance(d *gossip.Document, id string, value []byte) error {
	if len(d.Instances) >= gossip.MaxInstances {
		return fmt.Errorf("more than %d instances", gossip.MaxInstances)
	}
	var r instanceRecord
	if err := c.decode(value, &r); err != nil {
		return err
	}
	if err := r.check(id); err != nil {
		return err
	}
	protocol := micronet.Protocol(r.Protocol)
	if !protocol.Valid() {
		return nil
	}
	address, err := parseAddress(r.Address)
	if err != nil {
		return err
	}
	d.Instances = append(d.Instances, micronet.Instance{
		Service: r.Service, ID: id, Address: address, Port: r.Port, ServicePort: r.ServicePort,
		Protocol: protocol, Tags: r.Tags, Meta: r.Meta, Weight: int(r.Weight), Health: health(r.Health),
	})
	return nil
}

func nodeOut(d *gossip.Document) nodeRecord {
	r := nodeRecord{
		Version: recordVersion, Name: d.Name, Cluster: d.Cluster, Software: d.Software, Gateway: d.Gateway,
		Heartbeat: d.Heartbeat, Right: d.Right,
	}
	for _, e := range d.Endpoints {
		r.Endpoints = append(r.Endpoints, netip.AddrPortFrom(e.Addr().Unmap(), e.Port()).String())
	}
	return r
}

func instanceOut(in *micronet.Instance) instanceRecord {
	return instanceRecord{
		Version: recordVersion, Service: in.Service, Address: in.Address.Unmap().String(), Port: in.Port,
		ServicePort: in.ServicePort, Protocol: string(in.Protocol), Tags: sortedTags(in.Tags),
		Meta: maps.Clone(in.Meta), Weight: weight(in.Weight), Health: string(in.Health),
	}
}

// weight keeps what does not fit recognisable as wrong.
func weight(w int) uint32 {
	if w < 0 || w > maxWeight {
		return 0
	}
	return uint32(w)
}

func sortedTags(tags []string) []string {
	out := slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return t == "" })
	slices.Sort(out)
	return slices.Compact(out)
}

func (c *Codec) encode(v any) ([]byte, error) {
	var out []byte
	err := codec.NewEncoderBytes(&out, &c.handle).Encode(v)
	return out, err
}

func (c *Codec) decode(value []byte, v any) error {
	if err := scan(value); err != nil {
		return err
	}
	return codec.NewDecoderBytes(value, &c.handle).Decode(v)
}
