package osenv

import (
	"os"
	"runtime"

	micronet "github.com/micro/micro-net"
)

// Fill returns e with the operating system in every field that was left empty.
func Fill(e micronet.Env) micronet.Env {
	if e.Net == nil {
		e.Net = Network{}
	}
	if e.FS == nil {
		e.FS = FS{}
	}
	if e.Exec == nil {
		e.Exec = Exec{}
	}
	if e.Host.Name == "" {
		e.Host = host()
	}
	return e.EnsureDefaults()
}

func host() micronet.Host {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "node"
	}
	return micronet.Host{Name: name, Machine: machine(), OS: runtime.GOOS, UID: os.Geteuid(), Getenv: os.Getenv}
}
