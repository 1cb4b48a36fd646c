package defence

import "github.com/micro/micro-net/sim/overlay"

// belief: who is taken for alive, and told so.
func belief() []Defence {
	membershipAlone := edit("node/view.go",
		"case silent < freshFor:\n\t\treturn micronet.Alive", "case silent < 0:\n\t\treturn micronet.Alive")
	return []Defence{
		{
			Name: "signs-of-life-outweigh-death", Scenario: "forged-dead", Breaks: "resolves", Seeds: 2, Files: membershipAlone,
			About: "A node that shows signs of life stays in the answers, whoever says that it is dead",
		},
		{
			Name: "signs-of-life-outweigh-suspicion", Scenario: "forged-suspect", Breaks: "resolves", Seeds: 2, Files: membershipAlone,
			About: "A node that shows signs of life stays in the answers, whoever suspects it",
		},
		{
			Name: "signs-of-life-are-carried", Scenario: "bridge", Breaks: "no_false_dead", Seeds: 2,
			About: "Every node passes on the signs of life of all others",
			Files: edit("gossip/heartbeat/packet.go", "\tb = t.appendNews(b, now, to, doubted)\n\tb = t.appendRest(b, now, to)\n", ""),
		},
		{
			Name: "refutations-are-believed", Scenario: "taken-for-dead", Breaks: "success_rate", Seeds: 5,
			About: "Who learns that it is taken for dead contradicts in a newer incarnation, and is a member like all again",
			Files: edit("gossip/swim/table.go", "case l.epoch < e.Epoch:\n\t\treturn errFormerLife",
				"case l.epoch < e.Epoch || l.epoch == e.Epoch && !e.Status.Serving():\n\t\treturn errFormerLife"),
		},
		{
			Name: "silence-withdraws", Scenario: "host-crash", Breaks: "gone_within", Seeds: 2,
			About: "The instances of a node of which nothing fresh is heard leave the answers before it is dead",
			Files: map[string][]overlay.Edit{"node/view.go": {
				{Old: "case n.Status == micronet.Suspect:", New: "case false:"},
				{Old: "case doubted && !s.hears(n.ID):", New: "case false:"},
				{Old: "return ok && p.InVain", New: "return ok && p.InVain && false"},
			}},
		},
		{
			Name: "suspects-are-asked", Scenario: "hundred-nodes-heal", Breaks: "converged", Seeds: 1,
			About: "A suspect is asked itself for a sign of life",
			Files: edit("node/serve.go", "\tmesh.run(l.inquire)\n", ""),
		},
	}
}

// memory: who finds whom again.
func memory() []Defence {
	return []Defence{
		{
			Name: "joins-are-repeated", Scenario: "joins-at-once", Breaks: "converged", Seeds: 3,
			About: "A node joins through several members at once, and synchronises again with others in the seconds after that",
			Files: map[string][]overlay.Edit{
				"gossip/swim/join.go": {{Old: "for i := range maxResyncs {", New: "for i := range 0 {"}},
				"gossip/redial.go":    {{Old: "redialFirst   = 3", New: "redialFirst   = 1"}},
			},
		},
		{
			Name: "the-lost-are-called", Scenario: "split-10m", Breaks: "converged", Seeds: 2,
			About: "Members that are taken for dead are called for ever",
			Files: edit("gossip/redial.go", `return p.Status == "" || p.Status == micronet.Dead`, `return p.Status == ""`),
		},
		{
			Name: "the-met-are-on-disk", Scenario: "restart-in-split", Breaks: "converged", Seeds: 2,
			About: "Who was met is remembered on disk, and called after a restart",
			Files: map[string][]overlay.Edit{
				"node/contacts.go":    {{Old: "\tif !c.changed || c.dropped {", New: "\tif true {"}},
				"node/synchronise.go": {{Old: "\tif stats.Refused > 0 {\n", New: "\tif false {\n"}}, // others would tell of them
			},
		},
		{
			Name: "the-dead-are-vouched-for", Scenario: "lost-disks", Breaks: "converged", Seeds: 1,
			About: "A newcomer asks for the certificates of those who died before it came",
			Files: edit("node/synchronise.go", "\tif stats.Refused > 0 {\n", "\tif false {\n"),
		},
		{
			Name: "the-lost-keep-their-records", Scenario: "short-split", Breaks: "no_lost", Seeds: 2,
			About: "A node that loses sight of others keeps their records",
			Files: edit("gossip/catalog.go", "c.outlived(now, o.confirmed, o.signed.left) && !alive(id)", "o != nil && !alive(id)"),
		},
		{
			Name: "fingerprints-are-compared", Scenario: "missed-news", Breaks: "resolves", Seeds: 2,
			About: "Signs of life carry a fingerprint of the catalog, and catalogs that differ are compared at once",
			Files: edit("node/pulse.go", "l.records.diverges(at, from, bytes.Equal(", "l.records.diverges(at, from, true || bytes.Equal("),
		},
	}
}

