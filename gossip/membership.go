package gossip

import (
	"context"
	"time"

	micronet "github.com/micro/micro-net"
)

// Membership is the hint about who is alive, and the carrier of small messages to all. Its
// verdict is combined with signed records and open tunnels by the node: no member's accusation
// alone changes an answer.
//
// All methods may be called from several goroutines. Implementations: NewHub (in memory) and
// swim.New. ConformMembership is the suite that both pass.
type Membership interface {
	// Join synchronises with the given members, whose credentials the path layer already has.
	// It returns how many answered, and an error when none did.
	Join(ctx context.Context, seeds ...micronet.NodeID) (int, error)
	// Members returns a snapshot sorted by ID, without this node. A member that restarted is
	// listed once, with its newest epoch. The list is the caller's to keep, credentials are not to be
	// changed.
	Members() []Member
	// Broadcast spreads msg to all members, best effort: a message is at most MaxBroadcast
	// bytes; a newer one with the same key replaces an older that still waits.
	Broadcast(key string, msg []byte)
	// SetCredential replaces the metadata that other members see of this one.
	SetCredential(credential []byte)
	// Leave says goodbye. Members see this node as left.
	Leave(ctx context.Context) error
	// Run lives until ctx ends, and returns when all its goroutines have ended. It does not
	// say goodbye: Leave does.
	Run(ctx context.Context) error
}

// MaxBroadcast is the largest message that Broadcast takes.
const MaxBroadcast = 900

// Member is another node as membership sees it.
type Member struct {
	ID         micronet.NodeID
	Epoch      uint64
	Credential []byte
	Status     micronet.NodeStatus // alive, suspect, dead or left
	Since      time.Time           // when Status was entered, here
}

// Delegate is what membership asks of its user. The methods are called from membership's own
// goroutines and must not block.
type Delegate interface {
	// Admit decides about a member before it is listed. An error keeps it out.
	Admit(id micronet.NodeID, epoch uint64, credential []byte) error
	// Changed says that Members would return something else now.
	Changed()
	// Received takes a broadcast message. The slice is only valid during the call.
	Received(msg []byte)
	// State returns what a synchronisation hands to the peer, at most MaxState bytes.
	State() []byte
	// Merge takes the peer's State.
	Merge(state []byte)
}

// MaxState bounds what a synchronisation carries besides the members.
const MaxState = 4 << 20
