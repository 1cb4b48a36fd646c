// Package dns turns questions into answers: the names of the mesh, the reverse names of its
// addresses, and the few names that must never leave a host.
//
// It has its own Question and Answer and knows no wire format, no socket and no other package
// but the root: what there is in the mesh it asks of a Source, which the node implements.
// Handlers are asked in the order of a Chain; a question that nobody owns is for an upstream
// resolver, which is the business of dns/server.
//
// An answer is given only when it is true: an A record leaves after the Source has made sure
// that the address leads to the mesh, and a name is denied only when it does not exist (RFC
// 8020: the names between the domain and a service exist, too).
//
// Goroutines: none. The package reads no clock.
package dns
