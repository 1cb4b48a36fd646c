package defence

import "github.com/micro/micro-net/sim/overlay"

// Defence is something that keeps a mesh whole, and what shows that it does.
type Defence struct {
	Name     string // of the test
	About    string // what the defence is, in one sentence without its full stop
	Scenario string // of testdata/scenarios; fails without the defence
	Breaks   string // the invariant or expectation that does not hold then
	Seeds    int    // 1 to MaxSeeds: one of the seeds from 1 to this one fails, and nearly always the first
	Files    map[string][]overlay.Edit
}

// MaxSeeds bounds Defence.Seeds.
const MaxSeeds = 5

// edit is one change of one file.
func edit(file, before, after string) map[string][]overlay.Edit {
	return map[string][]overlay.Edit{file: {{Old: before, New: after}}}
}

// All lists the defences.
func All() []Defence {
	var out []Defence
	for _, part := range [][]Defence{belief(), memory(), records(), calls(), ways(), identity(), trust(), insiders(), strangers(), invitations()} {
		out = append(out, part...)
	}
	return out
}
