package proxy

import micronet "github.com/micro/micro-net"

// Guard decides who may call an instance. Its methods are called from any goroutine and must not block.
type Guard interface {
	// Admit decides about a connection to an instance of this node, a new one or one that is asked about again as
	// the rules have changed, and counts the decision. The error's text is what the caller is told.
	Admit(caller micronet.Caller, to *micronet.Instance) error
	// Allows is Admit for a question without effect, also about a connection to another node, which decides by
	// itself.
	Allows(caller micronet.Caller, to *micronet.Instance) error
}

// open is the Guard where everybody may call everything.
type open struct{}

func (open) Admit(micronet.Caller, *micronet.Instance) error  { return nil }
func (open) Allows(micronet.Caller, *micronet.Instance) error { return nil }
