package portmap

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Port is where a router takes questions over UDP.
const Port = 5351

const (
	// lifetime is how long a mapping is asked for, as RFC 6886 recommends (section 3.3).
	lifetime = 2 * time.Hour
	// minLifetime and maxLifetime bound what counts as granted. A mapping of a few seconds would have all peers told of it again and
	// again; a router that promises years is not relied on for longer than a day.
	minLifetime = time.Minute
	maxLifetime = 24 * time.Hour
	// minRenewal is how far attempts to renew are apart at least (RFC 6887, section 11.2.1).
	minRenewal = 4 * time.Second
	// lookEvery is how often a router with a mapping is asked for its clock: a restart loses the mapping, and would not be noticed before
	// the mapping is renewed.
	lookEvery = 2 * time.Minute
	// lostGrace is how long a mapping still counts that a router has lost: it is asked for anew at once.
	lostGrace = 30 * time.Second
	// firstRest and maxRest are how long a router that grants nothing is left alone; the second is RFC 6887's for one that does not
	// answer (section 8.1.1).
	firstRest = time.Minute
	maxRest   = 1024 * time.Second
	// maxHold bounds how long a router may have its refusal count; RFC 6887 proposes it for errors that last (section 7.4).
	maxHold = 30 * time.Minute
)

// FetchTime is how long a Request over HTTP may take, all in all, and SearchTime how long answers to a search are heard.
const (
	FetchTime  = 5 * time.Second
	SearchTime = 3 * time.Second
)

// question is what the router is asked.
type question int

const (
	nothing question = iota
	pcpMap
	pcpClock
	pmpAddress
	pmpMap
	igdSearch // UPnP; those after it are asked over HTTP
	igdDescription
	igdAddress
	igdEntry
	igdMap
)

// firstWait is how long the first answer to a question is waited for, tries how often it is asked. Each wait is twice the one before. PCP's are
// RFC 6887's, section 8.1.1, though a router that may know NAT-PMP alone is not asked without end. RFC 6886, section 3.1, has nine tries,
// the last four of which take two minutes: here they are those of the next round. Devices have a second to answer a search. What is asked over
// HTTP is over before the wait is.
func (q question) firstWait() time.Duration {
	switch {
	case q == pmpAddress || q == pmpMap:
		return 250 * time.Millisecond
	case q == igdSearch:
		return 2 * time.Second
	case q > igdSearch:
		return FetchTime * 6 / 5
	}
	return 3 * time.Second
}

func (q question) tries() int {
	switch {
	case q == pmpAddress || q == pmpMap:
		return 5
	case q > igdSearch:
		return 1
	}
	return 2
}

// Config is what a Keeper is made from.
type Config struct {
	Router netip.Addr // IPv4
	Client netip.Addr // this host's address towards the router, IPv4
	Port   uint16     // of the UDP socket that others should reach
	Nonce  Nonce      // the same after a restart of this program, or the router refuses to change what the one before has got
	Rand   *rand.Rand // jitter
}

// Keeper keeps one mapping with one router. It sends at most one Request at a time, and has at most one question open.
//
//	         nothing                                   nothing                                      nothing
//	PCP map ─────────▶ NAT-PMP address ─▶ NAT-PMP map ─────────▶ UPnP search, description, address, map ───▶ rest a minute, later 17,
//	   │                                       │                                                     │        and begin anew
//	   └────────────────────▶ granted ◀────────┴─────────────────────────────────────────────────────┘
//	                             │ every 2 min: the router's clock (PCP), its address and clock (NAT-PMP), its address and the mapping (UPnP)
//	                             │ it has begun anew, or half of the lifetime has passed: map again
//
// It is not safe for concurrent use.
type Keeper struct {
	config  Config
	state   State
	epoch   epoch
	rest    time.Duration  // the last one; 0: the router granted something meanwhile
	refusal State          // the first of this round; the next protocol may still grant what one refused
	hold    time.Duration  // how long the refusal counts, by the router's word
	renewAt time.Time      // of a mapping
	addr    netip.Addr     // the outer address, as NAT-PMP or UPnP told it
	wish    netip.AddrPort // what we would like to get
	igd     igd

	open  question
	asked int      // how often the open question was
	last  *Request // what it was asked with
	wait  time.Duration
	due   time.Time
}

// New makes a Keeper that wants to speak at once.
func New(now time.Time, c Config) *Keeper {
	return &Keeper{config: c, state: State{Kind: Asking}, wish: netip.AddrPortFrom(netip.Addr{}, c.Port), due: now}
}

// Next is when Tick has something to do.
func (k *Keeper) Next() time.Time {
	if k.state.Kind == Granted && k.state.Until.Before(k.due) {
		return k.state.Until
	}
	return k.due
}

// State is what is known now.
func (k *Keeper) State() State { return k.state }