// records: what is believed of what members say of themselves and others.
func records() []Defence {
	return []Defence{
		{
			Name: "names-are-granted", Scenario: "squatted-name", Breaks: "resolves", Seeds: 2,
			About: "Nobody is led to a service at a node that was not granted its name",
			Files: edit("node/view.go", "if s.names.Allows(n.ID, i.Service) {", "if true {"),
		},
		{
			Name: "updates-are-limited", Scenario: "record-flood", Breaks: "bounded", Seeds: 1,
			About: "An owner that publishes too often is not listened to for a while",
			Files: edit("gossip/receive.go", "if o.budget.take(now, c.limits.Rate, c.limits.Burst) {", "if true {"),
		},
	}
}

// calls: whom callers are led to.
func calls() []Defence {
	return []Defence{
		{
			Name: "flapping-is-damped", Scenario: "flapping-instances", Breaks: "resolves", Seeds: 2,
			About: "Nobody is led to an instance that comes and goes",
			Files: edit("router/damp.go", "m.damped = m.damped || m.penalty >= d.config.Suppress", "m.damped = false"),
		},
		{
			Name: "the-last-is-never-damped", Scenario: "flapping-instances", Breaks: "resolves", Seeds: 2,
			About: "The last healthy instance of a service is not damped",
			Files: edit("node/damping.go", "\tif len(out) == 0 {\n\t\treturn list\n\t}\n", ""),
		},
		{
			Name: "losing-sight-is-no-flap", Scenario: "one-node-isolated", Breaks: "resolves", Seeds: 2,
			About: "Only what an owner signed counts as a flap, not that it could not be heard",
			Files: edit("node/damping.go", "\t\tp := &v.placed[i]\n\t\tp.damping, p.damped = d.of(", `		p := &v.placed[i]
		if p.down != "" {
			d.damper.Transition(v.made, micronet.InstanceKey{Node: p.node.ID, ID: p.instance.ID}, router.Failed)
		}
		p.damping, p.damped = d.of(`),
		},
		{
			Name: "the-unreachable-are-ejected", Scenario: "partial-reach", Breaks: "latency", Seeds: 2,
			About: "An instance that could not be reached is left out for a growing time, and as long as no way to its node answers",
			Files: map[string][]overlay.Edit{
				"router/ejection.go": {{
					Old: "func (r *Router) ejectLocked(nanos int64, c Choice) time.Duration {\n",
					New: "func (r *Router) ejectLocked(nanos int64, c Choice) time.Duration {\n\tif true {\n\t\treturn 0\n\t}\n",
				}},
				"node/view.go": {{Old: "return ok && p.InVain", New: "return ok && p.InVain && false"}},
			},
		},
	}
}

