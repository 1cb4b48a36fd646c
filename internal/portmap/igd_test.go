package portmap

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/micro/micro-net/internal/portmap/portmaptest"
)

// upnpHome has a router that speaks UPnP alone, and says at once that nothing listens where the others are spoken.
func upnpHome(t *testing.T) *home {
	h := newHome(t)
	h.r.NoPCP, h.r.NoNATPMP, h.r.UPnP = true, true, true
	return h
}

// start asks until there is nothing more to say.
func (h *home) start() {
	h.exchange(h.k.Tick(h.now))
	h.exchange(h.k.Unreachable(h.now))
}

// others is a host that has an outer port already.
func (h *home) others(port uint16) {
	body := soapRequest(service{kind: serviceKinds()[1]}, actionMap, igdMapArguments(netip.MustParseAddr("192.168.1.99"), port, port, 0))
	if status, answer := h.r.Fetch(h.now, netip.MustParseAddr("192.168.1.99"), "/ctl/IPConn", body.Action, body.Body); status != 200 {
		h.t.Fatalf("%d %s", status, answer)
	}
}

// port checks that there is one mapping of ours, and where.
func (h *home) port(kind Kind, protocol, outer string, open int) {
	h.t.Helper()
	s := h.k.State()
	addr := ""
	if s.Outer.IsValid() {
		addr = s.Outer.String()
	}
	if s.Kind != kind || s.Protocol != protocol || addr != outer || len(h.open) != open {
		h.t.Errorf("%s: %+v with %d ports open, want %s %s %s with %d", h.now.Sub(begin), s, len(h.open), kind, protocol, outer, open)
	}
}

func TestIGDGranted(t *testing.T) {
	const found = "PCP map, search, description, GetExternalIPAddress, "
	for _, c := range []struct {
		name    string
		prepare func(*home)
		words   string
		outer   string
		open    int
	}{
		{"at once", func(*home) {}, found + "AddPortMapping", "203.0.113.7:8085", 1},
		{"the port is taken", func(h *home) { h.others(8085); h.others(8086) }, found + "AddPortMapping, AddPortMapping, AddPortMapping", "203.0.113.7:8087", 3},
		{"without end alone", func(h *home) { h.r.Permanent = true }, found + "AddPortMapping, AddPortMapping", "203.0.113.7:8085", 1},
		{"both", func(h *home) { h.r.Permanent = true; h.others(8085) }, found + "AddPortMapping, AddPortMapping, AddPortMapping", "203.0.113.7:8086", 2},
		{"invalid arguments for a lease", func(h *home) {
			h.r.Permanent = true
			h.say = func(_, s string) string { return strings.ReplaceAll(s, "725", "402") }
		}, found + "AddPortMapping, AddPortMapping", "203.0.113.7:8085", 1},
		{"after NAT-PMP has refused", func(h *home) {
			h.r.NoNATPMP, h.change = false, func(b []byte) {
				if b[1] == answerBit|opAddress {
					b[3] = 2
				}
			}
		}, "PCP map, PMP address, search, description, GetExternalIPAddress, AddPortMapping", "203.0.113.7:8085", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := upnpHome(t)
			c.prepare(h)
			h.start()
			h.port(Granted, UPnP, c.outer, c.open)
			if got := strings.Join(h.words(), ", "); got != c.words {
				t.Errorf("sent %s", got)
			}
			if left := h.k.State().Until.Sub(h.now); left != lifetime {
				t.Errorf("it holds for %s", left)
			}
		})
	}
}

// Who answers to PCP or NAT-PMP is not asked by UPnP; who refuses there is.
func TestIGDComesLast(t *testing.T) {
	h := upnpHome(t)
	h.r.NoNATPMP = false
	h.pass(24 * time.Hour)
	h.want(Granted, NATPMP, "203.0.113.7:8085")
	for _, w := range h.words() {
		if w == "search" {
			t.Fatal("it was searched for")
		}
	}
	h = newHome(t)
	h.r.UPnP, h.change = true, func(b []byte) { b[3] = 2 }
	h.pass(time.Second)
	h.want(Granted, UPnP, "203.0.113.7:8085")
	h = upnpHome(t)
	h.deaf = func(r *Request) bool { return r.Via == ToPort }
	h.pass(30 * time.Second)
	h.want(Granted, UPnP, "203.0.113.7:8085")
}

