package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/micro/micro-net"
)

// formatVersion is raised when a field of the JSON changes its meaning or goes away.
const formatVersion = 1

type jsonRun struct {
	Version      int               `json:"version"`
	Scenario     string            `json:"scenario"`
	About        string            `json:"about"`
	Seed         string            `json:"seed"`
	Fidelity     string            `json:"fidelity"`
	Command      string            `json:"command"`
	Nodes        int               `json:"nodes"`
	Virtual      float64           `json:"virtual_s"`
	Wall         float64           `json:"wall_s"`
	Events       uint64            `json:"events"`
	Hash         string            `json:"hash"` // hexadecimal
	Passed       bool              `json:"passed"`
	Failures     []jsonFailure     `json:"failures"`
	Expectations []jsonExpectation `json:"expectations"`
	Times        Times             `json:"times"`
	Faults       []jsonSpan        `json:"faults"`
	Samples      []jsonSample      `json:"samples"`
	Traffic      []jsonTraffic     `json:"traffic"`
	Topology     jsonTopology      `json:"topology"`
	PerNode      []jsonNodeStat    `json:"per_node"`
	Log          []jsonEvent       `json:"log"`
	States       []jsonNodeState   `json:"states"`
}

type jsonFailure struct {
	At        float64 `json:"at_s"`
	Node      string  `json:"node"`
	Invariant string  `json:"invariant"`
	Text      string  `json:"text"`
}

type jsonExpectation struct {
	Text     string `json:"text"`
	Held     bool   `json:"held"`
	Measured string `json:"measured"`
}

type jsonTimes struct {
	Heal        []float64 `json:"heal_s"`
	Gone        []float64 `json:"gone_s"`
	Known       []float64 `json:"known_s"`
	Revoked     []float64 `json:"revoked_s"`
	RevokedLate []float64 `json:"revoked_late_s"`
	Severed     []float64 `json:"severed_s"`
	Paused      []float64 `json:"paused_s"`
}

type jsonSpan struct {
	From  float64  `json:"from_s"`
	To    *float64 `json:"to_s"` // null: until the end
	Kind  string   `json:"kind"`
	Label string   `json:"label"`
}

type jsonSample struct {
	At          float64  `json:"at_s"`
	Members     *float64 `json:"members_share"`
	Catalog     *float64 `json:"catalog_share"`
	Alive       *float64 `json:"alive"`
	Suspect     *float64 `json:"suspect"`
	Dead        *float64 `json:"dead"`
	GossipBytes *float64 `json:"gossip_bytes_per_s"`
	Goroutines  int      `json:"goroutines"`
	Heap        uint64   `json:"heap_bytes"`
}

type jsonTraffic struct {
	Service string       `json:"service"`
	Buckets []jsonBucket `json:"buckets"`
}

type jsonBucket struct {
	At     float64 `json:"at_s"`
	OK     int     `json:"ok"`
	Failed int     `json:"failed"`
	P50    float64 `json:"p50_ms"`
	P99    float64 `json:"p99_ms"`
}

type jsonTopology struct {
	Nodes []jsonTopologyNode `json:"nodes"`
	Edges []jsonEdge         `json:"edges"`
}

type jsonTopologyNode struct {
	Name  string `json:"name"`
	Group string `json:"group"`
}

type jsonEdge struct {
	A     string  `json:"a"`
	B     string  `json:"b"`
	RTT   float64 `json:"rtt_ms"`
	State string  `json:"state"`
}

type jsonNodeStat struct {
	Name        string   `json:"name"`
	GossipBytes *float64 `json:"gossip_bytes_per_s"`
	Sent        uint64   `json:"sent_packets"`
	Received    uint64   `json:"received_packets"`
	Dropped     uint64   `json:"dropped_packets"`
	Memory      uint64   `json:"memory_bytes"`
	Members     int      `json:"members"`
	Records     int      `json:"records"`
}

type jsonEvent struct {
	At     float64 `json:"at_s"`
	Node   string  `json:"node"`
	Kind   string  `json:"kind"`
	Peer   string  `json:"peer"`
	Detail string  `json:"detail"`
}

