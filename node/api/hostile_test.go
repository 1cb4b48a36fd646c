package api

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
)

// rawRequests are what no honest client sends. Each is answered with a refusal or an end, and none changes
// anything.
var rawRequests = map[string]string{
	"HTTP/0.9":                          "GET /api/v1/leave\r\n",
	"HTTP/2 preface":                    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"TLS":                               "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"no Host":                           "POST /api/v1/instances HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n" + webService,
	"no Host, HTTP/1.0":                 "POST /api/v1/instances HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n" + webService,
	"two Hosts":                         post("Host: evil.example", "Content-Type: application/json", "Content-Length: 26"),
	"Host of a page, absolute form":     "POST http://evil.example/api/v1/instances HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n" + webService,
	"Host with a port of words":         strings.Replace(post("Content-Type: application/json", "Content-Length: 26"), "Host: localhost", "Host: localhost:@evil.example", 1),
	"Host with a user":                  strings.Replace(post("Content-Type: application/json", "Content-Length: 26"), "Host: localhost", "Host: localhost@evil.example", 1),
	"Host with a path":                  strings.Replace(post("Content-Type: application/json", "Content-Length: 26"), "Host: localhost", "Host: localhost/evil.example", 1),
	"empty Host":                        strings.Replace(post("Content-Type: application/json", "Content-Length: 26"), "Host: localhost", "Host:", 1),
	"length and chunks":                 post("Content-Type: application/json", "Content-Length: 26", "Transfer-Encoding: identity, chunked"),
	"two lengths":                       post("Content-Type: application/json", "Content-Length: 26", "Content-Length: 0"),
	"negative length":                   post("Content-Type: application/json", "Content-Length: -1"),
	"length with a plus":                post("Content-Type: application/json", "Content-Length: +26"),
	"bad chunks":                        post("Content-Type: application/json", "Transfer-Encoding: chunked"),
	"unknown coding":                    post("Content-Type: application/json", "Transfer-Encoding: gzip"),
	"folded header":                     post("Content-Type:\r\n application/json", "Content-Length : 26"),
	"NUL in a header":                   post("Content-Type: application/json", "X: \x00", "Content-Length: 26"),
	"header of 128 KiB":                 post("X: "+strings.Repeat("x", 2*maxHeader), "Content-Type: application/json", "Content-Length: 26"),
	"100,000 headers":                   post(strings.Repeat("X: y\r\n", 99_999)+"X: y", "Content-Type: application/json", "Content-Length: 26"),
	"form of a page":                    post("Content-Type: text/plain", "Content-Length: 26"),
	"form of a page, urlencoded":        post("Content-Type: application/x-www-form-urlencoded", "Content-Length: 26"),
	"multipart of a page":               post("Content-Type: multipart/form-data; boundary=x", "Content-Length: 26"),
	"two content types":                 post("Content-Type: text/plain", "Content-Type: application/json", "Content-Length: 26"),
	"no content type":                   post("Content-Length: 26"),
	"method override":                   "GET /api/v1/instances HTTP/1.1\r\nHost: localhost\r\nX-HTTP-Method-Override: POST\r\nContent-Type: application/json\r\nContent-Length: 26\r\n\r\n" + webService,
	"method override, query":            "POST /api/v1/status?_method=DELETE HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	"preflight":                         "OPTIONS /api/v1/instances HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n",
	"preflight, private network":        "OPTIONS /api/v1/instances HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Private-Network: true\r\n\r\n",
	"WebSocket of a page":               "GET /api/v1/dial?service=web HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"WebSocket":                         "GET /api/v1/dial?service=web HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"CONNECT":                           "CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
	"TRACE":                             "TRACE /api/v1/status HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"path above the root":               "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"path above the root, escaped":      "GET /api/v1/services/..%2f..%2fleave%00 HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	"path with two slashes":             "POST //api/v1/leave HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	"broken escape":                     "GET /api/v1/services/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
	"asterisk":                          "OPTIONS * HTTP/1.1\r\nHost: evil.example\r\n\r\n",
	"leave, over TCP":                   "POST /api/v1/leave HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	"invite, over TCP":                  "POST /api/v1/invite HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
	"nested 100,000 deep":               postBody(strings.Repeat("[", 100_000)),
	"nested 100,000 deep, maps":         postBody(strings.Repeat(`{"a":`, 100_000)),
	"10 MB":                             postBody(`{"name":"` + strings.Repeat("x", 10<<20) + `"}`),
	"the same key twice":                postBody(`{"name":"web","port":1,"port":2}`),
	"script":                            postBody(`{"name":"web","port":1,"checks":[{"script":["reboot"]}]}`),
	"a service that programs look for":  postBody(`{"name":"wpad","port":1}`),
	"the metadata service of the cloud": postBody(`{"name":"web","port":80,"address":"169.254.169.254"}`),
}

