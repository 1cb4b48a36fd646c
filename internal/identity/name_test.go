package identity

import (
	"strings"
	"testing"

	micronet "github.com/micro/micro-net"
)

func TestChooseName(t *testing.T) {
	long := strings.Repeat("x", 63)
	hyphen := strings.Repeat("x", 60) + "-yz"
	for _, c := range []struct {
		want     string
		explicit bool
		taken    string // words
		got      string // "" refused
	}{
		{"web", false, "", "web"},
		{"web", true, "", "web"},
		{"web", false, "other", "web"},
		{"web", false, "web", "web-2"},
		{"web", false, "web web-2 web-3", "web-4"},
		{"web", false, "web web-3", "web-2"},
		{"web", true, "web", ""},
		{"web-2", false, "web-2", "web-2-2"},
		{long, false, long, long[:61] + "-2"},
		{hyphen, false, hyphen, strings.Repeat("x", 60) + "-2"},
	} {
		taken := func(name string) bool { return strings.Contains(" "+c.taken+" ", " "+name+" ") }
		got, err := ChooseName(c.want, c.explicit, taken)
		if got != c.got || (err == nil) != (c.got != "") {
			t.Errorf("ChooseName(%q, %v, taken %q) = %q, %v, want %q", c.want, c.explicit, c.taken, got, err, c.got)
		}
		if err != nil {
			wantError(t, err, micronet.Refused, "taken by another node", "micro-net invite --name web")
		}
	}
	_, err := ChooseName("Not A Label", false, func(string) bool { return false })
	wantError(t, err, micronet.Invalid, "DNS label")
	_, err = ChooseName("web", false, func(string) bool { return true })
	wantError(t, err, micronet.Refused, "names like it")
}
