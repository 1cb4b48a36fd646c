package node

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
	"github.com/micro/micro-net/gossip/wire"
	"github.com/micro/micro-net/internal/config"
)

// wordy is an instance with as many bytes of meta.
func wordy(name string, bytes int) []config.Service {
	s := withoutChecks(name, 80)
	s[0].Meta = map[string]string{}
	for i := 0; bytes > 0; i++ {
		n := min(bytes, 512)
		s[0].Meta[fmt.Sprint(i)] = strings.Repeat("x", n)
		bytes -= n
	}
	return s
}

// What a node takes in fits into a record that others accept, to the last instance.
func TestQ15_OwnRecordFits(t *testing.T) {
	ours := source{kind: "api"}
	for _, c := range []struct {
		name  string
		bytes int
		words string
	}{
		{"many", 0, "256 instances"},
		{"large", 3500, "bytes"},
	} {
		r := newRegistry(func() {})
		var err error
		for i := 0; err == nil && i <= gossip.MaxInstances; i++ {
			_, err = r.add(ours, 0, wordy(fmt.Sprintf("web-%d", i), c.bytes))
		}
		if micronet.KindOf(err) != micronet.Overloaded || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, want Overloaded about %q", c.name, err, c.words)
		}
		instances, err := r.instances()
		if err != nil {
			t.Fatal(err)
		}
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		catalog := gossip.NewCatalog(gossip.CatalogConfig{
			Self: micronet.NodeID(key.Public().(ed25519.PublicKey)), Epoch: 1, Key: key, Cluster: [16]byte{1}, Codec: wire.New(),
		})
		if _, err := catalog.Publish(time.Unix(1000, 0), gossip.Document{Name: "web", Cluster: "main", Software: "1", Instances: instances}); err != nil {
			t.Errorf("%s: %d instances were taken that cannot be published: %v", c.name, len(instances), err)
		}
	}
}

func TestQ15_LargeInstanceIsRefused(t *testing.T) {
	r := newRegistry(func() {})
	_, err := r.add(source{kind: "api"}, 0, wordy("web", gossip.MaxItemValue))
	if micronet.KindOf(err) != micronet.Invalid || !strings.Contains(err.Error(), "fewer or shorter") {
		t.Errorf("%v, want Invalid with a remedy", err)
	}
	if _, err := r.add(source{kind: "api"}, 0, wordy("web", gossip.MaxItemValue-500)); err != nil {
		t.Error(err)
	}
}

// TestFilesHoldWhatANodeOffers: what a file may hold, its node announces.
func TestFilesHoldWhatANodeOffers(t *testing.T) {
	if config.MaxServices != gossip.MaxInstances {
		t.Errorf("a file may have %d services, a node %d instances", config.MaxServices, gossip.MaxInstances)
	}
}
