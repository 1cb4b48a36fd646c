package micronet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// FS is the file system of this node. Paths are those of the host. All methods may be called
// from several goroutines.
type FS interface {
	ReadFile(path string) ([]byte, error)
	// Create makes or truncates a file for writing.
	Create(path string, perm fs.FileMode) (File, error)
	// Append opens a file for writing at its end, made if need be.
	Append(path string, perm fs.FileMode) (File, error)
	Rename(from, to string) error
	Remove(path string) error
	// SyncDir makes renames and removals in a folder durable.
	SyncDir(path string) error
	MkdirAll(path string, perm fs.FileMode) error
	ReadDir(path string) ([]fs.DirEntry, error)
	Stat(path string) (fs.FileInfo, error)
	// Lock takes path as a lock file that ends with the process. ErrLocked when another holds it.
	Lock(path string) (io.Closer, error)
	// Watch sends after any change in a folder until ctx ends; changes that nobody took yet are
	// one. A folder that does not exist is watched for its creation as well, where possible.
	Watch(ctx context.Context, dir string) (<-chan struct{}, error)
}

// File is a file open for writing.
type File interface {
	io.WriteCloser
	Sync() error
}

// ErrLocked says that another process holds the lock.
var ErrLocked = errors.New("locked by another process")

// tempSuffix marks files that a crash may leave behind; readers of folders pass over them.
const tempSuffix = ".tmp"

// WriteFile replaces path with data atomically: after a crash at any point the file is either
// the old one or the new one, whole. The steps and their order: write a temporary file beside
// it, fsync, rename, fsync the folder.
func WriteFile(fsys FS, path string, data []byte, perm fs.FileMode) error {
	tmp := path + tempSuffix
	if err := writeSynced(fsys, tmp, data, perm); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), removeQuietly(fsys, tmp))
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return errors.Join(fmt.Errorf("replace %s: %w", path, err), removeQuietly(fsys, tmp))
	}
	if err := fsys.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("sync the folder of %s: %w", path, err)
	}
	return nil
}

func writeSynced(fsys FS, path string, data []byte, perm fs.FileMode) error {
	f, err := fsys.Create(path, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(err, f.Close())
	}
	// A failed fsync means the data may be gone although a second fsync would succeed: the file
	// is given up, never retried (Rebello et al., ATC 2020).
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func removeQuietly(fsys FS, path string) error {
	if err := fsys.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
