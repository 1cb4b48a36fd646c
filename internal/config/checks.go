package config

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

const (
	noChecks    = "none"
	maxChecks   = 16
	maxCount    = 1000
	minInterval = 100 * time.Millisecond
	maxInterval = 24 * time.Hour
	minTimeout  = time.Millisecond
)

// errTold is what a setter returns when it has reported its mistakes already.
var errTold = errors.New("told already")

// defaultChecks is a TCP connect every five seconds for everything that listens on TCP.
func defaultChecks(s *Service) Checks {
	addr, err := netip.ParseAddr(s.Address)
	if err != nil || CheckAddress(s.Address) != nil || !isPort(s.Port) {
		return Checks{} // the mistake is told once, of the address or the port
	}
	if s.Protocol == string(micronet.UDP) {
		return Checks{None: true}
	}
	c := newCheck()
	c.TCP = netip.AddrPortFrom(addr, uint16(s.Port)).String()
	return Checks{List: []Check{c}}
}

func newCheck() Check {
	return Check{
		Interval: DefaultInterval, Timeout: DefaultTimeout,
		FailuresBeforeCritical: DefaultFailures, SuccessesBeforePassing: DefaultSuccesses,
	}
}

// checks reads `none` or a list of checks.
func (e *entry) checks(v *value, out *Checks) error {
	if v.kind == text && v.raw == noChecks {
		out.None = true
		return nil
	}
	if v.kind != sequence {
		return v.wrong("a list of checks, or none")
	}
	if len(v.items) == 0 && !e.p.consulFile {
		return v.fault("write none, or remove the key for the default", "an empty list")
	}
	failed := false
	for _, item := range v.items {
		c := newCheck()
		one := &entry{p: e.p, v: item}
		one.check(&c)
		failed = failed || one.failed
		out.List = append(out.List, c)
	}
	if failed {
		return errTold
	}
	return tooMany(v, out)
}

func tooMany(v *value, c *Checks) error {
	if len(c.List) > maxChecks {
		return v.fault("", "%d checks, at most %d are run", len(c.List), maxChecks)
	}
	return nil
}

// check reads one check.
func (e *entry) check(c *Check) {
	if e.v.kind != mapping {
		e.fail(e.v.wrong("a check"))
		return
	}
	if e.p.consulFile {
		e.fillConsulCheck(c)
	} else {
		e.fill(c.fields())
	}
	// With a key refused, what is missing is not known.
	if !e.failed {
		if m, ok := c.mistake(); ok {
			e.mistake(m)
		}
	}
}

func (c *Check) fields() map[string]setter {
	interval := func(v *value) (time.Duration, error) { return v.duration(minInterval, maxInterval) }
	timeout := func(v *value) (time.Duration, error) { return v.duration(minTimeout, maxInterval) }
	count := within(1, maxCount)
	return map[string]setter{
		"http":                     into(&c.HTTP, (*value).text),
		"tcp":                      into(&c.TCP, (*value).text),
		"grpc":                     into(&c.GRPC, (*value).text),
		"script":                   into(&c.Script, (*value).texts),
		"ttl":                      into(&c.TTL, timeout),
		"interval":                 into(&c.Interval, interval),
		"timeout":                  into(&c.Timeout, timeout),
		"failures_before_critical": into(&c.FailuresBeforeCritical, count),
		"successes_before_passing": into(&c.SuccessesBeforePassing, count),
	}
}

// kinds names the kinds that are set.
func (c *Check) kinds() (out []string) {
	for _, k := range []struct {
		name string
		set  bool
	}{{"http", c.HTTP != ""}, {"tcp", c.TCP != ""}, {"grpc", c.GRPC != ""}, {"script", len(c.Script) > 0}, {"ttl", c.TTL != 0}} {
		if k.set {
			out = append(out, k.name)
		}
	}
	return out
}

const runnable = "http, tcp, grpc or script"

// mistake is what is wrong with a check, if anything is.
func (c *Check) mistake() (m mistake, found bool) {
	kinds := c.kinds()
	switch {
	case len(kinds) == 0:
		return mistake{what: "a check of no kind", fix: "give it one of " + runnable}, true
	case len(kinds) > 1:
		return mistake{kinds[1], "one check cannot be " + strings.Join(kinds, " and "), "make a check of each"}, true
	case c.TTL != 0:
		return mistake{"ttl", "ttl checks are not in this version", "use " + runnable}, true
	case c.Interval < minInterval || c.Interval > maxInterval:
		return mistake{"interval", fmt.Sprintf("%s is out of bounds: want %s to %s", c.Interval, minInterval, maxInterval), ""}, true
	case c.Timeout < minTimeout || c.Timeout > maxInterval:
		return mistake{"timeout", fmt.Sprintf("%s is out of bounds: want %s to %s", c.Timeout, minTimeout, maxInterval), ""}, true
	case c.FailuresBeforeCritical < 1 || c.FailuresBeforeCritical > maxCount:
		return mistake{"failures_before_critical", fmt.Sprintf("want a whole number from 1 to %d, found %d", maxCount, c.FailuresBeforeCritical), ""}, true
	case c.SuccessesBeforePassing < 1 || c.SuccessesBeforePassing > maxCount:
		return mistake{"successes_before_passing", fmt.Sprintf("want a whole number from 1 to %d, found %d", maxCount, c.SuccessesBeforePassing), ""}, true
	}
	if err := c.checkTarget(); err != nil {
		return mistake{key: kinds[0], what: err.Error()}, true
	}
	return mistake{}, false
}

