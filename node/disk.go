package node

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
)

// The files of the data folder. Each has one writer and one reason to change.
const (
	fileLock       = "lock"
	fileKeys       = "node.key"        // never rewritten
	fileMembership = "membership.json" // rewritten by renewals
	fileNext       = "membership.next" // the one that takes its place; only while that happens
	fileLeft       = "membership.left" // the one of a cluster that was left; only while the rest goes
	fileEpoch      = "epoch.json"      // rewritten at every start
	filePeers      = "peers.json"
	fileStatements = "statements.json" // what the cluster's authorities have said
	fileServices   = "services.json"
	fileVIPs       = "vips.json"
	fileRootKey    = "root.key"       // authorities only
	fileNextRoot   = "root.next"      // the root key that takes its place; only while that happens
	fileOvertaken  = "root.overtaken" // another root key than this host's counts; it is there or not
	filePromotion  = "promotion.json" // the root made this node an authority
	fileAuthority  = "authority.json" // names given out
	fileTokens     = "tokens.json"    // open invitations
	fileIssued     = "issued.log"     // what was issued; grows, see issuances
)

const (
	secretPerm = 0o600
	folderPerm = 0o700
	// What others may do neither with our files, nor with the folder: who can write there can put a key
	// of his own in the place of ours.
	looseFile   = 0o077
	looseFolder = 0o022
	// diskFormat marks our files; a file without it is somebody else's and is not touched.
	diskFormat = "micro-net/1"
)

// disk is the data folder. With no folder it keeps nothing: every load finds nothing.
type disk struct {
	fs    micronet.FS
	dir   string
	uid   int    // that runs the daemon
	diary *diary // what was put right
}

// envelope is the form of every JSON file: what it is, and a checksum that tells a torn or
// damaged file from an old one.
type envelope struct {
	Format string          `json:"format"`
	Sum    string          `json:"sum"` // of format and data
	Data   json.RawMessage `json:"data"`
}

func (d disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d disk) keeps() bool { return d.dir != "" }

// open makes the folder and takes its lock.
func (d disk) open() (io.Closer, error) {
	if !d.keeps() {
		return io.NopCloser(nil), nil
	}
	if err := d.fs.MkdirAll(d.dir, folderPerm); err != nil {
		return nil, diskError("data-dir", err).WithFix("make %s writable for this user, or choose another with --data-dir", d.dir)
	}
	if err := micronet.CheckFile(d.fs, d.dir, d.uid, looseFolder); err != nil {
		return nil, asRefusal(err)
	}
	lock, err := d.fs.Lock(d.path(fileLock))
	if errors.Is(err, micronet.ErrLocked) {
		return nil, micronet.E("data-dir", micronet.Refused, "another daemon uses %s", d.dir).
			WithFix("stop it, or give this one its own --data-dir")
	}
	if err != nil {
		return nil, diskError("data-dir", err).WithFix("make %s writable for this user, or choose another with --data-dir", d.dir)
	}
	return lock, nil
}

// load reads a JSON file into v. found is false when there is none.
func (d disk) load(name string, v any) (found bool, err error) {
	return d.read(name, func(raw []byte) error { return openEnvelope(raw, v) })
}

func openEnvelope(raw []byte, v any) error {
	var e envelope
	if err := json.Unmarshal(raw, &e); err != nil {
		return errors.New("it is not a file of micro-net, or it is torn")
	}
	if sum(e.Format, e.Data) != e.Sum {
		return errors.New("its checksum does not match")
	}
	if e.Format != diskFormat {
		return fmt.Errorf("it holds %.64q, not %q: %w", e.Format, diskFormat, identity.ErrVersion)
	}
	return json.Unmarshal(e.Data, v)
}

// save replaces a JSON file.
func (d disk) save(name string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return micronet.E("data-dir", micronet.Internal, "encode %s: %w", name, err)
	}
	raw, err := seal(diskFormat, data)
	if err != nil {
		return micronet.E("data-dir", micronet.Internal, "encode %s: %w", name, err)
	}
	return d.saveRaw(name, raw)
}

func seal(format string, data []byte) ([]byte, error) {
	return json.Marshal(envelope{Format: format, Sum: sum(format, data), Data: data})
}

func (d disk) loadRaw(name string) (raw []byte, found bool, err error) {
	if !d.keeps() {
		return nil, false, nil
	}
	if err = micronet.CheckFile(d.fs, d.path(name), d.uid, looseFile); err == nil {
		raw, err = d.fs.ReadFile(d.path(name))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, true, asRefusal(err)
	}
	return raw, true, nil
}

// saveRaw replaces a file, and sees to its spare.
func (d disk) saveRaw(name string, raw []byte) error {
	if !d.keeps() {
		return nil
	}
	after := spareOf(name) == spareSame
	if spareOf(name) == spareFormer {
		kept, err := d.keepFormer(name)
		if err != nil {
			return err
		}
		after = !kept
	}
	if err := d.write(name, raw); err != nil {
		return err
	}
	if after {
		d.diary.note(d.write(name+spareSuffix, raw))
	}
	return nil
}

func (d disk) write(name string, raw []byte) error {
	if err := micronet.WriteFile(d.fs, d.path(name), raw, secretPerm); err != nil {
		return diskError("data-dir", err)
	}
	return nil
}

// extend adds to the end of a file, for good. What is there already stays as it is.
func (d disk) extend(name string, more []byte, fresh bool) error {
	if !d.keeps() {
		return nil
	}
	f, err := d.fs.Append(d.path(name), secretPerm)
	if err != nil {
		return diskError("data-dir", err)
	}
	_, err = f.Write(more)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil && fresh {
		err = d.fs.SyncDir(d.dir)
	}
	if err != nil {
		return diskError("data-dir", err)
	}
	return nil
}

// remove deletes files for good, those that are there, and what lies beside them first: a secret that is
// gone is nowhere. All are tried.
func (d disk) remove(names ...string) error {
	if !d.keeps() {
		return nil
	}
	err := d.discard(besides(names)...)
	if last := d.discard(names...); err == nil {
		err = last
	}
	return err
}

// rename makes a file take the place of another, for good. What lies beside the other goes first, and it
// has a spare again at the end.
func (d disk) rename(from, to string) error {
	if !d.keeps() {
		return nil
	}
	if err := d.discard(besides([]string{to})...); err != nil {
		return err
	}
	if err := d.fs.Rename(d.path(from), d.path(to)); err != nil {
		return diskError("data-dir", err)
	}
	if err := d.fs.SyncDir(d.dir); err != nil {
		return diskError("data-dir", err)
	}
	if spareOf(to) != spareNone {
		_, err := d.keepFormer(to)
		d.diary.note(err)
	}
	return nil
}

func sum(format string, data []byte) string {
	h := sha256.Sum256(append([]byte(format+"\x00"), data...))
	return hex.EncodeToString(h[:])
}

func damaged(path, why string) error {
	return micronet.E("data-dir", micronet.Invalid, "%s cannot be used: %s", path, why).
		WithFix("restore it from a backup, or move it away; nothing was overwritten")
}

// asRefusal leaves our own errors as they are.
func asRefusal(err error) error {
	if _, ok := errors.AsType[*micronet.Error](err); ok {
		return err
	}
	return diskError("data-dir", err)
}

// diskError: whatever the operating system says, it is the host that denies us the file. A file
// that may be missing is not asked for here.
func diskError(op string, err error) *micronet.Error {
	return &micronet.Error{Op: op, Kind: micronet.Refused, Err: err}
}
