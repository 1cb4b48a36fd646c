package api

import (
	"context"
	"net/http"

	"github.com/micro/micro-net/internal/config"
)

// Namer is what a backend does about who may offer which services. Changes take effect at an authority:
// elsewhere the error is Refused and names one.
type Namer interface {
	// Names tells who may offer what.
	Names() Names
	// SetNames says whether names are granted. Without force it refuses to withhold what is offered now,
	// and names it.
	SetNames(context.Context, NamesRequest) (Names, error)
	// GrantNames says what one node may offer, in place of what it was granted before; no patterns take
	// that back. Without force it refuses to withhold what is offered now.
	GrantNames(context.Context, GrantRequest) (Names, error)
	// Withheld says of services of this node that nobody is led to them, and why.
	Withheld(services []config.Service) []string
}

// Names is who may offer what.
type Names struct {
	Mode   string  `json:"mode"`   // open: any node any service; granted: a node what it was granted
	Grants []Grant `json:"grants"` // of nodes that were granted something, or offer what they were not
}

// Grant is what one node may offer.
type Grant struct {
	Node      string   `json:"node"`
	ID        string   `json:"id"`
	Patterns  []string `json:"patterns"`
	Ungranted []string `json:"ungranted"` // services that it offers now and was not granted
}

// NamesRequest says whether names are granted.
type NamesRequest struct {
	Mode  string `json:"mode"`
	Force bool   `json:"force,omitempty"`
}

// GrantRequest says what a node may offer.
type GrantRequest struct {
	Node     string   `json:"node"` // a name, or the beginning of an id
	Patterns []string `json:"patterns"`
	Force    bool     `json:"force,omitempty"`
}

func (s *Server) nameRoutes(mux *http.ServeMux) {
	b := s.backend
	mux.HandleFunc("GET /api/v1/node/names", s.allow(mayRead, func(w http.ResponseWriter, _ *http.Request) error {
		writeJSON(w, b.Names())
		return nil
	}))
	mux.HandleFunc("POST /api/v1/node/names", s.allow(mayAll, answers(b.SetNames)))
	mux.HandleFunc("POST /api/v1/node/grants", s.allow(mayAll, answers(b.GrantNames)))
}

// Names asks who may offer what.
func (c *Client) Names(ctx context.Context) (Names, error) {
	return get[Names](ctx, c, "/api/v1/node/names")
}

// SetNames asks an authority to change whether names are granted.
func (c *Client) SetNames(ctx context.Context, r NamesRequest) (Names, error) {
	var out Names
	err := c.do(ctx, http.MethodPost, "/api/v1/node/names", r, &out)
	return out, err
}

// GrantNames asks an authority to change what a node may offer.
func (c *Client) GrantNames(ctx context.Context, r GrantRequest) (Names, error) {
	var out Names
	err := c.do(ctx, http.MethodPost, "/api/v1/node/grants", r, &out)
	return out, err
}
