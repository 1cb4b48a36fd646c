package api

import (
	"errors"
	"fmt"
	"io/fs"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
)

// finder is nil where processes cannot be told apart.
func (s *Server) finder() micronet.ProcessFinder {
	f, _ := s.env.Net.(micronet.ProcessFinder)
	return f
}

// nameProcesses makes sure that who registers may say whose connections are the services' own, and takes
// down which process is meant. What is held is run by the process that holds it, unless it names another.
func (s *Server) nameProcesses(a access, held bool, services []config.Service) error {
	for i := range services {
		svc := &services[i]
		if !a.socket && (svc.PID != 0 || svc.Cgroup != "") {
			return micronet.E("api.register", micronet.Refused, "service %q names processes", svc.Name).
				WithFix("register it through the unix socket, where it can be seen whose they are")
		}
		if err := s.nameGroup(a, svc.Cgroup); err != nil {
			return err
		}
		if svc.PID == 0 && held && a.socket {
			s.nameHolder(a, svc)
			continue
		}
		if err := s.nameProcess(a, svc); err != nil {
			return err
		}
	}
	return nil
}

// nameGroup makes sure that an ordinary user names a control group of its own.
func (s *Server) nameGroup(a access, cgroup string) error {
	if cgroup == "" || a.right >= mayAll {
		return nil
	}
	if f := s.finder(); f != nil {
		if uid, err := f.GroupOwner(cgroup); err == nil && uid == a.cred.UID {
			return nil
		}
	}
	return micronet.E("api.register", micronet.Refused, "the control group %q is not one of this user", cgroup).WithFix("use sudo, or name a process with --pid")
}

// absentGroups warns of control groups that are not there. It is no error: those of units of systemd come and go
// with their programs.
func (s *Server) absentGroups(services []config.Service) []string {
	out, f := []string{}, s.finder()
	for i := range services {
		svc := &services[i]
		if svc.Cgroup == "" || f == nil {
			continue
		}
		if _, err := f.GroupOwner(svc.Cgroup); errors.Is(err, fs.ErrNotExist) {
			out = append(out, fmt.Sprintf("there is no control group %q on this host now: no program calls as %q by it until there is; the right one is in /proc/PID/cgroup of the program", svc.Cgroup, svc.Name))
		}
	}
	return out
}

// nameHolder takes the process at the other end of the socket, where it can be seen from here.
func (s *Server) nameHolder(a access, svc *config.Service) {
	if pid := s.pidOf(a); pid != 0 {
		svc.PID = pid
		if s.nameProcess(a, svc) != nil {
			svc.PID = 0 // it has just ended
		}
	}
}

func (s *Server) nameProcess(a access, svc *config.Service) error {
	if svc.PID == 0 {
		return nil
	}
	f := s.finder()
	if f == nil {
		return micronet.E("api.register", micronet.Refused, "processes cannot be told apart on this system").WithFix("leave out the pid")
	}
	id, uid, err := f.Process(svc.PID)
	if err != nil {
		return micronet.E("api.register", micronet.Invalid, "there is no process %d on this host", svc.PID)
	}
	if uid != a.cred.UID && a.right < mayAll {
		return micronet.E("api.register", micronet.Refused, "process %d belongs to another user", svc.PID).WithFix("use sudo")
	}
	svc.PIDStart, svc.PIDBoot = id.Start, id.Boot
	return nil
}

// pidOf is the process at the other end of the socket, 0 when that cannot be said: it may have given its
// connection to another one and have ended.
func (s *Server) pidOf(a access) int {
	f := s.finder()
	if f == nil || !a.socket || a.cred.PID <= 0 {
		return 0
	}
	if _, uid, err := f.Process(a.cred.PID); err != nil || uid != a.cred.UID {
		return 0
	}
	return a.cred.PID
}

// callerOf is the program behind a request.
func (s *Server) callerOf(a access) micronet.Caller {
	return micronet.Caller{PID: s.pidOf(a), Addr: a.client, Dialled: a.server}
}