// ways: how packets get there.
func ways() []Defence {
	return []Defence{
		{
			Name: "relays-forward", Scenario: "relayed", Breaks: "success_rate", Seeds: 1,
			About: "A node forwards the packets of two that cannot reach each other",
			Files: edit("tunnel/relay.go", "case !c.local.Relay:", "case true:"),
		},
		{
			Name: "routers-are-asked", Scenario: "port-mapping", Breaks: "path", Seeds: 1,
			About: "A node asks its router for a port, and others learn of it",
			Files: edit("node/portmap.go", "\tif m.mode == PortMapOff {", "\tif true {"),
		},
		{
			Name: "routers-that-forget-are-asked-again", Scenario: "port-mapping", Breaks: "success_rate", Seeds: 1,
			About: "A router that has restarted is asked for its port again",
			Files: edit("internal/portmap/answers.go", "\tk.renewAt = now\n\treturn k.ask(now, q)\n", "\tk.pause(now)\n\treturn nil\n"),
		},
		{
			Name: "tcp-stands-in", Scenario: "udp-blocked", Breaks: "path", Seeds: 1,
			About: "Where UDP does not pass, packets go over TCP",
			Files: edit("tunnel/fallback.go", "	out.calls = append(out.calls, call{p.ID, to})\n", ""),
		},
		{
			Name: "guests-come-over-tcp", Scenario: "joins-over-tcp", Breaks: "converged", Seeds: 1,
			About: "Who wants to join and gets no answer over UDP asks over TCP",
			Files: edit("node/race.go", "	if j.dialTCP == nil {\n", "	if true {\n"),
		},
		{
			Name: "silence-is-noticed", Scenario: "one-way-in-mid-flow", Breaks: "success_rate", Seeds: 1,
			About: "A path is probed as soon as packets leave and none come back",
			Files: edit("tunnel/paths.go", "return min(quietAfter, max(quietLeast, 4*s.best.rtt.value))", "return time.Hour"),
		},
		{
			Name: "streams-outlive-lanes", Scenario: "lanes-are-cut", Breaks: "success_rate", Seeds: 1,
			About: "A stream whose lane is lost goes on over QUIC, from the byte that the other side has",
			Files: edit("tunnel/lane/dial.go", "\treturn s.ours\n", "\treturn false\n"),
		},
		{
			Name: "goodbyes-of-relays-count", Scenario: "relay-stops", Breaks: "latency", Seeds: 1,
			About: "A relay that says goodbye is left while it still forwards",
			Files: edit("node/serve.go", "\t\tl.under.SetParted(n.ID, n.Status == micronet.Left)\n", ""),
		},
		{
			Name: "data-outweighs-probes", Scenario: "grey-path", Breaks: "success_rate", Seeds: 1,
			About: "A path that answers probes and carries nothing of QUIC is left",
			Files: edit("tunnel/grey.go", "	if !m.counts {", "	if true {"),
		},
		{
			Name: "late-answers-are-none", Scenario: "relay-is-hostile", Breaks: "success_rate", Seeds: 1,
			About: "A path whose probes are not answered in time is left, also where something comes over it",
			Files: edit("tunnel/paths.go", "return c.missed >= silentAfter || (c.missed > 0 && (c.contested || !s.arrived.After(c.since)))", "return c.missed >= lostAfter && c.heard.Before(c.since)"),
		},
	}
}

// identity: who speaks for a node, and under which name.
func identity() []Defence {
	neverOutbid := edit("gossip/receive.go", "\t}\n\tout.Behind = m.version\n\tc.rivalOf(m, &out)\n", "\t}\n\tc.rivalOf(m, &out)\n")
	return []Defence{
		{
			Name: "epochs-are-raised", Scenario: "rolled-back-disk", Breaks: "converged", Seeds: 2, Files: neverOutbid,
			About: "A node that finds later records of itself counts itself above them",
		},
		{
			Name: "copies-are-outbid", Scenario: "cloned-disk", Breaks: "converged", Seeds: 2, Files: neverOutbid,
			About: "A node whose identity ran twice counts itself above what its copy has said",
		},
		{
			Name: "the-copy-left-is-heard", Scenario: "cloned-disk", Breaks: "converged", Seeds: 2,
			About: "Of two machines with one identity the one that is left is heard again",
			Files: edit("tunnel/peerstate.go", "oldBootFor = 15 * time.Second", "oldBootFor = 1 << 62"),
		},
		{
			Name: "policies-cut", Scenario: "policy-tightens", Breaks: "no_unauthorized", Seeds: 2,
			About: "Policies that have changed end the connections that they refuse",
			Files: edit("node/guard.go", "if cut := l.flows.CloseRefused(l.self, look); cut > 0", "if cut := 0; cut > len(look.came)"),
		},
		{
			Name: "the-receiver-decides", Scenario: "policy-tightens", Breaks: "no_unauthorized", Seeds: 2,
			About: "A daemon asks the policies before it lets a connection through to an instance",
			Files: edit("node/guard.go", "\tif v.Allowed {\n", "\tif v.Allowed || true {\n"),
		},
		{
			Name: "names-are-taken-once", Scenario: "lost-disk", Breaks: "converged", Seeds: 2,
			About: "A name that belongs to a node is given to no other",
			Files: edit("node/authority.go", "return ok && holder != by", "return false && ok && holder != by"),
		},
	}
}

// trust: who is a member no more.
func trust() []Defence {
	return []Defence{
		{
			Name: "the-revoked-are-severed", Scenario: "revoked", Breaks: "no_unauthorized", Seeds: 2,
			About: "Tunnel and flows of a node end as soon as somebody learns that it was revoked",
			Files: edit("node/outcasts.go", "\tl.tun.Disconnect(id, \"revoked\")\n\tl.flows.CloseNode(id)\n\tl.under.RemovePeer(id)\n", ""),
		},
		{
			Name: "statements-are-compared", Scenario: "revoked-in-split", Breaks: "revoked_within", Seeds: 2,
			About: "What authorities have said is compared with whoever is met, and with who holds something else",
			Files: edit("node/agreement.go", "if l.statements.agrees(peer) {", "if true {"),
		},
	}
}
