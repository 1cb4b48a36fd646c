package policy

import "fmt"

// String says which rule decided, for people.
func (v Verdict) String() string {
	switch {
	case v.Rule != "" && v.Allowed:
		return fmt.Sprintf("allowed by the policy %q", v.Rule)
	case v.Rule != "":
		return fmt.Sprintf("refused by the policy %q", v.Rule)
	case v.Allowed:
		return "allowed by default: no policy refuses it"
	case v.Across:
		return "refused by default: it comes over a link, and no policy allows it"
	}
	return "refused"
}
