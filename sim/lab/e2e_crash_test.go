//go:build linux

package lab

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// load sends requests from a host, a fixed number per second, each on a connection of its own.
type load struct {
	stop, ended chan struct{}

	mu      sync.Mutex
	results []result
}

type result struct {
	began time.Time
	body  string
	err   error
}

const (
	loadEvery   = 20 * time.Millisecond
	loadPatient = 10 * time.Second
)

// load starts requests that go on until end, or the test's end.
func (h *Host) load(t testing.TB, url string) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), ended: make(chan struct{})}
	client := &http.Client{Timeout: loadPatient, Transport: &http.Transport{DialContext: h.dialContext, DisableKeepAlives: true}}
	go func() {
		defer close(l.ended)
		var requests sync.WaitGroup
		defer requests.Wait()
		tick := time.NewTicker(loadEvery)
		defer tick.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-tick.C:
				requests.Go(func() { l.note(get(client, url)) })
			}
		}
	}()
	t.Cleanup(l.end)
	return l
}

func get(client *http.Client, url string) result {
	r := result{began: time.Now()}
	res, err := client.Get(url)
	if err != nil {
		r.err = err
		return r
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s: %s", res.Status, body)
	}
	r.body, r.err = strings.TrimSpace(string(body)), err
	return r
}

func (l *load) note(r result) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.results = append(l.results, r)
}

// end stops sending and waits for the answers.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	<-l.ended
}

// since returns the results of requests that began after an instant, in that order.
func (l *load) since(begin time.Time) []result {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := slices.DeleteFunc(slices.Clone(l.results), func(r result) bool { return r.began.Before(begin) })
	slices.SortFunc(out, func(a, b result) int { return a.began.Compare(b.began) })
	return out
}

// served counts who answered, and failures as "error".
func served(results []result) map[string]int {
	out := map[string]int{}
	for _, r := range results {
		if r.err != nil {
			out["error"]++
		} else {
			out[r.body]++
		}
	}
	return out
}

// spread waits until all instances answer.
func (l *load) spread(t testing.TB, instances int) {
	t.Helper()
	begin := time.Now()
	eventually(t, 10*time.Second, fmt.Sprintf("%d instances answer", instances), func() bool {
		who := slices.Collect(maps.Keys(served(l.since(begin))))
		return len(who) >= instances && !slices.Contains(who, "error")
	})
}

// TestE2ECrashOfHost: a host is gone without a word while another one calls its service.
func TestE2ECrashOfHost(t *testing.T) {
	Need(t, "dig")
	all := cluster(t, 4)
	caller, victim := all[0], all[3]
	for _, d := range all[1:] {
		d.web("web", 8080)
	}
	caller.awaitService("web", 3, "passing")
	l := caller.load(t, "http://"+caller.vip("web")+":8080/")
	l.spread(t, 3)
	server := accepted(victim.listen(t, "127.0.0.1:7000"))
	idle, _ := pairOf(t, caller, offered([]*daemon{victim, caller}, "idle"), server)

	crash := time.Now()
	victim.Crash()
	eventually(t, 8*time.Second, "the instance left the answers", func() bool {
		return len(caller.dig(t, "@127.0.0.1", "-p", "8600", "web.micro.internal", "SRV").answers) == 2
	})
	srv := time.Since(crash)
	eventually(t, 15*time.Second-srv, "all others see it dead", func() bool {
		return !slices.ContainsFunc(all[:3], func(d *daemon) bool { return d.nodes()[victim.Name] != "dead" })
	})
	dead := time.Since(crash)
	_ = idle.SetReadDeadline(time.Now().Add(2 * time.Second))
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("an idle connection to the dead host reads %v, want a reset", err)
	}
	eventually(t, 15*time.Second, "requests go on well after that", func() bool { return time.Since(crash) > 12*time.Second })
	l.end()

	results, failed, last := l.since(crash), 0, time.Duration(0)
	for _, r := range results {
		if r.err != nil {
			failed, last = failed+1, r.began.Sub(crash)
			t.Logf("%.3fs: %v", last.Seconds(), r.err)
		}
	}
	t.Logf("gone from SRV after %v, dead everywhere after %v; %d of %d requests failed, the last of them began %v after the crash", srv, dead, failed, len(results), last)
	// A third of 50 requests a second meets the dead host until its silence is noticed.
	if failed > 35 || last > 2*time.Second {
		t.Errorf("%d requests failed, the last %v after the crash; want 35 at most, none after 2s", failed, last)
	}
	if n := len(results); n < 200 {
		t.Errorf("only %d requests were made in 12s", n)
	}
}

// TestE2ECrashOfService: only the program is gone. Its daemon refuses, and the caller's goes to
// another instance, so no request that begins afterwards fails.
func TestE2ECrashOfService(t *testing.T) {
	all := cluster(t, 3)
	caller, victim := all[0], all[1]
	program := victim.web("web", 8080)
	all[2].web("web", 8080)
	caller.awaitService("web", 2, "passing")
	l := caller.load(t, "http://"+caller.vip("web")+":8080/")
	l.spread(t, 2)

	program.Kill()
	killed := time.Now()
	caller.awaitService("web", 1, "critical")
	l.end()
	results := l.since(killed)
	for _, r := range results {
		if r.err != nil {
			t.Errorf("%.3fs after the end of the program: %v", r.began.Sub(killed).Seconds(), r.err)
		}
	}
	if who := served(results); who[all[2].Name] != len(results) || len(results) < 20 {
		t.Errorf("answers came from %v of %d", who, len(results))
	}
	back := victim.helper(t, "web", victim.Name, "127.0.0.1:8080")
	caller.awaitService("web", 2, "passing")
	if !back.Running() {
		t.Errorf("the program ended: %s", back.Output())
	}
}
