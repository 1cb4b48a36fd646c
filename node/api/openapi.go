package api

import _ "embed"

// openAPI describes /api/v1 (OpenAPI 3.1).
//
//go:embed openapi.json
var openAPI []byte
