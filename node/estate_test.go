package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
	"github.com/micro/micro-net/proxy"
)

// estate is all that a node keeps in its data folder, worked on as the node does, without a network.
type estate struct {
	t   testing.TB
	env micronet.Env
	d   disk

	node     *Node // with its registrations
	keys     identity.Keys
	pass     *passport  // nil without a membership
	auth     *authority // nil where nobody can join
	epoch    uint64     // the latest that something was sent under
	vips     *vips
	contacts *contacts

	guests map[identity.TokenID][]identity.Keys // that used a token
	open   []identity.Token
	former []identity.Token // that were used up
	count  int
}

// openEstate reads a data folder, as a start does. The diary tells what had to be put right.
func openEstate(t testing.TB, env micronet.Env) (*estate, error) {
	e := &estate{t: t, env: env, guests: map[identity.TokenID][]identity.Keys{}}
	e.d = disk{fs: env.FS, dir: testDir, diary: &diary{report: func(string, error) {}}}
	if err := env.FS.MkdirAll(testDir, folderPerm); err != nil {
		return nil, err
	}
	e.node = &Node{env: env, disk: e.d, config: Config{}, turn: make(chan struct{}, 1)}
	e.node.registry = newRegistry(func() {})
	if err := e.node.loadServices(); err != nil {
		return nil, err
	}
	var fresh bool
	var err error
	if e.keys, fresh, err = loadKeys(env, e.d); err != nil {
		return nil, err
	}
	if fresh {
		e.keys = identity.Keys{}
	}
	if e.vips, err = loadVIPs(e.d, proxy.DefaultVIPs()); err != nil {
		return nil, err
	}
	var s starts
	if _, err := e.d.load(fileEpoch, &s); err != nil {
		return nil, err
	}
	e.epoch = s.Epoch
	if e.pass, err = loadPassport(env, e.d, e.keys); err != nil || e.pass == nil {
		return e, err
	}
	if e.contacts, err = loadContacts(env, e.d, e.pass); err != nil {
		return nil, err
	}
	return e, e.sign()
}

// sign makes this an authority where there is a key to sign with.
func (e *estate) sign() error {
	issuer, err := e.pass.issuer(e.env)
	e.auth = nil
	if err != nil || issuer == nil {
		return err
	}
	if e.auth, err = (&life{node: e.node, env: e.env, pass: e.pass}).newAuthority(issuer); err != nil {
		return err
	}
	e.auth.members = func() [][]byte { return nil }
	e.auth.alive = func(micronet.NodeID) bool { return false }
	e.auth.lost = func(micronet.NodeID) bool { return false }
	e.auth.others = func(string) (micronet.NodeID, bool) { return micronet.NodeID{}, false }
	return nil
}

// found draws keys and founds a cluster, as the first start does.
func (e *estate) found() error {
	if e.keys.Sign == nil {
		keys, _, err := loadKeys(e.env, e.d)
		if err != nil {
			return err
		}
		if err := keepKeys(e.d, keys); err != nil {
			return err
		}
		e.keys = keys
	} else if err := e.d.missesMembership(); err != nil {
		return err
	}
	pass, err := found(e.env, e.d, e.keys, "sim", "founder")
	if err != nil {
		return err
	}
	return e.become(pass)
}

func (e *estate) become(pass *passport) (err error) {
	e.pass, e.open, e.former = pass, nil, nil
	if e.contacts, err = loadContacts(e.env, e.d, e.pass); err != nil {
		return err
	}
	return e.sign()
}

func (e *estate) invite(uses int) error {
	inv, err := e.auth.invite(api.InviteRequest{Uses: uses}, []string{"192.0.2.1:8085"}, 0)
	if err != nil {
		return err
	}
	token, err := identity.ParseToken(inv.Token, identity.JoinToken)
	e.open = append(e.open, token)
	return err
}

// admit lets a guest ask for a membership over a pipe.
func (e *estate) admit(token identity.Token, guest identity.Keys) error {
	return joinThrough(e.auth, token, guest, identity.Wish{Name: "guest"}, e.env.Wall())
}

