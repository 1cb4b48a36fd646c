//go:build !linux

package osenv

import (
	"context"
	"errors"
	"net"
	"net/netip"

	micronet "github.com/micro/micro-net"
)

// WatchInterfaces cannot see changes here; the caller polls.
func (Network) WatchInterfaces(context.Context) <-chan struct{} { return nil }

// PeerCredentials are not known here.
func (Network) PeerCredentials(net.Conn) (micronet.Credentials, error) {
	return micronet.Credentials{}, errors.ErrUnsupported
}

// PortHolder is not known here.
func (Network) PortHolder(string, netip.AddrPort) string { return "" }
