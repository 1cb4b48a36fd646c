package netsim

import (
	"errors"
	"syscall"
)

// rawUDP is a UDP socket with SyscallConn, by which libraries know that they may search for the
// path's MTU. It lacks what kernel sockets have besides (ReadMsgUDP, WriteMsgUDP), so that they
// send and receive one datagram at a time.
type rawUDP struct{ *udpConn }

// SyscallConn returns a connection without a file descriptor.
func (rawUDP) SyscallConn() (syscall.RawConn, error) { return noDescriptor{}, nil }

// noDescriptor is the raw connection of a simulated socket. Setting options succeeds and sets
// nothing: no simulated datagram is ever fragmented.
type noDescriptor struct{}

// Control does not call f and returns nil.
func (noDescriptor) Control(func(fd uintptr)) error { return nil }

// Read always fails: there is no file descriptor to read from.
func (noDescriptor) Read(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// Write always fails: there is no file descriptor to write to.
func (noDescriptor) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }
