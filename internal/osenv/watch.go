package osenv

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/fsnotify/fsnotify"
)

// Watch follows a folder. One that does not exist is waited for in the nearest folder above it
// that does.
func (FS) Watch(ctx context.Context, dir string) (<-chan struct{}, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	f := &folderWatch{w: w, dir: dir, changed: make(chan struct{}, 1)}
	if err := f.settle(); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	go f.follow(ctx)
	return f.changed, nil
}

// folderWatch follows one folder. watched is the folder itself, or what stands in for it while it
// does not exist.
type folderWatch struct {
	w       *fsnotify.Watcher
	dir     string
	watched string
	changed chan struct{}
}

// maxSettle bounds how often settle looks again while folders come and go under it.
const maxSettle = 64

// settle watches the folder, or the nearest one above it that exists.
func (f *folderWatch) settle() error {
	for range maxSettle {
		at, next, err := f.addNearest()
		if err != nil {
			return err
		}
		if f.watched != "" && f.watched != at {
			_ = f.w.Remove(f.watched) // gone already, if it fails
		}
		f.watched = at
		if next == "" {
			return nil
		}
		// What was made before the watch began sends no event.
		if _, err := os.Lstat(next); err != nil {
			return nil
		}
	}
	return nil
}

// addNearest returns what is watched now, and the path below it that is waited for.
func (f *folderWatch) addNearest() (at, next string, err error) {
	for at = f.dir; ; at = filepath.Dir(at) {
		if err = f.w.Add(at); err == nil {
			return at, next, nil
		}
		if at == filepath.Dir(at) || !errors.Is(err, fs.ErrNotExist) {
			return "", "", err
		}
		next = at
	}
}

func (f *folderWatch) follow(ctx context.Context) {
	defer f.w.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case e, ok := <-f.w.Events:
			if !ok {
				return
			}
			if f.watched == f.dir && !f.gone(e) {
				break
			}
			before := f.watched
			if err := f.settle(); err != nil {
				f.watched = before // tried again at the next event; the caller reads now and then anyway
			}
			if before != f.dir && f.watched != f.dir {
				continue // something else happened above the folder
			}
		case _, ok := <-f.w.Errors: // events were lost
			if !ok {
				return
			}
		}
		notify(f.changed)
	}
}

// gone reports whether an event says that the watched folder itself is no more.
func (f *folderWatch) gone(e fsnotify.Event) bool {
	return e.Name == f.dir && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename))
}
