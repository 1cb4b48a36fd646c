package config

import (
	"strings"
	"time"

	micronet "github.com/micro/micro-net"
)

// isConsul recognises Consul's agent form by its spelling: Name, Port, Tags…
func isConsul(v *value) bool {
	for _, p := range v.pairs {
		if p.name != "" && p.name[0] >= 'A' && p.name[0] <= 'Z' {
			return true
		}
	}
	return false
}

// consulKey folds the spellings that Consul accepts: EnableTagOverride, enable_tag_override.
func consulKey(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// consul reads a service in Consul's JSON form. Keys that mean nothing here (connect, token,
// tagged_addresses…) are passed over, as Consul's own files must be accepted as they are.
func (p *serviceParser) consul(v *value) Service {
	s := Service{Address: localAddress, Protocol: string(micronet.TCP), Weight: micronet.DefaultWeight}
	set := map[string]func(*value) error{
		"name":    func(v *value) error { return into(&s.Name, v.text) },
		"service": func(v *value) error { return into(&s.Name, v.text) },
		"id":      func(v *value) error { return into(&s.ID, v.text) },
		"port":    func(v *value) error { return into(&s.Port, v.number) },
		"tags":    func(v *value) error { return into(&s.Tags, v.texts) },
		"meta":    func(v *value) error { return into(&s.Meta, v.textMap) },
		"check":   func(v *value) error { return p.consulCheck(v, &s) },
		"address": func(v *value) error {
			t, err := v.text()
			if err == nil && t != "" {
				s.Address = t
			}
			return err
		},
		"weights": func(v *value) error {
			if n := consulGet(v, "passing"); n != nil {
				return into(&s.Weight, n.number)
			}
			return nil
		},
		"checks": func(v *value) error {
			for _, item := range v.items {
				if err := p.consulCheck(item, &s); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for _, pr := range v.pairs {
		if f, ok := set[consulKey(pr.name)]; ok && pr.value.kind != null {
			if err := f(pr.value); err != nil {
				p.fail(err)
			}
		}
	}
	p.complete(&s, v, true)
	return s
}

func consulGet(v *value, key string) *value {
	for _, p := range v.pairs {
		if consulKey(p.name) == key && p.value.kind != null {
			return p.value
		}
	}
	return nil
}

func (p *serviceParser) consulCheck(v *value, s *Service) error {
	if v.kind != mapping {
		return v.wrong("a check")
	}
	c := Check{
		Interval: DefaultInterval, Timeout: DefaultTimeout,
		FailuresBeforeCritical: 1, SuccessesBeforePassing: DefaultSuccesses,
	}
	for key, set := range map[string]func(*value) error{
		"http":       func(v *value) error { return into(&c.HTTP, v.text) },
		"tcp":        func(v *value) error { return into(&c.TCP, v.text) },
		"grpc":       func(v *value) error { return into(&c.GRPC, v.text) },
		"args":       func(v *value) error { return into(&c.Script, v.texts) },
		"scriptargs": func(v *value) error { return into(&c.Script, v.texts) },
		"ttl":        func(v *value) error { return into(&c.TTL, v.duration) },
		"interval":   func(v *value) error { return into(&c.Interval, v.duration) },
		"timeout":    func(v *value) error { return into(&c.Timeout, v.duration) },
	} {
		if f := consulGet(v, key); f != nil {
			if err := set(f); err != nil {
				return err
			}
		}
	}
	c.Interval = max(c.Interval, time.Second)
	if err := c.validate(); err != nil {
		return v.fault("", "%s", err)
	}
	s.Checks.List = append(s.Checks.List, c)
	return nil
}
