package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/config"
	"github.com/micro/micro-net/internal/identity"
	"github.com/micro/micro-net/internal/osenv"
	"github.com/micro/micro-net/node/api"
)

var (
	kills      = flag.Int("kills", 4, "how often TestO4_KillMinusNine kills the daemon")
	killBinary = flag.String("kill-binary", "", "the daemon that is killed (default: this program)")
)

// victim is a daemon that is killed again and again, and what it has acknowledged.
type victim struct {
	t   *testing.T
	dir string
	at  string // UDP address
	r   *rand.Rand
	api *api.Client

	id     string
	epoch  uint64
	vips   map[string]string // told, by service
	issued int               // lines of the log that were seen

	mu       sync.Mutex
	services map[string]bool // by id: registered (true) or deregistered for certain
	unsure   map[string]bool // was asked for when the daemon died
	tokens   map[identity.TokenID]bool
	asked    int
	answered int
}

func newVictim(t *testing.T) *victim {
	dir := t.TempDir()
	free, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer free.Close()
	return &victim{
		t: t, dir: dir, at: free.LocalAddr().String(), r: rand.New(rand.NewPCG(9, 9)),
		api:  api.NewClient(osenv.Network{}, "unix://"+filepath.Join(dir, "victim.sock")),
		vips: map[string]string{}, services: map[string]bool{}, unsure: map[string]bool{}, tokens: map[identity.TokenID]bool{},
	}
}

func (v *victim) program() string {
	if *killBinary != "" {
		return *killBinary
	}
	self, err := os.Executable()
	if err != nil {
		v.t.Fatal(err)
	}
	return self
}