func (c *Check) checkTarget() error {
	switch {
	case c.HTTP != "":
		return checkURL(c.HTTP)
	case c.TCP != "":
		return checkHostPort(c.TCP)
	case c.GRPC != "":
		host, _, _ := strings.Cut(c.GRPC, "/")
		return checkHostPort(host)
	case c.Script[0] == "" || slices.ContainsFunc(c.Script, func(s string) bool { return strings.ContainsRune(s, 0) }):
		return errors.New("the first element is the program, and none holds a zero byte")
	}
	return nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "":
		return fmt.Errorf("%q is no http:// address", shorten(s))
	case u.Scheme == "https":
		return errors.New("https checks are not in this version, use tcp")
	case u.Scheme != "http":
		return fmt.Errorf("%q is no http:// address", shorten(s))
	case u.Port() == "" && !strings.HasSuffix(u.Host, ":"):
		return checkHostPort(u.Host + ":80")
	}
	return checkHostPort(u.Host)
}

// checkHostPort takes an address or localhost: checks must not hang on a resolver.
func checkHostPort(s string) error {
	at := s
	if port, ok := strings.CutPrefix(s, "localhost:"); ok {
		at = localAddress + ":" + port
	}
	ap, err := netip.ParseAddrPort(at)
	if err != nil || ap.Port() == 0 {
		return fmt.Errorf("%q is no address:port, with an IP address or localhost", shorten(s))
	}
	return CheckAddress(ap.Addr().String())
}

// Addr is the address that a check connects to, false when it connects nowhere. It is meant for checks
// that were accepted.
func (c *Check) Addr() (netip.Addr, bool) {
	at := c.TCP
	if u, err := url.Parse(c.HTTP); c.HTTP != "" && err == nil {
		at = net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "80"))
	}
	if c.GRPC != "" {
		at, _, _ = strings.Cut(c.GRPC, "/")
	}
	if port, ok := strings.CutPrefix(at, "localhost:"); ok {
		at = localAddress + ":" + port
	}
	ap, err := netip.ParseAddrPort(at)
	return ap.Addr().Unmap(), err == nil
}

// MarshalJSON writes what a service file would say.
func (c Checks) MarshalJSON() ([]byte, error) {
	if c.None {
		return json.Marshal(noChecks)
	}
	return json.Marshal(c.List)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Checks) UnmarshalJSON(data []byte) error {
	*c = Checks{}
	var word string
	if err := json.Unmarshal(data, &word); err != nil {
		return json.Unmarshal(data, &c.List)
	}
	switch word {
	case noChecks:
		c.None = true
	case "": // null
	default:
		return fmt.Errorf("checks: want a list or %q, found %q", noChecks, shorten(word))
	}
	return nil
}

// IsZero reports whether nothing was said about checks.
func (c Checks) IsZero() bool { return !c.None && len(c.List) == 0 }

// checkJSON is a Check as a service file has it.
type checkJSON struct {
	HTTP      string   `json:"http,omitempty"`
	TCP       string   `json:"tcp,omitempty"`
	GRPC      string   `json:"grpc,omitempty"`
	Script    []string `json:"script,omitempty"`
	TTL       string   `json:"ttl,omitempty"`
	Interval  string   `json:"interval,omitempty"`
	Timeout   string   `json:"timeout,omitempty"`
	Failures  int      `json:"failures_before_critical,omitempty"`
	Successes int      `json:"successes_before_passing,omitempty"`
}

// MarshalJSON writes durations as people do.
func (c Check) MarshalJSON() ([]byte, error) {
	return json.Marshal(checkJSON{
		c.HTTP, c.TCP, c.GRPC, c.Script, durationText(c.TTL), durationText(c.Interval), durationText(c.Timeout),
		c.FailuresBeforeCritical, c.SuccessesBeforePassing,
	})
}

func durationText(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Check) UnmarshalJSON(data []byte) error {
	var j checkJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*c = Check{HTTP: j.HTTP, TCP: j.TCP, GRPC: j.GRPC, Script: j.Script, FailuresBeforeCritical: j.Failures, SuccessesBeforePassing: j.Successes}
	for _, f := range []struct {
		text string
		to   *time.Duration
	}{{j.TTL, &c.TTL}, {j.Interval, &c.Interval}, {j.Timeout, &c.Timeout}} {
		if f.text == "" {
			continue
		}
		d, err := time.ParseDuration(f.text)
		if err != nil {
			return err
		}
		*f.to = d
	}
	return nil
}
