package api

import (
	"errors"
	"maps"
	"net/netip"
	"strings"
	"sync"
	"testing"

	micronet "github.com/micro/micro-net"
)

func checked(check string) string { return `{"name":"web","port":8080,"checks":[{` + check + `}]}` }

const webService = `{"name":"web","port":8080}`

// TestQ36_Rights: who may do what, through which listener.
func TestQ36_Rights(t *testing.T) {
	requests := []request{
		{method: "GET", path: "/api/v1/status"},
		{method: "GET", path: "/metrics"},
		{method: "POST", path: "/api/v1/instances", body: webService},
		{method: "DELETE", path: "/api/v1/instances/web"},
		{method: "POST", path: "/api/v1/invite", body: `{}`},
		{method: "POST", path: "/api/v1/join", body: `{"token":"x"}`},
		{method: "POST", path: "/api/v1/leave"},
		{method: "GET", path: "/api/v1/node/log"},
		{method: "POST", path: "/api/v1/node/root/export", body: `{"passphrase":"x"}`},
		{method: "POST", path: "/api/v1/node/root/remove", body: `{}`},
		{method: "POST", path: "/api/v1/node/root/kept", body: `{}`},
		{method: "POST", path: "/api/v1/node/root/import", body: `{}`},
		{method: "POST", path: "/api/v1/node/revoke", body: `{"node":"b"}`},
		{method: "POST", path: "/api/v1/node/forget", body: `{"node":"b"}`},
		{method: "POST", path: "/api/v1/node/promote", body: `{"node":"b"}`},
		{method: "POST", path: "/api/v1/node/demote", body: `{"node":"b"}`},
		{method: "POST", path: "/api/v1/node/root/rotate", body: `{}`},
	}
	for name, c := range map[string]struct {
		cred  micronet.Credentials
		err   error
		tcp   bool
		write Write
		want  [17]int
		owner int // of what it registers and withdraws
	}{
		"root":         {cred: micronet.Credentials{UID: 0}, want: [17]int{200, 200, 200, 204, 200, 204, 200, 200, 200, 204, 204, 204, 200, 200, 200, 200, 200}, owner: AnyOwner},
		"daemon user":  {cred: micronet.Credentials{UID: daemonUID}, want: [17]int{200, 200, 200, 204, 200, 204, 200, 200, 200, 204, 204, 204, 200, 200, 200, 200, 200}, owner: AnyOwner},
		"group":        {cred: micronet.Credentials{UID: 7, Groups: []string{"wheel", "micro-net"}}, want: [17]int{200, 200, 200, 204, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403}, owner: AnyOwner},
		"other":        {cred: micronet.Credentials{UID: 7, Groups: []string{"micro-net-x"}}, want: [17]int{200, 200, 200, 204, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403}, owner: 7},
		"unknown":      {err: errors.New("no credentials"), want: [17]int{200, 200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403}},
		"tcp services": {tcp: true, write: WriteServices, want: [17]int{200, 200, 200, 204, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403}, owner: AnyOwner},
		"tcp none":     {tcp: true, write: WriteNone, want: [17]int{200, 200, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403, 403}},
	} {
		w := newWorld(t, Config{Write: c.write, Socket: "/srv/two/api.sock"})
		w.net.cred, w.net.credErr = c.cred, c.err
		w.start()
		for i, q := range requests {
			if q.from = "unix"; c.tcp {
				q.from = ""
			}
			got := w.do(q)
			if got.status != c.want[i] {
				t.Errorf("%s: %s %s = %d %s, want %d", name, q.method, q.path, got.status, got.body, c.want[i])
			}
			if got.status == 403 && !strings.Contains(got.body, `"fix":"`) {
				t.Errorf("%s: %s %s does not say what to do: %s", name, q.method, q.path, got.body)
			}
			if got.status == 403 && c.tcp != strings.Contains(got.body, "--api unix:///srv/two/api.sock") {
				t.Errorf("%s: %s %s does not name this daemon's socket, and through TCP alone: %s", name, q.method, q.path, got.body)
			}
			if q.method == "DELETE" && got.status == 204 && w.backend.owner != c.owner {
				t.Errorf("%s withdraws as %d, want %d", name, w.backend.owner, c.owner)
			}
		}
	}
}