// command runs micro-net as a daemon on loopback.
func (v *victim) command(name, listen string, more ...string) (*exec.Cmd, *os.File) {
	v.t.Helper()
	dir := filepath.Join(v.dir, name)
	args := []string{
		"up", "--data-dir", dir, "--config-dir", filepath.Join(v.dir, "none"), "--listen", listen, "--advertise", "127.0.0.1", "--api-socket", v.socket(name),
		"--api-addr", "off", "--dns-addr", "127.0.0.1:0", "--proxy-addr", "off", "--capture", "off", "--name", name,
	}
	cmd := exec.Command(v.program(), append(args, more...)...)
	if cmd.Env = os.Environ(); *killBinary == "" {
		cmd.Env = append(cmd.Env, asProgram+"=1")
	}
	out, err := os.OpenFile(filepath.Join(v.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		v.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		v.t.Fatal(err)
	}
	v.t.Cleanup(func() { _ = cmd.Process.Kill() }) // after a failure; else it has ended
	return cmd, out
}

func (v *victim) socket(name string) string { return filepath.Join(v.dir, name+".sock") }

// until polls a daemon.
func until(t *testing.T, what string, ok func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ok(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

func (v *victim) ready() {
	v.t.Helper()
	until(v.t, "the daemon is ready", func(ctx context.Context) error {
		s, err := v.api.Status(ctx)
		if err == nil && !s.Ready {
			err = fmt.Errorf("not yet")
		}
		return err
	})
}

// What a worker asks for: registrations, their ends, and now and then a token.
const (
	changes    = 20
	aToken     = changes - 1
	anEnd      = aToken - 6 // and those up to aToken
	maxTokens  = 500        // fewer than an authority has open
	maxChanges = 10_000
)

// work asks for changes until the daemon is gone.
func (v *victim) work(worker int, seed uint64) {
	r := rand.New(rand.NewPCG(seed, uint64(worker)))
	for n := 0; n < maxChanges && v.change(fmt.Sprintf("s%d-%d", worker, r.IntN(12)), r.IntN(changes)); n++ {
		continue
	}
}

// change asks for one change and notes what is known of it afterwards. It reports whether it was answered.
func (v *victim) change(id string, what int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	v.mu.Lock()
	if len(v.tokens) >= maxTokens {
		what = min(what, aToken-1)
	}
	v.asked++
	if what < aToken {
		v.unsure[id] = true
	}
	v.mu.Unlock()
	var err error
	var token identity.Token
	switch {
	case what < anEnd:
		s := config.Service{Name: "kill-" + id, ID: id, Port: 1, ServicePort: 1, Checks: config.Checks{None: true}}
		_, err = v.api.Register(ctx, []config.Service{s})
	case what < aToken:
		err = v.api.Deregister(ctx, id)
	default:
		var inv api.Invitation
		if inv, err = v.api.Invite(ctx, api.InviteRequest{}); err == nil {
			token, err = identity.ParseToken(inv.Token, identity.JoinToken)
		}
	}
	gone := slices.Contains([]micronet.Kind{micronet.NoDaemon, micronet.Timeout, micronet.Unreachable, micronet.Internal}, micronet.KindOf(err))
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil && gone {
		return false
	}
	v.answered++
	switch {
	case what == aToken:
		if err == nil {
			v.tokens[token.ID] = true
		}
		return true
	case what >= anEnd:
		v.services[id] = false // also when there was none
	case err == nil:
		v.services[id] = true
	}
	delete(v.unsure, id)
	return true
}

// check compares what a daemon that has started again knows with what was acknowledged.
func (v *victim) check() {
	v.t.Helper()
	status, err := v.api.Status(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	if v.id == "" {
		v.id = status.Node.ID
	}
	if status.Node.ID != v.id {
		v.t.Fatalf("it was %s, and is %s", v.id, status.Node.ID)
	}
	for _, w := range status.Warnings {
		if w.Code == "damaged-file" {
			v.t.Errorf("a file was damaged: %s", w.Text)
		}
	}
	v.checkEpoch()
	v.checkServices()
	v.checkTokens()
	log, err := v.api.Issuances(v.t.Context())
	if err != nil || log.Fault != "" || len(log.Issued) < v.issued {
		v.t.Errorf("the issuance log has %d lines, it had %d: %q, %v", len(log.Issued), v.issued, log.Fault, err)
	}
	v.issued = len(log.Issued)
}

func (v *victim) read(name string) []byte {
	v.t.Helper()
	raw, err := os.ReadFile(filepath.Join(v.dir, "victim", name))
	if err != nil {
		v.t.Fatal(err)
	}
	return raw
}

func (v *victim) checkEpoch() {
	var file struct {
		Data struct {
			Epoch uint64 `json:"epoch"`
		} `json:"data"`
	}
	if err := json.Unmarshal(v.read("epoch.json"), &file); err != nil {
		v.t.Fatal(err)
	}
	if file.Data.Epoch <= v.epoch {
		v.t.Errorf("the epoch is %d, it was %d", file.Data.Epoch, v.epoch)
	}
	v.epoch = file.Data.Epoch
}

// checkServices wants every registration that was acknowledged, and none whose end was.
func (v *victim) checkServices() {
	v.t.Helper()
	var there map[string]bool
	until(v.t, "the registrations are those that were acknowledged", func(ctx context.Context) (err error) {
		if there, err = v.instances(ctx); err != nil {
			return err
		}
		for id, want := range v.services {
			if !v.unsure[id] && there[id] != want {
				return fmt.Errorf("instance %s: registered %v, want %v", id, there[id], want)
			}
		}
		return nil
	})
	clear(v.unsure)
	v.services = maps.Clone(there)
}

// instances lists what is registered, and compares the addresses of services with those that were told before.
func (v *victim) instances(ctx context.Context) (map[string]bool, error) {
	list, err := v.api.Services(ctx, "")
	there := map[string]bool{}
	for _, s := range list {
		if before := v.vips[s.Name]; before != "" && s.VIP != "" && before != s.VIP {
			v.t.Errorf("the address of %s was %s, and is %s", s.Name, before, s.VIP)
		}
		if s.VIP != "" {
			v.vips[s.Name] = s.VIP
		}
		for _, i := range s.Instances {
			there[i.ID] = true
		}
	}
	return there, err
}

func (v *victim) checkTokens() {
	if len(v.tokens) == 0 {
		return
	}
	book, err := identity.UnmarshalTokenBook(v.read("tokens.json"))
	if err != nil {
		v.t.Fatal(err)
	}
	kept := map[identity.TokenID]bool{}
	for _, id := range book.IDs() {
		kept[id] = true
	}
	for id := range v.tokens {
		if !kept[id] {
			v.t.Errorf("token %s was shown, and is not kept", id)
		}
	}
}

// guest joins with a token while the daemon is killed. Once it is in, the token is used up.
func (v *victim) guest(round int) func() {
	inv, err := v.api.Invite(v.t.Context(), api.InviteRequest{Addresses: []string{v.at}})
	if err != nil {
		v.t.Fatal(err)
	}
	name := fmt.Sprintf("guest-%d", round)
	cmd, out := v.command(name, "127.0.0.1:0", "--join", inv.Token)
	return func() {
		defer out.Close()
		client := api.NewClient(osenv.Network{}, "unix://"+v.socket(name))
		until(v.t, name+" is in", func(ctx context.Context) error {
			s, err := client.Status(ctx)
			if err == nil && (!s.Ready || s.Node.Name != name) {
				err = fmt.Errorf("it is %q", s.Node.Name)
			}
			return err
		})
		kill(cmd)
		thief, out := v.command("thief", "127.0.0.1:0", "--join", inv.Token)
		defer out.Close()
		if err := thief.Wait(); err == nil || thief.ProcessState.ExitCode() != 4 {
			v.t.Errorf("somebody else with the token of %s: %v", name, err)
		}
		if err := os.RemoveAll(filepath.Join(v.dir, "thief")); err != nil {
			v.t.Fatal(err)
		}
	}
}

// round starts the daemon, checks it, and kills it at a random moment of its work.
func (v *victim) round(n int) {
	cmd, out := v.command("victim", v.at)
	defer out.Close()
	if n%3 == 2 { // in the middle of a start
		v.wait(time.Duration(v.r.Int64N(int64(150 * time.Millisecond))))
		kill(cmd)
		return
	}
	v.ready()
	v.check()
	var joined func()
	if n%10 == 1 {
		joined = v.guest(n)
	}
	var workers sync.WaitGroup
	for worker := range 3 {
		workers.Go(func() { v.work(worker, uint64(n)) })
	}
	v.wait(time.Duration(v.r.Int64N(int64(400 * time.Millisecond))))
	kill(cmd)
	workers.Wait()
	if joined != nil {
		again, out := v.command("victim", v.at)
		defer out.Close()
		v.ready()
		v.check()
		joined()
		kill(again)
	}
}

// tell shows after a failure what the daemons said last.
func (v *victim) tell() {
	if !v.t.Failed() {
		return
	}
	for _, name := range []string{"victim.log", "thief.log"} {
		log, err := os.ReadFile(filepath.Join(v.dir, name))
		v.t.Logf("%s: %v\n%s", name, err, log[max(0, len(log)-2000):])
	}
}

// kill is kill -9. That the program ends with an error is what it is for.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// wait lets time pass, so that the kill comes at any moment.
func (v *victim) wait(d time.Duration) {
	select {
	case <-time.After(d):
	case <-v.t.Context().Done():
	}
}

// TestO4_KillMinusNine kills a daemon at random moments of its starts and of its work: the next start finds all that
// it has acknowledged.
func TestO4_KillMinusNine(t *testing.T) {
	v := newVictim(t)
	defer v.tell()
	begin := time.Now()
	for n := 1; n <= *kills && !t.Failed(); n++ {
		v.round(n)
	}
	cmd, out := v.command("victim", v.at)
	defer out.Close()
	v.ready()
	v.check()
	kill(cmd)
	t.Logf("%d kills, %d changes asked for, %d acknowledged, %d tokens, %d lines in the log, in %v",
		*kills, v.asked, v.answered, len(v.tokens), v.issued, time.Since(begin).Round(time.Second))
}
