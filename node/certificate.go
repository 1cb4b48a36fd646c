package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

const (
	// certificateEvery is how often this node looks at the dates of its certificate. The wall clock
	// may jump at any time, so that a timer would not do.
	certificateEvery = 10 * time.Second
	// reissueFirst and reissueMost bound the time between two attempts at a new certificate.
	reissueFirst = 10 * time.Second
	reissueMost  = 10 * time.Minute
	// reissueSpread is the part of the term over which members of a cluster ask: a cluster that was
	// founded at once must not ask at once.
	reissueSpread = 0.1
)

// dated is what an authority gave for a time, and is renewed before its end.
type dated interface {
	Begins() time.Time
	Term() time.Duration
	RenewAfter() time.Time
}

// reissue says when to ask for a new certificate or promotion: in the second half of the term of the
// present one, after a draw, and with pauses between attempts that fail.
type reissue struct {
	rng  *rand.Rand
	of   time.Time     // when that begins which due is of
	due  time.Time     // by the wall clock
	wait time.Duration // before the next attempt, if another one fails
	next time.Time     // not before, by the timers' clock
}

// isDue reports whether to ask now; wall is what the host's clock shows.
func (r *reissue) isDue(now, wall time.Time, d dated) bool {
	if r.due.IsZero() || !r.of.Equal(d.Begins()) {
		spread := reissueSpread * float64(d.Term()) * r.rng.Float64()
		*r = reissue{rng: r.rng, of: d.Begins(), due: d.RenewAfter().Add(time.Duration(spread)), wait: reissueFirst}
	}
	return !wall.Before(r.due) && !now.Before(r.next)
}

// failed spaces the next attempt.
func (r *reissue) failed(now time.Time) {
	half := r.wait / 2
	r.next = now.Add(half + time.Duration(r.rng.Int64N(int64(half))))
	r.wait = min(2*r.wait, reissueMost)
}

// alarm is how near the end of this node's certificate is. Numbers are those of the metric.
type alarm int

const (
	alarmNone   alarm = iota
	alarmSoon         // a third of the term is left: renewal has failed for days
	alarmUrgent       // a tenth is left
	alarmEnded        // it has ended
)

func alarmOf(m *identity.Membership, now time.Time) alarm {
	left, term := m.NotAfter.Sub(now), m.Term()
	switch {
	case left <= 0:
		return alarmEnded
	case left < term/10:
		return alarmUrgent
	case left < term/3:
		return alarmSoon
	}
	return alarmNone
}

// keepCertificate renews this node's certificate, and its right to sign, and says loudly when that fails.
func (l *life) keepCertificate(ctx context.Context) error {
	plan, right := reissue{rng: l.env.Rand("certificate")}, reissue{rng: l.env.Rand("promotion")}
	told := alarmNone
	t := time.NewTicker(certificateEvery + l.env.Phase)
	defer t.Stop()
	for {
		l.lookGrace()
		l.keepRotation(ctx)
		l.keepPromotion(ctx, &right)
		m, now := l.pass.member(), time.Now()
		anew := l.pass.void.Load() != nil || l.mustMove(m.Origin(), l.moveSpread())
		if plan.isDue(now, l.env.Wall(), &m) || (anew && !now.Before(plan.next)) {
			l.tryRenewal(ctx, &plan)
		}
		told = l.tellAlarm(told)
		select {
		case <-ctx.Done():
			return nil
		case <-l.voided:
		case <-t.C:
		}
	}
}

// tryRenewal asks for a new certificate. While nobody can be asked nothing has failed: the first
// authority that comes back is asked at once.
func (l *life) tryRenewal(ctx context.Context, plan *reissue) {
	err := l.renewCertificate(ctx)
	if err == nil || ctx.Err() != nil {
		return
	}
	plan.failed(time.Now())
	l.report("node.certificate", err)
}

// renewCertificate gets a new membership, from this node itself if it can sign, else from the first
// authority that gives one, and makes it the one in use. It is nil too when there is nobody to ask.
func (l *life) renewCertificate(ctx context.Context) error {
	if a := l.gate.authority.Load(); a != nil {
		m := l.pass.member()
		back := l.pass.void.Load() == nil && l.leadsBack(a, m.Origin(), m.RenewAfter())
		switch {
		case !back:
			return l.renewHere(ctx, a)
		case l.pass.root.Load() == nil || l.pass.next.Load() != nil:
			return nil // it is promoted by whoever has the root key, or is about to sign with that itself
		}
	}
	return l.renewElsewhere(ctx)
}

func (l *life) renewHere(ctx context.Context, a *authority) error {
	m, err := l.issueFor(a, l.self, l.name)
	if err != nil {
		return err
	}
	return l.useMembership(ctx, m)
}

