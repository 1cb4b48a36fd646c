package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/node/api"
)

// source tells where an instance came from; it decides how long the instance lives.
type source struct {
	kind string // "flag", "file", "api", "hold", "listen"
	name string // a file's path, a hold's number
}

func (s source) String() string {
	if s.name == "" {
		return s.kind
	}
	return s.kind + " " + s.name
}

// entry is one instance of this node.
type entry struct {
	service config.Service
	source  source
	owner   int
	health  micronet.Health
	output  string // of the last check
	size    int    // see sizeOf
}

// registry holds the instances of this node. It is safe for concurrent use; changed is called
// after every change, outside the lock.
type registry struct {
	changed func()

	mu      sync.Mutex
	entries map[string]*entry // by instance id
}

func newRegistry(changed func()) *registry {
	return &registry{changed: changed, entries: map[string]*entry{}}
}

// replace makes services all that comes from src. Instances that were there keep their health.
// Ids that another source holds are refused one by one; the others are taken.
func (r *registry) replace(src source, owner int, services []config.Service) (errs []error) {
	r.mu.Lock()
	errs = r.putAllLocked(src, owner, services)
	keep := map[string]bool{}
	for i := range services {
		keep[services[i].ID] = true
	}
	for id, e := range r.entries {
		if e.source == src && !keep[id] {
			delete(r.entries, id)
		}
	}
	r.mu.Unlock()
	r.changed()
	return errs
}

// merge is replace without withdrawing anything: what src has and services lacks stays.
func (r *registry) merge(src source, owner int, services []config.Service) (errs []error) {
	r.mu.Lock()
	errs = r.putAllLocked(src, owner, services)
	r.mu.Unlock()
	r.changed()
	return errs
}

