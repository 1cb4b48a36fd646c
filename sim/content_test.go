package sim

import (
	"testing"

	"github.com/micro/micro-net/sim/scenario"
)

func TestContent(t *testing.T) {
	carried := func(inner byte) []byte { return append(append([]byte{0x82}, make([]byte, 25)...), inner) }
	for name, c := range map[string]struct {
		data                 []byte
		quic, envelope, none bool
	}{
		"a long header":            {[]byte{0xc3, 0}, true, false, false},
		"a short header":           {[]byte{0x41}, true, false, false},
		"a sealed frame":           {[]byte{0x80, 1}, false, false, false},
		"an envelope with QUIC":    {carried(0x41), false, true, false},
		"an envelope with a probe": {carried(0x80), false, false, false},
		"an envelope, cut off":     {carried(0x41)[:26], false, false, false},
		"nothing":                  {nil, false, false, false},
	} {
		if got := content(scenario.QUIC).Has(c.data); got != c.quic {
			t.Errorf("%s: QUIC %v", name, got)
		}
		if got := content(scenario.CarriedQUIC).Has(c.data); got != c.envelope {
			t.Errorf("%s: carried QUIC %v", name, got)
		}
	}
	if content(scenario.AnyContent) != nil {
		t.Error("a path that drops nothing looks into packets")
	}
}
