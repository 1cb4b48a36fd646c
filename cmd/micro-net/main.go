// Command micro-net runs a node of a service mesh and talks to the one that runs on this host.
//
// It knows flags, signals, terminals and exit codes; everything else is asked of a daemon through
// its API, or done by package node. Each verb has a file of its own.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"golang.org/x/term"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/osenv"
	"github.com/micro/micro-net/node"
)

// version is set by the linker (-X main.version=…).
var version string

func main() {
	os.Exit(system().run(context.Background(), os.Args[1:]))
}

// system is the program with the real outside world.
func system() *app {
	build, _ := debug.ReadBuildInfo()
	return &app{
		env: osenv.Fill(micronet.Env{}), environ: os.Environ(), daemon: node.RunDaemon, harden: osenv.NoCoreDumps,
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		inTerminal: term.IsTerminal(int(os.Stdin.Fd())), outTerminal: term.IsTerminal(int(os.Stdout.Fd())),
		secret: func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) },
		build:  buildOf(version, build), executable: os.Executable, tempDir: os.MkdirTemp,
	}
}
