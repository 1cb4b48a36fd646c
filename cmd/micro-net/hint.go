package main

import (
	"fmt"

	"github.com/micro/micro-net/node/api"
)

// tellHowToInvite tells whoever sits at the terminal how a second host comes in, as long as the
// node knows of no other one.
func (a *app) tellHowToInvite(s *api.Status) {
	if s.Nodes.Alive+s.Nodes.Suspect+s.Nodes.Dead > 1 {
		return
	}
	fmt.Fprintf(a.out, `
%s is the only node of the cluster %q. To add a second host, run here

   micro-net invite > token

take the file there, and run

   micro-net up --join @token

`, s.Node.Name, s.Node.Cluster)
}
