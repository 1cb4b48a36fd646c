package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// founder is an authority with its token book, as a node wires it.
type founder struct {
	w     *world
	auth  *Authority
	tls   TLS
	book  TokenBook
	disk  []TokenBook // what was written, in order
	names map[string]micronet.NodeID
	fail  error // returned in place of writing
}

func newFounder(t testing.TB, w *world, a *Authority) *founder {
	t.Helper()
	k, m := w.member(t, a, "founder")
	return &founder{w: w, auth: a, tls: w.tls(k, m), names: map[string]micronet.NodeID{"founder": k.ID()}}
}

func (f *founder) invite(t testing.TB, i Invitation) Token {
	t.Helper()
	token, book, err := f.book.Mint(f.w.entropy, epoch, f.auth, i)
	if err != nil {
		t.Fatal(err)
	}
	f.book = book
	return token
}

func (f *founder) admit(r JoinRequest) (JoinAnswer, error) {
	red, err := f.book.Redeem(epoch, r.Claim)
	if err != nil {
		return JoinAnswer{}, err
	}
	name, err := ChooseName(red.Name, red.Explicit, func(n string) bool { id, ok := f.names[n]; return ok && id != r.Node })
	if err != nil {
		return JoinAnswer{}, err
	}
	if f.fail != nil {
		return JoinAnswer{}, f.fail
	}
	f.disk, f.book = append(f.disk, red.Book), red.Book
	m, err := f.auth.Issue(epoch, Request{ID: r.Node, Name: name})
	if err != nil {
		return JoinAnswer{}, err
	}
	f.names[name] = r.Node
	return JoinAnswer{Membership: m, Credentials: [][]byte{[]byte("first"), []byte("second")}, Wall: epoch}, nil
}

type joined struct {
	result                   JoinResult
	clientError, serverError error
}

// joinOver runs the whole exchange over TLS in memory.
func joinOver(t *testing.T, client, server *tls.Config, join func(*tls.Conn, Exporter) (JoinResult, error), serve func(*tls.Conn, Exporter) error) joined {
	t.Helper()
	var j joined
	synctest.Test(t, func(*testing.T) {
		a, b := bufferedPipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer b.Close()
			c := tls.Server(b, server)
			if j.serverError = c.Handshake(); j.serverError == nil {
				cs := c.ConnectionState()
				j.serverError = serve(c, cs.ExportKeyingMaterial)
			}
		}()
		c := tls.Client(a, client)
		if j.clientError = c.Handshake(); j.clientError == nil {
			cs := c.ConnectionState()
			j.result, j.clientError = join(c, cs.ExportKeyingMaterial)
		}
		a.Close()
		<-done
	})
	return j
}

func (f *founder) join(t *testing.T, token Token, keys Keys, wish Wish) joined {
	t.Helper()
	return joinOver(t, JoinClient(token, func() time.Time { return epoch }, f.w.entropy), f.tls.JoinServer(),
		func(c *tls.Conn, e Exporter) (JoinResult, error) { return Join(c, e, token, keys, wish, epoch) },
		func(c *tls.Conn, e Exporter) error { return ServeJoin(c, e, f.auth, f.admit) })
}

