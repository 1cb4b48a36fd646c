package micronet

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/micro/micro-net"

// imports says which packages of this module, and which modules of others, each package may
// import. The standard library is open to all. Arrows go down, siblings do not know each other.
var imports = map[string][]string{
	".":                 {},
	"gossip":            {"."},
	"gossip/gossiptest": {".", "gossip"},
	"gossip/heartbeat":  {"."},
	"gossip/wire":       {".", "gossip", "github.com/hashicorp/go-msgpack/v2"},
	"gossip/swim":       {".", "gossip", "github.com/hashicorp/memberlist"},
	"tunnel":            {".", "golang.org/x/crypto", "golang.org/x/net", "golang.org/x/sys"},
	"tunnel/tunneltest": {".", "tunnel"},
	"tunnel/quic":       {".", "tunnel", "github.com/quic-go/quic-go"},
	"tunnel/lane":       {".", "tunnel"},
	"router":            {"."},
	"dns":               {"."},
	"dns/server":        {".", "dns", "github.com/miekg/dns"},
	"proxy":             {"."},
	"internal/identity": {".", "golang.org/x/crypto"},
	"internal/policy":   {"."},
	"internal/config":   {".", "internal/policy", "github.com/goccy/go-yaml"},
	"internal/portmap":  {"."},
	"internal/osenv": {
		".", "github.com/fsnotify/fsnotify", "github.com/google/nftables", "github.com/vishvananda/netlink", "golang.org/x/sys",
	},
	"internal/portmap/portmaptest": {".", "sim/netsim"},
	"node/api":                     {".", "internal/config", "internal/policy"},
	"node": {
		".", "gossip", "gossip/heartbeat", "gossip/swim", "gossip/wire", "tunnel", "tunnel/quic", "tunnel/lane", "router", "dns", "dns/server", "proxy",
		"internal/identity", "internal/config", "internal/osenv", "internal/policy", "internal/portmap", "node/api", "github.com/prometheus/client_golang", "github.com/prometheus/common",
	},
	"cmd/micro-net": {
		".", "node", "node/api", "internal/config", "internal/osenv", "sim", "sim/batch", "sim/report", "sim/scenario", "sim/swarm", "testdata/scenarios",
		"github.com/spf13/cobra", "github.com/spf13/pflag", "github.com/goccy/go-yaml", "golang.org/x/term",
	},
	"sim/netsim":   {"."},
	"sim/light":    {".", "tunnel", "tunnel/quic"},
	"sim/lab":      {".", "golang.org/x/sys"},
	"sim/simdet":   {"sim/overlay"},
	"sim/overlay":  {},
	"sim/defence":  {"sim/overlay"},
	"sim/batch":    {".", "sim", "sim/report", "sim/scenario"},
	"sim/report":   {"."},
	"sim/scenario": {".", "github.com/goccy/go-yaml"},
	"sim/swarm":    {},
	"sim": {
		".", "gossip", "gossip/heartbeat", "gossip/swim", "gossip/wire", "internal/identity", "internal/policy", "internal/portmap/portmaptest", "node", "node/api", "proxy", "tunnel", "tunnel/quic",
		"sim/light", "sim/netsim", "sim/report", "sim/scenario", "golang.org/x/net",
	},
}

// banned maps an import, or the beginning of a package's function, to what to use instead.
var banned = map[string]string{
	"os.":           "micronet.FS, micronet.Host",
	"os/exec":       "micronet.Exec",
	"os/signal":     "micronet.Exec.Signals",
	"math/rand":     "Env.Rand (math/rand/v2)",
	"crypto/rand":   "Env.Entropy",
	"log.Print":     "Events, or Env.Log in node and cmd",
	"log.Fatal":     "Events, or Env.Log in node and cmd",
	"log.Panic":     "Events, or Env.Log in node and cmd",
	"log.Default":   "Events, or Env.Log in node and cmd",
	"net.Dial":      "micronet.Network.Dial",
	"net.Listen":    "micronet.Network.Listen",
	"net.Lookup":    "addresses, or dns",
	"net.Resolve":   "netip.ParseAddrPort",
	"net.Default":   "micronet.HostResolver",
	"net.Interface": "micronet.Network.Interfaces",
	"http.Get":      "a client over micronet.Network",
	"http.Post":     "a client over micronet.Network",
	"http.Default":  "a client or mux of its own",
	"rand.Int":      "Env.Rand",
	"rand.Uint":     "Env.Rand",
	"rand.Float64":  "Env.Rand",
	"rand.Perm":     "Env.Rand",
	"rand.Shuffle":  "Env.Rand",
}

// exceptions are the files in which a banned name may stand, with the reason.
var exceptions = map[string][]string{
	"env.go":          {"crypto/rand"}, // the default of Env.Entropy
	"internal/osenv":  {"os.", "os/exec", "os/signal", "net.Dial", "net.Listen", "net.Interface", "net.Default"},
	"sim/exact_on.go": {"crypto/rand"},    // replaces the reader of a whole process
	"sim/simdet":      {"os.", "os/exec"}, // asks where the toolchain is
	"sim/overlay":     {"os."},            // copies source files
	"sim/lab":         {"os.", "os/exec"}, // builds network namespaces out of real commands
	"cmd/micro-net":   {"os."},            // arguments, standard streams, exit
}

