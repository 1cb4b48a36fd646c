package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

const (
	defaultTokenTTL = 15 * time.Minute
	defaultUses     = 1
)

// authority invites nodes and issues their memberships. It exists where the root key is, and at nodes that
// the root made authorities.
type authority struct {
	env     micronet.Env
	disk    disk
	issuer  atomic.Pointer[identity.Authority]        // another one when the root key comes or goes
	others  func(name string) (micronet.NodeID, bool) // who has a name that another authority gave
	members func() [][]byte                           // credentials of live members, this node's first
	alive   func(micronet.NodeID) bool
	lost    func(micronet.NodeID) bool // who has lost its name
	revoked func(micronet.NodeID) bool
	ended   func(micronet.NodeID) time.Time // when somebody's right to sign ended last
	shown   func() []byte                   // the root that guests are shown

	// turn is a lock that may be held while files are written: a mutex must not be.
	turn     chan struct{}
	book     identity.TokenBook
	names    ledger
	exported atomic.Bool // names.Exported, for those who do not wait for the turn
	log      *issuances
	asked    map[micronet.NodeID]asking // who was given a certificate lately
}

const (
	// maxRenewals within renewalTime are given to one node: an answer may get lost a few times, but
	// nobody can keep an authority busy.
	maxRenewals = 8
	renewalTime = time.Hour
	// maxAsking bounds the nodes that are counted; beyond it all are forgotten.
	maxAsking = 4096
)

// asking counts the renewals of one node.
type asking struct {
	since time.Time
	count int
}

// ledger is which name belongs to which node. A name is free again when its holder left.
type ledger struct {
	Names    map[string]micronet.NodeID `json:"names"`
	Exported bool                       `json:"exported,omitempty"` // the root key is somewhere else, too
	Issued   uint64                     `json:"issued,omitempty"`   // lines that the issuance log has at least
}

// with gives a name to a node, which has no other.
func (l ledger) with(name string, id micronet.NodeID) ledger {
	next := l.without(id)
	next.Names[name] = id
	return next
}

// without frees the name of a node.
func (l ledger) without(id micronet.NodeID) ledger {
	next := l
	next.Names = make(map[string]micronet.NodeID, len(l.Names)+1)
	for name, holder := range l.Names {
		if holder != id {
			next.Names[name] = holder
		}
	}
	return next
}

// newAuthority reads what this node has given out before.
func (l *life) newAuthority(issuer *identity.Authority) (*authority, error) {
	d, p := l.node.disk, l.pass
	a := &authority{
		env: l.env, disk: d, members: l.introductions, alive: l.mayBeAlive, others: l.holderOf,
		lost: l.isLost, revoked: l.pass.trust.Revoked, ended: p.trust.EndedAt, shown: func() []byte { return p.trust.RootOf(p.member()) }, turn: make(chan struct{}, 1),
		asked: map[micronet.NodeID]asking{},
	}
	a.issuer.Store(issuer)
	if _, err := d.load(fileAuthority, &a.names); err != nil {
		return nil, err
	}
	if err := a.loadBook(); err != nil {
		return nil, err
	}
	if err := a.openLog(p); err != nil {
		return nil, err
	}
	return a, a.saveNames(a.names.with(p.member().Name, p.id()))
}

// loadBook reads the open invitations. Without their file they are void: that lets nobody in.
func (a *authority) loadBook() error {
	return a.disk.readOr(fileTokens, func(raw []byte) (err error) {
		a.book, err = identity.UnmarshalTokenBook(raw)
		return err
	}, "all open tokens are void, make new ones with `micro-net invite`")
}

// openLog reads the log of what was issued. One that is damaged goes on after its last sound line, and says so
// itself: who cannot issue is no use to anybody, and what was in it is kept.
func (a *authority) openLog(p *passport) error {
	uses := newTokenUses(a.book)
	var err error
	if a.log, err = openIssuances(a.disk, p.trust.Cluster(), a.names.Issued, uses.count); err == nil {
		return a.agree(uses)
	}
	if micronet.KindOf(err) != micronet.Invalid {
		return err
	}
	// Nothing speaks for the book of tokens any more: an older one would give uses back.
	if err := a.saveBook(identity.TokenBook{}); err != nil {
		return err
	}
	if err := a.salvageLog(p); err != nil {
		return err
	}
	_, why, _ := strings.Cut(cause(err), unusable)
	a.disk.diary.mended(fmt.Sprintf("%s was damaged (%s), and goes on after line %d; all open tokens are void, make new ones with `micro-net invite`",
		a.disk.path(fileIssued), why, a.log.at.Count-1))
	return nil
}

// salvageLog makes the log begin again after its last sound line, with one that says so.
func (a *authority) salvageLog(p *passport) error {
	faulty := &issuances{disk: a.disk, cluster: p.trust.Cluster(), at: identity.NewIssuanceLog(p.trust.Cluster())}
	if err := faulty.salvage(); err != nil {
		return err
	}
	var err error
	if a.log, err = openIssuances(a.disk, p.trust.Cluster(), 0, ignore); err != nil {
		return err
	}
	return a.log.note(identity.Issuance{Time: a.env.Wall(), What: identity.IssuedDamaged, Node: p.id(), Name: p.member().Name})
}