func TestIGDRenewed(t *testing.T) {
	for _, permanent := range []bool{false, true} {
		h := upnpHome(t)
		h.r.Permanent = permanent
		h.start()
		h.pass(24 * time.Hour)
		h.port(Granted, UPnP, "203.0.113.7:8085", 1)
		count := map[string]int{}
		for _, w := range h.words() {
			count[w]++
		}
		if n := count["AddPortMapping"]; n < 19 || n > 26 {
			t.Errorf("%d renewals in a day", n)
		}
		if n := count["GetSpecificPortMappingEntry"]; n < 600 || n > 800 || count["search"] != 1 {
			t.Errorf("%d looks in a day: %v", n, count)
		}
		for s := range h.states {
			if s.Kind != Granted && s.Kind != Asking {
				t.Errorf("it was %+v", s)
			}
		}
	}
}

// A router that has restarted, got another address, given the port to others, or listens at another port, is noticed within two minutes.
func TestIGDChangedRouter(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*home)
		outer  string
		open   int
	}{
		{"restart", func(h *home) { h.r.Restart(h.now) }, "203.0.113.7:8085", 1},
		{"restart, and others have the port", func(h *home) { h.r.Restart(h.now); h.others(8085) }, "203.0.113.7:8086", 2},
		{"address", func(h *home) { h.outer = netip.MustParseAddr("198.51.100.1") }, "198.51.100.1:8085", 1},
		{"restart, at another port", func(h *home) { h.r.Restart(h.now); h.r.Web = 6000 }, "203.0.113.7:8085", 1},
	} {
		h := upnpHome(t)
		h.start()
		h.pass(17 * time.Minute)
		h.words()
		c.change(h)
		h.pass(2*time.Minute + 12*time.Second)
		if h.port(Granted, UPnP, c.outer, c.open); t.Failed() {
			t.Fatalf("%s: %v", c.name, h.sent)
		}
	}
}

// A router may grant for less than it was asked for; that is seen when it is looked at, and the mapping never ends.
func TestIGDShortLease(t *testing.T) {
	h := upnpHome(t)
	h.r.Longest = 10 * time.Minute
	h.start()
	for range 120 {
		h.pass(time.Minute)
		h.port(Granted, UPnP, "203.0.113.7:8085", 1)
	}
	h.off = true // and what it does not renew has ended when the router says so
	h.pass(11 * time.Minute)
	if s := h.k.State(); s.Kind == Granted {
		t.Errorf("%+v", s)
	}
}

// Others that take port after port do not exhaust the ports that are tried: these count anew each time.
func TestIGDTakenAgain(t *testing.T) {
	h := upnpHome(t)
	for p := range uint16(portsTried) - 1 {
		h.others(8085 + p)
	}
	h.start()
	h.port(Granted, UPnP, "203.0.113.7:8092", portsTried)
	h.r.Restart(h.now)
	h.others(8092)
	h.pass(2*time.Minute + 12*time.Second)
	h.port(Granted, UPnP, "203.0.113.7:8093", 2)
}

// A router that fails for a moment keeps the mapping until it ends; one that is gone is given up then.
func TestIGDRouterFallsSilent(t *testing.T) {
	h := upnpHome(t)
	h.start()
	h.pass(time.Minute)
	h.off = true
	h.words()
	h.pass(h.k.State().Until.Sub(h.now) - time.Second)
	if s := h.k.State(); s.Kind != Granted {
		t.Errorf("before its end: %+v", s)
	}
	if n := len(h.words()); n < 100 || n > 300 {
		t.Errorf("%d requests", n)
	}
	h.pass(time.Second)
	if s := h.k.State(); s.Kind != Silent {
		t.Errorf("after its end: %+v", s)
	}
	h.off = false
	h.pass(3 * time.Minute)
	h.port(Granted, UPnP, "203.0.113.7:8085", 1)
}

