package dns

import (
	"slices"
	"strings"
)

const (
	maxLabel = 63  // bytes of a label (RFC 1035 section 2.3.4)
	maxName  = 255 // bytes of a name on the wire, lengths and root included
)

// split cuts a name in presentation form into its labels: unescaped, ASCII letters in lower
// case (RFC 4343), the leftmost first. It reports false for what is no name. The root has none.
func split(s string) ([]string, bool) {
	s = lower(s)
	if s == "." || s == "" {
		return nil, s == "."
	}
	var labels []string
	if strings.IndexByte(s, '\\') < 0 {
		labels = strings.Split(strings.TrimSuffix(s, "."), ".")
	} else {
		var ok bool
		if labels, ok = splitEscaped(s); !ok {
			return nil, false
		}
	}
	size := 1
	for _, l := range labels {
		if l == "" || len(l) > maxLabel {
			return nil, false
		}
		size += 1 + len(l)
	}
	return labels, size <= maxName
}

// splitEscaped knows \X for the byte X, and \DDD for a byte by its decimal value.
func splitEscaped(s string) ([]string, bool) {
	var labels []string
	var label []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '.':
			labels, label = append(labels, string(label)), label[:0]
			if i == len(s)-1 {
				return labels, true
			}
		case s[i] != '\\':
			label = append(label, s[i])
		case i+1 == len(s):
			return nil, false
		case isDigit(s[i+1]):
			b, ok := decimal(s[i+1:])
			if !ok {
				return nil, false
			}
			label = append(label, lowerByte(b))
			i += 3
		default:
			label = append(label, s[i+1])
			i++
		}
	}
	return append(labels, string(label)), true
}

func decimal(s string) (byte, bool) {
	if len(s) < 3 || !isDigit(s[1]) || !isDigit(s[2]) {
		return 0, false
	}
	n := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	return byte(n), n < 256
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func lowerByte(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}

// lower changes ASCII letters only: other bytes of a name are not text (RFC 4343 section 3).
func lower(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return 'A' <= r && r <= 'Z' }) < 0 {
		return s
	}
	b := []byte(s)
	for i := range b {
		b[i] = lowerByte(b[i])
	}
	return string(b)
}

// cutSuffix returns the labels before a suffix of whole labels.
func cutSuffix(labels, suffix []string) ([]string, bool) {
	n := len(labels) - len(suffix)
	if n < 0 || !slices.Equal(labels[n:], suffix) {
		return nil, false
	}
	return labels[:n], true
}
