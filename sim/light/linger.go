package light

import (
	"context"
	"io"
	"time"

	micronet "github.com/micro/micro-net"
)

// linger ends the connection of a closed stream once its peer has ended it too. Closed before that,
// it would be reset by whatever the peer still writes, and what was written here and is not there
// yet would be lost.
func (t *Tunnel) linger(s *stream) {
	if s.isOver() || !t.lingerLater(s) {
		t.bury(s)
	}
}

// lingerLater returns false when the stream cannot wait.
func (t *Tunnel) lingerLater(s *stream) bool {
	select {
	case t.lingering <- struct{}{}:
	default:
		t.env.Events.PacketDropped(micronet.PacketDrop{Where: "tunnel", Why: "too many closed streams", Peer: s.peer.id})
		return false
	}
	ok := t.spawn(func() {
		s.reading <- struct{}{} // whoever read has been woken
		drain(t.life, s.conn, lingerTime)
		<-s.reading
		<-t.lingering
		t.bury(s)
	})
	if !ok {
		<-t.lingering
	}
	return ok
}

func (t *Tunnel) bury(s *stream) {
	_ = s.conn.Close() // it may have been aborted
	t.discard(s)
}

// drain throws away what still arrives on a connection, until its end, lingerBytes, some time or the
// end of ctx.
func drain(ctx context.Context, c conn, within time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	_ = c.SetReadDeadline(time.Time{}) // an error says that nothing will arrive
	stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	_, _ = io.CopyN(io.Discard, c, lingerBytes) // whatever ends it
}
