package node

import (
	"fmt"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/gossip"
)

// A renewed membership lists what it knows itself, and of the rest what the former one knew.
func TestUnionOfMembers(t *testing.T) {
	list := func(epoch uint64, of ...int) (out []gossip.Member) {
		for _, n := range of {
			out = append(out, gossip.Member{ID: micronet.NodeID{byte(n)}, Epoch: epoch})
		}
		return out
	}
	for _, c := range []struct {
		list, more []int
		want       string
	}{
		{nil, nil, ""},
		{[]int{1, 2}, nil, "1.2 2.2 "},
		{nil, []int{1, 2}, "1.1 2.1 "},
		{[]int{2}, []int{1, 2, 3}, "1.1 2.2 3.1 "},
		{[]int{1, 4}, []int{2, 3}, "1.2 2.1 3.1 4.2 "},
	} {
		got := ""
		for _, m := range union(list(2, c.list...), list(1, c.more...)) {
			got += fmt.Sprintf("%d.%d ", m.ID[0], m.Epoch)
		}
		if got != c.want {
			t.Errorf("%v and %v: %s, want %s", c.list, c.more, got, c.want)
		}
	}
}