func TestJoin(t *testing.T) {
	w := newWorld(t, 1)
	for name, a := range map[string]*Authority{"root": w.auth, "deputy": w.promoted(t)} {
		t.Run(name, func(t *testing.T) {
			f := newFounder(t, w, a)
			token := f.invite(t, invitation)
			parsed, err := ParseToken(encode(t, token), JoinToken)
			if err != nil {
				t.Fatal(err)
			}
			keys := w.keys(t)
			j := f.join(t, parsed, keys, Wish{Name: "worker-7"})
			if j.clientError != nil || j.serverError != nil {
				t.Fatal(j.clientError, j.serverError)
			}
			m := j.result.Membership
			if m.Name != "worker-7" || m.Validate(keys, epoch) != nil || !j.result.Wall.Equal(epoch) {
				t.Fatalf("joined %+v", j.result)
			}
			if want := [][]byte{[]byte("first"), []byte("second")}; !reflect.DeepEqual(j.result.Credentials, want) {
				t.Fatalf("introduced to %q", j.result.Credentials)
			}
			if len(f.disk) != 1 || len(f.disk[0].Open(epoch)) != 0 {
				t.Fatal("the use of the token was not written")
			}
			// The answer got lost: the same node asks again, another one cannot.
			if j = f.join(t, parsed, keys, Wish{Name: "worker-7"}); j.clientError != nil || j.result.Membership.Name != "worker-7" {
				t.Fatal(j.clientError)
			}
			j = f.join(t, parsed, w.keys(t), Wish{Name: "worker-8"})
			wantError(t, j.clientError, micronet.Refused, "the authority says: the token has been used", "micro-net invite")
			wantError(t, j.serverError, micronet.Refused, "has been used")
		})
	}
}

func TestJoinRefusals(t *testing.T) {
	w := newWorld(t, 1)
	f := newFounder(t, w, w.auth)
	i := invitation
	i.Uses = 100
	token := f.invite(t, i)
	j := f.join(t, token, w.keys(t), Wish{Name: "founder", Explicit: true})
	wantError(t, j.clientError, micronet.Refused, `"founder" is taken`, "choose another --name")
	if j = f.join(t, token, w.keys(t), Wish{Name: "founder"}); j.clientError != nil || j.result.Membership.Name != "founder-2" {
		t.Fatal(j.clientError, j.result.Membership.Name)
	}
	j = f.join(t, token, w.keys(t), Wish{Name: "no label"})
	wantError(t, j.clientError, micronet.Invalid, "DNS label")

	wrong := token
	wrong.Secret[0] ^= 1
	j = f.join(t, wrong, w.keys(t), Wish{Name: "a"})
	wantError(t, j.clientError, micronet.Refused, "not one of this cluster, or has expired")

	f.fail = errors.New("open /var/lib/micro-net/tokens.json: no space left on device")
	j = f.join(t, token, w.keys(t), Wish{Name: "a"})
	wantError(t, j.clientError, micronet.Internal, "a fault of its own", "see the log of the authority")
	if strings.Contains(j.clientError.Error(), "no space") || !strings.Contains(j.serverError.Error(), "no space") {
		t.Fatalf("the guest reads %q, the authority %q", j.clientError, j.serverError)
	}
	if len(f.disk) != 1 {
		t.Fatalf("%d uses were written, one succeeded", len(f.disk))
	}
}

func TestQ6_FakeFounder(t *testing.T) {
	w, evil := newWorld(t, 1), newWorld(t, 66)
	f := newFounder(t, w, w.auth)
	token := f.invite(t, invitation)
	k, evilMember := evil.member(t, evil.auth, "founder")
	mere, mereMember := w.member(t, w.auth, "mere")
	for name, c := range map[string]struct {
		chain [][]byte
		key   ed25519.PrivateKey
		word  string
	}{
		"another cluster":                        {append(evilMember.Chain, evil.root.Certificate), k.Sign, "does not show the root"},
		"the root is missing":                    {f.tls.Membership().Chain, f.tls.Keys.Sign, "does not show the root"},
		"the real root, an own leaf":             {append(evilMember.Chain, w.root.Certificate), k.Sign, "for cluster"},
		"the real root, a leaf signed by itself": {[][]byte{forge(t, leafOf(w, "a"), leafOf(w, "a"), public(k.Sign), k.Sign), w.root.Certificate}, k.Sign, "not issued by this cluster"},
		"a leaf by a mere member": {
			[][]byte{forge(t, leafOf(w, "a"), mustParse(t, mereMember.Chain[0]), public(k.Sign), mere.Sign), mereMember.Chain[0], w.root.Certificate},
			k.Sign, "not issued by this cluster",
		},
		"the root alone": {[][]byte{w.root.Certificate}, w.root.key, "not one of a node"},
		"too many":       {append(evilMember.Chain, w.root.Certificate, w.root.Certificate, w.root.Certificate), k.Sign, "4 certificates"},
	} {
		t.Run(name, func(t *testing.T) {
			server := f.tls.JoinServer()
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				return &tls.Certificate{Certificate: c.chain, PrivateKey: c.key}, nil
			}
			j := joinOver(t, JoinClient(token, func() time.Time { return epoch }, w.entropy), server,
				func(*tls.Conn, Exporter) (JoinResult, error) {
					t.Error("the guest speaks to a fake founder")
					return JoinResult{}, nil
				},
				func(*tls.Conn, Exporter) error { return nil })
			wantError(t, j.clientError, micronet.Unauthorized, c.word)
		})
	}
}

