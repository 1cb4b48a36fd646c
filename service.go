package micronet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Protocol is what an instance speaks.
type Protocol string

// The protocols of a service.
const (
	TCP   Protocol = "tcp"
	UDP   Protocol = "udp"
	HTTP  Protocol = "http"
	HTTP2 Protocol = "http2"
	GRPC  Protocol = "grpc"
)

// Valid reports whether p is one of the known protocols.
func (p Protocol) Valid() bool {
	return slices.Contains([]Protocol{TCP, UDP, HTTP, HTTP2, GRPC}, p)
}

// Health is what the owner's checks say of an instance.
type Health string

// The states of an instance. Only Passing and Warning instances get traffic.
const (
	Passing     Health = "passing"
	Warning     Health = "warning"
	Critical    Health = "critical"
	Maintenance Health = "maintenance"
)

// Serving reports whether an instance in this state may get traffic.
func (h Health) Serving() bool { return h == Passing || h == Warning }

// DefaultWeight is the weight of an instance that names none.
const DefaultWeight = 100

// Instance is one running copy of a service, as its owner announces it.
type Instance struct {
	Service     string            // a DNS label, or any name that came through Consul's API
	ID          string            // unique at its node
	Address     netip.Addr        // where it listens, as the owner's host sees it
	Port        uint16            // where it listens
	ServicePort uint16            // the port callers use at the VIP; never 0 in a record
	Protocol    Protocol          //
	Tags        []string          // sorted
	Meta        map[string]string //
	Weight      int               // relative share of traffic, 1 to 65535
	Health      Health            //
}

// HasTag reports whether the instance carries tag, compared without case as DNS does; the empty
// tag is carried by all.
func (i *Instance) HasTag(tag string) bool {
	return tag == "" || slices.ContainsFunc(i.Tags, func(t string) bool { return strings.EqualFold(t, tag) })
}

// AddrPort returns where the instance listens.
func (i *Instance) AddrPort() netip.AddrPort { return netip.AddrPortFrom(i.Address, i.Port) }

// Clone returns a deep copy.
func (i *Instance) Clone() Instance {
	c := *i
	c.Tags = slices.Clone(i.Tags)
	if i.Meta != nil {
		c.Meta = make(map[string]string, len(i.Meta))
		for k, v := range i.Meta {
			c.Meta[k] = v
		}
	}
	return c
}

// Destination is what a caller asks for: a service, perhaps narrowed to a tag and a cluster.
// It is comparable and serves as a map key: one VIP stands for one Destination.
type Destination struct {
	Service string
	Tag     string // "" means any
	Cluster string // "" means any, nearest first
}

// String is the DNS form without the domain: "web", "v2.web.service", "web.service.eu".
func (d Destination) String() string {
	if d.Tag == "" && d.Cluster == "" {
		return d.Service
	}
	parts := []string{d.Service, "service"}
	if d.Tag != "" {
		parts = slices.Insert(parts, 0, d.Tag)
	}
	if d.Cluster != "" {
		parts = append(parts, d.Cluster)
	}
	return strings.Join(parts, ".")
}

// ParseDestination reads what String wrote.
func ParseDestination(s string) (Destination, error) {
	p := strings.Split(s, ".")
	switch {
	case len(p) == 1 && p[0] != "":
		return Destination{Service: p[0]}, nil
	case len(p) >= 2 && p[1] == "service":
		return Destination{Service: p[0], Cluster: strings.Join(p[2:], ".")}, nil
	case len(p) >= 3 && p[2] == "service":
		return Destination{Tag: p[0], Service: p[1], Cluster: strings.Join(p[3:], ".")}, nil
	}
	return Destination{}, fmt.Errorf("%q names no service: want NAME or [TAG.]NAME.service[.CLUSTER]", s)
}
