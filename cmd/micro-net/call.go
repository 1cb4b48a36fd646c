package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	micronet "github.com/micro/micro-net"
)

// reasonHeader carries why the mesh itself answered with an error.
const reasonHeader = "Micro-Net-Error"

// request is what the flags of call say.
type request struct {
	method, data string
	headers      []string
	include      bool // the answer's header too
}

func (a *app) callCommand() *cobra.Command {
	var r request
	c := a.command("call SERVICE [PATH] [flags]", "send one HTTP request to a service through the mesh",
		`  micro-net call web /hello
  micro-net call web /orders -X PUT -H 'Accept: text/plain' --data '{"id":7}'
  micro-net call web --data @order.json`,
		cobra.RangeArgs(1, 2), func(ctx context.Context, args []string) error {
			path := "/"
			if len(args) > 1 {
				path = "/" + strings.TrimPrefix(args[1], "/")
			}
			return a.call(ctx, args[0], path, &r)
		})
	c.Long = "Sends one HTTP request to a service through the mesh and prints the answer's body. The Host header is the\n" +
		"service's name. A status of 400 and above is a failure (exit 1)."
	f := c.Flags()
	f.StringVar(&r.data, "data", "", "`BODY` to send, @FILE, or @- for standard input; makes it a POST")
	f.StringArrayVarP(&r.headers, "header", "H", nil, "`'NAME: VALUE'` to add; may be repeated")
	f.StringVarP(&r.method, "request", "X", "", "`METHOD` (default GET, with --data POST)")
	f.BoolVarP(&r.include, "include", "i", false, "print the answer's status and header too")
	return a.completes(a.talks(c), serviceNames)
}

func (a *app) call(ctx context.Context, service, path string, r *request) error {
	req, err := a.httpRequest(ctx, service, path, r)
	if err != nil {
		return err
	}
	far := &farEnd{client: a.client(), service: service}
	transport := serviceTransport(far)
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return far.lost(ctx, "call", err)
	}
	defer res.Body.Close()
	if r.include {
		fmt.Fprintf(a.out, "%s %s\n", res.Proto, oneLine(res.Status))
		if err := res.Header.Write(a.out); err != nil {
			return err
		}
		fmt.Fprintln(a.out)
	}
	if _, err := io.Copy(a.out, res.Body); err != nil {
		return far.lost(ctx, "call", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		why := res.Status
		if h := res.Header.Get(reasonHeader); h != "" {
			why += ": " + h
		}
		return micronet.E("call", micronet.Internal, "%s answered %s", service, why)
	}
	return nil
}

// serviceTransport sends every request to the service, whatever its host.
func serviceTransport(far *farEnd) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return far.dial(ctx) },
		// The body is shown as the service sent it.
		DisableCompression: true, DisableKeepAlives: true,
	}
}

func (a *app) httpRequest(ctx context.Context, service, path string, r *request) (*http.Request, error) {
	body, err := a.body(ctx, r.data)
	if err != nil {
		return nil, err
	}
	method := r.method
	if method == "" {
		method = http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
	}
	// The service's name may be one that no URL can hold: it goes into the Host header alone.
	req, err := http.NewRequestWithContext(ctx, method, "http://service"+path, bytes.NewReader(body))
	if err != nil {
		return nil, micronet.E("call", micronet.Invalid, "%w", err)
	}
	req.Host = service
	req.Header.Set("User-Agent", "micro-net/"+a.build.Version)
	if body != nil {
		req.Header.Set("Content-Type", contentType(body))
	}
	return req, setHeaders(req, r.headers)
}

func (a *app) body(ctx context.Context, data string) ([]byte, error) {
	if data == "" {
		return nil, nil
	}
	if name, ok := strings.CutPrefix(data, "@"); ok {
		return a.readInput(ctx, "call", name)
	}
	return []byte(data), nil
}

func contentType(body []byte) string {
	if json.Valid(body) {
		return "application/json"
	}
	return "application/x-www-form-urlencoded"
}

func setHeaders(req *http.Request, headers []string) error {
	for _, h := range headers {
		name, value, ok := strings.Cut(h, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" {
			return micronet.E("call", micronet.Invalid, "-H %q is not of the form 'NAME: VALUE'", h)
		}
		if strings.EqualFold(name, "Host") {
			req.Host = value
			continue
		}
		req.Header.Set(name, value)
	}
	return nil
}