// harmless are names of package os that do nothing: error values, shared with package io/fs.
var harmless = []string{"ErrDeadlineExceeded", "NewSyscallError"}

type listed struct {
	ImportPath, Dir string
	GoFiles         []string
	Imports         []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func short(importPath string) string {
	if importPath == module {
		return "."
	}
	return strings.TrimPrefix(importPath, module+"/")
}

func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		allowed, known := imports[short(p.ImportPath)]
		if !known {
			t.Errorf("package %s is not in the table of imports: add it with what it may import", short(p.ImportPath))
			continue
		}
		for _, imp := range p.Imports {
			if !isStandard(imp) && !importAllowed(allowed, short(imp)) {
				t.Errorf("%s imports %s: it may not", short(p.ImportPath), short(imp))
			}
		}
	}
}

func importAllowed(allowed []string, imp string) bool {
	return slices.ContainsFunc(allowed, func(a string) bool {
		return imp == a || (strings.Contains(a, ".") && a != "." && strings.HasPrefix(imp, a+"/"))
	})
}

func TestDaemonLinksNoTestCode(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./node").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		if dep == "testing" || strings.HasPrefix(dep, module+"/sim") {
			t.Errorf("node links %s", dep)
		}
	}
}

func TestPackageDocs(t *testing.T) {
	for _, p := range packages(t) {
		if short(p.ImportPath) == "cmd/micro-net" {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(p.Dir, "doc.go"))
		if err != nil {
			t.Errorf("%s has no doc.go", short(p.ImportPath))
			continue
		}
		if !strings.Contains(string(raw), "Goroutines") {
			t.Errorf("%s/doc.go does not say which goroutines the package runs", short(p.ImportPath))
		}
	}
}

func TestBannedCalls(t *testing.T) {
	for _, file := range sources(t) {
		for _, found := range bannedIn(t, file) {
			t.Error(found)
		}
	}
}

// sources lists the non-test Go files.
func sources(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") && path != ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func bannedIn(t *testing.T, file string) (found []string) {
	t.Helper()
	fset := token.NewFileSet()
	tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, imp := range tree.Imports {
		path, err := strconv.Unquote(imp.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if instead, bad := banned[path]; bad && !excepted(file, path) {
			found = append(found, fmt.Sprintf("%s imports %s: use %s", file, path, instead))
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		name := selected(n)
		for prefix, instead := range banned {
			if name != "" && strings.Contains(prefix, ".") && strings.HasPrefix(name, prefix) && !excepted(file, prefix) {
				found = append(found, fmt.Sprintf("%s uses %s: use %s", fset.Position(n.Pos()), name, instead))
			}
		}
		return true
	})
	return found
}

// selected returns "pkg.Name" for a selector on a plain identifier.
func selected(n ast.Node) string {
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := sel.X.(*ast.Ident)
	if !ok || slices.Contains(harmless, sel.Sel.Name) {
		return ""
	}
	name := x.Name + "." + sel.Sel.Name
	if name == "net.Listener" || name == "net.Resolver" { // types that begin like banned funcs
		return ""
	}
	return name
}

func excepted(file, what string) bool {
	for prefix, allowed := range exceptions {
		if (file == prefix || strings.HasPrefix(file, prefix+"/")) && slices.Contains(allowed, what) {
			return true
		}
	}
	return false
}

func TestNoLeftovers(t *testing.T) {
	for _, file := range sources(t) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(raw), "\n") {
			for _, word := range []string{"TODO", "FIXME", "XXX", "panic(\"not implemented"} {
				if strings.Contains(line, word) {
					t.Errorf("%s:%d: %s is left over", file, i+1, word)
				}
			}
		}
	}
}

// maxFunction is one screen.
const maxFunction = 70

func TestFunctionsFitOneScreen(t *testing.T) {
	for _, file := range sources(t) {
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := fset.Position(f.End()).Line - fset.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, a screen has %d", fset.Position(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, file := range sources(t) {
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: an init function hides order and state; wire it in node", fset.Position(f.Pos()))
			}
		}
	}
}

// TestTidyCatches proves that the checks above can fail.
func TestTidyCatches(t *testing.T) {
	if importAllowed([]string{"."}, "router") {
		t.Error("a sibling import passes")
	}
	if importAllowed([]string{"github.com/miekg/dns"}, "github.com/miekg/dnsx") {
		t.Error("a module with a longer name passes")
	}
	if !importAllowed([]string{"github.com/miekg/dns"}, "github.com/miekg/dns/sub") {
		t.Error("a package of an allowed module fails")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "bad.go")
	src := "package bad\nimport (\n\"net\"\n\"os\"\n)\nvar _, _ = net.Dial(\"tcp\", os.Args[0])\n"
	if err := os.WriteFile(file, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := bannedIn(t, file); len(got) != 2 {
		t.Errorf("bannedIn found %v, want os.Args and net.Dial", got)
	}
}
