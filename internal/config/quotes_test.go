package config

import (
	"strings"
	"testing"
)

// What YAML takes for punctuation, and what is no JSON: the error says what would be right.
func TestSyntaxErrorsSayWhatIsExpected(t *testing.T) {
	for _, c := range []struct{ file, text, fix string }{
		{"config.yaml", "listen: [::]:8085\n", `; put the value in quotes: "[::]:8085"`},
		{"config.yaml", "cluster: main\nlisten: [2001:db8::1]:8085 # here\n", `; put the value in quotes: "[2001:db8::1]:8085"`},
		{"config.yaml", "listen: *:8085\n", `; put the value in quotes: "*:8085"`},
		{"config.yaml", "join: @token\n", `; put the value in quotes: "@token"`},
		{"config.yaml", "listen: *alias\n", "; write the value out"},
		{"config.yaml", "listen: [a, b\n", ""},
		{"x.json", `{name: "web"}`, `; expected a key in double quotes, or "}"`},
		{"x.json", `{"name": "web",}`, "; remove the comma before it"},
		{"x.json", `{"tags": ["web",]}`, "; remove the comma before it"},
		{"x.json", `{"name": "web", port: 1}`, "; expected a key in double quotes"},
		{"x.json", `{"name" "web"}`, `; expected ":"`},
		{"x.json", `{"name": web}`, `; expected text in double quotes, a number, true, false, null, "[" or "{"`},
		{"x.json", `{"name": "web" "port": 1}`, `; expected "," or "}"`},
		{"x.json", `{"services": [{} {}]}`, `; expected "," or "]"`},
		{"x.json", `{"name": "web"`, "ends too early"},
	} {
		src := newSource(c.file, c.text)
		parse := parseYAML
		if strings.HasSuffix(c.file, ".json") {
			parse = parseJSON
		}
		_, err := parse(src)
		switch {
		case err == nil:
			t.Errorf("%q is taken", c.text)
		case c.fix == "" && strings.Contains(err.Error(), ";"), !strings.HasSuffix(err.Error(), c.fix):
			t.Errorf("%q: %v, want the end %q", c.text, err, c.fix)
		}
	}
	if _, err := parseYAML(newSource("config.yaml", "listen: \"[::]:8085\"\njoin: '@token'\n")); err != nil {
		t.Errorf("in quotes: %v", err)
	}
}
