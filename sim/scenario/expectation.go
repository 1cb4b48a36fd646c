package scenario

import "time"

// Expectation is something that must hold.
type Expectation struct {
	Line      int
	Text      string    // as the file says it, on one line
	Condition Condition // never nil; a value, not a pointer
}

// Condition is one of the types of this file.
type Condition interface {
	// Key is the key in the file, "success_rate".
	Key() string

	condition()
}

type (
	// Converged: membership and catalog are equal at all nodes that run and are connected, and no two nodes have one
	// name.
	Converged struct {
		// AfterHeal, when above 0: this long after each time the network became whole, that is after
		// a Heal and after the end of a partition that had a For.
		AfterHeal time.Duration
		// At and Within: between At and At+Within at the latest, and from then on until the next
		// fault. At is Scenario.Duration where neither AfterHeal nor At is given.
		At, Within time.Duration
		// Among, when set: only these nodes are looked at, and what they believe of each other.
		Among Selector
	}

	// Always: the invariants hold all the time.
	Always struct{ Invariants []Invariant }

	// SuccessRate: of the calls of all traffic to a service, at least this share succeeds.
	SuccessRate struct {
		Service string
		AtLeast float64    // 0 to 1
		Outside []Interval // calls that began in one of these do not count
	}

	// Latency: of the calls that succeeded, the quantile takes at most so long.
	Latency struct {
		Service  string
		Quantile float64 // 0.99 for p99
		AtMost   time.Duration
		Outside  []Interval
	}

	// Pauses: of the pauses that streams to a service made, and there must be some, the quantile takes at most so long.
	Pauses struct {
		Service  string
		Quantile float64 // 0.99 for p99
		AtMost   time.Duration
		Outside  []Interval // pauses that began in one of these do not count
	}

	// FailsWithin: of the calls of all traffic to a service that failed, and there must be some, each had stood still for so
	// long at most.
	FailsWithin struct {
		Service string
		AtMost  time.Duration
		Outside []Interval // calls that began in one of these do not count
	}

	// Resolves: nodes that ask for a service get so many instances.
	Resolves struct {
		Service   string
		From      Selector
		Instances int
		At        time.Duration // Scenario.Duration when the file does not say
	}

	// Status: the nodes SeenBy show Nodes in this state.
	Status struct {
		Nodes, SeenBy Selector
		Is            MemberState
		At            time.Duration // Scenario.Duration when the file does not say
	}

	// Path: the packets of From to To go this way.
	Path struct {
		From, To Selector
		Is       PathKind
		At       time.Duration // Scenario.Duration when the file does not say
	}

	// Warns: each of the nodes shows a warning with a code in its status, or none of them does.
	Warns struct {
		Nodes Selector
		Code  string
		Shown bool          // true when the file does not say
		At    time.Duration // Scenario.Duration when the file does not say
	}

	// GoneWithin: nobody is offered the instances of ServiceOn any more, this long after each step
	// with the verb After that concerned these nodes.
	GoneWithin struct {
		ServiceOn Selector
		After     string // a verb, "kill"
		AtMost    time.Duration
	}

	// KnownWithin: this long after a step of the timeline registered Service on a node, everybody who
	// can hear that node holds its record.
	KnownWithin struct {
		Service string
		AtMost  time.Duration
	}

	// RevokedWithin: whom a Revoke revoked is refused by everybody this long after it, and by those who were
	// cut off this long after they can hear somebody who knows; flows with it are cut this long after a node knows.
	RevokedWithin struct {
		AtMost    time.Duration
		AfterHeal time.Duration
		Flows     time.Duration
	}
)

// Interval is a time from From to To, To above From.
type Interval struct{ From, To time.Duration }

// Contains reports whether at lies in the interval; its end does not.
func (i Interval) Contains(at time.Duration) bool { return i.From <= at && at < i.To }

// Invariant is a property that no moment may break.
type Invariant string

// The invariants.
const (
	NoLoops        Invariant = "no_loops"        // nothing visits a relay or cluster twice
	NoGhosts       Invariant = "no_ghosts"       // no answer offers what its owner withdrew, or a silent node has
	NoUnauthorized Invariant = "no_unauthorized" // no byte for a caller that is not certified and allowed
	NoLost         Invariant = "no_lost"         // what is registered is known wherever its owner is connected to, and kept
	NoFalseDead    Invariant = "no_false_dead"   // no running, connected node is shown dead
	Bounded        Invariant = "bounded"         // queues, memory, goroutines and what goes to strangers are within their limits
	NoForge        Invariant = "no_forge"        // every record that is held is what its owner signed and published
	NoRollback     Invariant = "no_rollback"     // no record that is held gives way to an older one
	OneIdentity    Invariant = "one_identity"    // no two live nodes share an id or, for long, a name
	Durable        Invariant = "durable"         // keys, certificate and epoch on disk survive, and are there before they are used
	Blast          Invariant = "blast"           // what one member sends makes no other one stand still
)

// MemberState is how a node is shown.
type MemberState string

// The states of a member.
const (
	Alive   MemberState = "alive"
	Suspect MemberState = "suspect"
	Dead    MemberState = "dead"
	Left    MemberState = "left"
	Revoked MemberState = "revoked"
)

// PathKind is how packets reach a node.
type PathKind string

// The kinds of a path.
const (
	Direct  PathKind = "direct"
	Relayed PathKind = "relay"
	OverTCP PathKind = "tcp" // whether over a relay or not

	// OverLanes is a direct path of which streams of programs make no use: there are lanes.
	OverLanes PathKind = "lane"
)

func (Converged) condition()     {}
func (Always) condition()        {}
func (SuccessRate) condition()   {}
func (Latency) condition()       {}
func (Pauses) condition()        {}
func (FailsWithin) condition()   {}
func (Resolves) condition()      {}
func (Status) condition()        {}
func (Path) condition()          {}
func (Warns) condition()         {}
func (GoneWithin) condition()    {}
func (KnownWithin) condition()   {}
func (RevokedWithin) condition() {}

// Key returns "converged".
func (Converged) Key() string { return "converged" }

// Key returns "always".
func (Always) Key() string { return "always" }

// Key returns "success_rate".
func (SuccessRate) Key() string { return "success_rate" }

// Key returns "latency".
func (Latency) Key() string { return "latency" }

// Key returns "pauses".
func (Pauses) Key() string { return "pauses" }

// Key returns "fails_within".
func (FailsWithin) Key() string { return "fails_within" }

// Key returns "resolves".
func (Resolves) Key() string { return "resolves" }

// Key returns "status".
func (Status) Key() string { return "status" }

// Key returns "path".
func (Path) Key() string { return "path" }

// Key returns "warns".
func (Warns) Key() string { return "warns" }

// Key returns "gone_within".
func (GoneWithin) Key() string { return "gone_within" }

// Key returns "known_within".
func (KnownWithin) Key() string { return "known_within" }

// Key returns "revoked_within".
func (RevokedWithin) Key() string { return "revoked_within" }
