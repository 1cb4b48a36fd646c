package sim

import (
	"testing"
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

// Only a large mesh has ticks, and they are short beside every way of a packet.
func TestTickOf(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"nodes: 49\nnetwork: {latency: 20ms}", 0},
		{"nodes: 50\nnetwork: {latency: 20ms}", time.Millisecond},
		{"nodes: 50\nnetwork: {latency: 4ms}", 500 * time.Microsecond},
		{"nodes: 50", 0},
		{"groups: [{name: a, nodes: 25, network: {latency: 800us}}, {name: b, nodes: 25}]\nnetwork: {latency: 20ms}", 100 * time.Microsecond},
		{"nodes: 50\nnetwork: {latency: 20ms}\nlinks: [{from: n1, to: n2, latency: 1600us}]", 200 * time.Microsecond},
		{"nodes: 50\nnetwork: {latency: 20ms}\nlinks: [{from: n1, to: n2, loss: 1%}]", time.Millisecond},
		{"nodes: 50\nnetwork: {latency: 20ms}\ntimeline: [{at: 1s, link: {from: n1, to: n2, latency: 800us}}]", 100 * time.Microsecond},
		{"nodes: 50\nnetwork: {latency: 20ms}\ntimeline: [{at: 1s, network: {latency: 0ms}}]", 0},
	} {
		s, err := scenario.Parse("tick.yaml", []byte("name: tick\nduration: 10s\n"+c.text))
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		if got := tickOf(s); got != c.want {
			t.Errorf("%s: %v, want %v", c.text, got, c.want)
		}
	}
}
