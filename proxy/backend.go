package proxy

import (
	"context"
	"net"
	"net/netip"
	"time"

	micronet "github.com/micro/micro-net"
)

// backendWait bounds connecting to an instance's own address. It is below silence, so that the
// daemon of a slow instance can still refuse before its caller takes the node for dead.
const backendWait = 750 * time.Millisecond

// dialBackend connects to an instance of this node. A loopback instance is dialled from the
// 127.x address that stands for the calling node, where the platform has all of 127/8, so that a
// program that trusts 127.0.0.1 does not trust the mesh.
func dialBackend(ctx context.Context, env micronet.Env, from netip.Addr, to netip.AddrPort) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, backendWait)
	defer cancel()
	if env.Host.OS != "linux" || !to.Addr().IsLoopback() || !to.Addr().Is4() || !from.Is4() {
		from = netip.Addr{}
	}
	return env.Net.Dial(ctx, from, to)
}

// fromAnywhere is the LocalFrom that leaves the choice to the system.
func fromAnywhere(micronet.Caller) netip.Addr { return netip.Addr{} }
