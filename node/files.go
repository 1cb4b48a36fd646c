package node

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

const (
	servicesFolder = "services.d"
	// filesEvery is how often the folder is read where changes cannot be watched, and the safety
	// net where they can.
	filesEvery = 10 * time.Second
	// filesSettle waits for an editor to finish.
	filesSettle = 50 * time.Millisecond
)

// followFiles keeps the registry in step with the files of services.d. A file that cannot be
// read keeps what it said last: half an edit must not take a service away.
func (l *life) followFiles(ctx context.Context) error {
	dir := filepath.Join(l.config.Daemon.ConfigDir, servicesFolder)
	f := &files{env: l.env, registry: l.node.registry, accept: l.acceptable, dir: dir, seen: map[string]string{}, told: map[string]string{}, wrong: map[string][]error{}}
	changed, err := l.env.FS.Watch(ctx, dir)
	if err != nil {
		l.env.Log.Debug("the folder of service files is not watched, it is read from time to time", "path", dir, "err", err)
	}
	t := time.NewTicker(filesEvery + l.env.Phase)
	defer t.Stop()
	for {
		f.read()
		faults := f.faults()
		l.fileFaults.Store(&faults)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-changed:
			if !micronet.Pause(ctx, filesSettle) {
				return nil
			}
		}
	}
}

// files is the folder as it was read last.
type files struct {
	env      micronet.Env
	registry *registry
	accept   func([]config.Service) error
	dir      string
	seen     map[string]string  // content by path
	told     map[string]string  // by path, why some of its services could not be taken; "" for none
	wrong    map[string][]error // by path, the mistakes in it
}

// faults lists what is wrong in the folder, for the node's warnings.
func (f *files) faults() []string {
	var out []string
	for _, path := range slices.Sorted(maps.Keys(f.seen)) {
		for _, err := range f.wrong[path] {
			out = append(out, err.Error())
		}
		if f.told[path] != "" {
			out = append(out, path+": "+firstLine(f.told[path]))
		}
	}
	return out
}

func (f *files) read() {
	entries, err := f.env.FS.ReadDir(f.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		f.env.Log.Warn("the folder of service files cannot be read", "path", f.dir, "err", err)
		return
	}
	present := map[string]bool{}
	for _, e := range entries {
		if isServiceFile(e) {
			path := filepath.Join(f.dir, e.Name())
			present[path] = true
			f.readOne(path)
		}
	}
	for path := range f.seen {
		if !present[path] {
			delete(f.seen, path)
			delete(f.told, path)
			delete(f.wrong, path)
			f.registry.removeSource(source{kind: "file", name: path})
			f.env.Log.Info("a service file is gone", "path", path)
		}
	}
}

func isServiceFile(e fs.DirEntry) bool {
	return !e.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name()))
}

// looseConfig is what not everybody may do with a file that can hold commands.
const looseConfig = 0o002

// load reads a file that only root and the daemon's user can have written.
func (f *files) load(path string) ([]byte, error) {
	if err := micronet.CheckFile(f.env.FS, path, f.env.Host.UID, looseConfig); err != nil {
		return nil, err
	}
	return f.env.FS.ReadFile(path)
}

func (f *files) readOne(path string) {
	raw, err := f.load(path)
	if err != nil {
		f.unread(path, err)
		return
	}
	old, known := f.seen[path]
	fresh := !known || old != string(raw)
	// What was refused may be taken now: whoever was in the way may have gone.
	if !fresh && f.told[path] == "" {
		return
	}
	f.seen[path] = string(raw)
	services, errs := config.ParseServices(path, raw)
	f.wrong[path] = errs
	if fresh {
		for _, err := range errs {
			f.env.Log.Error("a service file has an error", "err", err)
		}
		f.env.Log.Info("read a service file", "path", path, "services", len(services))
	}
	f.take(path, services, len(errs) > 0)
}

// unread tells once why a file is not read. What it said before stays.
func (f *files) unread(path string, err error) {
	if said := err.Error(); said != f.told[path] {
		f.env.Log.Warn("a service file cannot be read", "path", path, "err", err)
		f.seen[path], f.told[path], f.wrong[path] = "", said, nil
	}
}

// take registers the services of a file. What a file with errors does not say stays as it was.
func (f *files) take(path string, services []config.Service, partial bool) {
	var errs []error
	var good []config.Service
	for i := range services {
		if err := f.accept(services[i : i+1]); err != nil {
			errs = append(errs, err)
		} else {
			good = append(good, services[i])
		}
	}
	put := f.registry.replace
	if partial {
		put = f.registry.merge
	}
	errs = append(errs, put(source{kind: "file", name: path}, f.env.Host.UID, good)...)
	said := ""
	if all := errors.Join(errs...); all != nil {
		said = all.Error()
	}
	if said != "" && said != f.told[path] {
		f.env.Log.Error("services of a file were not taken", "path", path, "err", said)
	}
	f.told[path] = said
}
