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

// FileOwner is an FS that knows whose a file is.
type FileOwner interface {
	// Owner returns the user id of a file's owner. Links are followed.
	Owner(path string) (uid int, err error)
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

// CheckFile reports why a file or folder is not safe to rely on: it belongs to a user that is neither root
// nor uid, or its permissions have one of those that are forbidden. One that does not exist is an error of
// the file system. The error is Refused and says what to do.
func CheckFile(fsys FS, path string, uid int, forbidden fs.FileMode) error {
	info, err := fsys.Stat(path)
	if err != nil {
		return err
	}
	if loose := info.Mode().Perm() & forbidden; loose != 0 {
		return E("file", Refused, "others may use %s: its permissions are %#o", path, info.Mode().Perm()).
			WithFix("chmod %#o %s", info.Mode().Perm()&^forbidden, path)
	}
	owned, ok := fsys.(FileOwner)
	if !ok {
		return nil
	}
	owner, err := owned.Owner(path)
	if err == nil && owner != 0 && owner != uid {
		err = E("file", Refused, "%s belongs to user %d, and not to root or to the user %d that runs this", path, owner, uid).
			WithFix("chown %d %s", uid, path)
	}
	return err
}
