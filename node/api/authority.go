package api

import (
	"context"
	"net/http"
	"time"
)

// Authorities is what a backend does about who signs for the cluster. All of it is for root and the
// daemon's user alone, through the socket. Where this node is no authority the error is Refused and
// names one.
type Authorities interface {
	// Issuances lists what this node has issued.
	Issuances() (IssuanceLog, error)
	// Promote makes a node an authority.
	Promote(ctx context.Context, r PromoteRequest) (Promoted, error)
	// Demote ends a node's right to sign for the cluster.
	Demote(ctx context.Context, r DemoteRequest) (Demoted, error)
	// RotateRoot replaces the root key by another one, and says how far that is.
	RotateRoot(ctx context.Context, r RotateRequest) (Rotation, error)
	// ExportRoot encrypts the cluster's root key.
	ExportRoot(passphrase string) (SealedRoot, error)
	// RootKept notes that the root key is in a file, of which this is what was read back.
	RootKept(s SealedRoot) error
	// RemoveRoot takes the root key off this host, after checking that the sealed one is the same.
	RemoveRoot(RootRemoval) error
	// ImportRoot makes this node the one that has the root key.
	ImportRoot(SealedRoot) error
}

// IssuanceLog is what an authority has issued.
type IssuanceLog struct {
	Issued []Issuance `json:"issued"` // oldest first
	Head   string     `json:"head"`   // hash of the last line, hexadecimal: equal heads, equal logs
	Fault  string     `json:"fault"`  // what is wrong with the log on disk; "" when every line follows on the one before
}

// Issuance is one thing that an authority issued.
type Issuance struct {
	Number uint64    `json:"number"`
	Time   time.Time `json:"time"`
	What   string    `json:"what"` // found, join, renewal, promote, revoke, damaged
	Node   string    `json:"node"`
	ID     string    `json:"id"`
	Serial string    `json:"serial"`
	Ends   time.Time `json:"ends"`
}

// IssuanceDamaged is What a line is that says that lines before it were lost.
const IssuanceDamaged = "damaged"

// PromoteRequest names a node that is to sign for the cluster.
type PromoteRequest struct {
	Node string `json:"node"` // name, or the beginning of its id
}

// Promoted is a node that signs for the cluster now.
type Promoted struct {
	Node string    `json:"node"`
	ID   string    `json:"id"`
	Ends time.Time `json:"ends"` // unless it is renewed, which happens by itself
}

// DemoteRequest names a node that is not to sign for the cluster any more.
type DemoteRequest struct {
	Node  string `json:"node"`            // name, or the beginning of its id
	Force bool   `json:"force,omitempty"` // also when it does not say that it is an authority
}

// Demoted is a node that signs for the cluster no more.
type Demoted struct {
	Node    string `json:"node"`
	ID      string `json:"id"`
	Warning string `json:"warning"` // what counts on of what it has said; "" when it has said nothing
}

// RotateRequest asks to replace the root key, or to go on with that.
type RotateRequest struct {
	Retire bool `json:"retire,omitempty"` // end the former root now, whoever has no certificate under the new one
	Status bool `json:"status,omitempty"` // only tell; any node can
	Force  bool `json:"force,omitempty"`  // also when a replacement has ended within a day
}

// Rotation is how far the replacement of the root key is.
type Rotation struct {
	Root    string     `json:"root"`            // hash of the new root key, hexadecimal
	Step    string     `json:"step"`            // announced, renewing, retired; none when there never was one
	Nodes   int        `json:"nodes"`           // that are alive
	Renewed int        `json:"renewed"`         // of these, who has a certificate under the new root
	Waiting []string   `json:"waiting"`         // the others
	Ended   *time.Time `json:"ended,omitempty"` // when the former root ended
}

// The steps of a Rotation.
const (
	RotationNone      = "none"      // the root key was never replaced
	RotationAnnounced = "announced" // all trust both roots, the former one signs
	RotationRenewing  = "renewing"  // the new one signs, certificates are renewed under it
	RotationRetired   = "retired"   // the former one counts for nothing new
)

// SealedRoot is a root key as a file holds it, with what opens it. The passphrase never comes back.
type SealedRoot struct {
	Root       []byte `json:"root"`                 // base64 in JSON
	Passphrase string `json:"passphrase,omitempty"` //
}

