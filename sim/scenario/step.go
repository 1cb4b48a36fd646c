package scenario

import (
	"strings"
	"time"
)

// Step is one thing that happens.
type Step struct {
	At     time.Duration // since the beginning, at most Scenario.Duration
	For    time.Duration // after which it is taken back; 0: it stays
	Line   int
	Action Action // never nil; a value, not a pointer
}

// Action is one of the types of this file: what happens in a Step. What For does to each is said
// there. A selector is resolved once, when its step happens, and the fault is taken back from the
// same nodes.
type Action interface {
	// Verb is the key in the file, "one_way".
	Verb() string

	action()
}

type (
	// Partition keeps the sides apart. Nodes on no side are together one more. It replaces the
	// partition before. Where random sides overlap the first wins.
	Partition struct{ Sides []Selector }

	// Isolate cuts each of the nodes from all others.
	Isolate struct{ Nodes Selector }

	// Apart cuts A from B, both ways. All else passes, also from both to others.
	Apart struct{ A, B Selector }

	// Bridge cuts A from B, and joins both to Over.
	Bridge struct{ A, B, Over Selector }

	// Ring lets each of the nodes reach its two neighbours alone, in their order.
	Ring struct{ Nodes Selector }

	// OneWay lets nothing pass from From to To. The way back stays.
	OneWay struct{ From, To Selector }

	// Flap cuts A from B and joins them again, Rate times a second. It always has a For.
	Flap struct {
		A, B Selector
		Rate float64 // whole cycles per second, half of each cut
	}

	// SetLink changes paths. Taken back, they are as before.
	SetLink struct{ LinkRule }

	// SetNetwork changes Scenario.Network. Taken back, it is as before.
	SetNetwork struct{ Link Link }

	// Heal takes faults of the network back. It never has a For.
	Heal struct{ What Healing }
)

type (
	// Start starts nodes that are down. It never has a For.
	Start struct{ Nodes Selector }

	// Stop ends nodes politely, as a service manager does. Taken back: they are started.
	Stop struct{ Nodes Selector }

	// Kill ends nodes as a power cut does. Taken back: they are started.
	Kill struct{ Nodes Selector }

	// Restart kills nodes and starts them again. It never has a For.
	Restart struct {
		Nodes  Selector
		Disk   DiskFate
		Within time.Duration // in which the restarts are spread; 0: all at once
	}

	// Stall stops the programs of nodes without ending them. It always has a For.
	Stall struct{ Nodes Selector }

	// Slow makes nodes slow by a factor above 1. Taken back: they are as fast as before.
	Slow struct {
		Nodes  Selector
		Factor float64
	}

	// Clock makes the wall clocks of nodes wrong. Taken back: they are right.
	Clock struct {
		Nodes Selector
		Skew  time.Duration // how far ahead, negative: behind
		Drift float64       // how much faster from now on, in millionths (ppm)
	}

	// Disk breaks disks. Taken back: they are whole.
	Disk struct {
		Nodes Selector
		Fault DiskFault
	}

	// Snapshot remembers disks, for a Restart with RolledBack. It never has a For.
	Snapshot struct{ Nodes Selector }

	// Clone makes a new node with a copy of another's disk, and starts it. It never has a For.
	Clone struct {
		Of Selector // one node
		As string   // the new node's name; see Cloned
	}

	// Join makes new nodes and lets them join; see Joined. It never has a For.
	Join struct {
		Nodes  int
		Within time.Duration // in which they come; 0: all at once
		Once   bool          // all with one token that lets in one of them
	}
)

type (
	// Address gives each of the nodes a new address. It never has a For.
	Address struct{ Nodes Selector }

	// UDPBlocked lets no UDP from and to the nodes.
	UDPBlocked struct{ Nodes Selector }

	// Rebind makes the NAT of a group forget its mappings. It never has a For.
	Rebind struct{ Group string }

	// Register starts an instance of a service on each of the nodes. Taken back: Deregister.
	Register struct {
		Service string
		On      Selector
	}

	// Deregister ends the instances of a service on the nodes. Taken back: Register.
	Deregister struct {
		Service string
		On      Selector
	}

	// Grant lets nodes offer a service, besides what former steps granted them. From the first one on nobody
	// is led to what was not granted. Taken back: everybody may offer everything again.
	Grant struct {
		Service string
		On      Selector
	}

	// Churn registers and deregisters services of its own. It always has a For.
	Churn struct {
		Rate     float64 // changes per second in the whole scenario
		Services int     // how many names it uses
	}

	// Revoke lets an authority revoke the keys of nodes. It never has a For.
	Revoke struct {
		Nodes Selector
		By    Selector // one node; zero: the founder
	}
	// Promote lets the founder make nodes authorities. It never has a For.
	Promote struct{ Nodes Selector }
	// Demote lets the founder end their right to sign. It never has a For.
	Demote struct{ Nodes Selector }
	// Rotate makes a node replace the cluster's root key, which must be there. It never has a For.
	Rotate struct{ Nodes Selector }
	// Invite makes a node, which must be an authority, the one whose token all join with from then on. It
	// never has a For.
	Invite struct{ Nodes Selector }

	// Policy makes an authority state policies about calls of a service. Taken back: they are deleted.
	Policy struct {
		From   Selector // who calls; zero: all
		To     string   // a Service.Name
		Action Ruling
	}

	// Insider makes a member send what it should not. Taken back: it is honest again.
	Insider struct {
		Node  Selector // one node
		Forge Forgery
		About Selector // the victims; zero: all
	}
)

