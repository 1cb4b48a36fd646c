package config

import (
	"net/netip"
	"strings"
	"time"
)

// Kind is the form of a setting.
type Kind int

// The kinds of a setting.
const (
	KindText Kind = iota
	KindBool
	KindList // may be given several times; in the environment separated by commas
)

// Spec describes one setting of the daemon. Its flag is --key, its variable MICRO_NET_KEY, its
// key in config.yaml the same with underscores.
type Spec struct {
	Key     string
	Kind    Kind
	Default string
	Value   string // what stands for the value in help
	Help    string
}

// Specs lists all settings of `micro-net up` in the order of its help.
func Specs() []Spec {
	return []Spec{
		{"join", KindText, "", "TOKEN", "join a cluster: a token, @FILE, or - for stdin; ignored when the data folder belongs to that cluster already"},
		{"name", KindText, "", "NAME", "name of this node (default: the host name)"},
		{"cluster", KindText, "main", "NAME", "name of the cluster that is founded when there is nothing to join"},
		{"listen", KindText, "[::]:8085", "ADDR", "UDP address of the mesh; [::] takes IPv4 as well"},
		{"tcp-addr", KindText, "auto", "ADDR|auto|off", "TCP address of the mesh, for hosts whose UDP is blocked; auto: that of --listen, if it is free"},
		{"advertise", KindList, "", "ADDR[:PORT]", "address at which others can reach this node; may be repeated"},
		{"port-map", KindText, "auto", "auto|off", "ask the router for a port that leads to --listen, by PCP, NAT-PMP or UPnP; auto: where this host has a private address"},
		{"lane", KindText, "auto", "auto|off", "carry connections to services over TLS on TCP; auto: to nodes within 3 ms of direct path"},
		{"data-dir", KindText, "", "DIR", "where identity and state are kept"},
		{"config-dir", KindText, "", "DIR", "where config.yaml and services.d are"},
		{"api-addr", KindText, "127.0.0.1:8500", "ADDR|off", "HTTP API and metrics"},
		{"api-socket", KindText, "", "PATH", "unix socket of the API"},
		{"api-write", KindText, "services", "services|none", "what the API may change over TCP"},
		{"dns-addr", KindText, "127.0.0.1:8600", "ADDR|off", "DNS server, UDP and TCP"},
		{"proxy-addr", KindText, "127.0.0.1:8081", "ADDR|off", "SOCKS5, HTTP CONNECT and HTTP proxy for mesh names"},
		{"proxy-pass", KindBool, "false", "", "let the proxy forward names outside the mesh"},
		{"vip-cidr", KindText, "127.80.0.0/12", "CIDR", "addresses that stand for services on this host"},
		{"capture", KindText, "auto", "auto|on|off", "redirect the VIP range with nftables instead of binding ports"},
		{"domain", KindText, "micro.internal", "DOMAIN", "domain of the mesh"},
		{"alt-domain", KindText, "", "DOMAIN", "a second domain with the same names, for instance consul"},
		{"upstream", KindList, "", "ADDR[:PORT]", "resolver for other domains (default: the host's); may be repeated"},
		{"allow-from", KindList, "", "CIDR", "who may use local listeners that are not on loopback; may be repeated"},
		{"service", KindList, "", "NAME:PORT[/PROTO]", "register a service while the daemon runs; may be repeated"},
		{"expired-grace", KindText, "720h", "DURATION", "how long expired certificates of members count when no authority has answered for a week; 0: not at all"},
		{"gateway", KindBool, "false", "", "carry traffic between linked clusters (not in this version)"},
		{"relay", KindText, "auto", "auto|on|off", "forward packets of pairs of nodes that cannot reach each other; auto: if this host is behind no NAT"},
		{"overlay", KindBool, "false", "", "add a network device with an address for every node (not in this version)"},
		{"dev", KindBool, "false", "", "keep nothing on disk"},
		{"log-level", KindText, "info", "LEVEL", "debug, info, warn or error"},
		{"log-format", KindText, "text", "text|json", "form of the log"},
	}
}

const envPrefix = "MICRO_NET_"

// variable is the environment variable of a setting.
func (s *Spec) variable() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Key, "-", "_"))
}

// fileKey is the key of a setting in config.yaml.
func (s *Spec) fileKey() string { return strings.ReplaceAll(s.Key, "-", "_") }

// Settings are the daemon's settings, checked. An invalid address means switched off.
type Settings struct {
	Join, Name, Cluster           string
	DataDir, ConfigDir, APISocket string
	APIWrite, Capture, Relay      string
	PortMap, Lane                 string
	Domain, AltDomain             string
	LogLevel, LogFormat           string
	Listen                        netip.AddrPort
	APIAddr, DNSAddr, ProxyAddr   netip.AddrPort
	VIPs                          netip.Prefix
	Advertise, Upstreams          []netip.AddrPort
	AllowFrom                     []netip.Prefix
	Services                      []Service      // of --service
	TCP                           netip.AddrPort // invalid: that of Listen
	ProxyPass, Dev, NoTCP         bool
	ExpiredGrace                  time.Duration
}
