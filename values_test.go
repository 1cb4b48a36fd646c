package micronet

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestNodeIDRoundTrip(t *testing.T) {
	id := NodeID{1, 2, 3, 31: 9}
	got, err := ParseNodeID(id.String())
	if err != nil || got != id {
		t.Fatalf("ParseNodeID(%q) = %v, %v", id.String(), got, err)
	}
	if err := CheckLabel(id.String()); err != nil {
		t.Errorf("an id is no DNS label: %v", err)
	}
	if !IsIdentityAddr(id.Addr().Addr()) {
		t.Errorf("%v is not recognised as an identity address", id.Addr())
	}
	other := NodeID{1, 2, 3, 31: 8}
	if other.Addr() == id.Addr() {
		t.Errorf("two ids share the address %v", id.Addr())
	}
	for _, bad := range []string{"", "abc", id.String()[1:], id.String() + "a", strings.Repeat("!", 52)} {
		if _, err := ParseNodeID(bad); err == nil {
			t.Errorf("ParseNodeID(%q) succeeded", bad)
		}
	}
}

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"web": true, "a": true, "web-2": true, strings.Repeat("a", 63): true,
		"": false, "-a": false, "a-": false, "Web": false, "a_b": false, "a.b": false, "ü": false,
		strings.Repeat("a", 64): false, "service": false, "localhost": false, "wpad": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) = %v, want ok %v", name, err, ok)
		}
	}
}

func TestLabel(t *testing.T) {
	for host, want := range map[string]string{
		"Host.example.com": "host", "my_host": "my-host", "": "node", "___": "node", "10.0.0.1": "10",
		strings.Repeat("x", 80): strings.Repeat("x", 63),
	} {
		if got := Label(host); got != want {
			t.Errorf("Label(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestDestinationRoundTrip(t *testing.T) {
	for s, want := range map[string]Destination{
		"web":               {Service: "web"},
		"web.service":       {Service: "web"},
		"web.service.eu":    {Service: "web", Cluster: "eu"},
		"v2.web.service":    {Service: "web", Tag: "v2"},
		"v2.web.service.eu": {Service: "web", Tag: "v2", Cluster: "eu"},
	} {
		got, err := ParseDestination(s)
		if err != nil || got != want {
			t.Errorf("ParseDestination(%q) = %+v, %v, want %+v", s, got, err, want)
		}
		if again, err := ParseDestination(got.String()); err != nil || again != got {
			t.Errorf("ParseDestination(%q) = %+v, %v, want %+v", got.String(), again, err, got)
		}
	}
	for _, bad := range []string{"", "a.b", "a.b.c"} {
		if d, err := ParseDestination(bad); err == nil {
			t.Errorf("ParseDestination(%q) = %+v", bad, d)
		}
	}
}

func TestErrors(t *testing.T) {
	e := E("tunnel.dial", Timeout, "no answer in %v", time.Second).WithPeer(NodeID{7}).WithFix("open UDP %d", 8085)
	if want := "tunnel.dial: " + (NodeID{7}).Short() + ": no answer in 1s; open UDP 8085"; e.Error() != want {
		t.Errorf("Error() = %q, want %q", e.Error(), want)
	}
	if !errors.Is(e, os.ErrDeadlineExceeded) || errors.Is(e, net.ErrClosed) {
		t.Error("a Timeout is not a deadline, or is closed")
	}
	for err, want := range map[error]Kind{
		net.ErrClosed: Closed, fs.ErrNotExist: NotFound, fs.ErrPermission: Refused,
		errors.New("x"): Internal, E("a", Invalid, "b"): Invalid,
	} {
		if got := KindOf(err); got != want {
			t.Errorf("KindOf(%v) = %v, want %v", err, got, want)
		}
	}
	for k := Internal; k <= NoDaemon; k++ {
		if ParseKind(k.String()) != k {
			t.Errorf("kind %v does not survive its name", k)
		}
	}
	codes := map[Kind]int{Internal: 1, Invalid: 2, NotFound: 3, Refused: 4, Unauthorized: 4, Unreachable: 5, Timeout: 5, NoDaemon: 6}
	for k, want := range codes {
		if got := k.ExitCode(); got != want {
			t.Errorf("%v.ExitCode() = %d, want %d", k, got, want)
		}
	}
}
