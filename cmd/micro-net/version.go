package main

import (
	"cmp"
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build is what this program was made from.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// buildOf prefers what the linker was told; `go install module@version` leaves it in the build
// information.
func buildOf(linked string, info *debug.BuildInfo) build {
	b := build{Version: linked, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info != nil {
		if v := info.Main.Version; v != "(devel)" {
			b.Version = cmp.Or(b.Version, v)
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				b.Commit = s.Value
			case "vcs.time":
				b.Date = s.Value
			}
		}
	}
	b.Version = cmp.Or(b.Version, "devel")
	return b
}

func (a *app) versionCommand() *cobra.Command {
	return a.printsData(a.command("version [flags]", "print the version of this program",
		"  micro-net version\n  micro-net version -o json",
		noArgs, func(context.Context, []string) error {
			return a.print(a.build, func(t *table) {
				b := a.build
				t.text("micro-net %s", b.Version)
				t.row("commit", b.Commit)
				t.row("date", b.Date)
				t.row("go", b.Go)
				t.row("platform", b.OS+"/"+b.Arch)
			})
		}))
}