// What has no use, or makes no sense, is said, and asked again later; nothing is left open.
func TestIGDRefused(t *testing.T) {
	replace := func(question, old, by string) func(*home) {
		return func(h *home) {
			h.say = func(q, s string) string {
				if q == question {
					return strings.ReplaceAll(s, old, by)
				}
				return s
			}
		}
	}
	refuse := func(code int) func(*home) {
		return func(h *home) {
			h.say = func(q, s string) string {
				if q == actionMap {
					return refusalOf(code)
				}
				return s
			}
		}
	}
	const noSense = "it does not answer as it should"
	for _, c := range []struct {
		name    string
		prepare func(*home)
		kind    Kind
		reason  string
		outer   string
	}{
		{"not authorized", func(h *home) { h.r.Refuse = 2 }, Refused, "not authorized", ""},
		{"all ports are taken", refuse(718), Refused, "others have the port, and those after it", ""},
		{"never content", refuse(725), Refused, "code 725", ""},
		{"behind a provider's NAT", func(h *home) { h.outer = netip.MustParseAddr("100.64.3.4") }, Unusable, "", "100.64.3.4:0"},
		{"loopback", func(h *home) { h.outer = netip.MustParseAddr("127.0.0.1") }, Unusable, "", "127.0.0.1:0"},
		{"our own address", func(h *home) { h.outer = client }, Unusable, "", client.String() + ":0"},
		{"not connected", func(h *home) { h.outer = netip.IPv4Unspecified() }, Refused, "it has no connection to the outside", ""},
		{"no address", replace(actionAddress, "203.0.113.7", "localhost"), Refused, "it has no connection to the outside", ""},
		{"no service", replace("description", "WANIPConnection:1", "WANIPConnection:9"), Refused, "it describes no service that maps ports", ""},
		{"a service elsewhere", replace("description", "/ctl/IPConn", "http://192.168.1.50:5000/ctl/IPConn"), Refused, "it describes no service that maps ports", ""},
		{"no description", replace("description", "<root", "<html"), Refused, "it describes no service that maps ports", ""},
		{"the answer to something else", replace(actionAddress, "GetExternalIPAddressResponse", "AddPortMappingResponse"), Refused, noSense, ""},
		{"no answer", func(h *home) { h.deaf = func(r *Request) bool { return strings.HasSuffix(r.Action, actionMap+`"`) } }, Refused, noSense, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := upnpHome(t)
			c.prepare(h)
			h.start()
			if s := h.k.State(); s.Kind != c.kind || s.Reason != c.reason || s.Protocol != UPnP || (c.outer != "" && s.Outer.String() != c.outer) {
				t.Errorf("%+v", s)
			}
			if len(h.sent) > 20 {
				t.Errorf("%d requests in a round", len(h.sent))
			}
			if next := h.k.Next().Sub(h.now); next < firstRest*9/10 {
				t.Errorf("the next one in %s", next)
			}
			h.r.Refuse, h.outer, h.say, h.deaf = 0, global, nil, func(r *Request) bool { return r.Via == ToPort }
			h.pass(2 * time.Minute)
			if s := h.k.State(); s.Kind != Granted {
				t.Errorf("later: %+v", s)
			}
		})
	}
}

func refusalOf(code int) string {
	return fmt.Sprintf(`<Envelope><Body><Fault><detail><UPnPError><errorCode>%d</errorCode></UPnPError></detail></Fault></Body></Envelope>`, code)
}

// Of several services the connected one is asked, and the mapping is taken back where it was made.
func TestIGDSecondService(t *testing.T) {
	h := upnpHome(t)
	asked := 0
	h.say = func(q, s string) string {
		if q == "description" {
			const first = `<serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType><controlURL>ctl/IPConn</controlURL></service></serviceList>`
			return strings.Replace(s, "<deviceList>", first+"<deviceList>", 1)
		}
		if q == actionAddress {
			if asked++; asked == 1 {
				return refusalOf(501)
			}
		}
		return s
	}
	h.start()
	h.port(Granted, UPnP, "203.0.113.7:8085", 1)
	if asked != 2 {
		t.Errorf("%d services were asked", asked)
	}
}

