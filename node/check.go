package node

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

const (
	// maxCheckBody is what is read of a check's answer.
	maxCheckBody = 4 << 10
	// scriptWarning is the exit code that means warning, as with Consul and Nagios.
	scriptWarning = 1
)

// verdict is one result of a check.
type verdict struct {
	health micronet.Health
	output string
}

// checkCore turns single results into a state: so many failures in a row before critical, so
// many successes before passing. It is pure.
type checkCore struct {
	failuresNeeded, successesNeeded int
	failures, successes             int
	state                           micronet.Health
}

func newCheckCore(c *config.Check) *checkCore {
	return &checkCore{failuresNeeded: max(1, c.FailuresBeforeCritical), successesNeeded: max(1, c.SuccessesBeforePassing), state: micronet.Critical}
}

// step takes a result and returns the state after it.
func (c *checkCore) step(h micronet.Health) micronet.Health {
	if h == micronet.Critical {
		c.successes = 0
		c.failures++
		if c.failures >= c.failuresNeeded {
			c.state = micronet.Critical
		}
		return c.state
	}
	c.failures = 0
	c.successes++
	if c.successes >= c.successesNeeded {
		c.state = h
	}
	return c.state
}

// worst combines the verdicts of several checks of one instance: the first of the worst counts, so
// that the words fit the state.
func worst(of []verdict) verdict {
	rank := map[micronet.Health]int{micronet.Passing: 0, micronet.Warning: 1, micronet.Critical: 2}
	return slices.MaxFunc(of, func(a, b verdict) int { return cmp.Compare(rank[a.health], rank[b.health]) })
}

// runCheck performs one check within its timeout. What is kept of its words is bounded, whatever part of
// an answer they come from.
func runCheck(ctx context.Context, env micronet.Env, c *config.Check) verdict {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	v := perform(ctx, env, c)
	if len(v.output) > maxCheckBody {
		v.output = strings.ToValidUTF8(v.output[:maxCheckBody], "")
	}
	return v
}

func perform(ctx context.Context, env micronet.Env, c *config.Check) verdict {
	switch {
	case c.HTTP != "":
		return checkHTTP(ctx, env, c.HTTP)
	case c.TCP != "":
		return checkTCP(ctx, env, c.TCP)
	case c.GRPC != "":
		return checkGRPC(ctx, env, c.GRPC)
	default:
		return checkScript(ctx, env, c.Script)
	}
}

func failed(err error) verdict { return verdict{micronet.Critical, err.Error()} }

func checkTCP(ctx context.Context, env micronet.Env, target string) verdict {
	c, err := dialHost(ctx, env, target)
	if err != nil {
		return failed(err)
	}
	_ = c.Close()
	return verdict{micronet.Passing, "connected to " + target}
}

// dialHost connects to "host:port" where host is an address or localhost: health must not hang
// on a resolver.
func dialHost(ctx context.Context, env micronet.Env, target string) (net.Conn, error) {
	target = strings.Replace(target, "localhost:", "127.0.0.1:", 1)
	ap, err := netip.ParseAddrPort(target)
	if err != nil {
		return nil, fmt.Errorf("%q is no address:port", target)
	}
	return env.Net.Dial(ctx, netip.Addr{}, ap)
}

// checkHTTP follows no redirects: a redirect is an answer of its own. 2xx passes, 429 warns, as
// with Consul.
func checkHTTP(ctx context.Context, env micronet.Env, target string) verdict {
	client, end := checkClient(env, nil)
	defer end()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return failed(err)
	}
	res, body, err := answer(client, req)
	if err != nil {
		return failed(err)
	}
	out := res.Status + " " + string(body)
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return verdict{micronet.Passing, out}
	case res.StatusCode == http.StatusTooManyRequests:
		return verdict{micronet.Warning, out}
	}
	return verdict{micronet.Critical, out}
}

