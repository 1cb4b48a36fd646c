package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/policy"
)

// Policies is what a backend does about who may call what. Everybody may look; only root and the daemon's
// user change anything, through the socket, and where this node is no authority the error is Refused and
// names one.
type Policies interface {
	Policies() []Policy
	// ApplyPolicies puts each rule in the place of the one with its name, all or none.
	ApplyPolicies(ctx context.Context, rules []policy.Rule) (PolicyChange, error)
	DeletePolicy(ctx context.Context, name string) error
	// TestPolicy judges calls from NODE, SERVICE@NODE, or SERVICE wherever it is, to a service.
	TestPolicy(from, to string) ([]PolicyVerdict, error)
	// Explain tells what would become of a call of a program of this host.
	Explain(ctx context.Context, service string, from micronet.Caller) (Explanation, error)
}

// Policy is one rule of the mesh, with what it has done at this node since the daemon started.
type Policy struct {
	Name    string         `json:"name"`
	From    policy.Callers `json:"from"`
	To      policy.Targets `json:"to"`
	Action  policy.Action  `json:"action"`
	Problem string         `json:"problem"` // why it denies whatever its action, "" when it is understood
	Refused uint64         `json:"refused"` // calls
	Audited uint64         `json:"audited"` // calls that it would have refused
}

// policyFile is what ParsePolicies reads.
type policyFile struct {
	Policies []policyEntry `json:"policies"`
}

type policyEntry struct {
	Name   string         `json:"name"`
	From   policy.Callers `json:"from,omitzero"`
	To     policy.Targets `json:"to,omitzero"`
	Action policy.Action  `json:"action"`
}

// PolicyChange is what became of the policies of a file.
type PolicyChange struct {
	Applied   []string `json:"applied"`
	Unchanged []string `json:"unchanged"`
	Warnings  []string `json:"warnings"` // sentences: what they name and nobody knows now
}

// PolicyCaller is who calls.
type PolicyCaller struct {
	Node    string   `json:"node"`
	Service string   `json:"service"` // "" for a program that is no service
	Cluster string   `json:"cluster"`
	Tags    []string `json:"tags"` // of the service at that node
}

// PolicyVerdict is what the policies say about calls of one caller.
type PolicyVerdict struct {
	From      PolicyCaller `json:"from"`
	Service   string       `json:"service"`
	Instances []string     `json:"instances"` // ID@NODE, those that it is about; none where the service has none
	Allowed   bool         `json:"allowed"`
	Rule      string       `json:"rule"` // which decided, "" for the default
	Reason    string       `json:"reason"`
	Audited   []string     `json:"audited"` // the audit rules that would have refused it
}

// Explanation is what would become of a call.
type Explanation struct {
	Service    string       `json:"service"`
	From       PolicyCaller `json:"from"`
	Answer     string       `json:"answer"` // in one sentence
	Candidates []Candidate  `json:"candidates"`
}

// Candidate is one instance that the call could be led to.
type Candidate struct {
	Route
	Picked  bool     `json:"picked"`
	Allowed bool     `json:"allowed"`
	Rule    string   `json:"rule"`
	Policy  string   `json:"policy"` // why it is allowed or not
	Audited []string `json:"audited"`
}

func (s *Server) policyRoutes(mux *http.ServeMux) {
	b := s.backend
	mux.HandleFunc("GET /api/v1/policies", s.allow(mayRead, func(w http.ResponseWriter, _ *http.Request) error {
		writeJSON(w, b.Policies())
		return nil
	}))
	mux.HandleFunc("POST /api/v1/policies", s.allow(mayAll, s.applyPolicies))
	mux.HandleFunc("DELETE /api/v1/policies/{name}", s.allow(mayAll, func(w http.ResponseWriter, r *http.Request) error {
		err := b.DeletePolicy(r.Context(), r.PathValue("name"))
		if err == nil {
			w.WriteHeader(http.StatusNoContent)
		}
		return err
	}))
	mux.HandleFunc("GET /api/v1/policy-test", s.allow(mayRead, func(w http.ResponseWriter, r *http.Request) error {
		q := r.URL.Query()
		v, err := b.TestPolicy(q.Get("from"), q.Get("to"))
		if err == nil {
			writeJSON(w, v)
		}
		return err
	}))
	mux.HandleFunc("GET /api/v1/explain", s.allow(mayRead, s.explain))
}

// applyPolicies takes what a policy file takes.
func (s *Server) applyPolicies(w http.ResponseWriter, r *http.Request) error {
	raw, err := body(w, r)
	if err != nil {
		return err
	}
	rules, errs := config.ParsePolicies("body", raw)
	if len(errs) > 0 {
		return micronet.E("api.policies", micronet.Invalid, "%w", errors.Join(errs...))
	}
	done, err := s.backend.ApplyPolicies(r.Context(), rules)
	if err == nil {
		writeJSON(w, done)
	}
	return err
}

// explain is about a call of the program that asks, or of a service that it names.
func (s *Server) explain(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	from := s.callerOf(accessOf(r.Context()))
	if as := q.Get("as"); as != "" {
		from.Service, from.Attested = as, true
	}
	e, err := s.backend.Explain(r.Context(), q.Get("service"), from)
	if err == nil {
		writeJSON(w, e)
	}
	return err
}

// Policies asks for the policies of the mesh.
func (c *Client) Policies(ctx context.Context) ([]Policy, error) {
	return get[[]Policy](ctx, c, "/api/v1/policies")
}

// ApplyPolicies puts each rule in the place of the one with its name, all or none.
func (c *Client) ApplyPolicies(ctx context.Context, rules []policy.Rule) (PolicyChange, error) {
	var file policyFile
	for i := range rules {
		r := &rules[i]
		file.Policies = append(file.Policies, policyEntry{Name: r.Name, From: r.From, To: r.To, Action: r.Action})
	}
	var done PolicyChange
	err := c.do(ctx, http.MethodPost, "/api/v1/policies", file, &done)
	return done, err
}

// DeletePolicy takes a policy away.
func (c *Client) DeletePolicy(ctx context.Context, name string) error {
	return c.do(ctx, http.MethodDelete, "/api/v1/policies/"+url.PathEscape(name), nil, nil)
}

// TestPolicy asks what the policies say about calls.
func (c *Client) TestPolicy(ctx context.Context, from, to string) ([]PolicyVerdict, error) {
	return get[[]PolicyVerdict](ctx, c, "/api/v1/policy-test?"+url.Values{"from": {from}, "to": {to}}.Encode())
}

// Explain asks what would become of a call of this program, or of a service of the daemon's host.
func (c *Client) Explain(ctx context.Context, service, as string) (Explanation, error) {
	return get[Explanation](ctx, c, "/api/v1/explain?"+url.Values{"service": {service}, "as": {as}}.Encode())
}
