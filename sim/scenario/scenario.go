package scenario

import (
	"strconv"
	"time"
)

// Scenario is a checked scenario file. All names in it exist.
type Scenario struct {
	File     string // as given to Parse
	Name     string // one line, never empty
	About    string
	Fidelity Fidelity
	Groups   []Group // at least one, names unique
	// Network is the path between two nodes of which no rule says more. A rule changes only what
	// it names. Order, the last wins: Network, Group.Network where both ends are of the group,
	// Links in their order, steps of the timeline.
	Network  Link
	Links    []LinkRule
	Services []Service     // names unique
	Traffic  []Traffic     //
	Timeline []Step        // ascending by At; steps of one time in the order of the file
	Expect   []Expectation // in the order of the file
	Duration time.Duration // of virtual time, above 0
	Relay    RelayMode     // of all nodes
	TCP      TCPMode       // the same
}

// TCPMode is the setting tcp-addr, as far as scenarios know it.
type TCPMode string

// The values of the setting.
const (
	TCPAuto TCPMode = "auto"
	TCPOff  TCPMode = "off"
)

// RelayMode is the setting of the same name.
type RelayMode string

// The values of the setting.
const (
	RelayAuto RelayMode = "auto"
	RelayOn   RelayMode = "on"
	RelayOff  RelayMode = "off"
)

// Fidelity is how much of a node runs.
type Fidelity string

// The fidelities.
const (
	Full   Fidelity = "full"   // whole daemons
	Gossip Fidelity = "gossip" // membership and catalog alone
)

// DefaultGroup is the group that `nodes: 20` stands for, JoinGroup that of the nodes which a Join
// adds. A scenario's own groups cannot have the name JoinGroup.
const (
	DefaultGroup = "n"
	JoinGroup    = "j"
)

// Group is a number of nodes at one place. They are named name1, name2, …
type Group struct {
	Name     string // a DNS label that ends with a letter
	Nodes    int    // 1 to 2,000
	NAT      NAT    // in front of all of them; Kind NoNAT: none
	Firewall bool   // in front of each of them: it lets in only answers to what the node sent
	Network  Link   // changes Scenario.Network between nodes of the group; see Link.Over
}

// NATKind is how a NAT maps and filters, in the words of RFC 4787 and RFC 3489.
type NATKind string

// The kinds of NAT.
const (
	NoNAT          NATKind = ""
	FullCone       NATKind = "full_cone"       // endpoint-independent mapping and filtering
	Restricted     NATKind = "restricted"      // address-dependent filtering
	PortRestricted NATKind = "port_restricted" // address and port-dependent filtering
	Symmetric      NATKind = "symmetric"       // address and port-dependent mapping and filtering
)

// NAT is the device in front of a group.
type NAT struct {
	Kind    NATKind
	Timeout time.Duration // after which an idle mapping is forgotten; 0: the simulator's default
	Hairpin bool          // nodes behind it reach each other by its outer address
	Levels  int           // how many of them one behind the other, 1 or 2 (CGNAT); 0 without NAT
	PortMap PortMap       // what the innermost one knows, if nodes ask it for a port
}

// PortMap is how a NAT takes wishes for a port that lets others in.
type PortMap string

// The ways.
const (
	NoPortMap PortMap = ""
	PCP       PortMap = "pcp"     // RFC 6887, and NAT-PMP
	NATPMP    PortMap = "nat_pmp" // RFC 6886 alone
	UPnP      PortMap = "upnp"    // WANIPConnection:1 alone
)

// NodeRef names a node.
type NodeRef struct {
	Group string // "" for a clone
	Index int    // in its group, from 1; 0 for a clone
	Name  string // group and index, "eu3"; the name of a clone
}

// Nodes lists the nodes that are there from the beginning, in order: the first is the founder.
func (s *Scenario) Nodes() []NodeRef {
	var out []NodeRef
	for i := range s.Groups {
		for n := range s.Groups[i].Nodes {
			out = append(out, newRef(s.Groups[i].Name, n+1))
		}
	}
	return out
}

// Joined is the ref of the nth node, from 1, that Join steps have added. The runner appends it to
// its nodes.
func Joined(n int) NodeRef { return newRef(JoinGroup, n) }

// Cloned is the ref of the node that a Clone has added. Selectors find it by its name, its number
// and `all`.
func Cloned(name string) NodeRef { return NodeRef{Name: name} }

func newRef(group string, index int) NodeRef {
	return NodeRef{Group: group, Index: index, Name: group + strconv.Itoa(index)}
}
