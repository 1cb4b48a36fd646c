package light

import "time"

// Bounds of what waits. Whoever meets one is refused and counted in Events.PacketDropped.
const (
	// InboundQueue bounds the streams that wait for Accept; a further one is refused with Overloaded.
	InboundQueue = 1024
	// maxWaiting bounds the accepted connections that have not said what they want; a further one
	// is refused.
	maxWaiting = 1024
	// maxGuests bounds the guests served at once; a further one is reset.
	maxGuests = 64
	// maxLingering bounds the closed streams whose peer has not ended them; a further one is cut,
	// and what was written on it may be lost.
	maxLingering = 1024
)

// Times.
const (
	dialTime     = 5 * time.Second        // for all attempts of one Open
	attemptMin   = 50 * time.Millisecond  // for one attempt; the next may take twice as long
	attemptBlind = 500 * time.Millisecond // for the first one without a measured round trip
	attemptMax   = 2 * time.Second
	introTime    = time.Second            // for the answer to a first sign of life
	openingTime  = 5 * time.Second        // for the opening frame of an inbound stream, and for getting to know its caller
	acquaintance = 100 * time.Millisecond // between looks whether the caller is known by now
	lingerTime   = 5 * time.Second        // that a closed stream waits for its peer's end
	handshake    = 5 * time.Second        // of TLS with a guest
	guestLinger  = time.Second            // that a guest waits for the member's end
	keepAlive    = time.Second            // without a sign of life, after which the peer is asked
	silence      = 2 * time.Second        // without an answer, after which it is taken for gone
	pingTime     = 500 * time.Millisecond // for one answer
	minIdle      = 10 * time.Second
)

// attemptTrips is how many round trips the first attempt may take, within attemptMin and attemptMax.
const attemptTrips = 3

// lingerBytes is how much of what a peer still writes is thrown away before it is told that nobody
// reads.
const lingerBytes = 64 << 10