// Tick does what is due and returns what is to be sent, nil for nothing.
func (k *Keeper) Tick(now time.Time) *Request {
	if k.state.Kind == Granted && !now.Before(k.state.Until) {
		k.state = State{Kind: Silent} // or it would have been renewed
	}
	switch {
	case now.Before(k.due):
		return nil
	case k.open == nothing:
		return k.begin(now)
	case k.asked < k.open.tries():
		return k.again(now)
	}
	return k.unanswered(now)
}

// begin asks what is to be asked next after a pause.
func (k *Keeper) begin(now time.Time) *Request {
	switch {
	case k.state.Kind != Granted:
		k.refusal, k.hold, k.igd = State{}, 0, igd{}
		return k.ask(now, pcpMap)
	case k.state.Protocol == UPnP:
		k.igd.taken = 0
		return k.ask(now, igdAddress)
	case k.state.Protocol == NATPMP:
		return k.ask(now, pmpAddress)
	case now.Before(k.renewAt):
		return k.ask(now, pcpClock)
	}
	return k.ask(now, pcpMap)
}

// ask opens a question.
func (k *Keeper) ask(now time.Time, q question) *Request {
	k.open, k.asked, k.wait = q, 0, q.firstWait()/2
	return k.again(now)
}

// again asks the open question once more, and waits twice as long as before.
func (k *Keeper) again(now time.Time) *Request {
	k.asked++
	k.wait = min(2*k.wait, maxRest)
	k.due = now.Add(k.jitter(k.wait))
	k.last = k.words(k.open, uint32(lifetime/time.Second))
	return k.last
}

// jitter changes a time by a tenth at most (RFC 6887, section 8.1.1), so that hosts which began together do not go on together.
func (k *Keeper) jitter(d time.Duration) time.Duration {
	return d + time.Duration((k.config.Rand.Float64()-0.5)/5*float64(d))
}

func (k *Keeper) words(q question, seconds uint32) *Request {
	switch q {
	case pcpMap:
		return datagram(pcpMapRequest(k.config.Client, k.config.Port, k.config.Nonce, k.wish, seconds))
	case pcpClock:
		return datagram(pcpRequest(opAnnounce, 0, k.config.Client))
	case pmpAddress:
		return datagram(pmpAddressRequest())
	case pmpMap:
		return datagram(pmpMapRequest(k.config.Port, k.wish.Port(), seconds))
	}
	return k.igdWords(q, seconds)
}

// unanswered gives the open question up.
func (k *Keeper) unanswered(now time.Time) *Request {
	switch {
	case k.state.Kind == Granted:
		k.pause(now)
	case k.open == pcpMap:
		return k.ask(now, pmpAddress)
	case k.open < igdSearch:
		return k.ask(now, igdSearch)
	default:
		k.retire(now, State{Kind: Silent})
	}
	return nil
}

// pause closes the question, and sets the next of a mapping that is there. Attempts to renew come sooner and sooner towards its end.
func (k *Keeper) pause(now time.Time) {
	k.open, k.igd.again = nothing, false
	if k.state.Kind != Granted { // it ended while the router was asked for its clock
		k.due = now
		return
	}
	if !now.Before(k.renewAt) {
		k.renewAt = now.Add(max(minRenewal, k.fraction(k.state.Until.Sub(now))))
	}
	k.due = k.renewAt
	if look := now.Add(k.jitter(lookEvery)); look.Before(k.due) {
		k.due = look
	}
}

// fraction is between 1/2 and 5/8 of the time that is left (RFC 6887, section 11.2.1).
func (k *Keeper) fraction(left time.Duration) time.Duration {
	return left/2 + time.Duration(k.config.Rand.Float64()*float64(left)/8)
}

// retire leaves the router alone for a while, longer each time. What the first protocol said that refused tells more than what came after it.
func (k *Keeper) retire(now time.Time, s State) {
	if k.refusal.Kind == Refused {
		s = k.refusal
	}
	k.open, k.state = nothing, s
	k.rest = min(max(firstRest, 2*k.rest), maxRest)
	k.due = now.Add(k.jitter(max(k.rest, k.hold)))
}

// Unreachable takes the news that nothing listens at Port of the router: neither PCP nor NAT-PMP is spoken there. As anybody on the way may
// say so, a mapping that is there stays.
func (k *Keeper) Unreachable(now time.Time) *Request {
	if k.open == nothing || k.open >= igdSearch || k.state.Kind == Granted {
		return nil
	}
	return k.ask(now, igdSearch)
}

// Withdraw returns what ends the mapping, nil when there is none.
func (k *Keeper) Withdraw() *Request {
	switch {
	case k.state.Kind != Granted:
		return nil
	case k.state.Protocol == NATPMP:
		return datagram(pmpMapRequest(k.config.Port, 0, 0)) // RFC 6886, section 3.4: no port is wished for
	case k.state.Protocol == UPnP:
		return soapRequest(k.igd.services[k.igd.at], actionDelete, igdEntryArguments(k.state.Outer.Port()))
	}
	return k.words(pcpMap, 0)
}
