//go:build !unix

package lane

import "io"

// sink is for systems that have sockets which take what they can without anybody waiting.
type sink struct{}

func newSink(io.Writer) *sink { return nil }

func (s *sink) write([]byte) int { return 0 }
