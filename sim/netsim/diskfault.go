package netsim

import "syscall"

// The usual faults of a disk, for Disk.SetFault.

// DiskFull is a disk without space: nothing can be made or written. What is there can be read,
// renamed and removed.
func DiskFull(op, _ string) error {
	switch op {
	case "create", "append", "write", "mkdir":
		return syscall.ENOSPC
	}
	return nil
}

// DiskEIO is a disk that takes nothing any more: writing, syncing and renaming fail. What is
// there can be read.
func DiskEIO(op, _ string) error {
	switch op {
	case "write", "sync", "rename", "syncdir":
		return syscall.EIO
	}
	return nil
}

// DiskReadOnly is a disk that was remounted after an error: nothing can be changed.
func DiskReadOnly(op, _ string) error {
	switch op {
	case "create", "append", "write", "rename", "remove", "mkdir", "lock":
		return syscall.EROFS
	}
	return nil
}
