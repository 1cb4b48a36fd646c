package node

import (
	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/node/api"
)

// versionJump is the warning's code.
const versionJump = "version-jump"

// jumped learns that a node's own records are suddenly numbered far ahead. They count, as it signed them; but it has less
// room left to count, and nobody who runs it in good faith does that.
func (l *life) jumped(id micronet.NodeID) { l.offended(l.jumpers, id) }

// jumpWarning names nodes whose records jumped.
func (l *life) jumpWarning(ids ...micronet.NodeID) api.Warning {
	return api.Warning{
		Code: versionJump,
		Text: "records are suddenly numbered far ahead, with the key of " + l.named(ids) + ": its data folder was altered, or somebody else has it",
		Fix:  "see what runs on that host; if somebody else may have its key: `micro-net node revoke NAME`",
	}
}
