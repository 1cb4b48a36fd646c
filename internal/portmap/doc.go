// Package portmap asks the router of a home or office to let others in: a port of its outer address that leads to a UDP port of
// this host. It speaks PCP (RFC 6887, opcode MAP) and NAT-PMP (RFC 6886), which share a port of the router, and knows what
// routers of either kind answer to the other. A Keeper keeps one mapping with one router.
//
// It opens no socket and reads no clock: the caller sends what a Keeper returns to Port of the router, hands in what that
// very address and port answers, and calls again at Next. Answers are taken only while a question is open, and only if
// they repeat what was asked; whatever a router says, a Keeper sends little, and not often.
//
// Goroutines: none.
package portmap
