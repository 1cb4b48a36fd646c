package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

func (s *Server) routes() http.Handler {
	b := s.backend
	mux := http.NewServeMux()
	get := func(path string, f func(r *http.Request) (any, error)) {
		mux.HandleFunc("GET "+path, s.allow(mayRead, func(w http.ResponseWriter, r *http.Request) error {
			v, err := f(r)
			if err == nil {
				writeJSON(w, v)
			}
			return err
		}))
	}
	get("/api/v1/status", func(*http.Request) (any, error) { return b.Status(), nil })
	get("/api/v1/nodes", func(*http.Request) (any, error) { return b.Nodes(), nil })
	get("/api/v1/services", func(*http.Request) (any, error) { return b.Services("") })
	get("/api/v1/services/{name}", func(r *http.Request) (any, error) { return b.Services(r.PathValue("name")) })
	get("/api/v1/routes", func(r *http.Request) (any, error) { return b.Routes(r.URL.Query().Get("service")) })
	get("/api/v1/connections", func(*http.Request) (any, error) { return b.Connections(), nil })
	get("/api/v1/graph", func(*http.Request) (any, error) { return b.Graph(), nil })
	get("/api/v1/config", func(*http.Request) (any, error) { return b.Settings(), nil })
	get("/api/v1/resolve", func(r *http.Request) (any, error) {
		return b.Resolve(r.Context(), r.URL.Query().Get("name"), r.URL.Query().Get("type"))
	})
	get("/api/v1/ping", func(r *http.Request) (any, error) { return b.Ping(r.Context(), r.URL.Query().Get("node")) })
	get("/api/v1/trace", func(r *http.Request) (any, error) { return b.Trace(r.Context(), r.URL.Query().Get("target")) })
	get("/api/v1/clocks", func(r *http.Request) (any, error) { return b.Clocks(r.Context()), nil })
	get("/api/v1/reach", func(r *http.Request) (any, error) { return b.Reach(r.Context()) })
	get("/api/v1/openapi.json", func(*http.Request) (any, error) { return json.RawMessage(openAPI), nil })
	mux.HandleFunc("GET /api/v1/dial", s.allow(mayRead, s.dial))
	mux.HandleFunc("GET /api/v1/dial/{stream}/end", s.allow(mayRead, s.dialEnd))
	mux.HandleFunc("POST /api/v1/instances", s.allow(mayRegister, s.register))
	mux.HandleFunc("DELETE /api/v1/instances/{id}", s.allow(mayRegister, s.deregister))
	mux.HandleFunc("POST /api/v1/invite", s.allow(mayAll, s.invite))
	mux.HandleFunc("POST /api/v1/join", s.allow(mayAll, s.join))
	mux.HandleFunc("POST /api/v1/leave", s.allow(mayAll, s.leave))
	s.authorityRoutes(mux)
	s.revocationRoutes(mux)
	s.policyRoutes(mux)
	s.nameRoutes(mux)
	mux.HandleFunc("GET /metrics", s.allow(mayRead, s.metrics))
	mux.HandleFunc("GET /healthz", s.allow(mayRead, probe(b.Healthy)))
	mux.HandleFunc("GET /readyz", s.allow(mayRead, probe(b.Ready)))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, micronet.E("api", micronet.NotFound, "there is nothing at %s %s", r.Method, r.URL.Path).
			WithFix("see /api/v1/openapi.json"))
	})
	return mux
}

func probe(check func() error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, _ *http.Request) error {
		if err := check(); err != nil {
			return err
		}
		_, err := io.WriteString(w, "ok\n")
		return err
	}
}

// body reads a bounded body within bodyTimeout.
func body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	// Listeners without deadlines exist in tests only, and there nobody dawdles.
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTimeout))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, micronet.E("api", micronet.Invalid, "the body: %w", err)
	}
	// The connection may be held for long after this.
	_ = control.SetReadDeadline(time.Time{})
	return b, nil
}

// readBody decodes a body strictly; an empty one leaves v as it is.
func readBody(w http.ResponseWriter, r *http.Request, v any) error {
	b, err := body(w, r)
	if err != nil || len(bytes.TrimSpace(b)) == 0 {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return micronet.E("api", micronet.Invalid, "the body: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return micronet.E("api", micronet.Invalid, "the body goes on after its JSON value")
	}
	return nil
}

func (s *Server) invite(w http.ResponseWriter, r *http.Request) error {
	var req InviteRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	inv, err := s.backend.Invite(req)
	if err == nil {
		writeJSON(w, inv)
	}
	return err
}

func (s *Server) join(w http.ResponseWriter, r *http.Request) error {
	var req JoinRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	if err := s.backend.Join(r.Context(), req.Token); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) leave(w http.ResponseWriter, r *http.Request) error {
	var req LeaveRequest
	if err := readBody(w, r, &req); err != nil {
		return err
	}
	f, err := s.backend.Leave(r.Context(), req)
	if err == nil {
		writeJSON(w, f)
	}
	return err
}

// register takes what a service file takes. With hold=1 the answer stays open, and the instances
// end with the connection.
func (s *Server) register(w http.ResponseWriter, r *http.Request) error {
	raw, err := body(w, r)
	if err != nil {
		return err
	}
	services, errs := config.ParseServices("body", raw)
	if len(errs) > 0 {
		return micronet.E("api.register", micronet.Invalid, "%w", errors.Join(errs...))
	}
	if len(services) == 0 {
		return micronet.E("api.register", micronet.Invalid, "the body holds no services")
	}
	a := accessOf(r.Context())
	if err := s.mayAnnounce(a, services); err != nil {
		return err
	}
	held := r.URL.Query().Get("hold") != ""
	if err := s.nameProcesses(a, held, services); err != nil {
		return err
	}
	if !held {
		done, err := s.backend.Register(a.owner(), services)
		if err == nil {
			done.Withheld, done.Warnings = s.backend.Withheld(services), s.absentGroups(services)
			writeJSON(w, done)
		}
		return err
	}
	ids, hold, err := s.backend.Hold(a.owner(), services)
	if err != nil {
		return err
	}
	defer hold.Close()
	writeJSON(w, Registered{IDs: ids, Replaced: []string{}, Withheld: s.backend.Withheld(services), Warnings: s.absentGroups(services)})
	if err := http.NewResponseController(w).Flush(); err != nil {
		return nil // the client is gone already, and with it its instances
	}
	<-r.Context().Done()
	return nil
}

func (s *Server) deregister(w http.ResponseWriter, r *http.Request) error {
	a := accessOf(r.Context())
	owner := a.owner()
	if a.right >= mayServe {
		owner = AnyOwner
	}
	if err := s.backend.Deregister(owner, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	return s.backend.Metrics(w)
}