// A member stands between guest and authority and passes on what the guest says.
func TestQ6_ManInTheMiddle(t *testing.T) {
	w := newWorld(t, 1)
	f := newFounder(t, w, w.auth)
	token := f.invite(t, invitation)
	k, m := w.member(t, w.auth, "mere")
	var stolen bytes.Buffer
	guest := w.keys(t)
	j := joinOver(t, JoinClient(token, func() time.Time { return epoch }, w.entropy), w.tls(k, m).JoinServer(),
		func(c *tls.Conn, e Exporter) (JoinResult, error) {
			return Join(c, e, token, guest, Wish{Name: "a"}, epoch)
		},
		func(c *tls.Conn, _ Exporter) error {
			frame, err := readFrame(c, maxJoinRequest)
			stolen.Write(frame)
			return err
		})
	wantError(t, j.clientError, micronet.Unreachable, "read the answer")
	if stolen.Len() == 0 {
		t.Fatal("nothing was said")
	}
	j = joinOver(t, JoinClient(token, func() time.Time { return epoch }, w.entropy), f.tls.JoinServer(),
		func(c *tls.Conn, _ Exporter) (JoinResult, error) { return JoinResult{}, writeFrame(c, stolen.Bytes()) },
		func(c *tls.Conn, e Exporter) error { return ServeJoin(c, e, f.auth, f.admit) })
	wantError(t, j.serverError, micronet.Unauthorized, "does not hold the key")
	// With a possession of its own, the token's proof still belongs to another connection.
	j = joinOver(t, JoinClient(token, func() time.Time { return epoch }, w.entropy), f.tls.JoinServer(),
		func(c *tls.Conn, e Exporter) (JoinResult, error) {
			binding, err := exportBinding(e)
			if err != nil {
				return JoinResult{}, err
			}
			body, err := encodeRequest(requestBody{Version: joinVersion, Cluster: token.Cluster, Token: token.ID, Node: k.ID(), Name: "a"})
			if err != nil {
				return JoinResult{}, err
			}
			frame := append(bytes.Clone(stolen.Bytes()[:64]), signWith(k, message(domainPossession, token.Cluster, binding, body))...)
			return JoinResult{}, writeFrame(c, append(frame, body...))
		},
		func(c *tls.Conn, e Exporter) error { return ServeJoin(c, e, f.auth, f.admit) })
	wantError(t, j.serverError, micronet.Refused, "not one of this cluster")
	if len(f.disk) != 0 {
		t.Fatal("the token was used")
	}
}

// binding is what a fixed exporter yields.
var binding = bytes.Repeat([]byte{7}, exporterLen)

func fixedExporter(string, []byte, int) ([]byte, error) { return binding, nil }

