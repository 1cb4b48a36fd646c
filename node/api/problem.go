package api

import (
	"encoding/json"
	"errors"
	"net/http"

	micronet "github.com/micro/micro-net"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// statusOf is the one table from error kinds to HTTP status codes.
func statusOf(k micronet.Kind) int {
	switch k {
	case micronet.Invalid:
		return http.StatusBadRequest
	case micronet.NotFound:
		return http.StatusNotFound
	case micronet.Refused, micronet.Unauthorized:
		return http.StatusForbidden
	case micronet.Unreachable, micronet.Overloaded, micronet.Closed:
		return http.StatusServiceUnavailable
	case micronet.Timeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// problemOf describes err. Errors that are not ours show their text as it is.
func problemOf(err error) Problem {
	kind := micronet.KindOf(err)
	p := Problem{
		Type: "about:blank", Title: http.StatusText(statusOf(kind)), Status: statusOf(kind),
		Detail: err.Error(), Kind: kind.String(),
	}
	if e, ok := errors.AsType[*micronet.Error](err); ok {
		p.Op, p.Detail, p.Fix = e.Op, e.Err.Error(), e.Fix
	}
	return p
}

// asError turns a problem document back into the error it was made from.
func (p Problem) asError() *micronet.Error {
	op := p.Op
	if op == "" {
		op = "api"
	}
	return &micronet.Error{Op: op, Kind: micronet.ParseKind(p.Kind), Err: errors.New(p.Detail), Fix: p.Fix}
}

func writeProblem(w http.ResponseWriter, err error) {
	p := problemOf(err)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	// The client is gone when this fails; there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(p)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
