package proxy

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	micronet "github.com/micro/micro-net"
)

const (
	// vipFileVersion is that of the format below. A reader skips fields it does not know and
	// refuses files of a later version.
	vipFileVersion = 1

	// maxVIPFile bounds what LoadVIPs reads: MaxVIPs entries of three long labels each.
	maxVIPFile = 32 << 20
)

// vipFile is the JSON form of VIPs. Entries are sorted by address.
type vipFile struct {
	Version int        `json:"version"`
	Entries []vipEntry `json:"entries"`
}

// vipEntry is one address and who holds it: a service, or a node.
type vipEntry struct {
	Address netip.Addr       `json:"address"`
	Service string           `json:"service,omitempty"`
	Tag     string           `json:"tag,omitempty"`
	Cluster string           `json:"cluster,omitempty"`
	Node    *micronet.NodeID `json:"node,omitempty"`
}

// Snapshot returns everything that was ever given out, as JSON. Equal contents give equal bytes.
func (v *VIPs) Snapshot() ([]byte, error) {
	f := vipFile{Version: vipFileVersion, Entries: make([]vipEntry, 0, len(v.byAddr))}
	for _, a := range slices.SortedFunc(maps.Keys(v.byAddr), netip.Addr.Compare) {
		o := v.byAddr[a]
		e := vipEntry{Address: a, Service: o.dest.Service, Tag: o.dest.Tag, Cluster: o.dest.Cluster}
		if o.isNode() {
			e.Node = &o.node
		}
		f.Entries = append(f.Entries, e)
	}
	out, err := json.Marshal(f)
	if err != nil {
		return nil, micronet.E("proxy.vips", micronet.Internal, "write the VIPs: %w", err)
	}
	return append(out, '\n'), nil
}

// LoadVIPs reads what Snapshot wrote. Entries outside prefix are kept, so that their addresses
// go to nobody else when the prefix changes back. A torn or foreign file is refused whole.
func LoadVIPs(prefix netip.Prefix, data []byte) (*VIPs, error) {
	v, err := NewVIPs(prefix)
	if err != nil {
		return nil, err
	}
	f, err := parseVIPFile(data)
	if err != nil {
		return nil, micronet.E("proxy.vips", micronet.Invalid, "read the VIPs: %w", err).
			WithFix("restore the file, or move it away: services then get their usual addresses again, unless two had collided")
	}
	for i, e := range f.Entries {
		if err := v.load(e); err != nil {
			return nil, micronet.E("proxy.vips", micronet.Invalid, "read the VIPs: entry %d: %w", i, err).
				WithFix("restore the file, or move it away")
		}
	}
	return v, nil
}

func parseVIPFile(data []byte) (vipFile, error) {
	var f vipFile
	if len(data) > maxVIPFile {
		return f, fmt.Errorf("%d bytes are too many, at most %d", len(data), maxVIPFile)
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, err
	}
	if f.Version != vipFileVersion {
		return f, fmt.Errorf("version %d is not known here, want %d", f.Version, vipFileVersion)
	}
	if len(f.Entries) > MaxVIPs {
		return f, fmt.Errorf("%d entries are too many, at most %d", len(f.Entries), MaxVIPs)
	}
	return f, nil
}

func (v *VIPs) load(e vipEntry) error {
	o := owner{dest: micronet.Destination{Service: e.Service, Tag: e.Tag, Cluster: e.Cluster}}
	if e.Node != nil {
		o.node = *e.Node
	}
	switch {
	case !e.Address.Is4():
		return fmt.Errorf("%q is no IPv4 address", e.Address)
	case (e.Service == "") != o.isNode():
		return fmt.Errorf("%s belongs neither to one service nor to one node", e.Address)
	case o.isNode() && o.dest != micronet.Destination{}:
		return fmt.Errorf("%s belongs to a node and has a tag or cluster", e.Address)
	}
	if other, taken := v.byAddr[e.Address]; taken {
		return fmt.Errorf("%s is given twice, to %q and %q", e.Address, other.dest, o.dest)
	}
	v.add(e.Address, o)
	return nil
}
