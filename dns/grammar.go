package dns

import (
	"strings"

	micronet "github.com/micro/micro-net"
)

// The words of the grammar. None of them can name a service or a cluster.
const (
	wordService  = "service"
	wordNode     = "node"
	wordInstance = "instance"
	wordAddr     = "addr"
	wordAny      = "any"
	labelServer  = "ns"
	labelTCP     = "_tcp"
	labelUDP     = "_udp"
)

// kind is what a name below the domain stands for.
type kind uint8

const (
	kindNone     kind = iota // nothing: the name does not exist
	kindApex                 // the domain itself
	kindEmpty                // a name that exists because names below it do
	kindCluster              // the same, if the cluster exists
	kindService              // dest
	kindSRV                  // dest, for transport only
	kindNode                 // label, cluster
	kindInstance             // label
	kindServer               // this DNS server
)

// subject is a parsed name.
type subject struct {
	kind      kind
	dest      micronet.Destination
	label     string
	cluster   string
	transport string // labelTCP or labelUDP
	bare      bool   // one label: a cluster may have the same name
}

// parse reads the labels below the domain, the leftmost first:
//
//	<service>                               _<service>._tcp
//	[<tag>.]<service>.service[.<cluster>]   _<service>._tcp.service[.<cluster>]
//	<node>.node[.<cluster>]                 <id>.instance              ns.addr
func parse(labels []string) subject {
	n := len(labels)
	if n == 0 {
		return subject{kind: kindApex}
	}
	last := labels[n-1]
	switch {
	case isWord(last):
		return parseBefore(labels[:n-1], last, "")
	case n >= 2 && isWord(labels[n-2]):
		return parseBefore(labels[:n-2], labels[n-2], last)
	case last == wordAddr:
		return parseAddr(labels[:n-1])
	case isTransport(last):
		return parseSRV(labels[:n-1], last, "")
	case n > 1:
		return subject{}
	case last == wordAny:
		return subject{kind: kindEmpty}
	}
	s := service("", last, "")
	s.bare = true
	return s
}

func isWord(s string) bool { return s == wordService || s == wordNode || s == wordInstance }

func isTransport(s string) bool { return s == labelTCP || s == labelUDP }

func parseBefore(labels []string, word, cluster string) subject {
	if cluster != "" && micronet.CheckLabel(cluster) != nil {
		return subject{}
	}
	switch {
	case len(labels) == 0:
		return between(word, cluster)
	case word == wordService:
		return parseService(labels, cluster)
	case word == wordNode && len(labels) == 1 && cluster != wordAny:
		return subject{kind: kindNode, label: labels[0], cluster: cluster}
	case word == wordInstance && len(labels) == 1 && cluster == "":
		return subject{kind: kindInstance, label: labels[0]}
	}
	return subject{}
}

// between is a bare word, perhaps in a cluster.
func between(word, cluster string) subject {
	switch {
	case cluster == "", cluster == wordAny && word == wordService:
		return subject{kind: kindEmpty}
	case cluster == wordAny, word == wordInstance:
		return subject{}
	}
	return subject{kind: kindCluster, cluster: cluster}
}

func parseService(labels []string, cluster string) subject {
	n := len(labels)
	if isTransport(labels[n-1]) {
		return parseSRV(labels[:n-1], labels[n-1], cluster)
	}
	switch n {
	case 1:
		return service("", labels[0], cluster)
	case 2:
		return service(labels[0], labels[1], cluster)
	}
	return subject{}
}

// parseSRV reads what stands before _tcp or _udp (RFC 2782).
func parseSRV(labels []string, transport, cluster string) subject {
	switch len(labels) {
	case 0:
		if cluster != "" && cluster != wordAny {
			return subject{kind: kindCluster, cluster: cluster}
		}
		return subject{kind: kindEmpty}
	case 1:
		name, ok := strings.CutPrefix(labels[0], "_")
		if !ok {
			return subject{}
		}
		s := service("", name, cluster)
		if s.kind == kindService {
			s.kind, s.transport = kindSRV, transport
		}
		return s
	}
	return subject{}
}

func parseAddr(labels []string) subject {
	switch {
	case len(labels) == 0:
		return subject{kind: kindEmpty}
	case len(labels) == 1 && labels[0] == labelServer:
		return subject{kind: kindServer}
	}
	return subject{}
}

// service refuses names that cannot have a VIP name.
func service(tag, name, cluster string) subject {
	if micronet.CheckName(name) != nil {
		return subject{}
	}
	if cluster == wordAny {
		cluster = ""
	}
	return subject{kind: kindService, dest: micronet.Destination{Service: name, Tag: tag, Cluster: cluster}}
}
