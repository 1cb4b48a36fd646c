package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// spare is what the second file beside one of the data folder holds. It takes the place of a file that is
// damaged. Of one that is gone it does where the node would be another one without it, or could sign no more; who
// removes any other file has removed it.
type spare int

const (
	spareNone   spare = iota
	spareSame         // what the file holds; written after it
	spareFormer       // what the file held before, or holds while it was written once; written in front of it
)

const (
	spareSuffix = ".spare"
	// damagedSuffix marks what was in a file that was replaced by its spare or begun anew: nothing that
	// was ours is thrown away.
	damagedSuffix = ".damaged"
)

// spareOf decides which files have a spare. What must never be an older one, such as keys, epochs,
// addresses that were given for good and revocations, has a copy. Tokens have none: an older book would give uses back.
func spareOf(name string) spare {
	switch name {
	case fileKeys, fileRootKey, fileNextRoot, filePromotion, fileEpoch, fileVIPs, fileStatements:
		return spareSame
	case fileMembership, fileAuthority, fileServices, filePeers:
		return spareFormer
	}
	return spareNone
}

// read hands a file to parse, or its spare when parse does not take it. found is false when there is no
// such file.
func (d disk) read(name string, parse func(raw []byte) error) (found bool, err error) {
	raw, found, err := d.loadRaw(name)
	if err != nil {
		return found, err
	}
	second, spared, err := d.loadSpare(name)
	if err != nil {
		return true, err // others can read or write it
	}
	if !found {
		if !spared || !comesBack(name) {
			return false, nil
		}
		return true, d.restore(name, second, parse)
	}
	bad := parse(raw)
	switch {
	case bad == nil:
		if k := spareOf(name); k == spareSame && !bytes.Equal(raw, second) || k == spareFormer && !spared {
			d.diary.note(d.write(name+spareSuffix, raw))
		}
		return true, nil
	case !spared || errors.Is(bad, identity.ErrVersion) || parse(second) != nil:
		return true, damaged(d.path(name), bad.Error())
	}
	return true, d.replace(name, raw, second, bad)
}

// comesBack reports whether the spare takes the place of a file that is gone. We never leave that behind when we remove
// the file.
func comesBack(name string) bool {
	switch name {
	case fileKeys, fileMembership, fileRootKey, fileNextRoot, filePromotion:
		return true
	}
	return false
}

// restore puts the spare in the place of a file that is gone.
func (d disk) restore(name string, second []byte, parse func([]byte) error) error {
	if bad := parse(second); bad != nil {
		return damaged(d.path(name+spareSuffix), fmt.Sprintf("%s is missing, and here %s", d.path(name), bad))
	}
	if err := d.write(name, second); err != nil {
		return err
	}
	d.diary.mended(fmt.Sprintf("%s was missing, and is %s now", d.path(name), spareOf(name)))
	return nil
}

// readOr is read for a file that the node can do without: one that is damaged is begun anew.
func (d disk) readOr(name string, parse func(raw []byte) error, lost string) error {
	var bad error
	_, err := d.read(name, func(raw []byte) error {
		bad = parse(raw)
		return bad
	})
	if bad == nil || errors.Is(bad, identity.ErrVersion) || micronet.KindOf(err) != micronet.Invalid {
		return err
	}
	raw, _, err := d.loadRaw(name)
	if err != nil {
		return err
	}
	if err := d.write(name+damagedSuffix, raw); err != nil {
		return err
	}
	if err := d.discard(name, name+spareSuffix); err != nil {
		return err
	}
	d.diary.mended(fmt.Sprintf("%s was damaged (%s), and begun anew: %s", d.path(name), cause(bad), lost))
	return nil
}

// replace puts the spare in the place of a damaged file, which is kept.
func (d disk) replace(name string, raw, second []byte, bad error) error {
	if err := d.write(name+damagedSuffix, raw); err != nil {
		return err
	}
	if err := d.write(name, second); err != nil {
		return err
	}
	d.diary.mended(fmt.Sprintf("%s was damaged (%s), and is %s now", d.path(name), cause(bad), spareOf(name)))
	return nil
}

// String completes the sentence that a file is now …
func (s spare) String() string {
	if s == spareFormer {
		return "as it was before its last change"
	}
	return "as its copy was"
}

func (d disk) loadSpare(name string) (raw []byte, found bool, err error) {
	if spareOf(name) == spareNone {
		return nil, false, nil
	}
	return d.loadRaw(name + spareSuffix)
}

// keepFormer makes what a file holds its spare. It reports whether there was something to keep; a spare
// without a file belongs to nobody, and goes.
func (d disk) keepFormer(name string) (kept bool, err error) {
	raw, found, err := d.loadRaw(name)
	if err != nil {
		return false, err
	}
	if !found {
		return false, d.discard(name + spareSuffix)
	}
	return true, d.write(name+spareSuffix, raw)
}

// discard deletes files for good, those that are there. All are tried; the first error counts. The folder is
// synced even if nothing was there: an attempt before this one may have failed at that.
func (d disk) discard(names ...string) error {
	var first error
	note := func(err error) {
		if err != nil && first == nil && !errors.Is(err, fs.ErrNotExist) {
			first = diskError("data-dir", err)
		}
	}
	for _, n := range names {
		note(d.fs.Remove(d.path(n)))
	}
	note(d.fs.SyncDir(d.dir))
	return first
}

// putAside copies what is in a file into one beside it that is free, and returns which; "" where there is no such file.
func (d disk) putAside(name, suffix string) (kept string, err error) {
	raw, found, err := d.loadRaw(name)
	if err != nil || !found {
		return "", err
	}
	if kept, err = d.free(name+suffix, raw); err != nil {
		return "", err
	}
	return kept, d.write(kept, raw)
}

// free finds a name for what is to be kept that no file has yet, unless one holds the same: a number is added to those
// that are taken.
func (d disk) free(name string, raw []byte) (string, error) {
	for n, next := 1, name; ; n, next = n+1, fmt.Sprintf("%s-%d", name, n+1) {
		if held, found, err := d.loadRaw(next); !found || err != nil || bytes.Equal(held, raw) {
			return next, err
		}
	}
}

// besides names all that may lie beside some files.
func besides(names []string) (out []string) {
	for _, n := range names {
		out = append(out, n+spareSuffix, n+damagedSuffix)
	}
	return out
}

// diary remembers what was wrong in the data folder and could be put right, for the node's warnings. The
// nil diary forgets.
type diary struct {
	report func(op string, err error)

	mu   sync.Mutex
	list []string
}

// note reports an error that the node can live with.
func (y *diary) note(err error) {
	if y != nil && err != nil {
		y.report("data-dir", err)
	}
}

func (y *diary) mended(what string) {
	if y == nil {
		return
	}
	y.note(errors.New(what))
	y.mu.Lock()
	defer y.mu.Unlock()
	y.list = append(y.list, what)
}

func (y *diary) mends() []string {
	y.mu.Lock()
	defer y.mu.Unlock()
	return slices.Clone(y.list)
}
