package wire

import (
	"net/netip"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

// Names that mean something else to resolvers are never offered, however they are spelled. Others of Consul's
// form are kept, and have no name in DNS.
func TestH13_NamesOfOtherZones(t *testing.T) {
	for _, name := range []string{"localhost", "LOCALHOST", "wpad", "Wpad", "isatap", "service", "node", "any", "query", "virtual", "instance", "addr"} {
		if d, err := decodeInstance(t, raw(t, instanceMap(map[string]any{"s": name}))); err == nil {
			t.Errorf("%q is taken: %+v", name, d.Instances)
		}
	}
	for _, name := range []string{"_dmarc", "example.com", "web.service.consul", "*", "..", "x y", "\u0440ayments", strings.Repeat("x", 64)} {
		d, err := decodeInstance(t, raw(t, instanceMap(map[string]any{"s": name})))
		if err == nil && micronet.CheckName(d.Instances[0].Service) == nil {
			t.Errorf("%q has a name in DNS", name)
		}
	}
}

// Addresses that mean something else at every host, or a cloud's metadata service, never come from the wire.
func TestQ20_AddressesThatAreNeverTaken(t *testing.T) {
	for _, text := range []string{
		"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "169.254.0.1", "fe80::1", "224.0.0.1", "239.1.2.3", "ff02::1", "255.255.255.255", "0.0.0.0", "::",
		"::ffff:169.254.169.254", "::ffff:10.0.0.1", "fe80::1%eth0", "10.0.0.01", "web.example.com", "",
	} {
		if _, err := decodeInstance(t, raw(t, instanceMap(map[string]any{"a": text}))); err == nil {
			t.Errorf("an instance at %q is taken", text)
		}
		endpoint := text + ":8085"
		if strings.Contains(text, ":") {
			endpoint = "[" + text + "]:8085"
		}
		if _, err := parseEndpoint(endpoint); err == nil {
			t.Errorf("the endpoint %q is taken", endpoint)
		}
	}
	if _, err := parseEndpoint("[" + micronet.NodeID{7}.Addr().Addr().String() + "]:8085"); err == nil {
		t.Error("an address that stands for an identity is taken")
	}
	if e, err := parseEndpoint("192.0.2.1:8085"); err != nil || e != netip.MustParseAddrPort("192.0.2.1:8085") {
		t.Errorf("a plain endpoint: %v, %v", e, err)
	}
}
