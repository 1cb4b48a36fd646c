package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
)

// Service is one entry of a service file: an instance to be, with its checks.
type Service struct {
	Name          string            `json:"name"`
	ID            string            `json:"id,omitempty"`
	Port          int               `json:"port"`
	ServicePort   int               `json:"service_port,omitempty"`
	Address       string            `json:"address,omitempty"`
	Protocol      string            `json:"protocol,omitempty"`
	Tags          []string          `json:"tags,omitempty"`
	Meta          map[string]string `json:"meta,omitempty"`
	Weight        int               `json:"weight,omitempty"`
	Checks        Checks            `json:"checks,omitzero"`
	ProxyProtocol string            `json:"proxy_protocol,omitempty"`

	// Whose connections are the service's own, for policies about it: those of a process and of all
	// that it started, and those of a control group. Nothing of it is announced.
	PID    int    `json:"pid,omitempty"`
	Cgroup string `json:"cgroup,omitempty"` // as /proc/PID/cgroup has it
	// PIDStart and PIDBoot tell the process from a later one with its number. No file has them.
	PIDStart uint64 `json:"pid_start,omitempty"`
	PIDBoot  string `json:"pid_boot,omitempty"`
}

// Checks are the health checks of an instance. The zero value means the default: a TCP connect
// every 5 s for everything that listens on TCP. None switches checking off.
type Checks struct {
	None bool
	List []Check
}

// Check is one health check: exactly one of HTTP, TCP, GRPC, Script and TTL is set.
type Check struct {
	HTTP                   string // http://address[:port]/path
	TCP                    string // address:port
	GRPC                   string // address:port[/service], of grpc.health.v1
	Script                 []string
	TTL                    time.Duration
	Interval               time.Duration
	Timeout                time.Duration
	FailuresBeforeCritical int
	SuccessesBeforePassing int
}

// The defaults of a check.
const (
	DefaultInterval  = 5 * time.Second
	DefaultTimeout   = time.Second
	DefaultFailures  = 2
	DefaultSuccesses = 1
)

// Instance turns a checked service into the instance that is announced, in the given health.
func (s *Service) Instance(health micronet.Health) (micronet.Instance, error) {
	addr, err := netip.ParseAddr(s.Address)
	if err != nil {
		return micronet.Instance{}, fmt.Errorf("address %q of service %q: %w", s.Address, s.Name, err)
	}
	tags := slices.Clone(s.Tags)
	slices.Sort(tags)
	return micronet.Instance{
		Service: s.Name, ID: s.ID, Address: addr.Unmap(), Port: uint16(s.Port), ServicePort: uint16(s.ServicePort),
		Protocol: micronet.Protocol(s.Protocol), Tags: slices.Compact(tags), Meta: s.Meta, Weight: s.Weight, Health: health,
	}, nil
}

// MarshalJSON writes what ParseServices reads. A name that only Consul's form may have is spelled
// as Consul's API does it: "Name".
func (s Service) MarshalJSON() ([]byte, error) {
	type fields Service
	if checkServiceName(s.Name, false) == nil {
		return json.Marshal(fields(s))
	}
	return json.Marshal(struct {
		Foreign string    `json:"Name"`
		Plain   *struct{} `json:"name,omitempty"` // hides that of fields
		fields
	}{Foreign: s.Name, fields: fields(s)})
}
