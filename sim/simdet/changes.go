package main

import "github.com/micro/micro-net/sim/overlay"

// changes are the edits of each file of package runtime.
func changes() map[string][]overlay.Edit {
	return map[string][]overlay.Edit{
		"rand.go":   oneStream(),
		"select.go": noAddresses(),
		"proc.go":   noClocks(),
		// Which of the timers that are due at one instant goes first.
		"time.go": {{
			Old: "			t.rand = cheaprand()\n",
			New: "			t.rand = uint32(bubbleRand())\n",
		}},
		// A mutex hands itself over when somebody waited for a millisecond: of virtual time.
		"sema.go": {{
			Old: "func internal_sync_nanotime() int64 {\n	return nanotime()\n",
			New: "func internal_sync_nanotime() int64 {\n	if inBubble() {\n		return getg().bubble.now\n	}\n	return nanotime()\n",
		}},
	}
}

// oneStream gives every process the same seed, and all bubbled goroutines one stream of numbers.
func oneStream() []overlay.Edit {
	return []overlay.Edit{
		{
			Old: "	globalRand.state.Init(*seed)\n",
			New: "	for i := range seed {\n		seed[i] = byte(i + 1)\n	}\n	globalRand.state.Init(*seed)\n",
		},
		{
			Old: "func rand() uint64 {\n",
			New: "func rand() uint64 {\n	if inBubble() {\n		return bubbleRand()\n	}\n",
		},
		{
			Old: "// mrandinit initializes the random state of an m.\n",
			New: `// inBubble reports whether a goroutine of a synctest bubble runs on this m.
//
//go:nosplit
func inBubble() bool {
	gp := getg().m.curg
	return gp != nil && gp.bubble != nil
}

var bubbleState uint64

// bubbleRand is the one stream that all bubbled goroutines draw from (splitmix64).
//
//go:nosplit
func bubbleRand() uint64 {
	bubbleState += 0x9e3779b97f4a7c15
	z := bubbleState
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

// mrandinit initializes the random state of an m.
`,
		},
	}
}

// noAddresses orders the cases of a select and their timers by the stream alone.
func noAddresses() []overlay.Edit {
	return []overlay.Edit{
		// Which ready case of a select goes first.
		{
			Old: "		j := cheaprandn(uint32(norder + 1))\n",
			New: "		j := cheaprandn(uint32(norder + 1))\n		if inBubble() {\n			j = uint32(bubbleRand() % uint64(norder+1))\n		}\n",
		},
		// In which order the timers of a select are planned: not in that of their addresses.
		{
			Old: "		if c.timer != nil {\n			blockTimerChan(c)\n		}\n	}\n",
			New: "	}\n	for _, casei := range pollorder {\n		if c := scases[casei].c; c.timer != nil {\n			blockTimerChan(c)\n		}\n	}\n",
		},
	}
}

// noClocks lets no real time decide which goroutine runs.
func noClocks() []overlay.Edit {
	return []overlay.Edit{
		// Once there is a bubble nobody is preempted, nor loses its processor in a system call: when that
		// happens depends on how busy the machine is.
		{
			Old: "func retake(now int64) uint32 {\n",
			New: "func retake(now int64) uint32 {\n	if bubbleState != 0 {\n		return 0\n	}\n",
		},
		// The runtime's own goroutines are not counted when it is the turn of the global queue.
		{
			Old: "	if pp.schedtick%61 == 0 && !sched.runq.empty() {\n",
			New: "	if pp.schedtick%61 == 0 && bubbleState == 0 && !sched.runq.empty() {\n",
		},
	}
}
