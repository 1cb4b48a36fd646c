package tunnel

import (
	"sync/atomic"

	micronet "github.com/micro/micro-net"
)

// dropReason says which rule threw a packet away. Its name is a metric label.
type dropReason uint8

const (
	dropGarbage dropReason = iota
	dropMalformed
	dropVersion
	dropNotJoined
	dropNotForUs
	dropUnknownSender
	dropCredential
	dropVerifyRate
	dropForged
	dropReplay
	dropOldBoot
	dropUnasked
	dropUnknownKind
	dropNoHandler
	dropHeldFull
	dropHeldStale
	dropPeersFull
	dropUnbound
	dropGuestRefused
	dropAmplification
	dropNoPath
	dropUnknownPeer
	dropWrite
	dropClosed
	dropHalf
	dropRejoined
	dropEnvelope
	dropRelayOff
	dropRelayUnknown
	dropRelayQuota
	dropRelayNoPath
	dropTooLarge
	dropTrunkFull
	dropTrunkGone
	dropTrunkCall
	dropTrunkCrowd
	dropTrunkGuests
	dropReasons // how many there are
)

var dropNames = [dropReasons]string{
	dropGarbage:       "garbage",
	dropMalformed:     "malformed",
	dropVersion:       "version",
	dropNotJoined:     "not-joined",
	dropNotForUs:      "not-for-us",
	dropUnknownSender: "unknown-sender",
	dropCredential:    "credential",
	dropVerifyRate:    "verify-rate",
	dropForged:        "forged",
	dropReplay:        "replay",
	dropOldBoot:       "old-boot",
	dropUnasked:       "unasked",
	dropUnknownKind:   "unknown-kind",
	dropNoHandler:     "no-handler",
	dropHeldFull:      "held-full",
	dropHeldStale:     "held-stale",
	dropPeersFull:     "peers-full",
	dropUnbound:       "quic-unbound",
	dropGuestRefused:  "guest-refused",
	dropAmplification: "amplification",
	dropNoPath:        "no-path",
	dropUnknownPeer:   "unknown-peer",
	dropWrite:         "write-failed",
	dropClosed:        "closed",
	dropHalf:          "half",
	dropRejoined:      "rejoined-full",
	dropEnvelope:      "envelope",
	dropRelayOff:      "relay-off",
	dropRelayUnknown:  "relay-unknown",
	dropRelayQuota:    "relay-quota",
	dropRelayNoPath:   "relay-no-path",
	dropTooLarge:      "too-large",
	dropTrunkFull:     "trunk-full",
	dropTrunkGone:     "trunk-gone",
	dropTrunkCall:     "trunk-calls-full",
	dropTrunkCrowd:    "trunk-crowd",
	dropTrunkGuests:   "trunk-guests",
}

// drops counts dropped packets and tells Events of each.
type drops struct {
	events *micronet.Events
	counts [dropReasons]atomic.Uint64
}

func (d *drops) count(why dropReason, peer micronet.NodeID) {
	d.counts[why].Add(1)
	d.events.PacketDropped(micronet.PacketDrop{Where: "underlay", Why: dropNames[why], Peer: peer})
}

func (d *drops) snapshot(m map[string]uint64) {
	for i := range d.counts {
		m["dropped_"+dropNames[i]] = d.counts[i].Load()
	}
}
