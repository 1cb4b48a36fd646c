package server

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
)

// upstreamPatience is how long one upstream resolver has for its answer.
const upstreamPatience = 2 * time.Second

// forwarder asks upstream resolvers.
type forwarder struct {
	env       micronet.Env
	upstreams func() []netip.AddrPort
	good      atomic.Pointer[netip.AddrPort] // who answered last
	flights   flights

	mu  sync.Mutex // guards ids; pure computation under it
	ids *rand.ChaCha8
}

func newForwarder(env micronet.Env, upstreams func() []netip.AddrPort) *forwarder {
	return &forwarder{env: env, upstreams: upstreams, flights: flights{open: make(map[flightKey]*flight)}}
}

// answerForeign completes the reply with what an upstream resolver says.
func (s *Server) answerForeign(ctx context.Context, e *exchange) {
	upstreams := s.forward.order()
	if len(upstreams) == 0 {
		e.refuse(dns.Refused, &dns.Reason{Code: dns.ReasonNotAuthoritative, Text: "no upstream resolver is known for names outside the mesh"})
		return
	}
	answer, err := s.forward.flights.share(ctx, keyOf(e), func() (*wire.Msg, error) {
		return s.forward.ask(ctx, e, upstreams)
	})
	if err != nil {
		e.fail(err.Error())
		return
	}
	e.adopt(answer)
	s.disown(e)
}

// adopt takes over the sections of an upstream's answer. The answer may be shared: it is copied.
func (e *exchange) adopt(answer *wire.Msg) {
	a := answer.Copy()
	e.reply.Answer, e.reply.Ns, e.reply.Extra = a.Answer, a.Ns, withoutOPT(a.Extra)
	e.reply.Rcode = a.Rcode
	e.reply.RecursionAvailable = true
	e.reply.AuthenticatedData = a.AuthenticatedData && (e.query.AuthenticatedData || (e.opt != nil && e.opt.Do()))
	e.done = true
}

func withoutOPT(rs []wire.RR) []wire.RR {
	return slices.DeleteFunc(rs, func(r wire.RR) bool { return r.Header().Rrtype == wire.TypeOPT })
}

// order puts the resolver that answered last first, so that a dead one costs its time once.
func (f *forwarder) order() []netip.AddrPort {
	us := f.upstreams()
	if good := f.good.Load(); good != nil {
		if i := slices.Index(us, *good); i > 0 {
			copy(us[1:i+1], us[:i])
			us[0] = *good
		}
	}
	return us
}

// ask tries one resolver after the other. An answer that says "I cannot" is kept for the case
// that nobody else can either.
func (f *forwarder) ask(ctx context.Context, e *exchange, upstreams []netip.AddrPort) (*wire.Msg, error) {
	var unwilling *wire.Msg
	var failed error
	for _, u := range upstreams {
		answer, err := f.askOne(ctx, e, u)
		switch {
		case err != nil:
			failed = micronet.E("dns.forward", micronet.Unreachable, "resolver %v: %w", u, err)
		case answer.Rcode == wire.RcodeSuccess || answer.Rcode == wire.RcodeNameError:
			f.good.Store(&u)
			return answer, nil
		case unwilling == nil:
			unwilling = answer
		}
		if ctx.Err() != nil {
			break
		}
	}
	if unwilling != nil {
		return unwilling, nil
	}
	return nil, failed
}

// askOne asks over UDP, and again over TCP when the answer did not fit.
func (f *forwarder) askOne(ctx context.Context, e *exchange, u netip.AddrPort) (*wire.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, upstreamPatience)
	defer cancel()
	query, err := f.query(e)
	if err != nil {
		return nil, err
	}
	conn, err := f.env.Net.DialPacket(ctx, u)
	if err != nil {
		return nil, err
	}
	answer, err := f.converse(ctx, conn, query, datagrams{})
	if err != nil || !answer.Truncated {
		return answer, err
	}
	if conn, err = f.env.Net.Dial(ctx, netip.Addr{}, u); err != nil {
		return nil, err
	}
	return f.converse(ctx, conn, query, frames{})
}

// query repeats the question under an id that nobody can guess. EDNS is used if the asker does.
func (f *forwarder) query(e *exchange) (*wire.Msg, error) {
	id, err := f.nextID()
	if err != nil {
		return nil, err
	}
	q := &wire.Msg{Question: []wire.Question{e.asked}}
	q.Id = id
	q.RecursionDesired = e.query.RecursionDesired
	q.CheckingDisabled = e.query.CheckingDisabled
	q.AuthenticatedData = e.query.AuthenticatedData
	if e.opt != nil {
		q.SetEdns0(maxReplyUDP, e.opt.Do())
	}
	return q, nil
}

func (f *forwarder) nextID() (uint16, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		var seed [32]byte
		if _, err := io.ReadFull(f.env.Entropy, seed[:]); err != nil {
			return 0, err
		}
		f.ids = rand.NewChaCha8(seed)
	}
	return uint16(f.ids.Uint64()), nil
}

// framing is how messages stand in a connection.
type framing interface {
	read(r io.Reader, buf []byte) ([]byte, error)
	write(w io.Writer, message []byte) error
}

type datagrams struct{}

func (datagrams) read(r io.Reader, buf []byte) ([]byte, error) {
	n, err := r.Read(buf[:cap(buf)])
	return buf[:n], err
}

func (datagrams) write(w io.Writer, message []byte) error {
	_, err := w.Write(message)
	return err
}

type frames struct{}

func (frames) read(r io.Reader, buf []byte) ([]byte, error) { return readFrame(r, buf) }
func (frames) write(w io.Writer, message []byte) error      { return writeFrame(w, message) }

// converse sends the query and reads until its answer comes or ctx ends, then closes conn. The
// connection is bound to the resolver's address; what still does not match is somebody's guess.
func (f *forwarder) converse(ctx context.Context, conn net.Conn, query *wire.Msg, by framing) (*wire.Msg, error) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // ends the read below
	defer stop()
	defer func() { _ = conn.Close() }() // the answer is here, or the error is known
	message, err := query.Pack()
	if err == nil {
		err = by.write(conn, message)
	}
	buf := make([]byte, 0, maxQuery)
	for err == nil {
		if buf, err = by.read(conn, buf); err != nil {
			break
		}
		if answer, ok := parseAnswer(query, buf); ok {
			return answer, nil
		}
		f.env.Events.PacketDropped(micronet.PacketDrop{Where: "dns", Why: "mismatch"})
	}
	if ctx.Err() != nil {
		return nil, micronet.E("dns.forward", micronet.Timeout, "no answer in time: %w", context.Cause(ctx))
	}
	return nil, err
}

// parseAnswer returns the answer if it is one to this query. The id is compared before anything
// is parsed.
func parseAnswer(query *wire.Msg, packet []byte) (*wire.Msg, bool) {
	if len(packet) < headerSize || binary.BigEndian.Uint16(packet) != query.Id {
		return nil, false
	}
	a := new(wire.Msg)
	if a.Unpack(packet) != nil || !a.Response || a.Opcode != wire.OpcodeQuery || len(a.Question) != 1 {
		return nil, false
	}
	got, want := a.Question[0], query.Question[0]
	same := got.Qtype == want.Qtype && got.Qclass == want.Qclass && strings.EqualFold(got.Name, want.Name)
	return a, same
}
