package report

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// browser finds Chromium or skips the test.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes some seconds")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no chromium, chromium-browser or google-chrome in the PATH")
	return ""
}

// site serves one page and counts what else was asked for.
type site struct {
	mu    sync.Mutex
	page  []byte
	asked []string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(s.page)
		return
	}
	if r.URL.Path != "/favicon.ico" { // each browser asks for it by itself
		s.asked = append(s.asked, r.URL.Path)
	}
	http.NotFound(w, r)
}

// browse runs the browser and returns what it wrote to its two outputs. It resolves no names.
func browse(t *testing.T, bin, url string, args ...string) (stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	all := append([]string{
		"--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
		"--enable-logging=stderr", "--user-data-dir=" + t.TempDir(),
	}, args...)
	if os.Geteuid() == 0 {
		all = append(all, "--no-sandbox") // its sandbox refuses to run for root
	}
	var out, errs strings.Builder
	cmd := exec.CommandContext(ctx, bin, append(all, url)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", bin, err, errs.String())
	}
	return out.String(), errs.String()
}

// consoleLines are the messages of the page: errors, and what its policy blocked.
func consoleLines(stderr string) (lines []string) {
	for _, l := range strings.Split(stderr, "\n") {
		if strings.Contains(l, "CONSOLE") {
			lines = append(lines, l)
		}
	}
	return lines
}

// TestBrowserShowsThePage loads pages in a real browser: the parts are in its document, it asked for
// nothing and complained about nothing.
func TestBrowserShowsThePage(t *testing.T) {
	bin := browser(t)
	for name, r := range map[string]*Run{"split": splitRun(), "nasty": nastyRun()} {
		t.Run(name, func(t *testing.T) {
			s := &site{page: render(t, r)}
			server := httptest.NewServer(s)
			defer server.Close()
			dom, stderr := browse(t, bin, server.URL+"/", "--dump-dom")
			want := strings.Count(string(s.page), `role="img"`)
			if got := strings.Count(dom, `role="img"`); got != want || want == 0 {
				t.Errorf("the browser sees %d pictures, want %d", got, want)
			}
			if strings.Contains(dom, "<script") || strings.Contains(dom, "<img") {
				t.Error("a text became an element")
			}
			if lines := consoleLines(stderr); len(lines) > 0 {
				t.Errorf("the browser complains: %q", lines)
			}
			if len(s.asked) > 0 {
				t.Errorf("the page loads %q", s.asked)
			}
		})
	}
}

// TestBrowserComplains proves that the test above can fail: a page that loads a picture against its
// policy is noticed.
func TestBrowserComplains(t *testing.T) {
	bin := browser(t)
	page := strings.Replace(string(render(t, &Run{})), "</main>", `<img src="/picture"></main>`, 1)
	server := httptest.NewServer(&site{page: []byte(page)})
	defer server.Close()
	if _, stderr := browse(t, bin, server.URL+"/", "--dump-dom"); len(consoleLines(stderr)) == 0 {
		t.Errorf("the browser says nothing about a blocked picture:\n%s", stderr)
	}
}

// TestBrowserPaints takes pictures of the page, wide and narrow, and leaves them in the folder of the
// artifacts. A page that painted nothing compresses to very little.
func TestBrowserPaints(t *testing.T) {
	bin := browser(t)
	server := httptest.NewServer(&site{page: render(t, splitRun())})
	defer server.Close()
	for _, width := range []int{1200, 520} { // the headless browser has no narrower window
		file := filepath.Join(t.ArtifactDir(), fmt.Sprintf("page-%d.png", width))
		browse(t, bin, server.URL+"/", "--screenshot="+file, fmt.Sprintf("--window-size=%d,4000", width))
		info, err := os.Stat(file)
		if err != nil || info.Size() < 50_000 {
			t.Errorf("the picture at %d pixels: %v, %v", width, info, err)
		}
	}
}
