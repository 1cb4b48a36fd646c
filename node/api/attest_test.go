package api

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// processes is a network in which process 50 is of user 7 and 60 of root.
type processes struct{ micronet.Network }

func (processes) Process(pid int) (micronet.ProcessID, int, error) {
	uid, ok := map[int]int{50: 7, 60: 0}[pid]
	if !ok {
		return micronet.ProcessID{}, 0, os.ErrNotExist
	}
	return micronet.ProcessID{PID: pid, Start: uint64(10 * pid), Boot: "this"}, uid, nil
}

type finding struct {
	processes
	micronet.ProcessFinder
}

func (finding) GroupOwner(cgroup string) (int, error) {
	if cgroup != "/web" {
		return 0, os.ErrNotExist
	}
	return 7, nil
}

func (f finding) Process(pid int) (micronet.ProcessID, int, error) { return f.processes.Process(pid) }

// TestQ25_WhoMayNameProcesses: a user speaks for processes of its own only, nobody does through TCP, and what
// is held belongs to the process that holds it.
func TestQ25_WhoMayNameProcesses(t *testing.T) {
	able := &Server{env: micronet.Env{Net: finding{}}}
	user := access{socket: true, right: mayRegister, cred: micronet.Credentials{UID: 7, PID: 50}}
	group := access{socket: true, right: mayServe, cred: micronet.Credentials{UID: 7, PID: 50}}
	root := access{socket: true, right: mayAll, cred: micronet.Credentials{UID: 0, PID: 60}}
	liar := access{socket: true, right: mayRegister, cred: micronet.Credentials{UID: 8, PID: 50}}
	for _, c := range []struct {
		name  string
		who   access
		held  bool
		pid   int
		group string
		kind  micronet.Kind
		want  config.Service
	}{
		{name: "its own", who: user, pid: 50, want: config.Service{PID: 50, PIDStart: 500}},
		{name: "root's", who: user, pid: 60, kind: micronet.Refused},
		{name: "root's, by the group", who: group, pid: 60, kind: micronet.Refused},
		{name: "a user's, by root", who: root, pid: 50, want: config.Service{PID: 50, PIDStart: 500}},
		{name: "nobody's", who: root, pid: 70, kind: micronet.Invalid},
		{name: "through TCP", who: access{right: mayServe}, pid: 50, kind: micronet.Refused},
		{name: "a group through TCP", who: access{right: mayServe}, group: "/web", kind: micronet.Refused},
		{name: "a group", who: user, group: "/web", want: config.Service{Cgroup: "/web"}},
		{name: "a group of another user", who: liar, group: "/web", kind: micronet.Refused},
		{name: "a group that is not there", who: user, group: "/other", kind: micronet.Refused},
		{name: "any group, by root", who: root, group: "/other", want: config.Service{Cgroup: "/other"}},
		{name: "held", who: user, held: true, want: config.Service{PID: 50, PIDStart: 500}},
		{name: "held for another", who: root, held: true, pid: 50, want: config.Service{PID: 50, PIDStart: 500}},
		{name: "held by a process that is another one now", who: liar, held: true},
		{name: "registered", who: user},
	} {
		list := []config.Service{{PID: c.pid, Cgroup: c.group}}
		err := able.nameProcesses(c.who, c.held, list)
		if (err == nil) != (c.kind == 0) || (err != nil && micronet.KindOf(err) != c.kind) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && (list[0].PID != c.want.PID || list[0].PIDStart != c.want.PIDStart || (list[0].PIDBoot == "this") != (list[0].PIDStart != 0) || list[0].Cgroup != c.want.Cgroup) {
			t.Errorf("%s: %+v, want %+v", c.name, list[0], c.want)
		}
	}
	told := able.absentGroups([]config.Service{{Name: "a", Cgroup: "/web"}, {Name: "b"}, {Name: "c", Cgroup: "/nosuch"}})
	if len(told) != 1 || !strings.Contains(told[0], `no control group "/nosuch"`) || !strings.Contains(told[0], `calls as "c"`) {
		t.Errorf("groups that are not there: %q", told)
	}
	blind := &Server{env: micronet.Env{Net: struct{ micronet.Network }{}}}
	if err := blind.nameProcesses(user, true, []config.Service{{}}); err != nil {
		t.Errorf("where processes cannot be told apart: %v", err)
	}
	if err := blind.nameProcesses(root, false, []config.Service{{PID: 50}}); micronet.KindOf(err) != micronet.Refused {
		t.Errorf("a pid there: %v", err)
	}
}

// TestCallerIsTold: who is behind a request reaches the backend, and a service only where it is asked for.
func TestCallerIsTold(t *testing.T) {
	w := newWorld(t, Config{}).start()
	ctx, c := t.Context(), w.client()
	w.backend.dialed = func() (net.Conn, error) { return nil, errors.New("no") }
	if _, err := c.Dial(ctx, "pay"); err == nil {
		t.Error("it was dialled")
	}
	if pid := w.backend.from.PID; pid != 0 && pid != os.Getpid() {
		t.Errorf("process %d asks", pid)
	}
	e, err := c.Explain(ctx, "pay", "shop")
	if err != nil || e.Service != "pay" || e.Candidates == nil || !w.backend.from.Attested || w.backend.from.Service != "shop" {
		t.Errorf("%+v, %v, %+v", e, err, w.backend.from)
	}
	if _, err := c.Explain(ctx, "pay", ""); err != nil || w.backend.from.Attested {
		t.Errorf("%v, %+v", err, w.backend.from)
	}
}