func post(headers ...string) string {
	return "POST /api/v1/instances HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(headers, "\r\n") + "\r\n\r\n" + webService
}

func postBody(body string) string {
	return fmt.Sprintf("POST /api/v1/instances HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestH31_RawRequests(t *testing.T) {
	for name, raw := range rawRequests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, Config{}).serve(nil)
				w.backend.owner = 12345
				conn, err := w.tcp.dial("")
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				go func() { _, _ = io.WriteString(conn, raw) }()
				refused(t, bufio.NewReader(conn))
				if w.backend.registered != nil || w.backend.owner != 12345 || w.backend.joined != "" {
					t.Error("it had an effect")
				}
			})
		})
	}
}

// refused demands a first answer of the kind 4xx that no page may read, or the end.
func refused(t *testing.T, r *bufio.Reader) {
	t.Helper()
	res, err := http.ReadResponse(r, nil)
	if err != nil {
		return // cut without a word
	}
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxHeader)) // what is cut short is no success
	if c := res.StatusCode; (c < 400 || c >= 500) && c != http.StatusMovedPermanently && c != http.StatusTemporaryRedirect && c != http.StatusNotImplemented {
		t.Errorf("%s: %s", res.Status, body)
	}
	for h := range res.Header {
		if strings.HasPrefix(h, "Access-Control-") {
			t.Errorf("the answer has %s: %s", h, res.Header.Get(h))
		}
	}
}

// What is refused repeats what was sent, and is no page that a browser would run.
func TestQ37_RefusalsAreNoPages(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for _, q := range []request{
		{method: "GET", path: "/api/v1/status", host: "evil.example"},
		{method: "GET", path: "/api/v1/status", header: map[string]string{"Origin": "http://<script>"}},
		{method: "GET", path: "/%3Cscript%3E"},
		{method: "POST", path: "/api/v1/leave"},
	} {
		got := w.do(q)
		if got.status < 400 || got.header.Get("Content-Type") != problemType || got.header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.Contains(got.header.Get("Content-Security-Policy"), "default-src 'self'") || strings.Contains(got.body, "<script>") {
			t.Errorf("%s %s: %d %v %s", q.method, q.path, got.status, got.header, got.body)
		}
	}
}

// A GET changes nothing, whatever it carries.
func TestQ37_ReadingHasNoEffect(t *testing.T) {
	w := newWorld(t, Config{}).start()
	for _, path := range []string{
		"/api/v1/instances", "/api/v1/instances/web", "/api/v1/invite", "/api/v1/join", "/api/v1/leave", "/api/v1/status", "/metrics", "/healthz",
	} {
		for _, from := range []string{"", "unix"} {
			w.do(request{method: "GET", path: path, from: from, body: webService})
			w.do(request{method: "HEAD", path: path, from: from})
		}
	}
	if w.backend.registered != nil || w.backend.joined != "" || w.backend.invited.Uses != 0 || w.backend.owner != 0 {
		t.Error("reading has changed something")
	}
}
