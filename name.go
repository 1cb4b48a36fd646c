package micronet

import (
	"fmt"
	"strings"
)

// maxLabel is the longest DNS label (RFC 1035 section 2.3.4).
const maxLabel = 63

// reservedNames cannot name a service or a cluster: they are words of the DNS grammar, or
// names that programs look up by themselves and whose owner would catch their traffic.
var reservedNames = map[string]bool{
	"service": true, "node": true, "instance": true, "addr": true, "virtual": true, "any": true,
	"query": true, "localhost": true, "wpad": true, "isatap": true,
}

// CheckLabel reports why s is no DNS label (RFC 1123 section 2.1): 1 to 63 letters, digits and
// hyphens, no hyphen first or last. Lower case is demanded, as names are compared by bytes.
func CheckLabel(s string) error {
	if s == "" {
		return fmt.Errorf("the name is empty")
	}
	if len(s) > maxLabel {
		return fmt.Errorf("%q has %d characters, a DNS label has at most %d", s, len(s), maxLabel)
	}
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' {
			return fmt.Errorf("%q is no DNS label: %q is not one of a-z, 0-9 and -", s, r)
		}
	}
	if strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") {
		return fmt.Errorf("%q is no DNS label: it starts or ends with a hyphen", s)
	}
	return nil
}

// CheckName is CheckLabel for services and clusters: it refuses reserved words as well.
func CheckName(s string) error {
	if err := CheckLabel(s); err != nil {
		return err
	}
	if reservedNames[s] {
		return fmt.Errorf("%q is reserved and cannot name a service or a cluster", s)
	}
	return nil
}

// Label makes a DNS label of a host name: the first label, lower case, other characters turned
// to hyphens. It returns "node" when nothing is left.
func Label(host string) string {
	first, _, _ := strings.Cut(strings.ToLower(host), ".")
	out := strings.Map(func(r rune) rune {
		if (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') {
			return r
		}
		return '-'
	}, first)
	out = strings.Trim(out, "-")
	if len(out) > maxLabel {
		out = strings.Trim(out[:maxLabel], "-")
	}
	if out == "" {
		return "node"
	}
	return out
}