func joinThrough(a *authority, token identity.Token, guest identity.Keys, wish identity.Wish, now time.Time) error {
	ours, theirs := net.Pipe()
	exporter := func(label string, context []byte, n int) ([]byte, error) { return bytes.Repeat([]byte{7}, n), nil }
	served := make(chan error, 1)
	go func() {
		err := identity.ServeJoin(ours, exporter, a.issuer.Load(), a.admit)
		served <- errors.Join(err, ours.Close())
	}()
	_, err := identity.Join(theirs, exporter, token, guest, wish, now)
	return errors.Join(err, theirs.Close(), ignoreKind(<-served))
}

// ignoreKind leaves out what the other side was told as well.
func ignoreKind(err error) error {
	if micronet.KindOf(err) == micronet.Refused {
		return nil
	}
	return err
}

// redeem uses a token by a new guest. The last use takes it out of those that are open.
func (e *estate) redeem(r *rand.Rand) error {
	i := r.IntN(len(e.open))
	token, guest := e.open[i], e.newKeys()
	if err := e.admit(token, guest); err != nil {
		return err
	}
	e.guests[token.ID] = append(e.guests[token.ID], guest)
	if len(e.auth.book.Open(e.env.Wall())) < len(e.open) {
		e.open = append(e.open[:i:i], e.open[i+1:]...)
		e.former = append(e.former, token)
	}
	return nil
}

// thieve tries a token that was used up: by a stranger in vain, by one who used it with success.
func (e *estate) thieve(r *rand.Rand) error {
	token := e.former[r.IntN(len(e.former))]
	if err := e.admit(token, e.newKeys()); micronet.KindOf(err) != micronet.Refused {
		return fmt.Errorf("a stranger with a token that was used up: %w", err)
	}
	return e.admit(token, e.guests[token.ID][0])
}

func (e *estate) newKeys() identity.Keys {
	keys, err := identity.NewKeys(e.env.Entropy)
	if err != nil {
		e.t.Fatal(err)
	}
	return keys
}

// renew gives this node another certificate.
func (e *estate) renew() error {
	m, err := e.auth.renew(e.keys.ID(), e.pass.member().Name, false)
	if err != nil {
		return err
	}
	return e.pass.adopt(e.t.Context(), e.d, m)
}

func (e *estate) start() (err error) {
	e.epoch, err = nextEpoch(e.d)
	return err
}

func (e *estate) raise() error {
	to := gossip.NextStart(e.epoch + 1000)
	err := raiseEpoch(e.d, to)
	if err == nil {
		e.epoch = to
	}
	return err
}

func (e *estate) address() error {
	e.count++
	_, err := e.vips.of(micronet.Destination{Service: fmt.Sprintf("service-%d", e.count)})
	return err
}

func (e *estate) register() error {
	e.count++
	s := complete(e.t, config.Service{Name: "web", ID: fmt.Sprintf("web-%d", e.count), Port: 1000 + e.count})
	return e.node.keep(func() (func(), error) {
		return e.node.registry.add(source{kind: "api"}, 0, []config.Service{s})
	})
}

func (e *estate) deregister() error {
	kept := e.node.registry.kept()
	return e.node.keep(func() (func(), error) { return e.node.registry.remove(0, kept[0].Service.ID) })
}

