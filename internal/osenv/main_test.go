package osenv

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
)

// patience is how long a test waits for what the kernel should do at once.
const patience = 20 * time.Second

// asChild names the part that a copy of the test binary plays.
const asChild = "MICRO_NET_TEST_CHILD"

// TestMain is also the child process of some tests: it does its part, says so on stdout, and ends
// with its stdin.
func TestMain(m *testing.M) {
	part, argument, _ := strings.Cut(os.Getenv(asChild), "=")
	play, ok := map[string]func(string) (io.Closer, error){
		"lock":    func(path string) (io.Closer, error) { return FS{}.Lock(path) },
		"connect": func(path string) (io.Closer, error) { return Network{}.DialUnix(context.Background(), path) },
		"listen": func(addr string) (io.Closer, error) {
			return Network{}.Listen(context.Background(), netip.MustParseAddrPort(addr))
		},
		"dial": func(addr string) (io.Closer, error) {
			return Network{}.Dial(context.Background(), netip.Addr{}, netip.MustParseAddrPort(addr))
		},
		"redirect": func(table string) (io.Closer, error) {
			ln, err := Network{}.Listen(context.Background(), netip.MustParseAddrPort("127.0.0.1:0"))
			if err != nil {
				return nil, err
			}
			_, err = any(Network{}).(micronet.Redirector).Redirect(context.Background(), table, netip.MustParsePrefix("127.80.0.0/12"), ln)
			return ln, err
		},
		"unix": func(path string) (io.Closer, error) { return Network{}.ListenUnix(context.Background(), path, 0o600) },
		"core": func(string) (io.Closer, error) {
			err := NoCoreDumps()
			limits, _ := os.ReadFile("/proc/self/limits")
			_, after, _ := strings.Cut(string(limits), "Max core file size")
			fmt.Print(strings.Fields(after)[:2], " ")
			return nil, err
		},
		"machine": func(string) (io.Closer, error) { fmt.Print(machine(), " "); return io.NopCloser(nil), nil },
	}[part]
	if !ok {
		os.Exit(m.Run())
	}
	c, err := play(argument)
	fmt.Println("done", err)
	_, _ = io.Copy(io.Discard, os.Stdin)
	if c != nil {
		_ = c.Close()
	}
	os.Exit(0)
}

// child is a copy of the test binary that plays a part.
type child struct {
	*exec.Cmd
	says string // its first line
	in   io.Closer
}

// startChild starts a copy of the test binary; prepare may change the command.
func startChild(t *testing.T, part string, prepare ...func(*exec.Cmd)) *child {
	t.Helper()
	c := &child{Cmd: exec.Command("/proc/self/exe")}
	c.Env = append(os.Environ(), asChild+"="+part)
	for _, p := range prepare {
		p(c.Cmd)
	}
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	c.in = in
	t.Cleanup(c.end)
	c.says = readLine(t, out)
	return c
}

func readLine(t *testing.T, r io.Reader) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); ; line = append(line, b[0]) {
		if _, err := r.Read(b); err != nil {
			t.Fatalf("the child said only %q: %v", line, err)
		}
		if b[0] == '\n' {
			return string(line)
		}
	}
}

// end lets the child end by itself. It may have ended already.
func (c *child) end() {
	_ = c.in.Close()
	_ = c.Wait()
}

func (c *child) kill() {
	_ = c.Process.Kill()
	_ = c.Wait()
}

// needRoot skips what only root can do.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// within demands that a channel delivers.
func within[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not happen in %s", what, patience)
		panic("unreachable")
	}
}
