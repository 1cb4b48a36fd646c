package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

const noChecks = "none"

// checks reads `none` or a list of checks.
func (p *serviceParser) checks(v *value, out *Checks) error {
	if s, ok := v.scalar.(string); ok && s == noChecks {
		out.None = true
		return nil
	}
	if v.kind != sequence {
		return v.wrong("a list of checks, or none")
	}
	if len(v.items) > maxChecks {
		return v.fault("", "%d checks, at most %d are run", len(v.items), maxChecks)
	}
	for _, item := range v.items {
		if item.kind != mapping {
			return item.wrong("a check")
		}
		out.List = append(out.List, p.check(item))
	}
	return nil
}

func (p *serviceParser) check(v *value) Check {
	c := Check{
		Interval: DefaultInterval, Timeout: DefaultTimeout,
		FailuresBeforeCritical: DefaultFailures, SuccessesBeforePassing: DefaultSuccesses,
	}
	p.fill(v, map[string]func(*value) error{
		"http":                     func(v *value) error { return into(&c.HTTP, v.text) },
		"tcp":                      func(v *value) error { return into(&c.TCP, v.text) },
		"grpc":                     func(v *value) error { return into(&c.GRPC, v.text) },
		"script":                   func(v *value) error { return into(&c.Script, v.texts) },
		"ttl":                      func(v *value) error { return into(&c.TTL, v.duration) },
		"interval":                 func(v *value) error { return into(&c.Interval, v.duration) },
		"timeout":                  func(v *value) error { return into(&c.Timeout, v.duration) },
		"failures_before_critical": func(v *value) error { return into(&c.FailuresBeforeCritical, v.number) },
		"successes_before_passing": func(v *value) error { return into(&c.SuccessesBeforePassing, v.number) },
	})
	if err := c.validate(); err != nil {
		p.fail(v.fault("", "%s", err))
	}
	return c
}

func (c *Check) validate() error {
	kinds := 0
	for _, set := range []bool{c.HTTP != "", c.TCP != "", c.GRPC != "", len(c.Script) > 0, c.TTL > 0} {
		if set {
			kinds++
		}
	}
	switch {
	case kinds != 1:
		return fmt.Errorf("a check has exactly one of http, tcp, grpc, script and ttl, this one has %d", kinds)
	case c.TTL > 0:
		return fmt.Errorf("ttl checks are not in this version yet: use http, tcp, grpc or script")
	case c.Interval < minInterval:
		return fmt.Errorf("interval %s is shorter than %s", c.Interval, minInterval)
	case c.FailuresBeforeCritical < 1 || c.SuccessesBeforePassing < 1:
		return fmt.Errorf("failures_before_critical and successes_before_passing are at least 1")
	}
	return c.validateTarget()
}

func (c *Check) validateTarget() error {
	if c.HTTP != "" {
		u, err := url.Parse(c.HTTP)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return fmt.Errorf("%q is no http:// address", c.HTTP)
		}
		return checkHostPort(u.Host, u.Port() == "")
	}
	if c.TCP != "" {
		return checkHostPort(c.TCP, false)
	}
	if c.GRPC != "" {
		host, _, _ := strings.Cut(c.GRPC, "/")
		return checkHostPort(host, false)
	}
	return nil
}

// checkHostPort takes an address or localhost: checks must not hang on a resolver.
func checkHostPort(s string, portOptional bool) error {
	s = strings.Replace(s, "localhost", localAddress, 1)
	if portOptional {
		s += ":80"
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return fmt.Errorf("%q is no address:port (an IP address or localhost)", s)
	}
	return CheckAddress(ap.Addr().String())
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
	var word string
	if json.Unmarshal(data, &word) == nil {
		if word != noChecks {
			return fmt.Errorf("checks: want a list or %q, found %q", noChecks, word)
		}
		*c = Checks{None: true}
		return nil
	}
	c.None = false
	return json.Unmarshal(data, &c.List)
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
