package api

import (
	"context"
	"net/http"
)

// Revocations is what a backend does about nodes that are to be members no more. All of it is for root and
// the daemon's user alone, through the socket. Where this node is no authority the error is Refused and
// names one.
type Revocations interface {
	// Revoke ends a node's part in the cluster for good: its key counts for nothing any more.
	Revoke(context.Context, Revocation) (Revoked, error)
	// Forget frees the name of a dead node, which is welcome when it comes back.
	Forget(context.Context, Forgetting) (Revoked, error)
}

// Revocation says whose key is to be revoked.
type Revocation struct {
	Node    string `json:"node"`              // its name, the beginning of its id, or the whole id of one that nobody remembers
	Reason  string `json:"reason,omitempty"`  // for people
	Disavow bool   `json:"disavow,omitempty"` // what it issued and said as an authority is refused too
	Force   bool   `json:"force,omitempty"`   // also when it is this node itself, or when what it has said as an authority counts on
}

// Forgetting says whose name is to be free.
type Forgetting struct {
	Node string `json:"node"`
}

// Revoked says who was meant.
type Revoked struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Warning string `json:"warning"` // what follows from it; "" when there is nothing to say
}

func (s *Server) revocationRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/node/revoke", s.allow(mayAll, answers(s.backend.Revoke)))
	mux.HandleFunc("POST /api/v1/node/forget", s.allow(mayAll, answers(s.backend.Forget)))
}

// answers makes a handler of what takes a body and returns one.
func answers[Q, A any](do func(context.Context, Q) (A, error)) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var q Q
		if err := readBody(w, r, &q); err != nil {
			return err
		}
		a, err := do(r.Context(), q)
		if err == nil {
			writeJSON(w, a)
		}
		return err
	}
}

// Revoke ends a node's part in the cluster.
func (c *Client) Revoke(ctx context.Context, r Revocation) (Revoked, error) {
	var out Revoked
	err := c.do(ctx, http.MethodPost, "/api/v1/node/revoke", r, &out)
	return out, err
}

// Forget frees the name of a dead node.
func (c *Client) Forget(ctx context.Context, node string) (Revoked, error) {
	var out Revoked
	err := c.do(ctx, http.MethodPost, "/api/v1/node/forget", Forgetting{node}, &out)
	return out, err
}
