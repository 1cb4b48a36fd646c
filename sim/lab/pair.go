//go:build linux

package lab

import (
	"fmt"
	"path/filepath"
)

// Pair adds two hosts that one veth pair joins directly, as a cable would: nothing but the two
// network stacks is between them, which is what measurements want. They have no router, so SetLink
// and Crash are not for them.
func (l *Lab) Pair(a, b string) (*Host, *Host) {
	l.t.Helper()
	var hosts [2]*Host
	for i, name := range []string{a, b} {
		hosts[i] = &Host{
			lab: l, Name: name, ns: l.namespace(name), Addr: fmt.Sprintf("10.89.0.%d", i+1), Dir: filepath.Join(l.dir, name),
		}
	}
	l.run("ip", "link", "add", "eth0", "netns", hosts[0].ns, "type", "veth", "peer", "name", "eth0", "netns", hosts[1].ns)
	for _, h := range hosts {
		l.run("ip", "-n", h.ns, "addr", "add", h.Addr+"/24", "dev", "eth0")
		l.run("ip", "-n", h.ns, "link", "set", "eth0", "up")
		h.boot()
	}
	return hosts[0], hosts[1]
}
