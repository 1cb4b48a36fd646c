package gossip

import "time"

// Limits bound what others can make a catalog hold and do. Zero fields take the default.
type Limits struct {
	MaxDocument  int           // bytes of one full document message; 128 KiB
	MaxTotal     int64         // bytes of all documents; 64 MiB. Owners beyond it are refused until others are forgotten
	MaxDocuments int           // owners; 8,192
	Rate         float64       // new versions per second and owner, on average; 64
	Burst        float64       // new versions at once; 128
	Quarantine   time.Duration // how long an owner above its rate is not listened to; 30 s. Its last document stays
	Keep         time.Duration // how long a document outlives its owner's last confirmation; 72 h, a goodbye a third longer
}

// Defaults of Limits.
const (
	DefaultMaxDocument  = 128 << 10
	DefaultMaxTotal     = 64 << 20
	DefaultMaxDocuments = 8192
	DefaultRate         = 64
	DefaultBurst        = 128
	DefaultQuarantine   = 30 * time.Second
	DefaultKeep         = 72 * time.Hour
)

// EnsureDefaults fills what is zero.
func (l Limits) EnsureDefaults() Limits {
	orDefault(&l.MaxDocument, DefaultMaxDocument)
	orDefault(&l.MaxTotal, DefaultMaxTotal)
	orDefault(&l.MaxDocuments, DefaultMaxDocuments)
	orDefault(&l.Rate, DefaultRate)
	orDefault(&l.Burst, DefaultBurst)
	orDefault(&l.Quarantine, DefaultQuarantine)
	orDefault(&l.Keep, DefaultKeep)
	return l
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// tokenBucket allows rate events per second on average and burst at once.
type tokenBucket struct {
	tokens float64
	last   time.Time
}

// take uses one token, or reports that there is none. A clock that stands or goes back refills
// nothing.
func (b *tokenBucket) take(now time.Time, rate, burst float64) bool {
	if b.last.IsZero() {
		b.tokens, b.last = burst, now
	}
	if d := now.Sub(b.last); d > 0 {
		b.tokens = min(burst, b.tokens+rate*d.Seconds())
		b.last = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// Stats is what a catalog holds and has done since it was made.
type Stats struct {
	Documents   int   // held, this node's own among them
	Pending     int   // newer versions known to exist and not held
	Quarantined int   // owners not listened to now
	Bytes       int64 // of all documents held
	Instances   int

	Accepted   uint64            // versions taken over
	Announced  uint64            // versions heard of whose items must be fetched
	Duplicates uint64            // messages with the version held
	Stale      uint64            // messages with an older version
	Jumps      uint64            // documents that were taken over although their versions are far ahead of those before
	Refused    map[Reason]uint64 // a copy, the caller's to keep
}