// RootRemoval asks to take the root key off this host.
type RootRemoval struct {
	SealedRoot
	Force bool `json:"force,omitempty"` // also when nobody can sign then
	Check bool `json:"check,omitempty"` // only say whether it is refused, before there is a file
}

func (s *Server) authorityRoutes(mux *http.ServeMux) {
	b := s.backend
	mux.HandleFunc("GET /api/v1/node/log", s.allow(mayAll, func(w http.ResponseWriter, _ *http.Request) error {
		log, err := b.Issuances()
		if err == nil {
			writeJSON(w, log)
		}
		return err
	}))
	mux.HandleFunc("POST /api/v1/node/promote", s.allow(mayAll, answers(b.Promote)))
	mux.HandleFunc("POST /api/v1/node/demote", s.allow(mayAll, answers(b.Demote)))
	mux.HandleFunc("POST /api/v1/node/root/rotate", s.allow(mayAll, answers(b.RotateRoot)))
	mux.HandleFunc("POST /api/v1/node/root/export", s.allow(mayAll, func(w http.ResponseWriter, r *http.Request) error {
		var q SealedRoot
		err := readBody(w, r, &q)
		if err == nil {
			q, err = b.ExportRoot(q.Passphrase)
		}
		if err == nil {
			writeJSON(w, q)
		}
		return err
	}))
	mux.HandleFunc("POST /api/v1/node/root/kept", s.allow(mayAll, acts(b.RootKept)))
	mux.HandleFunc("POST /api/v1/node/root/remove", s.allow(mayAll, acts(b.RemoveRoot)))
	mux.HandleFunc("POST /api/v1/node/root/import", s.allow(mayAll, acts(b.ImportRoot)))
}

// acts makes a handler of what takes a body and answers nothing.
func acts[T any](do func(T) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		var q T
		if err := readBody(w, r, &q); err != nil {
			return err
		}
		if err := do(q); err != nil {
			return err
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
}

// Issuances asks an authority what it has issued.
func (c *Client) Issuances(ctx context.Context) (IssuanceLog, error) {
	return get[IssuanceLog](ctx, c, "/api/v1/node/log")
}

// Promote makes a node an authority.
func (c *Client) Promote(ctx context.Context, r PromoteRequest) (Promoted, error) {
	var out Promoted
	err := c.do(ctx, http.MethodPost, "/api/v1/node/promote", r, &out)
	return out, err
}

// Demote ends a node's right to sign for the cluster.
func (c *Client) Demote(ctx context.Context, r DemoteRequest) (Demoted, error) {
	var out Demoted
	err := c.do(ctx, http.MethodPost, "/api/v1/node/demote", r, &out)
	return out, err
}

// RotateRoot replaces the cluster's root key, or goes on with that.
func (c *Client) RotateRoot(ctx context.Context, r RotateRequest) (Rotation, error) {
	var out Rotation
	err := c.do(ctx, http.MethodPost, "/api/v1/node/root/rotate", r, &out)
	return out, err
}

// ExportRoot asks for the cluster's root key, encrypted with a passphrase.
func (c *Client) ExportRoot(ctx context.Context, passphrase string) (SealedRoot, error) {
	var out SealedRoot
	err := c.do(ctx, http.MethodPost, "/api/v1/node/root/export", SealedRoot{Passphrase: passphrase}, &out)
	return out, err
}

// RootKept tells the daemon that the root key is in a file, which was read back.
func (c *Client) RootKept(ctx context.Context, s SealedRoot) error {
	return c.do(ctx, http.MethodPost, "/api/v1/node/root/kept", s, nil)
}

// RemoveRoot takes the root key off the daemon's host.
func (c *Client) RemoveRoot(ctx context.Context, r RootRemoval) error {
	return c.do(ctx, http.MethodPost, "/api/v1/node/root/remove", r, nil)
}

// ImportRoot gives the daemon the cluster's root key.
func (c *Client) ImportRoot(ctx context.Context, s SealedRoot) error {
	return c.do(ctx, http.MethodPost, "/api/v1/node/root/import", s, nil)
}
