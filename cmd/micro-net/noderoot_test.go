package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// TestRootExport: the passphrase comes from a file, the environment or the terminal; the file is read
// back before the key goes, and nothing is overwritten.
func TestRootExport(t *testing.T) {
	w := newWorld(t).start()
	file := filepath.Join(w.dir, "root")
	if r := w.run("node", "root", "export", file); r.code != 2 || !strings.Contains(r.err, "--passphrase-file FILE") {
		t.Errorf("without a passphrase: %+v", r)
	}
	w.files["/secret"] = "from the file\nnot this\n"
	w.backend.bound = micronet.E("root export", micronet.Refused, "this node is the only authority")
	if r := w.run("node", "root", "export", file, "--passphrase-file", "/secret", "--remove"); r.code != 4 || !strings.Contains(r.err, "the only authority") || w.backend.noted() != "" {
		t.Errorf("a key that has to stay here: %+v, the daemon was asked: %q", r, w.backend.noted())
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("there is a file of the key that has to stay here")
	}
	w.backend.bound = nil
	if r := w.run("node", "root", "export", file, "--passphrase-file", "/secret", "--remove"); r.code != 0 || r.out != "" || !strings.Contains(r.err, "Wrote the root key to $DIR/root") {
		t.Errorf("%+v", r)
	}
	if got := w.backend.noted(); got != "export from the file\nkept sealed from the file\nremove sealed from the file false" {
		t.Errorf("the daemon was asked: %q", got)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if r := w.run("node", "root", "export", file, "--passphrase-file", "/secret"); r.code != 4 || !strings.Contains(r.err, "is there already") {
		t.Errorf("over another file: %+v", r)
	}
	if r := w.run("node", "root", "export", filepath.Join(w.dir, "none", "root")); r.code != 4 || !strings.Contains(r.err, "the folder of the file") {
		t.Errorf("into a folder that is not there: %+v", r)
	}
	w.backend.fail = micronet.E("root export", micronet.Refused, "the root key is not on this host")
	if r := w.run("node", "root", "export", file+"2"); r.code != 4 || !strings.Contains(r.err, "is not on this host") {
		t.Errorf("without the key, and without a passphrase: %+v", r)
	}
	w.backend.fail = nil
	if r := w.run("node", "log", "--last", "-1"); r.code != 2 || !strings.Contains(r.err, "--last -1: want a number of lines") {
		t.Errorf("%+v", r)
	}
	w.vars["MICRO_NET_PASSPHRASE"] = "from the environment"
	if r := w.run("node", "root", "import", file); r.code != 0 || !strings.HasSuffix(w.backend.noted(), "import sealed from the environment") {
		t.Errorf("%+v, %q", r, w.backend.noted())
	}
	if r := w.run("node", "root", "import", file+"x"); r.code != 2 {
		t.Errorf("a file that is not there: %+v", r)
	}
}

// TestPassphraseIsAskedTwice where a new one is made, and once where one is used.
func TestPassphraseIsAskedTwice(t *testing.T) {
	for _, c := range []struct {
		typed []string
		fresh bool
		want  string
		err   string
	}{
		{[]string{"one", "one"}, true, "one", ""},
		{[]string{"one", "two"}, true, "", "the two passphrases differ"},
		{[]string{"one"}, false, "one", ""},
	} {
		var out, errs output
		a := newWorld(t).app(&out, &errs)
		a.inTerminal = true
		a.secret = func() ([]byte, error) {
			next := c.typed[0]
			c.typed = c.typed[1:]
			return []byte(next), nil
		}
		got, err := a.passphrase(t.Context(), "export", "", c.fresh)
		if (err == nil) != (c.err == "") || (err == nil && got != c.want) || len(c.typed) != 0 {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
		if err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%v", err)
		}
	}
}

// TestBrokenLog: a log that was changed is shown up to the fault, and the exit code tells scripts.
func TestBrokenLog(t *testing.T) {
	w := newWorld(t)
	w.backend.fault = "line 3 does not follow"
	w.start()
	for _, args := range [][]string{{"node", "log"}, {"node", "log", "--verify"}} {
		if r := w.run(args...); r.code != 1 || !strings.Contains(r.err, "line 3 does not follow") {
			t.Errorf("%v: %+v", args, r)
		}
	}
}

// TestDamagedLog: that lines were lost once is no fault of the chain, and a check tells all the same.
func TestDamagedLog(t *testing.T) {
	w := newWorld(t)
	w.backend.damaged = 7
	w.start()
	if r := w.run("node", "log"); r.code != 0 {
		t.Errorf("shown: %+v", r)
	}
	r := w.run("node", "log", "--verify")
	if r.code != 1 || !strings.Contains(r.out, "10 lines, each follows") || !strings.Contains(r.err, "damaged 7 times") ||
		!strings.Contains(r.err, "4 ("+wall.Add(3*time.Hour).Format(time.RFC3339)+"), 5 (") || !strings.Contains(r.err, "and 2 more") {
		t.Errorf("checked: %+v", r)
	}
	if r := w.run("node", "log", "--verify", "-o", "json"); r.code != 1 || strings.Count(r.out, `"damaged"`) != 7 || strings.Contains(r.out, `"join"`) {
		t.Errorf("as JSON: %+v", r)
	}
}

// TestNodeVerbsFail with the daemon's words and the code of its kind of error.
func TestNodeVerbsFail(t *testing.T) {
	w := newWorld(t).start()
	for kind, want := range map[micronet.Kind]int{micronet.NotFound: 3, micronet.Refused: 4, micronet.Unreachable: 5} {
		w.backend.fail = micronet.E("test.op", kind, "the cause").WithFix("the remedy")
		for _, args := range [][]string{{"node", "promote", "b"}, {"node", "demote", "b"}, {"node", "root", "rotate"}} {
			if r := w.run(args...); r.code != want || r.err != "micro-net: "+map[string]string{"promote": "promote", "demote": "demote", "root": "rotate"}[args[1]]+": the cause; the remedy\n" {
				t.Errorf("%v with %v: %+v, want exit %d", args, kind, r, want)
			}
		}
	}
}

// TestRotationIsConfirmed where somebody types; scripts need not be asked, and the daemon refuses what is done
// twice in a row.
func TestRotationIsConfirmed(t *testing.T) {
	for typed, want := range map[string]string{"y\n": "rotate false true", "yes": "rotate false true", "n\n": "", "\n": "", "": ""} {
		var out, errs output
		w := newWorld(t).start()
		a := w.app(&out, &errs)
		a.inTerminal, a.in = true, strings.NewReader(typed)
		code := a.run(t.Context(), []string{"node", "root", "rotate"})
		if w.backend.noted() != want || (code == 0) != (want != "") {
			t.Errorf("%q: exit %d, %q", typed, code, w.backend.noted())
		}
		if said := errs.String(); !strings.Contains(said, "ended on 2026-01-02T03:04:05Z") || !strings.Contains(said, "destroy all that was exported before") {
			t.Errorf("%q: it says %q", typed, said)
		}
	}
	w := newWorld(t).start()
	if r := w.run("node", "root", "rotate", "--yes"); r.code != 0 || w.backend.noted() != "rotate false true" {
		t.Errorf("%+v, %q", r, w.backend.noted())
	}
}
