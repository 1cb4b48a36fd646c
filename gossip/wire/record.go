package wire

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// nodeRecord is the value of the item "node".
type nodeRecord struct {
	Heartbeat []byte   `codec:"b,omitempty"`
	Cluster   string   `codec:"c"`
	Endpoints []string `codec:"e,omitempty"` // address:port, best first
	Gateway   bool     `codec:"g,omitempty"`
	Name      string   `codec:"n"`
	Right     []byte   `codec:"r,omitempty"`
	Software  string   `codec:"s,omitempty"`
	Version   uint64   `codec:"v"` // of these rules; higher ones only add
}

// instanceRecord is the value of an item "instance/<id>".
type instanceRecord struct {
	Address     string            `codec:"a"`
	Health      string            `codec:"h"`
	Meta        map[string]string `codec:"m,omitempty"`
	Port        uint16            `codec:"p"`
	Protocol    string            `codec:"r"`
	Service     string            `codec:"s"`
	ServicePort uint16            `codec:"sp"`
	Tags        []string          `codec:"t,omitempty"` // strictly ascending
	Version     uint64            `codec:"v"`           // of these rules; higher ones only add
	Weight      uint32            `codec:"w"`
}

// recordVersion is the version of the rules that we write.
const recordVersion = 1

// Bounds of values. Lengths are in bytes.
const (
	maxName      = 255
	maxSoftware  = 64
	maxEndpoints = 8
	maxTags      = 32
	maxTag       = 2048 // programs that keep metadata in Consul's tags have long ones
	maxMeta      = 32
	maxMetaText  = 512
	maxWeight    = 65535
)

func (r *nodeRecord) check() error {
	if err := checkVersion(r.Version); err != nil {
		return err
	}
	if err := micronet.CheckLabel(r.Name); err != nil {
		return fmt.Errorf("node name: %w", err)
	}
	if err := micronet.CheckName(r.Cluster); err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if r.Software != "" {
		if err := checkText("software", r.Software, maxSoftware); err != nil {
			return err
		}
	}
	if len(r.Endpoints) > maxEndpoints {
		return fmt.Errorf("%d endpoints, at most %d are allowed", len(r.Endpoints), maxEndpoints)
	}
	if len(r.Heartbeat) > gossip.MaxHeartbeat {
		return fmt.Errorf("a heartbeat's anchor of %d bytes, at most %d are allowed", len(r.Heartbeat), gossip.MaxHeartbeat)
	}
	if len(r.Right) > gossip.MaxRight {
		return fmt.Errorf("a right of %d bytes, at most %d are allowed", len(r.Right), gossip.MaxRight)
	}
	for _, e := range r.Endpoints {
		if _, err := parseEndpoint(e); err != nil {
			return err
		}
	}
	return nil
}

func (r *instanceRecord) check(id string) error {
	if err := checkVersion(r.Version); err != nil {
		return err
	}
	if err := checkText("instance id", id, maxName); err != nil {
		return err
	}
	if err := checkService(r.Service); err != nil {
		return err
	}
	if _, err := parseAddress(r.Address); err != nil {
		return err
	}
	if r.Port == 0 || r.ServicePort == 0 {
		return fmt.Errorf("a port is 1 to 65535, not 0")
	}
	if r.Weight == 0 || r.Weight > maxWeight {
		return fmt.Errorf("weight %d, it is 1 to %d", r.Weight, maxWeight)
	}
	if err := micronet.CheckLabel(r.Protocol); err != nil {
		return fmt.Errorf("protocol: %w", err)
	}
	if err := checkTags(r.Tags); err != nil {
		return err
	}
	return checkMeta(r.Meta)
}

func checkVersion(v uint64) error {
	if v == 0 {
		return fmt.Errorf("the version of the record is missing")
	}
	return nil
}

// checkService takes any printable name, as programs register what they like through Consul's
// API, but none of the reserved words.
func checkService(name string) error {
	lower := strings.ToLower(name)
	if micronet.CheckLabel(lower) == nil {
		return micronet.CheckName(lower)
	}
	return checkText("service", name, maxName)
}

func checkTags(tags []string) error {
	if len(tags) > maxTags {
		return fmt.Errorf("%d tags, at most %d are allowed", len(tags), maxTags)
	}
	for i, t := range tags {
		if err := checkText("tag", t, maxTag); err != nil {
			return err
		}
		if i > 0 && tags[i-1] >= t {
			return fmt.Errorf("tag %q is there twice or out of order", t)
		}
	}
	return nil
}

func checkMeta(meta map[string]string) error {
	if len(meta) > maxMeta {
		return fmt.Errorf("%d pairs of meta, at most %d are allowed", len(meta), maxMeta)
	}
	keys := make([]string, 0, len(meta))
	for k := range meta {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := checkText("meta key", k, maxMetaText); err != nil {
			return err
		}
		if v := meta[k]; len(v) > maxMetaText || !utf8.ValidString(v) || strings.ContainsFunc(v, isControl) {
			return fmt.Errorf("meta %q: a value has at most %d bytes of text", k, maxMetaText)
		}
	}
	return nil
}

// isControl reports what could drive a terminal. Tabs and line ends are text.
func isControl(r rune) bool { return r != '\t' && r != '\n' && r != '\r' && unicode.IsControl(r) }

// checkText demands 1 to limit bytes of printable text.
func checkText(what, s string, limit int) error {
	if s == "" || len(s) > limit {
		return fmt.Errorf("%s of %d bytes, it has 1 to %d", what, len(s), limit)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s %q has characters that cannot be printed", what, s)
	}
	return nil
}

// parseAddress reads where an instance listens. Addresses that mean something else at every host
// or belong to a cloud's metadata service are refused.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%q is no address", s)
	}
	return a, checkAddress(a, s)
}

func parseEndpoint(s string) (netip.AddrPort, error) {
	e, err := netip.ParseAddrPort(s)
	if err != nil || e.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q is no endpoint", s)
	}
	return e, checkAddress(e.Addr(), e.Addr().String())
}

func checkAddress(a netip.Addr, written string) error {
	switch {
	case a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%s is unspecified, multicast, broadcast or link-local and is never accepted", a)
	case a.Is4In6() || a.Zone() != "" || a.String() != written:
		return fmt.Errorf("%q is not the plain form of an address", written)
	case micronet.IsMetadataAddr(a):
		return fmt.Errorf("%s is the metadata service of a cloud and is never accepted", a)
	case micronet.IsIdentityAddr(a):
		return fmt.Errorf("%s stands for an identity and is never accepted", a)
	}
	return nil
}

// health reads unknown states of newer versions as Critical: no traffic on a guess.
func health(s string) micronet.Health {
	switch h := micronet.Health(s); h {
	case micronet.Passing, micronet.Warning, micronet.Maintenance:
		return h
	}
	return micronet.Critical
}
