package osenv

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"

	micronet "github.com/micro/micro-net"
)

// maxRead bounds ReadFile: no file of ours comes near it, and a device or a mistake must not
// fill the memory.
const maxRead = 64 << 20

// FS is the host's file system.
type FS struct{}

var (
	_ micronet.FS        = FS{}
	_ micronet.FileOwner = FS{}
)

// ReadFile reads a regular file of at most 64 MiB. A named pipe does not make it wait.
func (FS) ReadFile(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	tooLarge := &fs.PathError{Op: "read", Path: path, Err: errors.New("larger than 64 MiB")}
	if info.Size() > maxRead {
		return nil, tooLarge
	}
	// The size of files in /proc is 0, and a file may grow: the bound is on what is read, too.
	var data bytes.Buffer
	data.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := data.ReadFrom(io.LimitReader(f, maxRead+1)); err != nil {
		return nil, err
	}
	if data.Len() > maxRead {
		return nil, tooLarge
	}
	return data.Bytes(), nil
}

// Create makes or truncates a file. The permission is set whatever the umask.
func (FS) Create(path string, perm fs.FileMode) (micronet.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(perm); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Append opens a file for writing at its end. The permission is set whatever the umask.
func (FS) Append(path string, perm fs.FileMode) (micronet.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, perm)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(perm); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Rename replaces a file.
func (FS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove deletes a file or an empty folder.
func (FS) Remove(path string) error { return os.Remove(path) }

// MkdirAll makes a folder and its parents.
func (FS) MkdirAll(path string, perm fs.FileMode) error { return os.MkdirAll(path, perm) }

// ReadDir lists a folder sorted by name.
func (FS) ReadDir(path string) ([]fs.DirEntry, error) { return os.ReadDir(path) }

// Stat describes a file.
func (FS) Stat(path string) (fs.FileInfo, error) { return os.Stat(path) }

// Owner returns whose a file is.
func (FS) Owner(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), nil
	}
	return 0, &fs.PathError{Op: "owner", Path: path, Err: errors.ErrUnsupported}
}

// SyncDir makes renames in a folder durable.
func (FS) SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Lock takes a file lock that ends with the process.
func (FS) Lock(path string) (io.Closer, error) { return lock(path) }