// agree takes the uses of tokens that the log speaks of and the book does not, as when an older book was put
// in the place of the present one: no use comes back.
func (a *authority) agree(uses *tokenUses) error {
	book, older := a.book, false
	for id, nodes := range uses.nodes {
		var missed bool
		book, missed = book.Used(id, nodes)
		older = older || missed
	}
	if !older {
		return nil
	}
	a.disk.diary.mended(fmt.Sprintf("%s was older than %s: the uses of tokens that the log speaks of were taken again", a.disk.path(fileTokens), fileIssued))
	return a.saveBook(book)
}

// tokenUses are the nodes that the tokens of a book have let in, by the log, each once.
type tokenUses struct {
	nodes map[identity.TokenID][]micronet.NodeID
	seen  map[tokenUse]struct{}
}

type tokenUse struct {
	token identity.TokenID
	node  micronet.NodeID
}

func newTokenUses(book identity.TokenBook) *tokenUses {
	u := &tokenUses{nodes: map[identity.TokenID][]micronet.NodeID{}, seen: map[tokenUse]struct{}{}}
	for _, id := range book.IDs() {
		u.nodes[id] = nil
	}
	return u
}

func (u *tokenUses) count(list []identity.Issuance) {
	for i := range list {
		if list[i].Token == nil {
			continue
		}
		use := tokenUse{*list[i].Token, list[i].Node}
		_, known := u.nodes[use.token]
		if _, again := u.seen[use]; known && !again {
			u.seen[use] = struct{}{}
			u.nodes[use.token] = append(u.nodes[use.token], use.node)
		}
	}
}

// holder is who has a name: in this authority's own book, or in the mesh, as another authority gave it.
func (a *authority) holder(name string) (micronet.NodeID, bool) {
	if id, ok := a.names.Names[name]; ok && !a.lost(id) {
		return id, true
	}
	return a.others(name)
}

// taken says which names a guest cannot have. A token that is bound to a name hands it over from
// a node that is gone: whoever made the token said so.
func (a *authority) taken(by micronet.NodeID, bound string) func(string) bool {
	return func(name string) bool {
		holder, ok := a.holder(name)
		return ok && holder != by && (name != bound || a.alive(holder))
	}
}

func (a *authority) lock()   { a.turn <- struct{}{} }
func (a *authority) unlock() { <-a.turn }

// admit decides about a guest. The used token and the name are on disk before the certificate
// exists, so that no crash gives a use back.
func (a *authority) admit(r identity.JoinRequest) (identity.JoinAnswer, error) {
	a.lock()
	defer a.unlock()
	now := a.env.Wall()
	if a.revoked(r.Node) {
		return identity.JoinAnswer{}, micronet.E("admit", micronet.Refused, "the key of this node was revoked").
			WithPeer(r.Node).WithFix("a new key can join: start with another --data-dir, or delete this one")
	}
	used, err := a.book.Redeem(now, r.Claim)
	if err != nil {
		return identity.JoinAnswer{}, err
	}
	name, err := identity.ChooseName(used.Name, used.Explicit, a.taken(r.Node, used.Record.Name))
	if err != nil {
		return identity.JoinAnswer{}, err
	}
	if err := a.record(used.Book, a.names.with(name, r.Node)); err != nil {
		// The guest is not to blame: it may try again, and is not told of our disk.
		return identity.JoinAnswer{}, micronet.E("admit", micronet.Internal, "%w", err)
	}
	m, err := a.issue(identity.IssuedJoin, &used.Record.ID, now, identity.Request{ID: r.Node, Name: name})
	if err != nil {
		return identity.JoinAnswer{}, err
	}
	known := a.members()
	return identity.JoinAnswer{
		Membership: m, Credentials: known[:min(len(known), identity.MaxJoinCredentials)], Wall: now,
	}, nil
}

// renew issues a new membership to a member, for its own key and under the name that it has. An authority
// that did not know the name notes it. settled: the name is the node's, whatever the book says.
func (a *authority) renew(id micronet.NodeID, name string, settled bool) (identity.Membership, error) {
	a.lock()
	defer a.unlock()
	now := a.env.Wall()
	if a.revoked(id) {
		return identity.Membership{}, micronet.E("node.certificate", micronet.Refused, "the key of this node was revoked").WithPeer(id)
	}
	if holder, ok := a.names.Names[name]; ok && holder != id && !a.lost(holder) && !settled {
		return identity.Membership{}, nameGone(name)
	}
	if !a.allow(id, now) {
		return identity.Membership{}, micronet.E("node.certificate", micronet.Overloaded, "it was given %d certificates within %s", maxRenewals, renewalTime).WithPeer(id)
	}
	if a.names.Names[name] != id {
		if err := a.saveNames(a.names.with(name, id)); err != nil {
			return identity.Membership{}, err
		}
	}
	return a.issue(identity.IssuedRenewal, nil, now, identity.Request{ID: id, Name: name})
}

