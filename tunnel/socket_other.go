//go:build !linux

package tunnel

import "net"

// openSocket takes any connection as it is: only on Linux we know how to do better.
func openSocket(u *Underlay, conn net.PacketConn) (socket, net.PacketConn, error) {
	return openPlain(u, conn)
}