// Healing is what a Heal takes back.
type Healing string

// What can be healed.
const (
	HealAll        Healing = "all"        // all faults of the network, and links
	HealPartitions Healing = "partitions" // what lets nothing pass
	HealLinks      Healing = "links"      // links and network become those of the scenario's head
)

// DiskFate is what a restarted node finds on its disk.
type DiskFate string

// The fates of a disk.
const (
	Kept       DiskFate = "kept"        // what was made durable
	Lost       DiskFate = "lost"        // nothing
	RolledBack DiskFate = "rolled_back" // what the last Snapshot saw
)

// DiskFault is how a disk is broken.
type DiskFault string

// The faults of a disk.
const (
	DiskWhole    DiskFault = "none"
	DiskFull     DiskFault = "full"     // no space left
	DiskEIO      DiskFault = "eio"      // writing, syncing and renaming fail
	DiskReadOnly DiskFault = "readonly" // nothing can be changed
	DiskTorn     DiskFault = "torn"     // a crash keeps a part of what was not synced
)

// Ruling is what a Policy does with calls.
type Ruling string

// The rulings.
const (
	Deny  Ruling = "deny"
	Allow Ruling = "allow"
	Audit Ruling = "audit" // let pass, and counted
)

// Forgery is what an Insider sends.
type Forgery string

// The forgeries.
const (
	ForgeDead    Forgery = "dead"    // that others are dead
	ForgeSuspect Forgery = "suspect" // that others are suspected
	ForgeAlive   Forgery = "alive"   // that others are alive, with incarnations near the end
	ForgePoison  Forgery = "poison"  // records that are broken
	ForgeFlood   Forgery = "flood"   // more than anybody should
	// What follows is sent beside what its daemon sends, or in the place of it.
	ForgeReplay     Forgery = "replay"     // what others said before, once more
	ForgeBombs      Forgery = "bombs"      // what is small on its way and large or costly once it is read
	ForgeBlock      Forgery = "block"      // what makes joining fail, to those who join
	ForgeMangle     Forgery = "mangle"     // what it should pass on: not, late, twice, in another order, altered
	ForgeWithhold   Forgery = "withhold"   // nothing of others to its victims, and that there is nothing
	ForgeSuppress   Forgery = "suppress"   // all but what authorities say, and that there is nothing of that
	ForgeEquivocate Forgery = "equivocate" // another record of its own to each, under one version
	ForgeEndpoints  Forgery = "endpoints"  // that it is where others are, or nobody
	ForgeReflect    Forgery = "reflect"    // requests whose answers go to its victims
	ForgeFuture     Forgery = "future"     // versions, epochs and beats from the end of what can be counted
	ForgeForeign    Forgery = "foreign"    // what members and authorities of another cluster say, which it founded itself
	ForgeSquat      Forgery = "squat"      // that it offers what its victims do

	// Those of a relay, about what it forwards for others.
	ForgeRelayDrops   Forgery = "relay_drops"   // nothing
	ForgeRelayThins   Forgery = "relay_thins"   // every second datagram
	ForgeRelaySieves  Forgery = "relay_sieves"  // the small ones
	ForgeRelayDelays  Forgery = "relay_delays"  // all, a second late
	ForgeRelayAlters  Forgery = "relay_alters"  // every second one with a bit turned
	ForgeRelayRepeats Forgery = "relay_repeats" // in the place of some, others that it forwarded before
)

// OfRelay reports whether it is about what a relay forwards.
func (f Forgery) OfRelay() bool { return strings.HasPrefix(string(f), "relay_") }
