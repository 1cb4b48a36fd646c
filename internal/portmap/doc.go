// Package portmap asks the router of a home or office to let others in: a port of its outer address that leads to a UDP port of
// this host. It speaks PCP (RFC 6887, opcode MAP) and NAT-PMP (RFC 6886), which share a port of the router, and knows what
// routers of either kind answer to the other; and UPnP (WANIPConnection of an InternetGatewayDevice), with datagrams to look for the
// router and XML over HTTP after that. A Keeper keeps one mapping with one router.
//
// It opens no socket and reads no clock: the caller sends what a Keeper returns to the router, hands in what the router
// answers and nobody else, and calls again at Next. Answers are taken only while a question is open, and only if
// they repeat what was asked, as far as the protocol has them do so; whatever a router says, a Keeper sends little, not often, and to that router alone.
//
// Goroutines: none.
package portmap