// TestQ24_Announce: what may be registered, beyond the right to register at all.
func TestQ24_Announce(t *testing.T) {
	script := `{"name":"web","port":8080,"checks":[{"script":["true"]}]}`
	remote := `{"name":"web","port":8080,"address":"10.0.0.9"}`
	own := `{"name":"web","port":8080,"address":"10.0.0.5"}`
	for name, c := range map[string]struct {
		uid   int
		owner int // of the port
		tcp   bool
		body  string
		want  int
	}{
		"script, as root":                {0, -1, false, script, 403},
		"script, through tcp":            {0, -1, true, script, 403},
		"check of another host, as root": {0, -1, false, checked(`"http":"http://10.0.0.9/admin?reboot"`), 200},
		"check of another host, http":    {7, 7, false, checked(`"http":"http://10.0.0.9/admin?reboot"`), 403},
		"check of another host, no port": {7, 7, false, checked(`"http":"http://[2001:db8::9]/"`), 403},
		"check of another host, tcp":     {7, 7, true, checked(`"tcp":"10.0.0.9:22"`), 403},
		"check of another host, grpc":    {7, 7, true, checked(`"grpc":"10.0.0.9:22/x"`), 403},
		"check of this host":             {7, 7, true, checked(`"http":"http://10.0.0.5:8080/"`), 200},
		"check of this host by name":     {7, 7, true, checked(`"tcp":"localhost:8080"`), 200},
		"check of link-local":            {0, -1, false, checked(`"http":"http://169.254.169.254/latest/meta-data"`), 400},
		"own port":                       {7, 7, false, webService, 200},
		"port nobody has yet":            {7, -1, false, webService, 200},
		"port of another user":           {7, 8, false, webService, 403},
		"port of root":                   {7, 0, false, webService, 403},
		"port of another user, as root":  {0, 8, false, webService, 200},
		"other host, as root":            {0, -1, false, remote, 200},
		"other host, as user":            {7, -1, false, remote, 403},
		"other host, through tcp":        {7, -1, true, remote, 403},
		"own address, as user":           {7, -1, false, own, 200},
		"own address, through tcp":       {7, -1, true, own, 200},
		"loopback, through tcp":          {7, 8, true, webService, 200},
		"link-local":                     {0, -1, false, `{"name":"web","port":80,"address":"169.254.169.254"}`, 400},
		"nothing":                        {0, -1, false, ``, 400},
		"an empty list":                  {0, -1, false, `[]`, 400},
		"one good and one bad":           {0, -1, false, `[{"name":"a","port":1},{"name":"B","port":2}]`, 400},
		"an unknown key":                 {0, -1, false, `{"name":"web","prt":1}`, 400},
		"consul's form":                  {0, -1, false, `{"Name":"my_svc","Port":80}`, 200},
		"a second one of another's port": {7, 8, false, `[{"name":"a","port":1},{"name":"b","port":2}]`, 403},
	} {
		w := newWorld(t, Config{})
		w.net.cred, w.net.owner = micronet.Credentials{UID: c.uid}, c.owner
		w.start()
		from := "unix"
		if c.tcp {
			from = ""
		}
		got := w.do(request{method: "POST", path: "/api/v1/instances", body: c.body, from: from, header: map[string]string{"Content-Type": "application/json"}})
		if got.status != c.want {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.body, c.want)
		}
		if c.want != 200 && w.backend.registered != nil {
			t.Errorf("%s: registered all the same", name)
		}
	}
}

// TestQ37_Browser: what a web page may send to the TCP listener.
func TestQ37_Browser(t *testing.T) {
	any4, lan := netip.MustParseAddrPort("0.0.0.0:8500"), netip.MustParseAddrPort("10.0.0.5:8500")
	for _, c := range []struct {
		listener           netip.AddrPort
		host, origin, site string
		want               int
	}{
		{host: "127.0.0.1:8500", want: 200},
		{host: "127.0.0.1", want: 200},
		{host: "127.0.0.1:1", want: 200}, // behind a forwarded port
		{host: "127.8.8.8:8500", want: 200},
		{host: "localhost:8500", want: 200},
		{host: "localhost", want: 200},
		{host: "LocalHost:8500", want: 200},
		{host: "[::1]:8500", want: 200},
		{host: "[::1]", want: 200},
		{host: "evil.example:8500", want: 403},
		{host: "evil.example", want: 403},
		{host: "localhost.evil.example:8500", want: 403},
		{host: "127.0.0.1.evil.example:8500", want: 403},
		{host: "localhost.", want: 403},
		{host: "10.0.0.5:8500", want: 403},
		{host: "10.0.0.5:8500", listener: lan, want: 200},
		{host: "10.0.0.6:8500", listener: lan, want: 403},
		{host: "evil.example:8500", listener: lan, want: 403},
		{host: "10.0.0.5:8500", listener: any4, want: 200},
		{host: "192.0.2.9", listener: any4, want: 200},
		{host: "evil.example:8500", listener: any4, want: 403},
		{host: "0.0.0.0:8500", want: 403},
		{host: "[::ffff:127.0.0.1]:8500", want: 200},
		{host: "127.1:8500", want: 403},
		{host: "2130706433:8500", want: 403},
		{origin: "http://127.0.0.1:8500", want: 200},
		{origin: "http://localhost:8500", host: "localhost:8500", want: 200},
		{origin: "https://127.0.0.1:8500", want: 403},
		{origin: "http://127.0.0.1:8501", want: 403},
		{origin: "http://127.0.0.1", want: 403},
		{origin: "http://evil.example", want: 403},
		{origin: "http://127.0.0.1:8500.evil.example", want: 403},
		{origin: "http://localhost:8500", want: 403}, // another name than the Host's
		{origin: "null", want: 403},
		{origin: "file://", want: 403},
		{origin: "http://evil.example", host: "evil.example", want: 403},
		{site: "same-origin", want: 200},
		{site: "none", want: 200},
		{site: "cross-site", want: 403},
		{site: "same-site", want: 403},
		{site: "cross-site", origin: "http://127.0.0.1:8500", want: 403},
		{site: "same-origin", origin: "http://127.0.0.1:8500", want: 200},
		{site: "same-origin", host: "evil.example", origin: "http://evil.example", want: 403},
	} {
		w := newWorld(t, Config{TCPAddr: c.listener}).start()
		header := map[string]string{}
		for k, v := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if v != "" {
				header[k] = v
			}
		}
		for _, q := range []request{{method: "GET", path: "/api/v1/status"}, {method: "POST", path: "/api/v1/instances", body: webService}} {
			q.host, q.header = c.host, header
			if got := w.do(q); got.status != c.want {
				t.Errorf("%s with %+v = %d %s, want %d", q.method, c, got.status, got.body, c.want)
			}
		}
	}
}

