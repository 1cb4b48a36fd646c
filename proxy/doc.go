// Package proxy carries the connections of programs: it gives every service a local address
// (VIP), listens there, picks and dials an instance, and copies until both sides are done. It
// also serves what other nodes send to this one, and runs the outbound proxy (SOCKS5, HTTP
// CONNECT, plain HTTP) for programs that use no VIP.
//
// The one rule above all others: nothing is ever sent twice to a backend. A caller's bytes go
// to another instance only if the first daemon refused them, or had been sent nothing but the
// opening frame.
//
// It does not know how a route is chosen (Routes), how a stream to another node is made
// (Opener), what names mean (Resolve) or who may talk to whom (Allow): the node brings those.
//
//	program ─▶ Listeners ─┐                       ┌─▶ own instance (Env.Net.Dial)
//	program ─▶ Outbound ──┴─▶ Dialer ── Routes ───┴─▶ Opener ═ tunnel ═▶ Receiver ─▶ instance
//	                                       Pump copies, Flows counts and ends
//
// Goroutines: Capture.Run, Bound.Run and Outbound.Run own one per listener and one per
// connection; Dialer.Run owns one per connection whose answer is still awaited; Pump uses one
// besides its caller's and returns when it has ended. Nothing else starts any.
package proxy