// answerFrom is what an answer of some key looks like.
func answerFrom(t testing.TB, a *Authority, key ed25519.PrivateKey, m Membership) []byte {
	t.Helper()
	body, err := a.encodeAnswer(JoinAnswer{Membership: m, Wall: epoch}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return append(ed25519.Sign(key, message(domainAnswer, a.cluster, binding, body)), body...)
}

// refusalFrom is what a refusal of some key looks like, with what a claims to be.
func refusalFrom(t testing.TB, a *Authority, key ed25519.PrivateKey, why error) []byte {
	t.Helper()
	body, err := a.encodeAnswer(JoinAnswer{Wall: epoch}, why)
	if err != nil {
		t.Fatal(err)
	}
	return append(ed25519.Sign(key, message(domainAnswer, a.cluster, binding, body)), body...)
}

// A member answers in place of the authority, and would keep a guest out: it is as if nobody had
// answered.
func TestQ6_FalseRefusals(t *testing.T) {
	w, other := newWorld(t, 1), newWorld(t, 2)
	token, _ := mint(t, w, TokenBook{}, invitation)
	guest, mere := w.keys(t), w.keys(t)
	_, member := w.member(t, w.auth, "mere")
	deputy := w.promoted(t)
	no := refused("redeem", "the token has been used")
	open := func(frame []byte) error {
		_, err := openAnswer(binding, token, guest, frame, epoch)
		return err
	}
	wantError(t, open(refusalFrom(t, w.auth, w.root.key, no)), micronet.Refused, "the authority says: the token has been used")
	wantError(t, open(refusalFrom(t, deputy, deputy.key, no)), micronet.Refused, "the authority says: the token has been used")
	with := func(roots, issuers [][]byte) *Authority {
		return &Authority{cluster: w.root.Cluster, roots: roots, grants: issuers}
	}
	roots := [][]byte{w.root.Certificate}
	for name, frame := range map[string][]byte{
		"not signed by the root":      refusalFrom(t, w.auth, mere.Sign, no),
		"not signed by the deputy":    refusalFrom(t, deputy, mere.Sign, no),
		"a member's grant":            refusalFrom(t, with(roots, [][]byte{member.Grant}), mere.Sign, no),
		"a deputy's, below a deputy":  refusalFrom(t, with(roots, append([][]byte{member.Grant}, deputy.grants...)), mere.Sign, no),
		"too many grants":             refusalFrom(t, with(roots, append(deputy.grants, member.Grant, member.Grant)), mere.Sign, no),
		"no root":                     refusalFrom(t, with(nil, nil), w.root.key, no),
		"a junk root":                 refusalFrom(t, with([][]byte{{1}}, nil), w.root.key, no),
		"another cluster's authority": refusalFrom(t, other.auth, other.root.key, no),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, open(frame), micronet.Unreachable, "is no authority")
		})
	}
}

