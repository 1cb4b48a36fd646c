package config

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	micronet "github.com/micro/micro-net"
)

// The bounds of a service are those of the record it becomes.
const (
	maxPort      = 65535
	maxWeight    = 65535
	maxPID       = 1 << 22 // Linux has no higher one
	maxCgroup    = 1024
	maxName      = 255
	maxTags      = 32
	maxTag       = 2048
	maxMeta      = 32
	maxMetaText  = 512
	localAddress = "127.0.0.1"
)

// mistake is something wrong with a service or a check, and the key it is about.
type mistake struct{ key, what, fix string }

// setDefaults fills what was not said, and writes the address in its usual form.
func (s *Service) setDefaults() {
	if s.Address == "" {
		s.Address = localAddress
	}
	if a, err := netip.ParseAddr(s.Address); err == nil {
		s.Address = a.Unmap().String()
	}
	if s.Protocol == "" {
		s.Protocol = string(micronet.TCP)
	}
	if s.Weight == 0 {
		s.Weight = micronet.DefaultWeight
	}
	if s.ServicePort == 0 {
		s.ServicePort = s.Port
	}
	if s.Checks.IsZero() {
		s.Checks = defaultChecks(s)
	}
}

// mistakes lists what is wrong with a service whose defaults are filled. Foreign names are those
// of Consul's form.
func (s *Service) mistakes(foreign bool) []mistake {
	var out []mistake
	add := func(key, fix, format string, args ...any) {
		out = append(out, mistake{key: key, what: fmt.Sprintf(format, args...), fix: fix})
	}
	if s.Name == "" {
		add("name", "give the service a name", "is missing")
	} else if err := checkServiceName(s.Name, foreign); err != nil {
		add("name", "", "%s", err)
	}
	if s.ID != "" && !printable(s.ID, maxName) {
		add("id", "", "%q is no id: want 1 to %d printable characters", shorten(s.ID), maxName)
	}
	if s.Port == 0 {
		add("port", "name the port the program listens on", "is missing")
	} else if !isPort(s.Port) {
		add("port", "", "want a whole number from 1 to %d, found %d", maxPort, s.Port)
	} else if !isPort(s.ServicePort) {
		add("service_port", "", "want a whole number from 1 to %d, found %d", maxPort, s.ServicePort)
	}
	if err := CheckAddress(s.Address); err != nil {
		fix := ""
		if s.Address == "localhost" {
			fix = "write 127.0.0.1"
		}
		add("address", fix, "%s", err)
	}
	if !micronet.Protocol(s.Protocol).Valid() {
		add("protocol", suggest(s.Protocol, []string{"tcp", "udp", "http", "http2", "grpc"}), "%q is no protocol", shorten(s.Protocol))
	}
	if s.Weight < 1 || s.Weight > maxWeight {
		add("weight", "", "want a whole number from 1 to %d, found %d", maxWeight, s.Weight)
	}
	if s.ProxyProtocol != "" {
		add("proxy_protocol", "remove the key", "this version does not send the PROXY protocol")
	}
	return append(append(out, s.processMistakes()...), s.listMistakes()...)
}

func (s *Service) processMistakes() (out []mistake) {
	if s.PID < 0 || s.PID > maxPID {
		out = append(out, mistake{key: "pid", what: fmt.Sprintf("want a whole number from 1 to %d, found %d", maxPID, s.PID)})
	}
	if c := s.Cgroup; c != "" && (c == "/" || !strings.HasPrefix(c, "/") || path.Clean(c) != c || !printable(c, maxCgroup)) {
		out = append(out, mistake{
			key: "cgroup", what: fmt.Sprintf("%q is no control group", shorten(c)),
			fix: "write it as /proc/PID/cgroup has it, like /system.slice/web.service",
		})
	}
	return out
}

func isPort(n int) bool { return n >= 1 && n <= maxPort }

func (s *Service) listMistakes() (out []mistake) {
	if len(s.Tags) > maxTags {
		out = append(out, mistake{key: "tags", what: fmt.Sprintf("%d tags, at most %d are taken", len(s.Tags), maxTags)})
	}
	for _, t := range s.Tags {
		if !printable(t, maxTag) {
			out = append(out, mistake{key: "tags", what: fmt.Sprintf("%q is no tag: want 1 to %d printable characters", shorten(t), maxTag)})
		}
	}
	if len(s.Meta) > maxMeta {
		out = append(out, mistake{key: "meta", what: fmt.Sprintf("%d pairs, at most %d are taken", len(s.Meta), maxMeta)})
	}
	for _, k := range keys(s.Meta) {
		if !printable(k, maxMetaText) {
			out = append(out, mistake{key: "meta", what: fmt.Sprintf("%q is no key: want 1 to %d printable characters", shorten(k), maxMetaText)})
		}
		if m := s.Meta[k]; len(m) > maxMetaText || !utf8.ValidString(m) || strings.ContainsFunc(m, isControl) {
			out = append(out, mistake{key: "meta", what: fmt.Sprintf("the value of %q is no text of at most %d characters", shorten(k), maxMetaText)})
		}
	}
	return out
}

// isControl reports what could drive a terminal. Tabs and line ends are text.
func isControl(r rune) bool { return r != '\t' && r != '\n' && r != '\r' && unicode.IsControl(r) }

// checkServiceName takes DNS labels. Foreign names may be anything printable, but not one of the
// reserved words.
func checkServiceName(name string, foreign bool) error {
	if !foreign {
		return micronet.CheckName(name)
	}
	if lower := strings.ToLower(name); micronet.CheckLabel(lower) == nil {
		return micronet.CheckName(lower)
	}
	if !printable(name, maxName) {
		return fmt.Errorf("%q is no name: want 1 to %d printable characters", shorten(name), maxName)
	}
	return nil
}

func printable(s string, limit int) bool {
	return s != "" && len(s) <= limit && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// CheckAddress reports why an instance cannot listen there: link-local addresses (metadata
// services of clouds among them), multicast, broadcast and unspecified ones are never accepted.
func CheckAddress(s string) error {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return fmt.Errorf("%q is no IP address", shorten(s))
	}
	switch a := a.Unmap(); {
	case a.IsLinkLocalUnicast():
		return fmt.Errorf("%s is a link-local address, it cannot be that of an instance", a)
	case micronet.IsMetadataAddr(a):
		return fmt.Errorf("%s is the metadata service of a cloud, it cannot be that of an instance", a)
	case a.IsMulticast() || isBroadcast(a):
		return fmt.Errorf("%s is the address of many, it cannot be that of an instance", a)
	case isUnspecified(a):
		return fmt.Errorf("%s is no address that can be connected to", a)
	case a.Zone() != "":
		return fmt.Errorf("%s has a zone, it cannot be the address of an instance", a)
	case micronet.IsIdentityAddr(a):
		return fmt.Errorf("%s is an address that micro-net uses inside", a)
	}
	return nil
}

func isBroadcast(a netip.Addr) bool { return a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) }

// isUnspecified takes all of 0.0.0.0/8: Linux connects 0.0.0.0 to this host (RFC 1122 section 3.2.1.3).
func isUnspecified(a netip.Addr) bool {
	return a.IsUnspecified() || (a.Is4() && a.As4()[0] == 0)
}

// ids returns the ids of services that stand twice.
func duplicateIDs(services []Service) (out []string) {
	seen := map[string]bool{}
	for i := range services {
		if id := services[i].ID; seen[id] && !slices.Contains(out, id) {
			out = append(out, id)
		}
		seen[services[i].ID] = true
	}
	return out
}
