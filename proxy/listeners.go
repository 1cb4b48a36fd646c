package proxy

import (
	"context"
	"net"
	"net/netip"

	micronet "github.com/micro/micro-net"
)

// Handler carries one accepted connection. It owns conn and returns when it is done with it. ctx
// ends when the listeners end.
type Handler func(ctx context.Context, conn net.Conn, dest micronet.Destination)

// Listeners make the ports of VIPs lead here. There are two ways, Capture and Bound.
type Listeners interface {
	// Offer makes sure that connections to the ports of vip arrive here, before a DNS answer with
	// vip leaves. An error says that the answer must not leave: a connection to vip would reach a
	// stranger.
	Offer(ctx context.Context, dest micronet.Destination, vip netip.Addr, ports []Port) error
	// Problems lists the ports that could not be had, sorted by address.
	Problems() []Problem
	// Quiesce stops accepting; connections go on, and Offer fails from now on where it would have
	// to bind. It may be called many times.
	Quiesce()
	// Run accepts until ctx ends and returns when all handlers have returned.
	Run(ctx context.Context) error
}