// Someone who holds a member's certificate answers in place of the authority.
func TestQ6_FalseAnswers(t *testing.T) {
	w, other := newWorld(t, 1), newWorld(t, 2)
	token, _ := mint(t, w, TokenBook{}, invitation)
	guest, m := w.member(t, w.auth, "guest")
	evil := w.keys(t)
	evilTemplate := caTemplate(w.root.Cluster, "main", "micro-net root", rootPathLen, [16]byte{5}, term(epoch, RootTerm, time.Time{}))
	evilRoot := Root{Cluster: w.root.Cluster, ClusterName: "main", key: evil.Sign}
	evilRoot.Certificate = forge(t, evilTemplate, evilTemplate, public(evil.Sign), evil.Sign)
	evilAuth, err := evilRoot.Authority(w.entropy)
	if err != nil {
		t.Fatal(err)
	}
	byEvil, err := evilAuth.Issue(epoch, Request{ID: guest.ID(), Name: "guest"})
	if err != nil {
		t.Fatal(err)
	}
	_, others := w.member(t, w.auth, "other")
	_, foreign := other.member(t, other.auth, "guest")
	open := func(frame []byte) error {
		_, err := openAnswer(binding, token, guest, frame, epoch)
		return err
	}
	if err := open(answerFrom(t, w.auth, w.root.key, m)); err != nil {
		t.Fatalf("the true answer: %v", err)
	}
	with := func(m Membership, change func(*Membership)) Membership { change(&m); return m }
	for name, c := range map[string]struct {
		key  ed25519.PrivateKey
		m    Membership
		word string
	}{
		"a true membership, a false root beside it": {evil.Sign, with(m, func(m *Membership) { m.Roots = append([][]byte{evilRoot.Certificate}, m.Roots...) }), "not signed by the authority"},
		"by a false root, shown beside the true":    {evil.Sign, with(byEvil, func(m *Membership) { m.Roots = append(m.Roots, w.root.Certificate) }), "not trusted here"},
		"by a false root alone":                     {evil.Sign, byEvil, "does not carry the root"},
		"a true membership, not signed":             {evil.Sign, m, "not signed by the authority"},
		"signed by the guest's own key":             {guest.Sign, m, "not signed by the authority"},
		"another node's membership":                 {w.root.key, others, "another node"},
		"another cluster's":                         {other.root.key, foreign, "another cluster"},
		"another cluster name":                      {w.root.key, with(m, func(m *Membership) { m.ClusterName = "prod" }), "another cluster"},
		"nothing":                                   {w.root.key, Membership{}, "cluster id is missing"},
		"a junk root":                               {w.root.key, with(m, func(m *Membership) { m.Roots = [][]byte{{1}} }), "cannot be read"},
		"a junk root behind":                        {w.root.key, with(m, func(m *Membership) { m.Roots = append([][]byte{w.root.Certificate}, []byte{1}) }), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			err := open(answerFrom(t, w.auth, c.key, c.m))
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Fatalf("got %v, want %q", err, c.word)
			}
		})
	}
	good := answerFrom(t, w.auth, w.root.key, m)
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 1
		if open(b) == nil {
			t.Fatalf("byte %d of the answer changed, and it is accepted", i)
		}
		if open(good[:i]) == nil {
			t.Fatalf("an answer of %d bytes is accepted", i)
		}
	}
	_, err = openAnswer(bytes.Repeat([]byte{8}, exporterLen), token, guest, good, epoch)
	wantError(t, err, micronet.Unauthorized, "not signed by the authority")
}

func TestH35_JoinWrongClock(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	guest, m := w.member(t, w.auth, "guest")
	_, err := openAnswer(binding, token, guest, answerFrom(t, w.auth, w.root.key, m), epoch.Add(-72*time.Hour))
	wantError(t, err, micronet.Unauthorized, "this host's differs by -72h0m0s", "set the clock of this host")
	wantIs(t, err, ErrNotYetValid)
	f := newFounder(t, w, w.auth)
	j := joinOver(t, JoinClient(token, func() time.Time { return epoch.Add(100 * 24 * time.Hour) }, w.entropy), f.tls.JoinServer(),
		func(*tls.Conn, Exporter) (JoinResult, error) { return JoinResult{}, nil }, func(*tls.Conn, Exporter) error { return nil })
	wantIs(t, j.clientError, ErrExpired)
	wantError(t, j.clientError, micronet.Unauthorized, "check the clocks")
}

type readWriter struct {
	io.Reader
	io.Writer
}

func frameOf(b []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
}

