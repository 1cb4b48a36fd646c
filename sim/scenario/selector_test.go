package scenario

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
)

// crowdOf is eu1 to eu10, us-east1 to us-east5, j1, j2 and a clone: 18 nodes.
func crowdOf(t *testing.T) []NodeRef {
	return append(parse(t, head).Nodes(), Joined(1), Cloned("eu-copy"), Joined(2), Cloned("twin2"))
}

func TestSelectors(t *testing.T) {
	nodes := crowdOf(t)
	for text, want := range map[string][]int{
		"3":                    {2},
		"1-3":                  {0, 1, 2},
		"founder":              {0},
		"eu3":                  {2},
		"us-east":              {10, 11, 12, 13, 14},
		"us-east2-us-east4":    {11, 12, 13},
		"eu9-eu10":             {8, 9},
		"j":                    {15, 17},
		"j2":                   {17},
		"eu-copy":              {16},
		"twin2":                {18},
		"not 2-19":             {0},
		"not not 5":            {4},
		"us-east5, founder, 1": {0, 14},
		"17-40":                {16, 17, 18},
		"nowhere":              nil,
	} {
		if got := sel(t, text).Resolve(nodes, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", text, got, want)
		}
	}
	if got := sel(t, "all").Resolve(nodes, nil); len(got) != len(nodes) {
		t.Errorf("all is %v", got)
	}
	if got := (Selector{}).Resolve(nodes, nil); got != nil || !(Selector{}).IsZero() {
		t.Errorf("the zero Selector is %v", got)
	}
}

func TestRandomSelectors(t *testing.T) {
	nodes := crowdOf(t)[:15]
	for text, want := range map[string]int{
		"random 3": 3, "random 30%": 5, "random 1%": 1, "random 100%": 15, "random 99": 15,
		"random 2 of eu": 2, "random 50% of us-east": 3, "random 1 of not founder": 1, "not random 4": 11,
	} {
		s := sel(t, text)
		if !s.IsRandom() || s.String() != text {
			t.Errorf("%s: random %t, text %q", text, s.IsRandom(), s)
		}
		for seed := range uint64(20) {
			draws := rand.New(rand.NewPCG(seed, 1)).IntN
			got := s.Resolve(nodes, draws)
			if len(got) != want {
				t.Errorf("%s draws %v, want %d", text, got, want)
			}
			for i := range got {
				if i > 0 && got[i] <= got[i-1] {
					t.Errorf("%s draws %v, not ascending", text, got)
				}
			}
			if again := s.Resolve(nodes, rand.New(rand.NewPCG(seed, 1)).IntN); !reflect.DeepEqual(got, again) {
				t.Errorf("%s draws %v and %v of one seed", text, got, again)
			}
		}
	}
}

// Every node is drawn equally often.
func TestRandomIsFair(t *testing.T) {
	nodes := crowdOf(t)[:10]
	count := make([]int, len(nodes))
	draws := rand.New(rand.NewPCG(7, 7)).IntN
	s := sel(t, "random 3")
	for range 10_000 {
		for _, n := range s.Resolve(nodes, draws) {
			count[n]++
		}
	}
	for n, c := range count {
		if c < 2800 || c > 3200 {
			t.Errorf("node %d is drawn %d times of 3000", n, c)
		}
	}
}

func TestWhatIsNoSelector(t *testing.T) {
	for _, text := range []string{
		"", " ", "0", "01", "-1", "1-", "3-1", "eu3-eu1", "random", "random x", "random 0", "random 0%", "random 101%",
		"random 3 eu", "random 3 of", "not", "of", "Eu", "eu eu", "1,", "-eu", "random 1.5", "9999999999",
	} {
		if s, err := ParseSelector(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
	if _, err := ParseSelector(fmt.Sprintf("%0200d", 1)); err == nil {
		t.Error("a selector of any length is taken")
	}
}
