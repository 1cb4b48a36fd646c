package gossip

// An epoch has two parts. The upper one counts the starts of a node; the lower renewalBits count the
// renewals of its membership within a start: a node whose incarnation somebody drove to its end goes
// on under the next epoch, and nothing about it has started again.
//
//	start ─────────────────────────── renewal
//	54 bits, 1 for the first          8 bits, 0 at the start
const renewalBits = 8

// StartOf returns which start of its node an epoch belongs to. Epochs of one start are the same life
// of the same programs.
func StartOf(epoch uint64) uint64 { return epoch >> renewalBits }

// maxJump is how many starts, or versions within one, a node may be ahead of what was held of it without being told
// of: even at the rate at which owners are quarantined it takes hours to count to it.
const maxJump = 1 << 20

// jumps reports whether an owner has left out more than it can have counted between two of its versions. A start
// begins to count anew, and so does a renewal. A goodbye is the last version of its epoch, and no jump.
func jumps(from, to Version) bool {
	if from.Epoch == to.Epoch {
		return to.Seq-from.Seq > maxJump
	}
	return StartOf(to.Epoch)-StartOf(from.Epoch) > maxJump || to.Seq > maxJump
}

// NextStart returns the first epoch of the start after that of epoch.
func NextStart(epoch uint64) uint64 { return (StartOf(epoch) + 1) << renewalBits }
