package node

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/common/expfmt"

	micronet "github.com/micro/micro-net"
)

// metrics counts events. Every node has a registry of its own: many share a process in the
// simulator.
type metrics struct {
	registry *prometheus.Registry
	services *labels
	origins  *labels
	senders  *labels
	nameOf   func(micronet.NodeID) string
	dropped  *prometheus.CounterVec
	lost     *prometheus.CounterVec
	refused  *prometheus.CounterVec
	blamed   *prometheus.CounterVec
	ejected  *prometheus.CounterVec
	resolved *prometheus.CounterVec
	resolve  prometheus.Histogram
	policies *labels
	judged   *prometheus.CounterVec
	flows    *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	paths    *prometheus.CounterVec
	tunnels  *prometheus.CounterVec
	faults   *prometheus.CounterVec
}

const namespace = "micronet"

func newMetrics(version string, nameOf func(micronet.NodeID) string) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		services: &labels{most: maxServiceLabels, seen: map[string]bool{}},
		origins:  &labels{most: maxOriginLabels, seen: map[string]bool{}},
		policies: &labels{most: maxServiceLabels, seen: map[string]bool{}},
		senders:  &labels{most: maxOriginLabels, seen: map[string]bool{}},
		nameOf:   nameOf,
		lost:     counter("peer_packets_dropped_total", "Packets and messages thrown away that have to do with one peer, by peer, place and rule.", "node", "where", "why"),
		blamed:   counter("origin_records_refused_total", "Catalog records that were not accepted by their owner's fault, by owner.", "node", "reason"),
		dropped:  counter("packets_dropped_total", "Packets, messages and requests thrown away, by place and rule.", "where", "why"),
		refused:  counter("records_refused_total", "Catalog records that were not accepted.", "reason"),
		ejected:  counter("instances_ejected_total", "Instances that got no traffic for a while.", "service"),
		resolved: counter("dns_queries_total", "Answered DNS questions.", "type", "rcode"),
		judged:   counter("policy_refusals_total", "Connections that a policy refused or cut, or would have (audit), by policy.", "policy", "effect"),
		flows:    counter("flows_total", "Connections carried, by service, path and result.", "service", "path", "result"),
		bytes:    counter("flow_bytes_total", "Bytes carried, by service and direction.", "service", "direction"),
		tunnels:  counter("tunnels_total", "Tunnels opened and closed.", "change"),
		faults:   counter("background_errors_total", "Background work that failed.", "op"),
		paths:    counter("path_changes_total", "Changes of the path to a peer, by reason, and by what packets take then: direct, relay, tcp or none.", "reason", "to"),
		resolve: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "dns_seconds", Help: "Time to answer a DNS question.",
			Buckets: []float64{.00001, .0001, .001, .01, .1, 1, 10},
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "build_info", Help: "Always 1; the version is the label.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(
		m.dropped, m.lost, m.refused, m.blamed, m.ejected, m.resolved, m.judged, m.flows, m.bytes, m.tunnels, m.faults, m.paths, m.resolve, info,
		collectors.NewGoCollector(),
	)
	return m
}

// maxServiceLabels bounds the services that are counted apart; all further ones are counted together.
const maxServiceLabels = 1024

// otherLabel stands for what is not counted apart.
const otherLabel = "other"

// labels bounds the values of one label: whoever chooses names, a member or a program of this host,
// must not fill the memory of those who count.
type labels struct {
	most int // constant
	mu   sync.Mutex
	seen map[string]bool
}

func (l *labels) of(value string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.seen[value] && len(l.seen) >= l.most {
		return otherLabel
	}
	l.seen[value] = true
	return value
}

// flowLabel is the service of a flow; a name that nobody offers is whatever a program made up.
func (m *metrics) flowLabel(f *micronet.Flow) string {
	if micronet.KindOf(f.Err) == micronet.NotFound {
		return otherLabel
	}
	return m.services.of(f.Dest.Service)
}

// numbered folds names like TYPE65280 and RCODE3841: askers choose them.
func numbered(name, prefix string) string {
	if strings.HasPrefix(name, prefix) {
		return otherLabel
	}
	return name
}

// events counts what happens. Labels are constants of ours, or bounded.
func (m *metrics) events() *micronet.Events {
	return &micronet.Events{
		PacketDropped:   m.countDrop,
		RecordRefused:   m.countRefusal,
		InstanceEjected: func(e micronet.Ejection) { m.ejected.WithLabelValues(m.services.of(e.Service)).Inc() },
		PathChanged:     func(c micronet.PathChange) { m.paths.WithLabelValues(c.Reason, wayOf(c)).Inc() },
		BackgroundError: func(op string, _ error) { m.faults.WithLabelValues(op).Inc() },
		TunnelChanged: func(c micronet.TunnelChange) {
			m.tunnels.WithLabelValues(map[bool]string{true: "up", false: "down"}[c.Up]).Inc()
		},
		Resolved: func(r micronet.Resolution) {
			m.resolved.WithLabelValues(numbered(r.Type, "TYPE"), numbered(r.Rcode, "RCODE")).Inc()
			m.resolve.Observe(r.Lasted.Seconds())
		},
		PolicyApplied: func(j micronet.Judgement) {
			effect := map[bool]string{true: "audit", false: "refuse"}[j.Audited]
			m.judged.WithLabelValues(m.policies.of(cmp.Or(j.Rule, "default")), effect).Inc()
		},
		FlowEnded: func(f micronet.Flow) {
			result := "ok"
			if f.Err != nil {
				result = micronet.KindOf(f.Err).String()
			}
			service := m.flowLabel(&f)
			m.flows.WithLabelValues(service, string(f.Path), result).Inc()
			m.bytes.WithLabelValues(service, "sent").Add(float64(f.Sent))
			m.bytes.WithLabelValues(service, "received").Add(float64(f.Received))
		},
	}
}

