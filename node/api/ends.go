package api

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"

	micronet "github.com/micro/micro-net"
)

const (
	// streamHeader names a stream to whom it was given: after its end it asks how that came about.
	streamHeader = "Micro-Net-Stream"
	// maxEnds bounds the ends that are remembered; the oldest gives way, and counts as a good one then.
	maxEnds = 256
	// streamID is the size of a stream's name in bytes: nobody guesses that of another.
	streamID = 16
)

// ends remembers why streams were cut. A raw stream cannot say so itself.
type ends struct {
	mu    sync.Mutex // a leaf
	of    map[string]why
	order []string // oldest first
}

// why explains the end of a stream, when somebody asks.
type why func(ctx context.Context) error

// Cuttable is a connection that can say why it was cut, if it is known to whom it belongs.
type Cuttable interface {
	// WhyCut explains what reading or writing failed with.
	WhyCut(ctx context.Context, err error) error
}

// whyOf explains the end of a stream as far as its connection can.
func whyOf(c net.Conn, err error) why {
	return func(ctx context.Context) error {
		if k, ok := c.(Cuttable); ok {
			return k.WhyCut(ctx, err)
		}
		return micronet.E("dial", micronet.Unreachable, "the connection was cut: %w", err)
	}
}

// put remembers that a stream was cut.
func (e *ends) put(id string, w why) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.of == nil {
		e.of = map[string]why{}
	}
	if len(e.order) == maxEnds {
		delete(e.of, e.order[0])
		e.order = e.order[1:]
	}
	e.of[id] = w
	e.order = append(e.order, id)
}

// get is nil for a stream that ended well.
func (e *ends) get(id string) why {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.of[id]
}

// newStreamID draws the name of a stream.
func (s *Server) newStreamID() (string, error) {
	var raw [streamID]byte
	if _, err := io.ReadFull(s.env.Entropy, raw[:]); err != nil {
		return "", micronet.E("api.dial", micronet.Internal, "%w", err)
	}
	return hex.EncodeToString(raw[:]), nil
}

// dialEnd tells how a stream ended.
func (s *Server) dialEnd(w http.ResponseWriter, r *http.Request) error {
	cut := s.ends.get(r.PathValue("stream"))
	if cut == nil {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return cut(r.Context())
}

// End asks the daemon why a connection that Dial made has ended: nil when both sides had said their last.
// It is asked when reading has come to its end.
func (c *Client) End(ctx context.Context, stream string) error {
	return c.do(ctx, http.MethodGet, "/api/v1/dial/"+url.PathEscape(stream)+"/end", nil, nil)
}
