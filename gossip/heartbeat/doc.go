// Package heartbeat carries fresh signs of life of every node to every other node, through
// third nodes if need be. Only the node itself can make them, and checking one costs a hash.
//
// # The chain
//
// A node draws a secret v[n] and hashes it down to v[0]:
//
//	v[k-1] = H(owner, generation, k, v[k])
//
// v[0] is the anchor. It stands in the node's signed document, and that signature is the only one.
// Beat k reveals v[k], when k intervals have passed since the chain began. Who holds a verified
// v[k'] checks v[k] with k-k' hashes (Lamport, Password authentication with insecure
// communication, CACM 24(11), 1981).
//
// H is SHA-256 cut to 128 bits. To speak for the owner before it has revealed v[k], one must find
// an x that hashes to v[k-1] at position k: a preimage, 2^128 trials. Collisions (2^64) do not
// help, for the owner alone chooses the secret. The owner's id, the generation and the position
// are part of what is hashed, so that one trial serves against one position of one chain only, and
// a value of one chain is worthless in all others.
//
// What is revealed can be repeated by everybody. A beat therefore proves that its owner was alive
// when it was made, not when it is told.
//
// # When it was made
//
// A teller says how old a beat is, and a teller may lie. The receiver keeps an estimate of when
// each chain began, by its own clock: at the least value of "arrival of beat k minus k intervals",
// which no teller can raise while another tells the truth (see estimate). Beat k cannot have been
// made later than k intervals after that. So an insider that withheld beats and tells them now, with
// an age of 0, gains no more than Slack: they look as old as they are. Nor can it make a living node
// look dead: of several tellers of the newest beat the youngest age counts, as far as the estimate
// allows, and what was known is never taken back.
//
// The owner itself is believed at once about its beats' ages: its clock may have stood still, in a
// suspended host, and its beats are late ever since. Those who do not hear it directly would go on
// calling it old; Chain.Due tells it to begin a new generation, which begins a new estimate
// everywhere.
//
// An owner that gives its secret away can be made to look alive by whom it gave it to. That is its
// right: it could answer through them as well.
//
// # What goes where
//
// Table is a node's knowledge of all. Every Period a node sends Fanout packets (Table.Packet) to
// nodes that Table.Targets chose. A packet holds 30 bytes per owner: its own beat, the doubted of
// whom there is something fresh, what is new, and the rest in turn. Whose packet shows that it lacks
// something is sent one of the next, and whoever was heard lately is chosen before others: so signs
// of life find their way where every node hears few others.
//
// With the defaults a node sends 2.4 KB/s at most, whatever the size of the mesh. How old the
// newest sign of life of a living node is elsewhere, with 5 % loss (TestMesh; p50, p99.9):
//
//	nodes   nobody doubts      doubted by all     and heard by one node only
//	5       0.3 s    2.2 s     0.03 s   1.5 s     1.5 s   3.5 s
//	30      1.4 s    3.9 s     1.5 s    3.5 s     2.0 s   4.0 s
//	100     2.5 s    10.7 s    1.9 s    4.0 s     2.0 s   4.0 s
//	300     4.8 s    26.0 s    2.0 s    4.0 s     2.4 s   5.3 s
//
// Over a row of nodes of which each hears its neighbours alone, eleven nodes, four steps: 2.9 s and 7 s (TestRow). What
// one bridge can carry is bounded by Fanout and PacketSize: between two halves of 20 one sign of life in a
// thousand is older than ten seconds, between two of 45 one in five, and over two bridges in a row more.
//
// So age alone is no ground to doubt a node of a large mesh: doubt it for another reason, then look
// whether it stays old for ten seconds. After a node has lost all links but one it takes the two
// ends some seconds more to find out that they hear each other.
//
// The package owns no documents, no clock and no sockets: the caller authenticates who sent a
// packet, takes anchors from verified documents and passes the time.
//
// Goroutines: none. Nothing here is safe for concurrent use.
package heartbeat
