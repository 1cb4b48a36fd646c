package scenario

import _ "embed" // schema.json

//go:embed schema.json
var schema string

// Schema returns the JSON schema (draft 2020-12) of scenario files.
func Schema() []byte { return []byte(schema) }
