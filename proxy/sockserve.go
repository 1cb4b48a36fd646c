package proxy

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"time"
)

// serveSOCKS takes a client from its first message to the end of its connection. The greeting's
// deadline is set already.
func (o *Outbound) serveSOCKS(ctx context.Context, c net.Conn, r *bufio.Reader) {
	host, port, err := greetSOCKS(c, r)
	if err != nil {
		o.refuseSOCKS(c, err)
		return
	}
	up, err := o.connect(ctx, host, port, o.caller(c), true)
	if err != nil {
		o.refuseSOCKS(c, err)
		return
	}
	stop := context.AfterFunc(ctx, func() { abort(up) })
	defer stop()
	if _, err := c.Write(appendSOCKSReply(nil, socksOK)); err != nil || c.SetReadDeadline(time.Time{}) != nil {
		abort(c)
		abort(up)
		return
	}
	o.copier.Pump(newPeeked(c, r), up)
}

// errSOCKSLost says that nothing can be answered any more.
var errSOCKSLost = errors.New("the SOCKS conversation is lost")

// greetSOCKS agrees on a method and reads the request.
func greetSOCKS(c net.Conn, r *bufio.Reader) (host string, port uint16, err error) {
	noAuth, err := readSOCKSMethods(r)
	if err != nil {
		return "", 0, errors.Join(errSOCKSLost, err)
	}
	method := byte(socksNoAuth)
	if !noAuth {
		method = socksNoneMatches
	}
	if _, err := c.Write([]byte{socksVersion, method}); err != nil || !noAuth {
		return "", 0, errors.Join(errSOCKSLost, err)
	}
	host, port, err = readSOCKSRequest(r)
	if _, answerable := errors.AsType[socksError](err); err != nil && !answerable {
		err = errors.Join(errSOCKSLost, err)
	}
	return host, port, err
}

// refuseSOCKS answers with the error's code and closes.
func (o *Outbound) refuseSOCKS(c net.Conn, err error) {
	if !errors.Is(err, errSOCKSLost) {
		// The client may be gone already; then nobody misses the answer.
		_, _ = c.Write(appendSOCKSReply(nil, socksCode(err)))
		lingerRead(c)
	}
	_ = c.Close()
}

const (
	lingerTime  = time.Second
	lingerBytes = 64 << 10
)

// lingerRead reads what a client has sent ahead. A connection that is closed with unread bytes is
// reset by the system, and the reset can overtake the answer.
func lingerRead(c net.Conn) {
	if closeWrite(c) != nil || c.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	// However this ends, the connection is closed next.
	_, _ = io.CopyN(io.Discard, c, lingerBytes)
}