func (r *registry) putAllLocked(src source, owner int, services []config.Service) (errs []error) {
	for i := range services {
		if err := r.putLocked(src, owner, services[i]); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// add takes services beside what src has already; all or nothing. undo puts back what was there.
func (r *registry) add(src source, owner int, services []config.Service) (undo func(), err error) {
	r.mu.Lock()
	before := map[string]*entry{}
	for i := range services {
		s := &services[i]
		old := r.entries[s.ID]
		if _, twice := before[s.ID]; twice {
			err = micronet.E("register", micronet.Invalid, "instance %q is named twice", s.ID).WithFix("give each an id of its own")
		} else {
			err = r.putLocked(src, owner, *s)
		}
		if err != nil {
			r.restoreLocked(before)
			r.mu.Unlock()
			return nil, err
		}
		before[s.ID] = old
	}
	r.mu.Unlock()
	r.changed()
	return func() { r.restore(before) }, nil
}

// restore puts back what was behind some ids; nil stands for nothing.
func (r *registry) restore(before map[string]*entry) {
	r.mu.Lock()
	r.restoreLocked(before)
	r.mu.Unlock()
	r.changed()
}

func (r *registry) restoreLocked(before map[string]*entry) {
	for id, e := range before {
		if e == nil {
			delete(r.entries, id)
		} else {
			r.entries[id] = e
		}
	}
}

// putLocked takes one instance, unless somebody else's is in the way or there is no room.
func (r *registry) putLocked(src source, owner int, s config.Service) error {
	size, err := sizeOf(&s)
	if err != nil {
		return err
	}
	if err := r.conflictLocked(src, owner, &s); err != nil {
		return err
	}
	if err := r.roomLocked(s.ID, size); err != nil {
		return err
	}
	e := &entry{service: s, source: src, owner: owner, health: initialHealth(&s), size: size}
	if old, ok := r.entries[s.ID]; ok && !s.Checks.None {
		e.health, e.output = old.health, old.output
	}
	r.entries[s.ID] = e
	return nil
}

func (r *registry) conflictLocked(src source, owner int, s *config.Service) error {
	old, ok := r.entries[s.ID]
	if !ok {
		return nil
	}
	if old.source != src {
		return micronet.E("register", micronet.Refused, "instance %q is there already, from %s", s.ID, old.source).
			WithFix("give this one another id")
	}
	if owner != api.AnyOwner && owner != 0 && old.owner != owner {
		return micronet.E("register", micronet.Refused, "instance %q belongs to another user", s.ID).
			WithFix("give this one another id, or use sudo")
	}
	return nil
}

// initialHealth is passing without checks; with checks an instance starts critical, so that no
// caller meets a program that is not up yet.
func initialHealth(s *config.Service) micronet.Health {
	if s.Checks.None {
		return micronet.Passing
	}
	return micronet.Critical
}

// remove withdraws an instance. api.AnyOwner may withdraw any that has no file behind it. undo
// puts it back.
func (r *registry) remove(owner int, id string) (undo func(), err error) {
	r.mu.Lock()
	e, ok := r.entries[id]
	if err = removable(e, ok, owner, id); err == nil {
		delete(r.entries, id)
	}
	r.mu.Unlock()
	if err != nil {
		return nil, err
	}
	r.changed()
	return func() { r.restore(map[string]*entry{id: e}) }, nil
}

func removable(e *entry, ok bool, owner int, id string) error {
	switch {
	case !ok:
		return micronet.E("deregister", micronet.NotFound, "no instance %q on this node", id).WithFix("see `micro-net services`")
	case e.source.kind == "file":
		return micronet.E("deregister", micronet.Refused, "instance %q comes from %s", id, e.source.name).
			WithFix("remove it from that file")
	case owner != api.AnyOwner && owner != e.owner:
		return micronet.E("deregister", micronet.Refused, "instance %q belongs to another user", id).WithFix("use sudo")
	}
	return nil
}

// others lists the ids of services that are there with other values.
func (r *registry) others(services []config.Service) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := []string{}
	for i := range services {
		if e, ok := r.entries[services[i].ID]; ok && !sameValues(&e.service, &services[i]) {
			out = append(out, services[i].ID)
		}
	}
	return out
}

// sameValues compares services as they are written: an empty list is the same as none.
func sameValues(a, b *config.Service) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// removeSource withdraws all that came from src.
func (r *registry) removeSource(src source) {
	r.replace(src, api.AnyOwner, nil)
}

// get returns a copy of one entry.
func (r *registry) get(id string) (entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[id]
	if !ok {
		return entry{}, false
	}
	return *e, true
}

// setHealth takes a check's verdict.
func (r *registry) setHealth(id string, h micronet.Health, output string) (from micronet.Health, changed bool) {
	r.mu.Lock()
	e, ok := r.entries[id]
	if ok {
		from, changed = e.health, e.health != h
		e.health, e.output = h, output
	}
	r.mu.Unlock()
	if changed {
		r.changed()
	}
	return from, changed
}

// owned is a registration as it is kept on disk.
type owned struct {
	Owner   int            `json:"owner"`
	Service config.Service `json:"service"`
}

// kept returns the registrations that survive a restart, sorted by id.
func (r *registry) kept() []owned {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []owned
	for _, e := range r.entries {
		if e.source.kind == "api" {
			out = append(out, owned{Owner: e.owner, Service: e.service})
		}
	}
	slices.SortFunc(out, func(a, b owned) int { return cmp.Compare(a.Service.ID, b.Service.ID) })
	return out
}

// all returns a copy of every entry, sorted by id.
func (r *registry) all() []entry { return r.chosen(func(*entry) bool { return true }) }

func (r *registry) chosen(want func(*entry) bool) []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []entry
	for _, e := range r.entries {
		if want(e) {
			out = append(out, *e)
		}
	}
	slices.SortFunc(out, func(a, b entry) int { return cmp.Compare(a.service.ID, b.service.ID) })
	return out
}

// instances returns what is announced, sorted by id.
func (r *registry) instances() ([]micronet.Instance, error) {
	return announced(r.all())
}

// of returns the instances of one service, sorted by id. It is called for every stream of a peer.
func (r *registry) of(service string) ([]micronet.Instance, error) {
	return announced(r.chosen(func(e *entry) bool { return e.service.Name == service }))
}

func announced(entries []entry) ([]micronet.Instance, error) {
	out := make([]micronet.Instance, 0, len(entries))
	for i := range entries {
		inst, err := entries[i].service.Instance(entries[i].health)
		if err != nil {
			return nil, fmt.Errorf("instance %q: %w", entries[i].service.ID, err)
		}
		out = append(out, inst)
	}
	return out, nil
}