// issue makes a membership, for a token or nil. It is in the log, on disk, before anybody gets it.
func (a *authority) issue(what string, token *identity.TokenID, now time.Time, r identity.Request) (identity.Membership, error) {
	m, err := a.issuer.Load().Issue(now, r)
	if err != nil {
		return identity.Membership{}, err
	}
	e, err := m.Issued(what, now)
	if err != nil {
		return identity.Membership{}, err
	}
	e.Token = token
	return m, a.note(e)
}

// promote makes a node an authority, where the root key is. It is in the log before anybody gets it.
func (a *authority) promote(id micronet.NodeID, name string) (identity.Promotion, error) {
	a.lock()
	defer a.unlock()
	now := a.env.Wall()
	if !a.allow(id, now) {
		return identity.Promotion{}, micronet.E("node promote", micronet.Overloaded, "it was given %d certificates within %s", maxRenewals, renewalTime).WithPeer(id)
	}
	// Dates are in seconds: a new right must come after the end of the former one.
	if end := a.ended(id).Truncate(time.Second).Add(time.Second); now.Before(end) {
		now = end
	}
	p, err := a.issuer.Load().Promote(now, id, name)
	if err != nil {
		return identity.Promotion{}, err
	}
	e, err := p.Issued(name, now)
	if err != nil {
		return identity.Promotion{}, err
	}
	return p, a.note(e)
}

// note writes to the log what is about to leave.
func (a *authority) note(e identity.Issuance) error {
	if err := a.log.note(e); err != nil {
		// Who asks is not to blame, and is not told of our disk.
		return micronet.E("issue", micronet.Internal, "%w", err)
	}
	return nil
}

// allow counts a renewal, unless the node had too many.
func (a *authority) allow(id micronet.NodeID, now time.Time) bool {
	n := a.asked[id]
	if now.Sub(n.since).Abs() >= renewalTime {
		n = asking{since: now}
	}
	if n.count >= maxRenewals {
		return false
	}
	if len(a.asked) >= maxAsking {
		clear(a.asked)
	}
	n.count++
	a.asked[id] = n
	return true
}

func (a *authority) record(b identity.TokenBook, l ledger) error {
	if err := a.saveBook(b); err != nil {
		return err
	}
	return a.saveNames(l)
}

func (a *authority) saveBook(b identity.TokenBook) error {
	raw, err := b.Marshal()
	if err != nil {
		return err
	}
	if err := a.disk.saveRaw(fileTokens, raw); err != nil {
		return err
	}
	a.book = b
	return nil
}

func (a *authority) saveNames(l ledger) error {
	l.Issued = a.log.at.Count
	if err := a.disk.save(fileAuthority, l); err != nil {
		return err
	}
	a.names = l
	a.exported.Store(l.Exported)
	return nil
}

// release frees the name of a node that left for good.
func (a *authority) release(id micronet.NodeID) error {
	a.lock()
	defer a.unlock()
	return a.saveNames(a.names.without(id))
}

// invite makes a token that carries the given addresses.
func (a *authority) invite(r api.InviteRequest, addresses []string, tcp uint16) (api.Invitation, error) {
	ttl := defaultTokenTTL
	if r.TTL != "" {
		var err error
		if ttl, err = time.ParseDuration(r.TTL); err != nil {
			return api.Invitation{}, micronet.E("invite", micronet.Invalid, "--ttl %q is no duration", r.TTL).WithFix("write it like 15m or 24h")
		}
	}
	if r.Uses == 0 {
		r.Uses = defaultUses
	}
	a.lock()
	defer a.unlock()
	token, book, err := a.book.Mint(a.env.Entropy, a.env.Wall(), a.issuer.Load(), identity.Invitation{
		Kind: identity.JoinToken, TTL: ttl, Uses: r.Uses, Name: r.Name, Addresses: addresses, TCP: tcp, Shown: a.shown(),
	})
	if err != nil {
		return api.Invitation{}, err
	}
	if err := a.saveBook(book); err != nil {
		return api.Invitation{}, err
	}
	text, err := token.Encode()
	if err != nil {
		return api.Invitation{}, err
	}
	return api.Invitation{Token: text, Addresses: addresses, Expires: token.Expires, Warning: reachWarning(addresses)}, nil
}

// reachWarning says when nobody outside this network could use any of the addresses.
func reachWarning(addresses []string) string {
	private := func(s string) bool {
		ap, err := netip.ParseAddrPort(s)
		return err == nil && (ap.Addr().IsPrivate() || ap.Addr().IsLoopback())
	}
	if len(addresses) == 0 {
		return "this node knows no address of its own; give the one others reach it at: `micro-net invite --address HOST[:PORT]`"
	}
	if slices.ContainsFunc(addresses, func(s string) bool { return !private(s) }) {
		return ""
	}
	return fmt.Sprintf("all addresses in the token are private (%d); a host in another network needs `micro-net invite --address PUBLIC-HOST[:PORT]`", len(addresses))
}
