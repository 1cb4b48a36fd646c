package identity

import (
	"flag"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

var redemptions = flag.Int("redemptions", 5000, "how many histories TestQ5_OneUseOneCertificate makes")

// desk is an authority as far as tokens go: a book in memory and on disk, and the log of what it
// issued. It works as Admit demands: the book is on disk before the certificate is in the log, and the
// certificate is in the log before the answer leaves.
type desk struct {
	book    TokenBook
	disk    []TokenBook // every state that was ever on disk, the present one last
	issued  []micronet.NodeID
	crashes int
}

// The moments at which a desk crashes while it serves a guest.
const (
	neverCrash = iota
	crashBeforeBook
	crashBeforeIssue
	crashBeforeAnswer
	crashKinds
)

type answer int

const (
	lost answer = iota // whether anything happened is not known
	admitted
	refusedUsed
)

func (d *desk) serve(c Claim, crash int) (answer, error) {
	r, err := d.book.Redeem(epoch, c)
	if err != nil {
		if !strings.Contains(err.Error(), "has been used") {
			return lost, err
		}
		return refusedUsed, nil
	}
	if crash == crashBeforeBook {
		return lost, nil
	}
	d.disk = append(d.disk, r.Book)
	if crash == crashBeforeIssue {
		return lost, nil
	}
	d.book = r.Book
	d.issued = append(d.issued, c.Node)
	if crash == crashBeforeAnswer {
		return lost, nil
	}
	return admitted, nil
}

// restart reads what is on disk: the book, perhaps one that somebody put back, and what the log says of it.
func (d *desk) restart(token TokenID, older int) error {
	d.crashes++
	raw, err := d.disk[max(0, len(d.disk)-1-older)].Marshal()
	if err != nil {
		return err
	}
	book, err := UnmarshalTokenBook(raw)
	if err != nil {
		return err
	}
	d.book, _ = book.Used(token, distinct(d.issued))
	d.disk = append(d.disk, d.book)
	return nil
}

func distinct(ids []micronet.NodeID) (out []micronet.NodeID) {
	seen := map[micronet.NodeID]bool{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	return out
}

// attempt is one request of a guest as it saw it.
type attempt struct {
	guest        int
	began, ended int // ticks; ended is beyond all when the answer was lost
	result       answer
	served       bool
}

const never = 1 << 30

// history is a token, guests who use it at once, and an authority that crashes.
type history struct {
	r        *rand.Rand
	uses     int
	claims   []Claim // one per guest
	desk     desk
	attempts []attempt
	tick     int
	older    bool // books were put back
}

// run lets guests ask, again after a lost answer, in any order.
func (h *history) run() error {
	token := h.claims[0].Token
	tries := make([]int, len(h.claims))
	for guest := range h.claims {
		tries[guest] = 1 + h.r.IntN(2)
	}
	for {
		h.tick++
		var idle, waiting []int
		for guest, n := range tries {
			if n > 0 {
				idle = append(idle, guest)
			}
		}
		for i := range h.attempts {
			if !h.attempts[i].served {
				waiting = append(waiting, i)
			}
		}
		switch {
		case len(idle) == 0 && len(waiting) == 0:
			return nil
		case len(waiting) == 0 || len(idle) > 0 && h.r.IntN(2) == 0:
			guest := idle[h.r.IntN(len(idle))]
			tries[guest]--
			h.attempts = append(h.attempts, attempt{guest: guest, began: h.tick, ended: never})
		default:
			if err := h.serve(waiting[h.r.IntN(len(waiting))], token); err != nil {
				return err
			}
		}
	}
}

func (h *history) serve(i int, token TokenID) error {
	a := &h.attempts[i]
	crash := neverCrash
	if h.r.IntN(3) == 0 {
		crash = 1 + h.r.IntN(crashKinds-1)
	}
	result, err := h.desk.serve(h.claims[a.guest], crash)
	if err != nil {
		return err
	}
	a.served = true
	if result == lost {
		older := 0
		if h.r.IntN(8) == 0 {
			older, h.older = 1+h.r.IntN(3), true
		}
		return h.desk.restart(token, older)
	}
	if h.r.IntN(8) > 0 { // else the way to the guest breaks
		a.ended, a.result = h.tick, result
	}
	return nil
}

// check says what is wrong with what happened.
func (h *history) check() string {
	if got := len(distinct(h.desk.issued)); got > h.uses {
		return fmt.Sprintf("%d nodes have certificates for %d uses", got, h.uses)
	}
	// With a book that was put back a use that issued nothing is free again: then only certificates count.
	if !h.older && !h.linearizable(0, 0, map[[2]uint32]bool{}) {
		return "no order of the requests explains the answers"
	}
	return ""
}

// linearizable looks for an order of the attempts in which a counter of uses gives the answers that the
// guests saw (Wing and Gong, 1993). done are the attempts in that order so far, in the nodes let in.
func (h *history) linearizable(done, in uint32, seen map[[2]uint32]bool) bool {
	if seen[[2]uint32{done, in}] {
		return false
	}
	seen[[2]uint32{done, in}] = true
	first := never // nothing that began after this may come before what ended then
	open := false
	for i, a := range h.attempts {
		if done&(1<<i) == 0 {
			open = open || a.ended != never
			first = min(first, a.ended)
		}
	}
	if !open {
		return true // what is left has answers that nobody saw
	}
	for i, a := range h.attempts {
		if done&(1<<i) != 0 || a.began > first {
			continue
		}
		next := in
		can := in&(1<<a.guest) != 0 || bits.OnesCount32(in) < h.uses
		if can {
			next |= 1 << a.guest
		}
		if a.ended != never && can != (a.result == admitted) {
			continue
		}
		if h.linearizable(done|1<<i, next, seen) || a.ended == never && h.linearizable(done|1<<i, in, seen) {
			return true
		}
	}
	return false
}

// TestQ5_OneUseOneCertificate: whatever the order of requests, repetitions, lost answers, crashes and books that
// are put back, a token lets in as many nodes as it has uses, and the answers are those of a counter.
func TestQ5_OneUseOneCertificate(t *testing.T) {
	begin := time.Now()
	w := newWorld(t, 1)
	const most = 5
	var books []TokenBook
	var claims [][]Claim
	for uses := 1; uses <= 3; uses++ {
		i := invitation
		i.Uses = uses
		token, book := mint(t, w, TokenBook{}, i)
		books = append(books, book)
		var of []Claim
		for range most {
			of = append(of, claim(token, w.keys(t).ID(), "a request"))
		}
		claims = append(claims, of)
	}
	var requests, crashes, certificates, full, older int
	for seed := range uint64(*redemptions) {
		r := rand.New(rand.NewPCG(5, seed))
		uses := 1
		if r.IntN(4) == 0 {
			uses = 2 + r.IntN(2)
		}
		h := &history{r: r, uses: uses, claims: claims[uses-1][:2+r.IntN(most-1)]}
		h.desk.book, h.desk.disk = books[uses-1], []TokenBook{books[uses-1]}
		if err := h.run(); err != nil {
			t.Fatalf("history %d: %v", seed, err)
		}
		if wrong := h.check(); wrong != "" {
			t.Fatalf("history %d: %s: %+v", seed, wrong, h.attempts)
		}
		requests, crashes, certificates = requests+len(h.attempts), crashes+h.desk.crashes, certificates+len(h.desk.issued)
		if len(distinct(h.desk.issued)) == uses {
			full++
		}
		if h.older {
			older++
		}
	}
	if full < *redemptions/4 {
		t.Errorf("only %d of %d tokens were used up", full, *redemptions)
	}
	t.Logf("%d histories, %d requests, %d crashes, %d certificates issued, %d tokens used up, %d with a book put back, in %v",
		*redemptions, requests, crashes, certificates, full, older, time.Since(begin).Round(time.Second))
}

// The checker tells what a counter of uses cannot have answered.
func TestQ5_TheCheckerOfAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		attempts []attempt
		want     bool
	}{
		"two at once, one gets in":         {[]attempt{{guest: 0, began: 1, ended: 3, result: admitted}, {guest: 1, began: 2, ended: 4, result: refusedUsed}}, true},
		"two get in":                       {[]attempt{{guest: 0, began: 1, ended: 3, result: admitted}, {guest: 1, began: 2, ended: 4, result: admitted}}, false},
		"refused before anybody asked":     {[]attempt{{guest: 0, began: 1, ended: 2, result: refusedUsed}, {guest: 1, began: 3, ended: 4, result: admitted}}, false},
		"refused for one who was not told": {[]attempt{{guest: 1, began: 1, ended: never}, {guest: 0, began: 2, ended: 3, result: refusedUsed}}, true},
		"the same again":                   {[]attempt{{guest: 0, began: 1, ended: 2, result: admitted}, {guest: 0, began: 3, ended: 4, result: admitted}}, true},
		"let in, and then refused":         {[]attempt{{guest: 0, began: 1, ended: 2, result: admitted}, {guest: 0, began: 3, ended: 4, result: refusedUsed}}, false},
	} {
		h := &history{uses: 1, attempts: c.attempts}
		if got := h.linearizable(0, 0, map[[2]uint32]bool{}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
