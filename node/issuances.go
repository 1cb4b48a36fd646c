package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/node/api"
)

const (
	// maxIssued is the size in bytes at which the log goes on in a new file; some 100,000 lines.
	maxIssued = 32 << 20
	// issuedPrefix begins the names of all files of the log: the present one, and those before it,
	// which are numbered by their first line.
	issuedPrefix = "issued"
)

// issuances is the log of what this authority issued. It is not safe for concurrent use: the authority's
// turn guards it.
type issuances struct {
	disk    disk
	cluster identity.ClusterID
	first   uint64               // number of the first line in the file
	at      identity.IssuanceLog // where the chain stands
	size    int                  // of the file
	torn    bool                 // its last line
	broken  bool                 // a line was not written whole: the file must be mended first
}

// openIssuances reads and verifies the log, which has had that many lines at least, and shows it to see. A last
// line that a crash tore is cut off: what it speaks of was never issued.
func openIssuances(d disk, cluster identity.ClusterID, least uint64, see func([]identity.Issuance)) (*issuances, error) {
	i := &issuances{disk: d, cluster: cluster, first: 1, at: identity.NewIssuanceLog(cluster)}
	parts, err := i.parts()
	if err != nil {
		return nil, err
	}
	var whole []byte
	for _, name := range parts {
		var list []identity.Issuance
		if list, whole, err = i.load(name); err != nil {
			return nil, err
		}
		see(list)
	}
	if i.at.Count < least && d.keeps() {
		return nil, damagedLog(d.path(fileIssued), fmt.Sprintf("it has %d lines, and %d were written", i.at.Count, least))
	}
	if i.torn {
		return i, d.saveRaw(fileIssued, whole)
	}
	return i, nil
}

// parts names the files of the log that are full, oldest first, and the present one.
func (i *issuances) parts() ([]string, error) {
	if !i.disk.keeps() {
		return nil, nil
	}
	entries, err := i.disk.fs.ReadDir(i.disk.dir)
	if err != nil {
		return nil, diskError("data-dir", err)
	}
	var full []string
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, issuedPrefix+"-") && filepath.Ext(name) == ".log" {
			full = append(full, name)
		}
	}
	slices.Sort(full)
	return append(full, fileIssued), nil
}

// load verifies a file that follows on what was read before. whole is what it holds but for a last line
// that is torn, or for all from a fault on.
func (i *issuances) load(name string) (list []identity.Issuance, whole []byte, err error) {
	raw, found, err := i.disk.loadRaw(name)
	if !found && err == nil {
		i.first, i.size = i.at.Count+1, 0 // a crash between the end of a full file and the first line of the next
	}
	if !found || err != nil {
		return nil, nil, err
	}
	first := i.at.Count + 1
	list, next, n, err := i.at.Read(raw)
	i.torn = n < len(raw)
	if err == nil && i.torn && name != fileIssued {
		err = errors.New("its last line is cut short")
	}
	i.first, i.at, i.size = first, next, n
	if err != nil {
		err = damagedLog(i.disk.path(name), err.Error())
	}
	return list, raw[:n], err
}

// unusable stands between what cannot be used and why.
const unusable = " cannot be used: "

func damagedLog(path, why string) error {
	return micronet.E("data-dir", micronet.Invalid, "%s"+unusable+"%s", path, why).
		WithFix("nothing was overwritten; restore it from a backup, or start the daemon again: the log goes on after the last line that is sound, and the rest is kept")
}

// note writes what is about to leave this authority. It is on disk when note returns nil.
func (i *issuances) note(e identity.Issuance) error {
	if i.broken {
		if err := i.mend(); err != nil {
			return err
		}
	}
	if i.size >= maxIssued {
		if err := i.turnOver(); err != nil {
			return err
		}
	}
	line, next, err := i.at.Append(e)
	if err != nil {
		return err
	}
	if err := i.disk.extend(fileIssued, line, i.size == 0); err != nil {
		i.broken = true
		return err
	}
	i.at, i.size = next, i.size+len(line)
	return nil
}

// salvage makes the files of a log end in front of the first fault. What was in those that are not sound is kept
// beside them, and what is cut goes from the end on: after a crash the fault is still there, or lines are missing.
func (i *issuances) salvage() error {
	parts, err := i.parts()
	if err != nil {
		return err
	}
	for n, name := range parts {
		_, whole, err := i.load(name)
		switch {
		case err == nil:
			continue
		case micronet.KindOf(err) != micronet.Invalid:
			return err
		}
		if err := i.keepFaulty(parts[n:]); err != nil {
			return err
		}
		for last := len(parts) - 1; last > n; last-- {
			if err := i.disk.discard(parts[last]); err != nil {
				return err
			}
		}
		return i.disk.saveRaw(name, whole)
	}
	return nil // lines are missing at its end
}

// keepFaulty copies files that cannot be used, or cannot be without those that cannot.
func (i *issuances) keepFaulty(names []string) error {
	for _, name := range names {
		if _, err := i.disk.putAside(name, damagedSuffix); err != nil {
			return err
		}
	}
	return nil
}

// mend reads the files anew after a line was not written whole.
func (i *issuances) mend() error {
	again, err := openIssuances(i.disk, i.cluster, i.at.Count, ignore)
	if err == nil {
		*i = *again
	}
	return err
}

// ignore is for those who have seen the log before.
func ignore([]identity.Issuance) {}

// turnOver goes on in a new file.
func (i *issuances) turnOver() error {
	if err := i.disk.rename(fileIssued, fmt.Sprintf("%s-%012d.log", issuedPrefix, i.first)); err != nil {
		return err
	}
	i.first, i.size = i.at.Count+1, 0
	return nil
}

// all lists everything that was issued, verified from the first line on. What can be read in front of a fault
// is returned with it.
func (i *issuances) all() ([]identity.Issuance, error) {
	from := &issuances{disk: i.disk, cluster: i.cluster, at: identity.NewIssuanceLog(i.cluster)}
	parts, err := from.parts()
	var out []identity.Issuance
	for _, name := range parts {
		var list []identity.Issuance
		if err == nil {
			list, _, err = from.load(name)
			out = append(out, list...)
		}
	}
	if err == nil && i.disk.keeps() && from.at != i.at {
		err = damagedLog(i.disk.path(fileIssued), fmt.Sprintf("it ends at line %d, and this daemon has written %d", from.at.Count, i.at.Count))
	}
	return out, err
}

// removeIssuances deletes the log of a cluster that this node is no authority of any more.
func removeIssuances(d disk) error {
	parts, err := (&issuances{disk: d}).parts()
	if err != nil {
		return err
	}
	return d.remove(parts...)
}

// Issuances lists what this authority issued.
func (b backend) Issuances() (api.IssuanceLog, error) {
	a := b.l.gate.authority.Load()
	if a == nil {
		return api.IssuanceLog{}, b.noAuthority("node log")
	}
	a.lock()
	defer a.unlock()
	list, err := a.log.all()
	out := api.IssuanceLog{Issued: []api.Issuance{}, Head: hex.EncodeToString(a.log.at.Head[:])}
	if err != nil {
		out.Fault = err.Error()
	}
	for _, e := range list {
		out.Issued = append(out.Issued, api.Issuance{
			Number: e.Number, Time: e.Time, What: e.What, Serial: e.Serial, ID: e.Node.String(), Node: e.Name, Ends: e.Ends,
		})
	}
	return out, nil
}