func TestH18_HostileRequests(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	keys := w.keys(t)
	good, err := newJoinRequest(binding, token, keys, Wish{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	stranger := token
	stranger.Cluster[0] ^= 1
	foreign, err := newJoinRequest(binding, stranger, keys, Wish{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   []byte
		kind micronet.Kind
		word string
	}{
		"nothing":         {nil, micronet.Unreachable, "EOF"},
		"length only":     {frameOf(good)[:4], micronet.Unreachable, "EOF"},
		"cut":             {frameOf(good)[:100], micronet.Unreachable, "EOF"},
		"4 GiB":           {[]byte{0xff, 0xff, 0xff, 0xff}, micronet.Unreachable, "at most 4096"},
		"empty":           {frameOf(nil), micronet.Invalid, "cut short"},
		"no JSON":         {frameOf(make([]byte, 200)), micronet.Invalid, "cannot be read"},
		"deep JSON":       {frameOf(append(make([]byte, 128), strings.Repeat("[", 3000)...)), micronet.Invalid, "cannot be read"},
		"newer version":   {frameOf(append(make([]byte, 128), `{"version":2,"cluster":"`+token.Cluster.String()+`"}`...)), micronet.Invalid, "version 2"},
		"other cluster":   {frameOf(foreign), micronet.Refused, "another cluster"},
		"zero signatures": {frameOf(append(make([]byte, 128), good[128:]...)), micronet.Unauthorized, "does not hold the key"},
	} {
		t.Run(name, func(t *testing.T) {
			admit := func(JoinRequest) (JoinAnswer, error) {
				t.Error("the handler is asked")
				return JoinAnswer{}, nil
			}
			var out bytes.Buffer
			err := ServeJoin(readWriter{bytes.NewReader(c.in), &out}, fixedExporter, w.auth, admit)
			wantError(t, err, c.kind, c.word)
			if c.kind == micronet.Unreachable {
				return
			}
			frame, err := readFrame(&out, maxJoinAnswer)
			if err != nil {
				t.Fatal(err)
			}
			_, err = openAnswer(binding, token, keys, frame, epoch)
			wantError(t, err, c.kind, "the authority says", c.word)
		})
	}
}

// TestH19_RequestsForMore: whatever a request asks for besides a name, it gets a membership and no more.
func TestH19_RequestsForMore(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	keys := w.keys(t)
	plain, err := encodeRequest(requestBody{Version: joinVersion, Cluster: token.Cluster, Token: token.ID, Node: keys.ID(), Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	for name, more := range map[string]string{
		"roles":              `,"roles":255,"Roles":255`,
		"an authority":       `,"ca":true,"is_ca":true,"path_len":3,"key_usage":["certSign"]`,
		"names":              `,"dns":["payments"],"names":["b","payments"],"uris":["spiffe://x/node/founder"]`,
		"addresses":          `,"ips":["10.0.0.1"],"endpoints":["10.0.0.1:1"]`,
		"a later end":        `,"not_after":"9999-01-01T00:00:00Z"`,
		"a signing request":  `,"csr":"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"`,
		"another key":        `,"key":"AAAA","Node":"` + keys.ID().String() + `"`,
		"the name twice":     `,"name":"b","NAME":"b"`,
		"a name of all":      `,"name":"*"`,
		"a name with a dot":  `,"name":"a.b"`,
		"a name with a NUL":  `,"name":"a\u0000b"`,
		"a name in unicode":  `,"name":"\u0430dmin"`,
		"a very long name":   `,"name":"` + strings.Repeat("a", 3000) + `"`,
		"a name like a path": `,"name":"../founder"`,
	} {
		t.Run(name, func(t *testing.T) {
			body := append(bytes.TrimSuffix(bytes.Clone(plain), []byte("}")), more+"}"...)
			proof := ed25519.Sign(token.proofKey(), message(domainProof, token.Cluster, binding, body))
			possession := ed25519.Sign(keys.Sign, message(domainPossession, token.Cluster, binding, body))
			r, err := w.auth.openRequest(binding, append(append(proof, possession...), body...))
			if err != nil {
				wantError(t, err, micronet.Invalid, "the request")
				return
			}
			m, err := w.auth.Issue(epoch, Request{ID: r.Node, Name: r.Wish.Name})
			if err != nil {
				wantError(t, err, micronet.Invalid, "DNS label")
				return
			}
			wantPlainMember(t, w, m, keys.ID())
		})
	}
}

// wantPlainMember checks that a membership is one of a node and of nothing else.
func wantPlainMember(t *testing.T, w *world, m Membership, id micronet.NodeID) {
	t.Helper()
	g, err := ParseGrant(m.Grant)
	if err != nil || g.Roles != RoleMember || g.ID != id || g.Name != m.Name || (m.Name != "a" && m.Name != "b") {
		t.Errorf("the grant is %+v, %v", g, err)
	}
	c := mustParse(t, m.Chain[0])
	if c.IsCA || c.KeyUsage != x509.KeyUsageDigitalSignature || len(c.DNSNames)+len(c.IPAddresses)+len(c.EmailAddresses) != 0 || len(c.URIs) != 1 ||
		!strings.HasSuffix(c.URIs[0].String(), "/node/"+m.Name) || c.NotAfter.After(epoch.Add(NodeTerm)) {
		t.Errorf("the certificate says CA %v, usage %v, %v %v %v, until %v", c.IsCA, c.KeyUsage, c.DNSNames, c.IPAddresses, c.URIs, c.NotAfter)
	}
	if p := publicKey(c); !bytes.Equal(p, id[:]) {
		t.Errorf("the certificate is for the key %x", p)
	}
}

func TestJoinBrokenConnection(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	keys := w.keys(t)
	dead := errors.New("dead line")
	pr, pw := io.Pipe()
	pr.CloseWithError(dead)
	_, err := Join(readWriter{iotest.ErrReader(dead), pw}, fixedExporter, token, keys, Wish{}, epoch)
	wantError(t, err, micronet.Unreachable, "send the request", "dead line")
	_, err = Join(readWriter{iotest.ErrReader(dead), io.Discard}, fixedExporter, token, keys, Wish{}, epoch)
	wantError(t, err, micronet.Unreachable, "read the answer", "dead line")
	good, err := newJoinRequest(binding, token, keys, Wish{Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	refusal := refused("x", "not today")
	admit := func(JoinRequest) (JoinAnswer, error) { return JoinAnswer{}, refusal }
	err = ServeJoin(readWriter{bytes.NewReader(frameOf(good)), pw}, fixedExporter, w.auth, admit)
	wantIs(t, err, refusal)
	wantIs(t, err, dead)
	noExport := func(string, []byte, int) ([]byte, error) { return nil, dead }
	wantError(t, ServeJoin(nil, noExport, w.auth, admit), micronet.Internal, "dead line")
	short := func(string, []byte, int) ([]byte, error) { return make([]byte, 5), nil }
	_, err = Join(nil, short, token, keys, Wish{}, epoch)
	wantError(t, err, micronet.Internal, "5 bytes")
	token.Kind = LinkToken
	_, err = Join(nil, fixedExporter, token, keys, Wish{}, epoch)
	wantError(t, err, micronet.Invalid, "a link token cannot be used to join")
}

// A peer's words reach a terminal.
func TestH36_JoinWordsArePrintable(t *testing.T) {
	w := newWorld(t, 1)
	token, _ := mint(t, w, TokenBook{}, invitation)
	frame := refusalFrom(t, w.auth, w.root.key, refused("x", "%s", "\x1b[2J\r\nall your\u009b"+strings.Repeat("é", 600)))
	_, err := openAnswer(binding, token, w.keys(t), frame, epoch)
	wantError(t, err, micronet.Refused, " [2J  all your ")
	if s := err.Error(); len(s) > 600 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x9b || r == '\ufffd' }) {
		t.Fatalf("%d bytes: %q", len(s), s)
	}
}

func TestJoinServerNotJoined(t *testing.T) {
	w := newWorld(t, 1)
	k, m := w.member(t, w.auth, "a")
	_, err := w.tls(k, Membership{}).JoinServer().GetCertificate(nil)
	wantError(t, err, micronet.Unauthorized, "not joined")
	lost := w.tls(k, m)
	lost.Trust = newWorld(t, 2).trust
	_, err = lost.JoinServer().GetCertificate(nil)
	wantError(t, err, micronet.Internal, "leads to no root")
	cert, err := w.tls(k, m).JoinServer().GetCertificate(nil)
	if err != nil || len(cert.Certificate) != 2 || len(m.Chain) != 1 {
		t.Fatal(len(cert.Certificate), err)
	}
	if c, _ := x509.ParseCertificate(cert.Certificate[1]); !c.Equal(w.rootCert(t)) {
		t.Fatal("the last certificate is not the root")
	}
}
