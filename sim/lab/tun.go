//go:build linux

package lab

import (
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// netns is where ip keeps the names of network namespaces.
const netns = "/run/netns"

// inside runs f on a thread that has entered a namespace. The thread ends with f, as it is never
// unlocked. What f opens belongs to the namespace wherever it is used.
func inside(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		fd, err := os.Open(filepath.Join(netns, ns))
		if err == nil {
			err = unix.Setns(int(fd.Fd()), unix.CLONE_NEWNET)
			_ = fd.Close()
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// openTUN makes a network interface in a namespace whose packets are read from and written to the file.
func openTUN(ns, name string) (file *os.File, err error) {
	err = inside(ns, func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return os.NewSyscallError("open /dev/net/tun", err)
		}
		req, err := unix.NewIfreq(name)
		if err != nil {
			_ = unix.Close(fd)
			return err
		}
		req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
			_ = unix.Close(fd)
			return os.NewSyscallError("TUNSETIFF", err)
		}
		file = os.NewFile(uintptr(fd), name)
		return nil
	})
	return file, err
}