func (l *life) renewElsewhere(ctx context.Context) error {
	var failed error
	for _, ids := range l.renewers() {
		if len(ids) == 0 {
			continue
		}
		if failed = l.askAny(ids, func(id micronet.NodeID) error { return l.renewAt(ctx, id) }); failed == nil {
			return nil
		}
	}
	return failed
}

// askAny asks nodes in any order until one has done it. It is nil too when there is nobody to ask.
func (l *life) askAny(ids []micronet.NodeID, do func(micronet.NodeID) error) (failed error) {
	l.env.Rand("authorities").Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	for _, id := range ids {
		if failed = do(id); failed == nil {
			return nil
		}
	}
	return failed
}

// renewal is an authority's answer to verbRenew.
type renewal struct {
	Membership []byte `json:"membership"` // as identity.Membership.Marshal writes it
}

// renewAt asks one authority. What it answers is believed as far as the roots go that this node
// trusts already: an answer cannot bring others.
func (l *life) renewAt(ctx context.Context, id micronet.NodeID) error {
	var answer renewal
	if err := l.ask(ctx, id, controlRequest{Verb: verbRenew}, &answer); err != nil {
		return err
	}
	m, err := identity.UnmarshalMembership(answer.Membership)
	if err != nil {
		return err
	}
	old := l.pass.member()
	m.Roots = l.pass.trust.Roots()
	if m.Cluster != old.Cluster || m.ClusterName != old.ClusterName || m.Name != old.Name {
		return micronet.E("node.certificate", micronet.Unauthorized, "the new certificate is for %q of cluster %s", m.Name, m.Cluster).WithPeer(id)
	}
	return l.useMembership(ctx, m)
}

// useMembership makes a new membership the one in use. It is on disk before anybody sees it. Tunnels
// stay as they are, the next handshake shows the new certificate.
func (l *life) useMembership(ctx context.Context, m identity.Membership) error {
	if err := l.pass.inTurn(ctx, func() error { return l.putBetter(m) }); err != nil {
		return err
	}
	l.env.Log.Info("renewed the certificate of this node", "expires", m.NotAfter.Format(time.RFC3339))
	poke(l.reissued)
	return nil
}

// putBetter adopts a membership that is better than the present one. The caller has the passport's turn: what ends the
// right of its issuer comes before, and is seen here, or after, and restateOwn sees the new one.
func (l *life) putBetter(m identity.Membership) error {
	if err := l.pass.trust.VerifyMembership(m, l.self, l.env.Wall()); err != nil {
		return err
	}
	if err := l.checkBetter(m); err != nil {
		return err
	}
	return l.pass.put(l.node.disk, m)
}

// checkBetter refuses a membership that is no better than the present one. Any is better than one that others
// refuse.
func (l *life) checkBetter(m identity.Membership) error {
	if l.pass.void.Load() != nil {
		return nil
	}
	if old := l.pass.member(); !m.NotAfter.After(old.NotAfter) {
		return micronet.E("node.certificate", micronet.Refused, "the new certificate ends no later than the present one, on %s", m.NotAfter.Format(time.RFC3339))
	}
	return l.checkMove(m.Origin())
}

// tellAlarm logs that the end of the certificate has come nearer, once for each step.
func (l *life) tellAlarm(told alarm) alarm {
	m := l.pass.member()
	now := alarmOf(&m, l.env.Wall())
	if w, some := l.certificateWarning(); some && now > told {
		log := l.env.Log.Error
		if now == alarmSoon {
			log = l.env.Log.Warn
		}
		log(w.Text, "code", w.Code, "fix", w.Fix)
	}
	return now
}

// certificateWarning says that this node's certificate ends soon, or has ended.
func (l *life) certificateWarning() (api.Warning, bool) {
	m := l.pass.member()
	left := m.NotAfter.Sub(l.env.Wall())
	switch alarmOf(&m, l.env.Wall()) {
	case alarmNone:
		return api.Warning{}, false
	case alarmEnded:
		return api.Warning{
			Code: "certificate-expired", Text: "the certificate of this node has ended",
			Fix: "check the clock and start an authority of the cluster, or get a new token with `micro-net invite`",
		}, true
	}
	return api.Warning{
		Code: "certificate-expires", Text: fmt.Sprintf("the certificate of this node ends in %s and could not be renewed", left.Round(time.Hour)),
		Fix: l.renewFix(),
	}, true
}

func (l *life) renewFix() string {
	if len(l.authorities()) == 0 {
		return "start an authority of the cluster: none answers"
	}
	return "see in the log why no authority renews it"
}