type jsonNodeState struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// MarshalJSON writes the lists in seconds, none of them null.
func (t Times) MarshalJSON() ([]byte, error) {
	seconds := func(list []time.Duration) []float64 { return each(list, time.Duration.Seconds) }
	return json.Marshal(jsonTimes{
		seconds(t.Heal), seconds(t.Gone), seconds(t.Known), seconds(t.Revoked), seconds(t.RevokedLate), seconds(t.Severed), seconds(t.Paused),
	})
}

// JSON writes the whole run for programs. Names are in snake_case and end in their unit (_s seconds,
// _ms milliseconds, _bytes); what was not measured is null; lists are never null. The seed is a
// string, because many readers keep numbers of at most 53 bits. The size grows with the run.
func JSON(w io.Writer, r *Run) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", " ")
	if err := enc.Encode(toJSON(r)); err != nil {
		return micronet.E("report.json", micronet.Internal, "encode: %w", err)
	}
	return flush(w, "report.json", &b)
}

func toJSON(r *Run) *jsonRun {
	j := &jsonRun{
		Version: formatVersion, Scenario: r.Scenario, About: r.About, Seed: strconv.FormatUint(r.Seed, 10),
		Fidelity: r.Fidelity, Command: r.Command, Nodes: r.Nodes, Virtual: r.Virtual.Seconds(),
		Wall: r.Wall.Seconds(), Events: r.Events, Hash: fmt.Sprintf("%016x", r.Hash), Passed: r.Passed,
	}
	j.Failures = each(r.Failures, func(f Failure) jsonFailure {
		return jsonFailure{f.At.Seconds(), f.Node, f.Invariant, f.Text}
	})
	j.Expectations = each(r.Expectations, func(e Expectation) jsonExpectation { return jsonExpectation(e) })
	j.Times = r.Times
	j.Faults = each(r.Faults, spanJSON)
	j.Samples = each(r.Samples, sampleJSON)
	j.Traffic = each(r.Traffic, func(t Traffic) jsonTraffic { return jsonTraffic{t.Service, each(t.Buckets, bucketJSON)} })
	j.Topology.Nodes = each(r.Topology.Nodes, func(n TopologyNode) jsonTopologyNode { return jsonTopologyNode(n) })
	j.Topology.Edges = each(r.Topology.Edges, func(e Edge) jsonEdge { return jsonEdge{e.A, e.B, ms(e.RTT), e.State} })
	j.PerNode = each(r.PerNode, nodeJSON)
	j.Log = each(r.Log, func(e Event) jsonEvent { return jsonEvent{e.At.Seconds(), e.Node, e.Kind, e.Peer, e.Detail} })
	j.States = each(r.States, func(s NodeState) jsonNodeState { return jsonNodeState(s) })
	return j
}

func spanJSON(s Span) jsonSpan {
	j := jsonSpan{From: s.From.Seconds(), Kind: s.Kind, Label: s.Label}
	if s.To != 0 {
		to := s.To.Seconds()
		j.To = &to
	}
	return j
}

func sampleJSON(s Sample) jsonSample {
	return jsonSample{
		s.At.Seconds(), measured(s.Members), measured(s.Catalog), measured(s.Alive), measured(s.Suspect),
		measured(s.Dead), measured(s.GossipBytes), s.Goroutines, s.Heap,
	}
}

func bucketJSON(b Bucket) jsonBucket {
	return jsonBucket{b.At.Seconds(), b.OK, b.Failed, ms(b.P50), ms(b.P99)}
}

func nodeJSON(n NodeStat) jsonNodeStat {
	return jsonNodeStat{n.Name, measured(n.GossipBytes), n.Sent, n.Received, n.Dropped, n.Memory, n.Members, n.Records}
}

// measured is null for what JSON has no word for.
func measured(f float64) *float64 {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return &f
}

// each maps a list; the result is never nil, so that it is [] in JSON.
func each[T, U any](in []T, f func(T) U) []U {
	out := make([]U, 0, len(in))
	for _, v := range in {
		out = append(out, f(v))
	}
	return out
}
