package node

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// refusalClass is one rule by which something is refused.
type refusalClass struct{ where, why string }

// refusalClasses finds all rules in the program's source: the literals of micronet.PacketDrop, the texts that
// go through functions which make one of a parameter, and the underlay's list.
func refusalClasses(t *testing.T) (all []refusalClass) {
	t.Helper()
	for dir, files := range programSource(t) {
		makers := map[string]maker{}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if d, ok := n.(*ast.FuncDecl); ok {
					all = append(all, dropsIn(d, makers)...)
				}
				return true
			})
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					all = append(all, calledWith(c, makers)...)
				}
				return true
			})
		}
		if dir == filepath.Join("..", "tunnel") {
			for _, f := range files {
				all = append(all, listedIn(f, "dropNames", "underlay")...)
			}
		}
	}
	slices.SortFunc(all, func(a, b refusalClass) int { return strings.Compare(a.where+"\x00"+a.why, b.where+"\x00"+b.why) })
	return slices.Compact(all)
}

// maker is a function that makes a PacketDrop of its parameter.
type maker struct {
	where string
	param int
}

// programSource parses what the daemon is made of, by folder.
func programSource(t *testing.T) map[string][]*ast.File {
	t.Helper()
	out := map[string][]*ast.File{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if err == nil && (d.Name() == "sim" || d.Name() == "testdata" || (strings.HasPrefix(d.Name(), ".") && path != "..")) {
				return filepath.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		out[filepath.Dir(path)] = append(out[filepath.Dir(path)], f)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// dropsIn reads the PacketDrops of a function, and notes the function where it takes the rule as a parameter.
func dropsIn(d *ast.FuncDecl, makers map[string]maker) (out []refusalClass) {
	ast.Inspect(d, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || !strings.HasSuffix(typeName(lit.Type), "PacketDrop") {
			return true
		}
		where, why := text(field(lit, "Where")), text(field(lit, "Why"))
		if why != "" {
			out = append(out, refusalClass{where, why})
		} else if id, ok := field(lit, "Why").(*ast.Ident); ok {
			makers[d.Name.Name] = maker{where, paramIndex(d, id.Name)}
		}
		return true
	})
	return out
}

func calledWith(c *ast.CallExpr, makers map[string]maker) []refusalClass {
	name := typeName(c.Fun)
	m, ok := makers[name[strings.LastIndexByte(name, '.')+1:]]
	if !ok || m.param < 0 || m.param >= len(c.Args) || text(c.Args[m.param]) == "" {
		return nil
	}
	return []refusalClass{{m.where, text(c.Args[m.param])}}
}

// listedIn reads the texts of an array.
func listedIn(f *ast.File, name, where string) (out []refusalClass) {
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || v.Names[0].Name != name {
			return true
		}
		for _, e := range v.Values[0].(*ast.CompositeLit).Elts {
			out = append(out, refusalClass{where, text(e.(*ast.KeyValueExpr).Value)})
		}
		return false
	})
	return out
}

func field(lit *ast.CompositeLit, name string) ast.Expr {
	for _, e := range lit.Elts {
		if kv, ok := e.(*ast.KeyValueExpr); ok && typeName(kv.Key) == name {
			return kv.Value
		}
	}
	return nil
}

func paramIndex(d *ast.FuncDecl, name string) int {
	i := 0
	for _, p := range d.Type.Params.List {
		for _, n := range p.Names {
			if n.Name == name {
				return i
			}
			i++
		}
	}
	return -1
}

func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return typeName(e.X) + "." + e.Sel.Name
	}
	return ""
}

func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// TestRefusalsAreCounted: each rule of the program has a counter of its own, one by peer besides, and none
// writes a line.
func TestRefusalsAreCounted(t *testing.T) {
	inBubble(t, 73, func(t *testing.T, _ *bubble) {
		classes := refusalClasses(t)
		if len(classes) < 60 {
			t.Fatalf("found %d rules, there must be more: %v", len(classes), classes)
		}
		t.Logf("%d rules", len(classes))
		places := map[string]bool{}
		log := &recorder{}
		m := newMetrics("test", micronet.NodeID.Short)
		e := micronet.Tee(logEvents(log.logger()), m.events())
		for _, c := range classes {
			places[c.where] = true
			if c.where == "" || len(c.why) > 48 || strings.ToLower(c.why) != c.why {
				t.Errorf("%+v is no label", c)
			}
			for range 100 {
				e.PacketDropped(micronet.PacketDrop{Where: c.where, Why: c.why, Peer: id(1)})
				time.Sleep(time.Millisecond)
			}
		}
		for _, p := range []string{"underlay", "tunnel", "gossip", "catalog", "heartbeat", "node", "control", "join", "proxy", "dns", "api"} {
			if !places[p] {
				t.Errorf("nothing is refused in %s", p)
			}
		}
		got := counted(t, m)
		for _, c := range classes {
			for _, name := range []string{
				fmt.Sprintf("micronet_packets_dropped_total{where=%q,why=%q}", c.where, c.why),
				fmt.Sprintf("micronet_peer_packets_dropped_total{node=%q,where=%q,why=%q}", id(1).Short(), c.where, c.why),
			} {
				if got[name] != 100 {
					t.Errorf("%s is %v, want 100", name, got[name])
				}
			}
		}
		if len(log.lines) != 0 {
			t.Errorf("%d lines were written: %q", len(log.lines), log.lines[0])
		}
	})
}

// counted returns all counters with their labels.
func counted(t *testing.T, m *metrics) map[string]float64 {
	t.Helper()
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, c := range f.Metric {
			var labels []string
			for _, l := range c.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = c.GetCounter().GetValue()
		}
	}
	return out
}
