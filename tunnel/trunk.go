package tunnel

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	// trunkQueue is how many datagrams wait for a trunk; newer ones are dropped, as a full link does.
	trunkQueue = 128
	// trunkIdle is how long a trunk is kept over which nothing comes. One in use carries probes and their answers.
	trunkIdle = time.Minute
	// trunkStall is how long the other side may take nothing.
	trunkStall = 10 * time.Second
	// maxTrunkDatagram bounds a datagram on a trunk. All that are sent are shorter: QUIC's, sealed frames with a
	// credential, envelopes of both.
	maxTrunkDatagram = 2048
	trunkHeader      = 2
	trunkBuffer      = 32 << 10
)

var errTrunkDatagram = errors.New("a trunk: a datagram of a wrong length")

// trunk is a connection over TCP, with TLS, that carries the datagrams of an Underlay where UDP does not pass. What
// it carries is sealed as it is everywhere; TLS tells who is at its other end, so that strangers cannot hold one.
//
// A datagram is its length (2 bytes, big endian) and its bytes.
type trunk struct {
	addr   netip.AddrPort // that stands for it
	remote netip.AddrPort
	peer   micronet.NodeID
	ours   bool // we dialled it
	conn   *tls.Conn
	out    chan []byte
	ended  chan struct{}
	once   sync.Once
	start  time.Time
	heard  atomic.Int64 // when something came, as a moment since start
}

func newTrunk(addr netip.AddrPort, peer micronet.NodeID, conn *tls.Conn, ours bool) *trunk {
	return &trunk{
		addr: addr, peer: peer, ours: ours, conn: conn, remote: micronet.AddrPortOf(conn.RemoteAddr()),
		out: make(chan []byte, trunkQueue), ended: make(chan struct{}), start: time.Now(),
	}
}

// silence is how long nothing has come over it.
func (t *trunk) silence() time.Duration {
	return time.Since(t.start.Add(time.Duration(t.heard.Load())))
}

// send queues a copy of a datagram, and reports whether there was room.
func (t *trunk) send(b []byte) bool {
	if len(b) > maxTrunkDatagram {
		return false
	}
	framed := make([]byte, trunkHeader+len(b))
	binary.BigEndian.PutUint16(framed, uint16(len(b)))
	copy(framed[trunkHeader:], b)
	select {
	case t.out <- framed:
		return true
	default:
		return false
	}
}

// close ends the trunk; run returns then. It says no goodbye in TLS, which would wait for the other side.
func (t *trunk) close() {
	t.once.Do(func() { close(t.ended) })
	_ = t.conn.NetConn().Close()
}

// run carries datagrams until the trunk ends.
func (t *trunk) run(ctx context.Context, in *inlet) {
	stop := context.AfterFunc(ctx, t.close)
	defer stop()
	var both sync.WaitGroup
	both.Go(t.write)
	t.read(ctx, in)
	t.close()
	both.Wait()
}

// read passes on what comes in, until the connection ends or nothing came for trunkIdle.
func (t *trunk) read(ctx context.Context, in *inlet) {
	r := bufio.NewReaderSize(t.conn, trunkBuffer)
	for {
		if t.conn.SetReadDeadline(time.Now().Add(trunkIdle)) != nil {
			return
		}
		data, err := readDatagram(r)
		t.heard.Store(int64(time.Since(t.start)))
		if err != nil || !in.put(ctx, t.ended, inletItem{data, t.addr}) {
			return
		}
	}
}

// readDatagram reads one datagram of a trunk.
func readDatagram(r io.Reader) ([]byte, error) {
	var header [trunkHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(header[:]))
	if n == 0 || n > maxTrunkDatagram {
		return nil, errTrunkDatagram
	}
	data := make([]byte, n)
	_, err := io.ReadFull(r, data)
	return data, err
}

// write sends what is queued, as much as there is at once.
func (t *trunk) write() {
	defer t.close()
	w := bufio.NewWriterSize(t.conn, trunkBuffer)
	for {
		select {
		case <-t.ended:
			return
		case b := <-t.out:
			if t.flush(w, b) != nil {
				return
			}
		}
	}
}

// flush writes a datagram and those that wait behind it.
func (t *trunk) flush(w *bufio.Writer, b []byte) error {
	for {
		if w.Available() < len(b) {
			if err := t.push(w); err != nil {
				return err
			}
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		select {
		case b = <-t.out:
		default:
			return t.push(w)
		}
	}
}

// push hands what is gathered to TCP.
func (t *trunk) push(w *bufio.Writer) error {
	if err := t.conn.SetWriteDeadline(time.Now().Add(trunkStall)); err != nil {
		return err
	}
	return w.Flush()
}

// trunkNet is where the addresses are that stand for trunks within a process: above them a trunk is a way to a peer like
// any other. They mean nothing elsewhere: none is taken from the network.
var trunkNet = netip.MustParsePrefix("fd6d:6e65:7472:756e::/64")

// trunkAddr is the n-th of them.
func trunkAddr(n uint64) netip.AddrPort {
	raw := trunkNet.Addr().As16()
	binary.BigEndian.PutUint64(raw[8:], n)
	return netip.AddrPortFrom(netip.AddrFrom16(raw), 1)
}

func isTrunkAddr(a netip.Addr) bool { return a.Is6() && trunkNet.Contains(a) }
