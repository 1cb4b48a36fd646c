package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/micro/micro-net/sim/scenario"
)

// checks writes the health check of a service file.
func checks(c scenario.Check, port uint16) string {
	var b strings.Builder
	switch c.Kind {
	case scenario.CheckNone:
		return "checks: none\n"
	case scenario.CheckHTTP:
		fmt.Fprintf(&b, "checks:\n  - http: http://127.0.0.1:%d%s\n", port, c.Path)
	case scenario.CheckTCP:
		fmt.Fprintf(&b, "checks:\n  - tcp: 127.0.0.1:%d\n", port)
	default:
		return ""
	}
	duration := func(key string, d time.Duration) {
		if d > 0 {
			fmt.Fprintf(&b, "    %s: %s\n", key, d)
		}
	}
	number := func(key string, n int) {
		if n > 0 {
			fmt.Fprintf(&b, "    %s: %d\n", key, n)
		}
	}
	duration("interval", c.Interval)
	duration("timeout", c.Timeout)
	number("failures_before_critical", c.Failures)
	number("successes_before_passing", c.Successes)
	return b.String()
}
