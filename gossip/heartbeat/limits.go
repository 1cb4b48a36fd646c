package heartbeat

import "time"

// Bounds and defaults.
const (
	// DefaultInterval is the time between two beats of a node. Shorter: a little fresher; a chain
	// is spent sooner.
	DefaultInterval = 2 * time.Second

	// DefaultLength is how many beats a chain has: 2¼ hours of the default interval. Longer:
	// rarer new documents; a newcomer checks up to as many hashes per owner.
	DefaultLength = 4096

	// Period is the time between two rounds of packets, Fanout the packets of a round and
	// PacketSize their size in bytes, while the mesh has more nodes than one packet can hold.
	Period     = 500 * time.Millisecond
	Fanout     = 3
	PacketSize = 400

	// MaxPacket is the size of the largest packet, in bytes: it fits, sealed, into a datagram that
	// every path carries. MaxEntries is how many owners it holds.
	MaxPacket  = 1100
	MaxEntries = (MaxPacket - headerSize) / entrySize

	// MaxLength and the intervals bound what an anchor may ask of others.
	MaxLength   = 1 << 16
	MinInterval = 100 * time.Millisecond
	MaxInterval = time.Minute

	// MaxOwners bounds a table; as many as a catalog holds. Further ones are refused.
	MaxOwners = 16384

	// MinSeed is the least number of secret bytes a chain is made of.
	MinSeed = 16

	// Slack is how much later than its estimate a beat may have been made. More: honest delays of
	// the network count less; an insider that withholds beats makes a dead node look alive for
	// longer.
	Slack = 2 * time.Second
)

const (
	// fresh is how old a beat of a doubted owner may be to be told first.
	fresh = 30 * time.Second

	// tellFor is how old a beat may be to be told at all. It must be below what an entry's age can
	// hold, or old beats would look younger than they are.
	tellFor = 5 * time.Minute

	// retransmitMult times the logarithm of the number of nodes is how often a node tells one beat
	// as news.
	retransmitMult = 2

	// drift is how fast two clocks may part: an estimate rises that much per elapsed time. riseMax
	// bounds the time that counts after a silence, so that beats withheld for hours gain 0.3 s. In
	// the 2¼ hours of a chain clocks part by more; that is within Slack, or comes with the next
	// chain.
	drift   = 1e-3
	riseMax = 5 * time.Minute

	// correction is by how much a further teller of a beat must move it to be news.
	correction = time.Second

	// leapSlack is how many beats a number may be ahead of the time that passed, before it is a
	// leap, see owner.leap.
	leapSlack = 16

	// lag is by how much an older sign of life of a node another must tell of to be behind.
	lag = 4 * time.Second

	// hashRate and hashBurst bound the hashes that one sender's false values cost per second, and
	// at once. A hash is some 100 ns. The burst lets a newcomer try one chain of any length.
	hashRate  = 2048
	hashBurst = MaxLength

	// leapBan is how long a sender that told a false value may not leap.
	leapBan = time.Minute

	// leapRate and leapBurst bound the leaps per second, and at once, on one owner's chains: an
	// owner that keeps making new ones must not keep everybody hashing.
	leapRate  = 0.1
	leapBurst = 8

	// overlap is how long a node goes on telling its former chain, to those that have not got the
	// document with its new one.
	overlap = time.Minute

	// lifeline is how long ago a doubted node may have been heard directly to be sent packets
	// ahead of others.
	lifeline = 30 * time.Second
)
