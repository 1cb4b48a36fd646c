package sim

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/sim/netsim"
	"github.com/micro/micro-net/sim/scenario"
)

// program is a simulated server on one host. It answers two kinds of callers, told apart by their
// first line: "get" gets one line with the program's name, and "stream" gets back what it sends. Both
// say on which machine they run.
//
//	get <machine>\n           ─▶  <name>\n, end
//	stream <machine>\n bytes… ─▶  the same bytes, until the caller ends
type program struct {
	name string // of the machine
	port uint16
	ln   net.Listener
	wg   sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]string // who is at the other end, "" before it has said so
	shut bool

	tells tells
	seen  map[visit]bool       // all visits
	bytes map[string]time.Time // when the last byte came, by the machine that the caller said
}

// tells is whom a program tells of its callers, from goroutines of its own.
type tells struct {
	visited func(visit)       // of an address and a machine that were not seen together before
	heard   func(said string) // of bytes
}

// maxLine bounds what a caller may say first.
const maxLine = 128

func startProgram(ctx context.Context, h *netsim.Host, name string, t tells) (*program, error) {
	ln, err := h.Listen(ctx, netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return nil, err
	}
	p := &program{name: name, tells: t, port: micronet.AddrPortOf(ln.Addr()).Port(), ln: ln, open: map[net.Conn]string{}, seen: map[visit]bool{}, bytes: map[string]time.Time{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *program) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		if p.add(c) {
			p.wg.Go(func() { defer p.remove(c); p.serve(c) })
		}
	}
}

func (p *program) add(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shut {
		_ = c.Close()
		return false
	}
	p.open[c] = ""
	return true
}

func (p *program) remove(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
	_ = c.Close()
}

func (p *program) serve(c net.Conn) {
	r := bufio.NewReaderSize(c, maxLine)
	line, err := r.ReadString('\n')
	if err != nil {
		return
	}
	word, said, _ := strings.Cut(strings.TrimSpace(line), " ")
	p.note(visit{micronet.AddrPortOf(c.RemoteAddr()).Addr(), said})
	p.greet(c, said)
	p.hear(said)
	switch word {
	case "get":
		_, _ = io.WriteString(c, p.name+"\n")
	case "stream":
		_, _ = io.Copy(c, hearing{r, func() { p.hear(said) }})
	}
}

// stop ends the program and its connections.
func (p *program) stop() {
	_ = p.ln.Close()
	p.mu.Lock()
	p.shut = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// register offers a program under a name by a service file, as a person would; deregister takes the
// file away.
func register(fsys micronet.FS, spec scenario.Service, port uint16) error {
	if err := fsys.MkdirAll(servicesDir, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("name: %s\nport: %d\nservice_port: %d\nprotocol: %s\n", spec.Name, port, spec.Port, spec.Protocol)
	text += checks(spec.Check, port)
	return micronet.WriteFile(fsys, serviceFile(spec.Name), []byte(text), 0o644)
}

func deregister(fsys micronet.FS, service string) error {
	err := fsys.Remove(serviceFile(service))
	if err == nil {
		err = fsys.SyncDir(servicesDir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func serviceFile(service string) string { return filepath.Join(servicesDir, service+".yaml") }
