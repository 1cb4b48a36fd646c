package node

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	micronet "github.com/micro/micro-net"
)

func TestMetricsExposition(t *testing.T) {
	inBubble(t, 70, func(t *testing.T, b *bubble) {
		all := b.mesh("a", "b")
		b.serve(all[1], "echo", "b")
		b.await(5*time.Second, "a calls echo", b.answers(all[0], "echo", "b"))
		time.Sleep(time.Second)
		var text bytes.Buffer
		if err := all[0].backend().Metrics(&text); err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(&text)
		if err != nil {
			t.Fatalf("the exposition cannot be read: %v", err)
		}
		for name, want := range map[string]float64{
			"micronet_nodes_alive": 2, "micronet_nodes_suspect": 0, "micronet_nodes_dead": 0, "micronet_services": 1, "micronet_ready": 1,
			"micronet_catalog_documents": 2, "micronet_catalog_pending": 0, "micronet_flows_active": 0, "micronet_tunnels_open": 1,
			"micronet_certificate_expiry_seconds": float64(all[0].backend().Status().Certificate.Expires.Unix()),
		} {
			f := families[name]
			if f == nil || f.GetHelp() == "" || len(f.Metric) != 1 || f.Metric[0].GetGauge().GetValue() != want {
				t.Errorf("%s is %v, want %v", name, f, want)
			}
		}
		flows := families["micronet_flows_total"]
		if flows == nil || len(flows.Metric) == 0 {
			t.Fatalf("no flows are counted: %v", flows)
		}
		got := map[string]string{}
		for _, l := range flows.Metric[0].Label {
			got[l.GetName()] = l.GetValue()
		}
		if want := "map[path:direct result:ok service:echo]"; fmt.Sprint(got) != want {
			t.Errorf("a flow has the labels %v, want %s", got, want)
		}
		for _, name := range []string{"micronet_build_info", "micronet_dns_queries_total", "micronet_dns_seconds", "micronet_flow_bytes_total", "go_goroutines"} {
			if families[name] == nil {
				t.Errorf("%s is missing", name)
			}
		}
	})
}

// Whatever names a program or a member makes up, the counters stay few.
func TestH34_MetricsAreBounded(t *testing.T) {
	m := newMetrics("test", micronet.NodeID.Short)
	e := m.events()
	flow := func(service string, err error) {
		e.FlowEnded(micronet.Flow{Dest: micronet.Destination{Service: service}, Path: micronet.PathDirect, Err: err})
	}
	flow("web", nil)
	for i := range 3 * maxServiceLabels {
		flow(fmt.Sprintf("made-up-%d", i), micronet.E("x", micronet.NotFound, "no such service"))
	}
	flow("late", nil)
	for i := range 3 * maxServiceLabels {
		flow(fmt.Sprintf("registered-%d", i), nil)
		e.InstanceEjected(micronet.Ejection{Service: fmt.Sprintf("registered-%d", i)})
		e.Resolved(micronet.Resolution{Type: fmt.Sprintf("TYPE%d", i), Rcode: fmt.Sprintf("RCODE%d", i)})
	}
	e.RecordRefused(micronet.RecordRefusal{})
	for i := range 3 * maxOriginLabels {
		e.RecordRefused(micronet.RecordRefusal{Owner: id(i + 1), Reason: "too-many-updates"})
		e.PacketDropped(micronet.PacketDrop{Where: "underlay", Why: "forged", Peer: id(i + 1)})
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	services := map[string]float64{}
	for _, f := range families {
		counts[f.GetName()] = len(f.Metric)
		if f.GetName() == "micronet_flows_total" {
			for _, c := range f.Metric {
				for _, l := range c.Label {
					if l.GetName() == "service" {
						services[l.GetValue()] += c.GetCounter().GetValue()
					}
				}
			}
		}
	}
	// Each bound once for "ok" and once for "other" with another result.
	if n := counts["micronet_flows_total"]; n > maxServiceLabels+2 {
		t.Errorf("flows have %d series, want at most %d", n, maxServiceLabels+2)
	}
	if n := counts["micronet_origin_records_refused_total"]; n != maxOriginLabels+1 {
		t.Errorf("refusals by owner have %d series, want %d", n, maxOriginLabels+1)
	}
	if n := counts["micronet_peer_packets_dropped_total"]; n != maxOriginLabels+1 || counts["micronet_packets_dropped_total"] != 1 {
		t.Errorf("drops by peer have %d series, want %d, and those of all peers 1", n, maxOriginLabels+1)
	}
	if n := counts["micronet_records_refused_total"]; n != 2 {
		t.Errorf("refusals have %d series, want 2", n)
	}
	if n := counts["micronet_instances_ejected_total"]; n > maxServiceLabels+1 {
		t.Errorf("ejections have %d series", n)
	}
	if n := counts["micronet_dns_queries_total"]; n != 1 {
		t.Errorf("DNS questions have %d series, want 1", n)
	}
	if services["web"] != 1 || services["late"] != 1 || services[otherLabel] < 3*maxServiceLabels {
		t.Errorf("web %v, late %v, other %v", services["web"], services["late"], services[otherLabel])
	}
}

func TestLimiter(t *testing.T) {
	inBubble(t, 71, func(t *testing.T, _ *bubble) {
		l := newLimiter()
		if !l.allow("a") || l.allow("a") || !l.allow("b") {
			t.Error("one line per key and second")
		}
		time.Sleep(time.Second)
		if !l.allow("a") {
			t.Error("the next second")
		}
		for i := range 3 * maxLimited {
			l.allow(fmt.Sprint(i))
		}
		if len(l.last) > maxLimited {
			t.Errorf("%d keys are kept", len(l.last))
		}
	})
}

// What a peer does costs a line a second at most, and what it calls itself drives no terminal.
func TestH34_LogLinesOfAPeer(t *testing.T) {
	inBubble(t, 72, func(t *testing.T, _ *bubble) {
		log := &recorder{}
		e := logEvents(log.logger())
		for i := range 1000 {
			to := []micronet.NodeStatus{micronet.Alive, micronet.Left}[i%2]
			e.NodeChanged(micronet.NodeChange{Node: id(1), Name: "a\x1b[31m\nlevel=ERROR", To: to})
			e.RecordRefused(micronet.RecordRefusal{Owner: id(1), Reason: "hash"})
			e.BackgroundError("catalog.serve", errors.New("x\nlevel=ERROR\x00"))
			time.Sleep(10 * time.Millisecond)
		}
		e.NodeChanged(micronet.NodeChange{Node: id(2), Name: "b", To: micronet.Alive})
		if got := len(log.lines); got < 28 || got > 34 {
			t.Errorf("ten seconds of three kinds of trouble made %d lines, want about 31", got)
		}
		for _, l := range log.lines {
			if strings.Count(l, "\n") != 1 || strings.ContainsAny(l, "\x00\x1b") {
				t.Errorf("a line that is none: %q", l)
			}
		}
	})
}
