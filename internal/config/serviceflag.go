package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ParseServiceFlag reads NAME:PORT[/PROTO].
func ParseServiceFlag(text string) (Service, error) {
	name, rest, ok := strings.Cut(text, ":")
	port, protocol, given := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(port, 10, 31)
	if !ok || name == "" || err != nil || (given && protocol == "") {
		return Service{}, fmt.Errorf("%q is not NAME:PORT[/PROTO]", shorten(text))
	}
	if !isPort(int(n)) {
		return Service{}, fmt.Errorf("%d is no port, a port is 1 to %d", n, maxPort)
	}
	return Complete(Service{Name: name, Port: int(n), Protocol: protocol})
}

// Complete fills the defaults of a service that was not read from a file, and checks it.
func Complete(s Service) (Service, error) {
	s.setDefaults()
	all := s.mistakes(false)
	if s.ID == "" {
		s.ID = s.Name
	}
	checks := make([]Check, len(s.Checks.List))
	for i, c := range s.Checks.List {
		c.setDefaults()
		checks[i] = c
		if m, ok := c.mistake(); ok {
			m.key = strings.TrimSuffix(fmt.Sprintf("checks[%d].%s", i, m.key), ".")
			all = append(all, m)
		}
	}
	if len(checks) > 0 {
		s.Checks.List = checks
	}
	errs := make([]error, 0, len(all))
	for _, m := range all {
		errs = append(errs, &Fault{File: "service " + strconv.Quote(shorten(s.Name)), Key: m.key, What: clip(m.what, maxWhat), Fix: m.fix})
	}
	return s, errors.Join(errs...)
}

func (c *Check) setDefaults() {
	defaults := newCheck()
	if c.Interval == 0 {
		c.Interval = defaults.Interval
	}
	if c.Timeout == 0 {
		c.Timeout = defaults.Timeout
	}
	if c.FailuresBeforeCritical == 0 {
		c.FailuresBeforeCritical = defaults.FailuresBeforeCritical
	}
	if c.SuccessesBeforePassing == 0 {
		c.SuccessesBeforePassing = defaults.SuccessesBeforePassing
	}
}