// checkClient is a client for one check. end closes its connections, also those of a request that
// was cut short: HTTP/2 would keep them for the next one.
func checkClient(env micronet.Env, protocols *http.Protocols) (client *http.Client, end func()) {
	conns := &connSet{}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
				c, err := dialHost(ctx, env, addr)
				if err != nil || !conns.add(c) {
					return nil, cmp.Or(err, net.ErrClosed)
				}
				return c, nil
			},
			DisableKeepAlives: protocols == nil, MaxResponseHeaderBytes: 64 << 10, Protocols: protocols,
		},
	}, conns.close
}

// connSet are connections that end together.
type connSet struct {
	mu   sync.Mutex
	open []net.Conn
	over bool
}

// add reports whether the set still takes connections; one that comes too late is closed.
func (s *connSet) add(c net.Conn) bool {
	s.mu.Lock()
	late := s.over
	if !late {
		s.open = append(s.open, c)
	}
	s.mu.Unlock()
	if late {
		_ = c.Close()
	}
	return !late
}

func (s *connSet) close() {
	s.mu.Lock()
	s.over = true
	open := s.open
	s.mu.Unlock()
	for _, c := range open {
		_ = c.Close() // the client may have closed it already
	}
}

// answer sends a request and reads the beginning of its answer's body. What is behind the body,
// trailers, can be read from the answer afterwards.
func answer(client *http.Client, req *http.Request) (*http.Response, []byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxCheckBody))
	return res, body, err
}

// checkGRPC asks the standard health service (grpc/health/v1) over HTTP/2 without TLS. target is
// "host:port" or "host:port/service".
func checkGRPC(ctx context.Context, env micronet.Env, target string) verdict {
	host, service, _ := strings.Cut(target, "/")
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	client, end := checkClient(env, &h2c)
	defer end()
	u := url.URL{Scheme: "http", Host: host, Path: "/grpc.health.v1.Health/Check"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(grpcHealthRequest(service)))
	if err != nil {
		return failed(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	res, body, err := answer(client, req)
	if err != nil {
		return failed(err)
	}
	status := res.Trailer.Get("Grpc-Status")
	if status == "" {
		status = res.Header.Get("Grpc-Status")
	}
	if status != "0" || string(body) != grpcServing {
		return verdict{micronet.Critical, fmt.Sprintf("grpc status %s %s", status, res.Trailer.Get("Grpc-Message"))}
	}
	return verdict{micronet.Passing, "SERVING"}
}

// grpcServing is a length-prefixed HealthCheckResponse{status: SERVING}.
const grpcServing = "\x00\x00\x00\x00\x02\x08\x01"

// grpcHealthRequest is a length-prefixed HealthCheckRequest{service}: field 1, a string with a
// varint length (Protocol Buffers encoding).
func grpcHealthRequest(service string) []byte {
	var msg []byte
	if service != "" {
		msg = append(binary.AppendUvarint([]byte{0x0a}, uint64(len(service))), service...)
	}
	return append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(msg))), msg...)
}

// checkScript runs a command: exit code 0 passes, 1 warns, everything else is critical.
func checkScript(ctx context.Context, env micronet.Env, argv []string) verdict {
	var out limitedBuffer
	p, err := env.Exec.Start(ctx, micronet.Command{Argv: argv, Stdout: &out, Stderr: &out})
	if err != nil {
		return failed(err)
	}
	code, err := p.Wait()
	switch {
	case err != nil:
		return failed(err)
	case ctx.Err() != nil:
		return failed(errors.New("the script did not end in time"))
	case code == 0:
		return verdict{micronet.Passing, out.String()}
	case code == scriptWarning:
		return verdict{micronet.Warning, out.String()}
	}
	return verdict{micronet.Critical, fmt.Sprintf("exit code %d: %s", code, out.String())}
}

// limitedBuffer keeps the first bytes of a script's output and swallows the rest.
type limitedBuffer struct{ b []byte }

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), maxCheckBody-len(l.b))]...)
	return len(p), nil
}

func (l *limitedBuffer) String() string { return string(l.b) }
