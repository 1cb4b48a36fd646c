package identity

import (
	"fmt"
	"strings"

	micronet "github.com/micro/micro-net"
)

// maxNameTries bounds the search for a free name.
const maxNameTries = 10_000

// ChooseName finds a free name for a node. A name that its user chose is taken as it is or
// refused; one made from the host name gets -2, -3… until taken says no. The node's own present
// name must not count as taken.
func ChooseName(want string, explicit bool, taken func(string) bool) (string, error) {
	if err := micronet.CheckLabel(want); err != nil {
		return "", invalid("name", "node name: %w", err)
	}
	if !taken(want) {
		return want, nil
	}
	if explicit {
		return "", refused("name", "the name %q is taken by another node", want).
			WithFix("choose another --name; if that node is gone, make a token for its name: `micro-net invite --name %s`", want)
	}
	for i := 2; i < maxNameTries; i++ {
		if name := numbered(want, i); !taken(name) {
			return name, nil
		}
	}
	return "", refused("name", "%q and %d names like it are taken", want, maxNameTries).WithFix("choose a --name")
}

// numbered appends a number, shortening the name so that it stays a DNS label.
func numbered(name string, i int) string {
	suffix := fmt.Sprintf("-%d", i)
	const maxLabel = 63 // RFC 1035 section 2.3.4
	if len(name)+len(suffix) > maxLabel {
		name = strings.TrimRight(name[:maxLabel-len(suffix)], "-")
	}
	return name + suffix
}