func (m *metrics) countDrop(d micronet.PacketDrop) {
	m.dropped.WithLabelValues(d.Where, d.Why).Inc()
	if !d.Peer.IsZero() {
		m.lost.WithLabelValues(m.senders.of(m.nameOf(d.Peer)), d.Where, d.Why).Inc()
	}
}

func (m *metrics) countRefusal(r micronet.RecordRefusal) {
	reason := cmp.Or(r.Reason, otherLabel)
	m.refused.WithLabelValues(reason).Inc()
	if !r.Owner.IsZero() {
		m.blamed.WithLabelValues(m.origins.of(m.nameOf(r.Owner)), reason).Inc()
	}
}

// wayOf is what packets take after a change of path.
func wayOf(c micronet.PathChange) string {
	switch {
	case !c.To.IsValid():
		return "none"
	case c.TCP:
		return "tcp"
	case !c.Relay.IsZero():
		return string(micronet.PathRelay)
	}
	return string(micronet.PathDirect)
}

// gauge is a value that is read when somebody asks. Names that end in _total are counters.
type gauge struct {
	name, help string
	value      float64
}

func (g *gauge) kind() string {
	if strings.HasSuffix(g.name, "_total") {
		return "counter"
	}
	return "gauge"
}

// Metrics writes the text exposition of Prometheus.
func (b backend) Metrics(w io.Writer) error {
	families, err := b.l.node.metrics.registry.Gather()
	if err != nil {
		return micronet.E("metrics", micronet.Internal, "%w", err)
	}
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(w, f); err != nil {
			return err
		}
	}
	return b.gauges(w)
}

// yes is 1 for true.
func yes(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// laneCounters are those of the lanes, all 0 where there are none.
func (l *life) laneCounters() map[string]uint64 {
	if l.lanes == nil {
		return nil
	}
	return l.lanes.Counters()
}

func (b backend) gauges(w io.Writer) error {
	s, c := b.Status(), b.l.records.stats()
	_, twice := b.l.twin.where(time.Now())
	m, carried, lanes := b.l.pass.member(), b.l.under.Counters(), b.l.laneCounters()
	for _, g := range []gauge{
		{"nodes_alive", "Nodes that are alive, this one included.", float64(s.Nodes.Alive)},
		{"nodes_suspect", "Nodes that are suspect.", float64(s.Nodes.Suspect)},
		{"nodes_dead", "Nodes that are dead.", float64(s.Nodes.Dead)},
		{"revocations", "Keys that were revoked, ever.", float64(s.Nodes.Revoked)},
		{"statements", "Statements of authorities that are held.", float64(b.l.statements.held.Load().Len())},
		{"services", "Services with instances on live nodes.", float64(s.Services)},
		{"ready", "1 when the node is ready.", yes(s.Ready)},
		{"loops_stuck", "Loops of the daemon that have not come round for too long.", float64(len(b.l.loops.stuck(time.Now())))},
		{"key_twice", "1 while another daemon runs with this node's key.", yes(twice)},
		{"certificate_expiry_seconds", "When this node's certificate ends, Unix time.", float64(s.Certificate.Expires.Unix())},
		{"certificate_alarm", "0; 1 when less than a third of the certificate's term is left, 2 less than a tenth, 3 when it has ended.", float64(alarmOf(&m, b.l.env.Wall()))},
		{"expired_grace_seconds", "How long after its end the certificate of another node counts here.", b.l.pass.lateness().Seconds()},
		{"catalog_documents", "Documents held in the catalog.", float64(c.Documents)},
		{"catalog_bytes", "Bytes of all documents held.", float64(c.Bytes)},
		{"catalog_quarantined", "Nodes whose updates are ignored for a while.", float64(c.Quarantined)},
		{"catalog_pending", "Newer versions known to exist and not held.", float64(c.Pending)},
		{"flows_active", "Connections being carried.", float64(b.l.flows.Active())},
		{"tunnels_open", "Tunnels that are open.", float64(len(b.l.tun.Connections()))},
		{"trunks_open", "Connections over TCP that carry packets.", float64(carried["trunks_open"])},
		{"lanes_open", "TLS connections that carry streams of programs, or are ready to.", float64(lanes["open"])},
		{"lane_streams_total", "Streams that began on a lane.", float64(lanes["sessions"])},
		{"lane_moves_total", "Streams that left a lane which was lost, or whose path was.", float64(lanes["moved"])},
		{"lane_dials_failed_total", "Lanes that could not be dialled.", float64(lanes["failed"])},
		{"ways_grey_total", "Times that a way to a peer answered probes and carried no data.", float64(carried["ways_grey"])},
		{"relayed_packets_total", "Packets of other nodes that were forwarded.", float64(carried["relayed_packets"])},
		{"relayed_bytes_total", "Bytes of other nodes that were forwarded.", float64(carried["relayed_bytes"])},
	} {
		if _, err := fmt.Fprintf(w, "# HELP %[1]s_%[2]s %[3]s\n# TYPE %[1]s_%[2]s %[5]s\n%[1]s_%[2]s %[4]g\n", namespace, g.name, g.help, g.value, g.kind()); err != nil {
			return err
		}
	}
	return b.originGauges(w, time.Now())
}
