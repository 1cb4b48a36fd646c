package server

import (
	"context"
	"encoding/binary"
	"time"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/dns"
)

const (
	headerSize = 12

	// maxReplyUDP is the largest answer over UDP, whatever the asker would take: larger packets
	// are fragmented on some paths (DNS flag day 2020).
	maxReplyUDP = 1232
	maxReplyTCP = wire.MaxMsgSize

	// maxReason bounds the sentence of an extended error, so that it leaves room for records.
	maxReason = 200
)

// exchange is one question and the reply that is being made.
type exchange struct {
	question dns.Question
	asked    wire.Question
	query    *wire.Msg // nil when it could not be parsed
	reply    wire.Msg
	opt      *wire.OPT // of the query, nil without EDNS
	reason   *dns.Reason
	tcp      bool
	limit    int  // bytes of the reply
	done     bool // the reply is complete
	begin    time.Time
}

// read parses a query that came over TCP or UDP. nil: it is to be ignored. A query that is wrong
// yields an exchange that is done.
func (s *Server) read(packet []byte, tcp bool) *exchange {
	// An answer to an answer would be a loop between two servers.
	if len(packet) < headerSize || packet[2]&0x80 != 0 {
		return nil
	}
	e := &exchange{begin: time.Now(), tcp: tcp, limit: wire.MinMsgSize}
	if tcp {
		e.limit = maxReplyTCP
	}
	e.header(packet)
	if e.reply.Opcode != wire.OpcodeQuery {
		return e.refuse(dns.NotImplemented, nil)
	}
	q := parseQuery(packet)
	if q == nil {
		return e.refuse(dns.FormatError, nil)
	}
	e.query, e.asked = q, q.Question[0]
	e.reply.Question = q.Question
	e.question = dns.Question{Name: e.asked.Name, Type: dns.Type(e.asked.Qtype)}
	e.reply.RecursionAvailable = len(s.config.Upstreams()) > 0
	if !e.readOPT() {
		return e.refuse(dns.FormatError, nil)
	}
	return e.check()
}

// parseQuery returns nil unless the packet is whole and has one question. QDCOUNT is read first:
// a count of 65535 is not worth any work. Class 0, which does not exist, is what the library
// reads when the packet ends within the question.
func parseQuery(packet []byte) *wire.Msg {
	q := new(wire.Msg)
	if binary.BigEndian.Uint16(packet[4:]) != 1 || q.Unpack(packet) != nil {
		return nil
	}
	if len(q.Question) != 1 || q.Question[0].Qclass == 0 {
		return nil
	}
	return q
}

func (e *exchange) header(packet []byte) {
	h := &e.reply.MsgHdr
	h.Id = binary.BigEndian.Uint16(packet)
	h.Response = true
	h.Opcode = int(packet[2]>>3) & 0xf
	h.RecursionDesired = packet[2]&1 != 0
	h.CheckingDisabled = packet[3]&0x10 != 0
}

// readOPT finds the one OPT record there may be (RFC 6891 section 6.1.1), and what it allows.
func (e *exchange) readOPT() bool {
	for _, r := range e.query.Extra {
		o, ok := r.(*wire.OPT)
		if !ok {
			continue
		}
		if e.opt != nil || o.Hdr.Name != "." {
			e.opt = nil
			return false
		}
		e.opt = o
	}
	if e.opt != nil && !e.tcp {
		e.limit = min(maxReplyUDP, max(int(e.opt.UDPSize()), wire.MinMsgSize))
	}
	return true
}

// check refuses what parses and still cannot be answered.
func (e *exchange) check() *exchange {
	if e.opt != nil && e.opt.Version() != 0 {
		return e.refuse(dns.BadVersion, nil)
	}
	switch t := e.asked.Qtype; {
	case e.asked.Qclass != wire.ClassINET:
		return e.refuse(dns.Refused, &dns.Reason{Code: dns.ReasonNotAuthoritative, Text: "only class IN is served"})
	case t == wire.TypeNone || t == wire.TypeOPT || t == wire.TypeTSIG || t == wire.TypeTKEY:
		return e.refuse(dns.FormatError, nil)
	case t == wire.TypeAXFR || t == wire.TypeIXFR || t == wire.TypeMAILA || t == wire.TypeMAILB:
		return e.refuse(dns.Refused, &dns.Reason{Code: dns.ReasonProhibited, Text: "zones are not transferred"})
	}
	return e
}

func (e *exchange) refuse(code dns.Rcode, why *dns.Reason) *exchange {
	e.reply.Rcode, e.reason, e.done = int(code), why, true
	return e
}

// fail is the answer when nobody could be asked.
func (e *exchange) fail(why string) {
	e.refuse(dns.ServerFailure, &dns.Reason{Code: dns.ReasonNoneReachable, Text: why})
}

// answerOwn reports whether the reply is complete: the query was wrong, or the handler owns it.
func (s *Server) answerOwn(ctx context.Context, e *exchange) bool {
	if e.done {
		return true
	}
	a, mine := s.config.Handler.Serve(ctx, e.question)
	if !mine {
		return false
	}
	e.reply.Authoritative = a.Rcode == dns.NoError || a.Rcode == dns.NameError
	e.reply.Answer = records(a.Answers)
	e.reply.Ns = records(a.Authority)
	e.reply.Extra = records(a.Additional)
	e.refuse(a.Rcode, a.Reason)
	return true
}

// pack writes the reply into buf if it has room.
func (e *exchange) pack(buf []byte) ([]byte, error) {
	m := &e.reply
	additional := len(m.Extra)
	e.addOPT()
	if m.Len() > e.limit {
		m.Compress = true
	}
	if m.Compress && m.Len() > e.limit {
		// What is additional may be missing without a word (RFC 2181 section 9).
		m.Extra = m.Extra[additional:]
		m.Truncate(e.limit)
	}
	out, err := m.PackBuffer(buf[:cap(buf)])
	if err != nil {
		// What an upstream sent can be read and not be written. The asker need not wait for it.
		e.reply = wire.Msg{MsgHdr: m.MsgHdr, Question: m.Question}
		e.reply.Rcode = wire.RcodeServerFailure
		return e.reply.PackBuffer(buf[:cap(buf)])
	}
	return out, nil
}

func (e *exchange) addOPT() {
	if e.opt == nil {
		e.reply.Rcode = plainRcode(e.reply.Rcode)
		return
	}
	o := &wire.OPT{Hdr: wire.RR_Header{Name: ".", Rrtype: wire.TypeOPT}}
	o.SetUDPSize(maxReplyUDP)
	o.SetDo(e.opt.Do())
	if r := e.reason; r != nil {
		o.Option = append(o.Option, &wire.EDNS0_EDE{InfoCode: r.Code, ExtraText: shorten(r.Text, maxReason)})
	}
	e.reply.Extra = append(e.reply.Extra, o)
}

// plainRcode is what an asker without EDNS can be told: four bits.
func plainRcode(code int) int {
	if code > 0xf {
		return wire.RcodeServerFailure
	}
	return code
}

// shorten cuts at a whole character.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// resolved reports an answered question; what could not be parsed has none.
func (s *Server) resolved(e *exchange) {
	if e.query == nil {
		return
	}
	s.env.Events.Resolved(micronet.Resolution{
		Name: e.question.Name, Type: e.question.Type.String(),
		Rcode: dns.Rcode(e.reply.Rcode).String(), Lasted: time.Since(e.begin),
	})
}