// meet learns of a member, and writes the address book.
func (e *estate) meet() error {
	e.count++
	keys := e.newKeys()
	m, err := e.auth.renew(keys.ID(), fmt.Sprintf("member-%d", e.count), false)
	if err != nil {
		return err
	}
	raw, err := identity.NewCredential(keys, m, identity.Self{Epoch: 1, Endpoints: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:8085")}})
	if err != nil {
		return err
	}
	e.contacts.introduce([][]byte{raw})
	var failed error
	e.contacts.env.Events.BackgroundError = func(_ string, err error) { failed = err }
	e.contacts.save()
	return failed
}

func (e *estate) release() error {
	for name, id := range e.auth.names.Names {
		if id != e.keys.ID() {
			return e.auth.release(id)
		}
		_ = name
	}
	return nil
}

// promote makes this node an authority of its own, and takes the root key off the host.
func (e *estate) promote() error {
	p, err := e.auth.issuer.Load().Promote(e.env.Wall(), e.keys.ID(), e.pass.member().Name)
	if err != nil {
		return err
	}
	raw, err := p.Marshal()
	if err != nil {
		return err
	}
	if err := e.d.saveRaw(filePromotion, raw); err != nil {
		return err
	}
	e.pass.promotion.Store(&p)
	return nil
}

func (e *estate) removeRoot() error {
	if err := e.d.remove(fileRootKey); err != nil {
		return err
	}
	e.pass.root.Store(nil)
	return e.sign()
}

// move joins another cluster, whose authority is elsewhere.
func (e *estate) move() error {
	root, err := identity.NewRoot(e.env.Entropy, "other", e.env.Wall())
	if err != nil {
		return err
	}
	a, err := root.Authority(e.env.Entropy)
	if err != nil {
		return err
	}
	m, err := a.Issue(e.env.Wall(), identity.Request{ID: e.keys.ID(), Name: "moved"})
	if err != nil {
		return err
	}
	pass, err := newPassport(e.keys, m)
	if err != nil {
		return err
	}
	if err := pass.install(e.env, e.d); err != nil {
		return err
	}
	return e.become(pass)
}

func (e *estate) leave() error {
	if err := quit(e.d); err != nil {
		return err
	}
	if err := forgetCluster(e.d); err != nil {
		return err
	}
	e.pass, e.auth, e.contacts, e.keys, e.epoch = nil, nil, nil, identity.Keys{}, 0
	return nil
}

// belongings are what a data folder says, in words that can be compared.
type belongings struct {
	ID, Cluster, Certificate, Root, Promotion, Names, Tokens, VIPs, Peers, Services string
	Epoch, Issued                                                                   uint64
}

func (e *estate) belongings() belongings {
	b := belongings{Epoch: e.epoch, Services: fmt.Sprint(e.node.registry.kept())}
	if e.keys.Sign != nil {
		b.ID = e.keys.ID().String()
	}
	if raw, err := e.vips.table.Snapshot(); err == nil {
		b.VIPs = string(raw)
	}
	if e.pass == nil {
		return b
	}
	m := e.pass.member()
	b.Cluster, b.Certificate = m.Cluster.String(), fmt.Sprintf("%x", m.Grant)
	if raw, err := e.contacts.book.MarshalJSON(); err == nil {
		b.Peers = string(raw)
	}
	if root := e.pass.root.Load(); root != nil {
		b.Root = fmt.Sprintf("%x", root.MarshalKey())
	}
	if p := e.pass.promotion.Load(); p != nil {
		b.Promotion = fmt.Sprintf("%x", p.Grant)
	}
	if e.auth != nil {
		b.Names, b.Issued = fmt.Sprint(e.auth.names.Names), e.auth.log.at.Count
		if raw, err := e.auth.book.Marshal(); err == nil {
			b.Tokens = string(raw)
		}
	}
	return b
}

// tappedFS calls before in front of everything that changes the disk.
type tappedFS struct {
	micronet.FS
	before func()
}

type tappedFile struct {
	micronet.File
	before func()
}

func (f tappedFS) tap(file micronet.File, err error) (micronet.File, error) {
	if err != nil {
		return nil, err
	}
	return tappedFile{file, f.before}, nil
}

func (f tappedFS) Create(path string, perm fs.FileMode) (micronet.File, error) {
	f.before()
	return f.tap(f.FS.Create(path, perm))
}

func (f tappedFS) Append(path string, perm fs.FileMode) (micronet.File, error) {
	f.before()
	return f.tap(f.FS.Append(path, perm))
}

func (f tappedFS) Rename(from, to string) error {
	f.before()
	return f.FS.Rename(from, to)
}

func (f tappedFS) Remove(path string) error {
	f.before()
	return f.FS.Remove(path)
}

func (f tappedFS) SyncDir(path string) error {
	f.before()
	return f.FS.SyncDir(path)
}

func (f tappedFile) Write(b []byte) (int, error) {
	f.before()
	return f.File.Write(b)
}

func (f tappedFile) Sync() error {
	f.before()
	return f.File.Sync()
}
