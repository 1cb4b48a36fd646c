// Package sim runs scenarios: hundreds of real nodes in one process, in virtual time, over a hostile
// network, with what must hold checked all along. The nodes are those the daemon runs; only what is
// outside of them (network, disks, clocks, randomness) is simulated, by package netsim.
//
//	scenario file ─▶ scenario.Parse ─▶ Run ─▶ report.Run ─▶ HTML, JUnit, log, JSON
//
// A seed makes a run: which nodes `random 3` means, the fate of every packet, the keys of the nodes.
// The same seed gives the same scenario and the same faults everywhere; the order in which
// goroutines run is the Go runtime's affair.
//
// A witness sees every record that a daemon takes over, and knows what each owner has published.
//
// An insider is a member whose owner does harm: its daemon runs as usual, and beside it the simulation
// sends packets and opens streams in its name, with the keys from its disk; some have a grip on what the daemon
// itself sends and answers. What an insider believes,
// and what is believed of it, is not judged; nor is what two machines with one identity say.
//
// Goroutines: Run starts one bubble of package synctest. In it one goroutine owns the simulation and
// does one thing after another, from its agenda; each daemon, each simulated program and each caller
// has its own, and so has each stream of an insider. All have ended when Run returns.
package sim
