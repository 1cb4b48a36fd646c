package config

import (
	"fmt"
	"testing"
)

// Neither an instance nor a check leads to where a host, a link or a cloud keeps its secrets, however the
// address is written, and none to a name that may lead there tomorrow.
func TestQ24_TargetsThatAreNeverTaken(t *testing.T) {
	for _, at := range []string{
		"169.254.169.254", "169.254.170.2", "169.254.0.1", "[fe80::1]", "[fe80::a9fe:a9fe%eth0]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
		"[fd00:ec2::254]", "0.0.0.0", "0.1.2.3", "[::]", "[::ffff:0.0.0.0]", "255.255.255.255", "224.0.0.1", "[ff02::1]",
		"metadata.google.internal", "169.254.169.254.nip.io", "evil.example", "localhost.evil.example", "LOCALHOST", "localhost.", "127.1",
		"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "127.0.0.1@169.254.169.254", "u:p@169.254.169.254", "127.0.0.1 ", "127.0.0.1\\r\\nX",
		"[::1%25lo]", "[]", "%31%32%37.0.0.1", "①②⑦.0.0.1",
	} {
		for _, check := range []string{
			fmt.Sprintf(`{http: "http://%s/"}`, at), fmt.Sprintf(`{http: "http://%s:80/x"}`, at), fmt.Sprintf(`{tcp: "%s:80"}`, at), fmt.Sprintf(`{grpc: "%s:80/x"}`, at),
		} {
			file := fmt.Sprintf("services: [{name: web, port: 80, checks: [%s]}]", check)
			if got, errs := ParseServices("x.yaml", []byte(file)); len(errs) == 0 {
				t.Errorf("%s is taken: %+v", check, got[0].Checks)
			}
		}
	}
	for _, at := range []string{
		"169.254.169.254", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0", "::", "255.255.255.255", "224.0.0.1", "ff02::1",
		"evil.example", "127.1", "2852039166", "",
	} {
		if CheckAddress(at) == nil {
			t.Errorf("an instance may be at %q", at)
		}
	}
}

func TestCheckAddr(t *testing.T) {
	for want, c := range map[string]Check{
		"10.0.0.9":     {HTTP: "http://10.0.0.9/x"},
		"10.0.0.8":     {HTTP: "http://10.0.0.8:99/x"},
		"127.0.0.1":    {HTTP: "http://localhost/"},
		"2001:db8::1":  {HTTP: "http://[2001:db8::1]/"},
		"10.0.0.7":     {TCP: "[::ffff:10.0.0.7]:1"},
		"10.0.0.6":     {GRPC: "10.0.0.6:1/service"},
		"invalid IP":   {Script: []string{"true"}},
		"::1":          {TCP: "[::1]:5"},
		"192.168.77.1": {GRPC: "192.168.77.1:5"},
	} {
		got, ok := c.Addr()
		if got.String() != want || ok != (want != "invalid IP") {
			t.Errorf("%+v leads to %v, %v, want %s", c, got, ok, want)
		}
	}
}
