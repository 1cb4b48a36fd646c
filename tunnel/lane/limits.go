package lane

import "time"

const (
	// Window bounds the bytes of one session and direction that are on their way or not read yet; a writer waits then.
	Window = 1 << 20
	// ackEvery is after how many bytes that were read the writer is told.
	ackEvery = Window / 4
	// InboundQueue bounds the sessions that wait for Accept; a further one is refused with Overloaded.
	InboundQueue = 1024

	// maxLanes bounds the lanes of a node that it has dialled, and those that others have; maxLanesEach those with one
	// peer. What finds none goes over QUIC.
	maxLanes     = 512
	maxLanesEach = 128
	// maxDials is how many to one peer are dialled at once.
	maxDials = 4
	// spareLanes is how many are kept ready at least for a peer that lanes are used to, mostSpares at most.
	spareLanes = 4
	mostSpares = 32
	// maxBelow bounds the sessions of one peer and direction that are on streams of the tunnel below because they found no
	// lane; further ones are plain streams. maxStreams bounds those of one peer on streams for whatever reason, which
	// are refused beyond.
	maxBelow   = 128
	maxStreams = 2 * maxLanesEach
	// maxEnded bounds what is remembered of sessions that have ended; the oldest is forgotten.
	maxEnded = 1024
	// maxWords bounds what the reader of a carrier wants said; the carrier of who asks for more ends.
	maxWords = 8
)

// Times.
const (
	enterRTT   = 3 * time.Millisecond  // a path as quick as that gets lanes
	leaveRTT   = 10 * time.Millisecond // and as slow as that none any more; load makes every path slower
	tick       = 250 * time.Millisecond
	pingAfter  = 750 * time.Millisecond // of silence on a lane in use
	deafAfter  = 2 * time.Second        // of silence, after which it leads nowhere
	dialTime   = 3 * time.Second
	againFirst = 5 * time.Second // a peer is dialled again after a dial in vain; it doubles, up to againMost
	againMost  = 5 * time.Minute
	settled    = time.Second      // a path that is near for so long gets sessions back
	spareFor   = 30 * time.Second // a lane that nobody uses is kept
	guestFor   = time.Minute      // one that a peer has dialled
	maxAge     = 10 * time.Minute // an older one is used for no further session: certificates and rules are looked at anew
	resumeTime = 6 * time.Second  // a session whose carrier was lost goes on within, or has ended
	orphanTime = 8 * time.Second  // the same at the other side
	resumePace = 100 * time.Millisecond
	askedFor   = resumeTime + 2*orphanTime // a session that has ended may be asked for
	wordTime   = 2 * time.Second           // for the first word of a carrier
	partTime   = 100 * time.Millisecond
)