func TestIGDWithdrawn(t *testing.T) {
	h := upnpHome(t)
	h.others(8085)
	h.start()
	h.port(Granted, UPnP, "203.0.113.7:8086", 2)
	r := h.k.Withdraw()
	if r == nil || name(r) != actionDelete {
		t.Fatalf("%+v", r)
	}
	h.fetch(r, false)
	if len(h.open) != 1 {
		t.Errorf("open: %v", h.open)
	}
}

// A daemon that comes back after a crash gets the port that it had.
func TestIGDAfterACrash(t *testing.T) {
	h := upnpHome(t)
	h.r.Permanent = true
	h.start()
	h.k = New(h.now, h.k.config)
	h.start()
	h.port(Granted, UPnP, "203.0.113.7:8085", 1)
}

// Answers to a request that was given up, to none, and those of a search that nobody made, count for nothing.
func TestH8_IGDAnswersThatAreNotOurs(t *testing.T) {
	h := upnpHome(t)
	found := h.r.Found(searchRequest(1).Body)
	if h.k.Found(h.now, found) != nil || h.k.Tick(h.now) == nil || h.k.Found(h.now, found) != nil {
		t.Error("a device is found that was not searched for")
	}
	h.k.Unreachable(h.now)
	late := h.k.Found(h.now, found)
	if late == nil || late.Via != HTTP || late.Port != portmaptest.HTTPPort {
		t.Fatalf("%+v", late)
	}
	if h.k.Found(h.now, found) != nil {
		t.Error("it is found twice")
	}
	h.now = h.k.Next()
	h.exchange(h.k.Tick(h.now)) // it is given up
	if h.k.Fetched(h.now, late, h.fetch(late, false)) != nil || h.k.Fetched(h.now, nil, nil) != nil {
		t.Error("an answer counts that came too late")
	}
	copied := *late
	h.k.ask(h.now, igdDescription)
	if h.k.Fetched(h.now, &copied, h.fetch(late, false)) != nil || h.k.open != igdDescription {
		t.Error("an answer to something else counts")
	}
}

// A router that never says the same does not make us talk more than now and then, nor tell peers of new addresses.
func TestH8_HostileIGDIsToldLittle(t *testing.T) {
	for _, what := range []string{"address", "entry", "lease", "refusal"} {
		h := upnpHome(t)
		n := 0
		h.say = func(q, s string) string {
			n++
			switch {
			case what == "address" && q == actionAddress:
				return strings.Replace(s, "203.0.113.7", fmt.Sprintf("203.0.113.%d", n%250), 1)
			case what == "entry" && q == actionEntry:
				return strings.Replace(s, client.String(), "192.168.1.77", 1)
			case what == "lease" && q == actionEntry:
				return strings.Replace(s, "<NewLeaseDuration>", "<NewLeaseDuration>1</NewLeaseDuration><Was>", 1)
			case what == "refusal" && n > 2:
				return refusalOf(718)
			}
			return s
		}
		h.start()
		h.deaf = func(r *Request) bool { return r.Via == ToPort }
		h.pass(time.Hour)
		addrs := map[netip.AddrPort]bool{}
		for s := range h.states {
			addrs[s.Outer] = true
		}
		if len(h.sent) > 250 || len(addrs) > 60 {
			t.Errorf("%s: %d requests and %d addresses in an hour", what, len(h.sent), len(addrs))
		}
	}
}

// A router with a mapping that describes itself no more, or says nothing that makes sense, may have the mapping still: it can be given back.
func TestIGDDescriptionVanishes(t *testing.T) {
	h := upnpHome(t)
	h.start()
	h.say = func(string, string) string { return "<root></root>" }
	h.pass(10 * time.Minute)
	h.port(Granted, UPnP, "203.0.113.7:8085", 1)
	if h.fetch(h.k.Withdraw(), false); len(h.open) != 0 {
		t.Errorf("open: %v", h.open)
	}
}