// TestQ37_RefusalsAreCounted: by the rule that refused.
func TestQ37_RefusalsAreCounted(t *testing.T) {
	w := newWorld(t, Config{})
	var mu sync.Mutex
	got := map[string]int{}
	w.server.env.Events.PacketDropped = func(d micronet.PacketDrop) {
		mu.Lock()
		defer mu.Unlock()
		got[d.Where+" "+d.Why]++
	}
	w.start()
	for _, q := range []request{
		{method: "GET", path: "/api/v1/status"},
		{method: "GET", path: "/api/v1/status", host: "evil.example"},
		{method: "GET", path: "/api/v1/status", header: map[string]string{"Origin": "http://evil.example"}},
		{method: "GET", path: "/api/v1/status", header: map[string]string{"Sec-Fetch-Site": "cross-site"}},
		{method: "POST", path: "/api/v1/leave"},
		{method: "POST", path: "/api/v1/instances", body: webService, header: map[string]string{"Content-Type": "text/plain"}},
	} {
		w.do(q)
	}
	mu.Lock()
	defer mu.Unlock()
	if want := map[string]int{"api host": 1, "api origin": 1, "api cross-site": 1, "api rights": 1, "api content-type": 1}; !maps.Equal(got, want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// TestSocketHasNoBrowser: what guards TCP does not hinder the socket.
func TestSocketHasNoBrowser(t *testing.T) {
	w := newWorld(t, Config{}).start()
	got := w.do(request{method: "GET", path: "/api/v1/status", from: "unix", host: "anything", header: map[string]string{"Origin": "http://x"}})
	if got.status != 200 {
		t.Errorf("through the socket: %d %s", got.status, got.body)
	}
}

// TestAllowFrom: clients from elsewhere are cut before they are read, unless allowed.
func TestAllowFrom(t *testing.T) {
	w := newWorld(t, Config{TCPAddr: netip.MustParseAddrPort("10.0.0.5:8500"), AllowFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}).start()
	for from, want := range map[string]int{
		"127.0.0.1:5": 200, "[::1]:5": 200, "10.0.0.77:5": 200, "[::ffff:10.0.0.77]:5": 200,
		"10.0.1.1:5": 0, "192.0.2.1:5": 0, "[2001:db8::1]:5": 0,
	} {
		if got := w.do(request{method: "GET", path: "/api/v1/status", from: from, host: "10.0.0.5:8500"}); got.status != want {
			t.Errorf("from %s: %d %s, want %d", from, got.status, got.body, want)
		}
	}
}

// TestQ37_ContentType: a form that a page can send without asking is refused.
func TestQ37_ContentType(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for typ, want := range map[string]int{
		"application/json": 200, "application/json; charset=utf-8": 200, "Application/JSON": 200,
		"text/plain": 400, "application/x-www-form-urlencoded": 400, "multipart/form-data; boundary=x": 400, "application/jsonx": 400, ";": 400,
	} {
		got := w.do(request{method: "POST", path: "/api/v1/instances", body: webService, header: map[string]string{"Content-Type": typ}})
		if got.status != want {
			t.Errorf("%q: %d %s, want %d", typ, got.status, got.body, want)
		}
	}
}
