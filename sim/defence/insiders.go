package defence

// insiders: what a member can do to the others.
func insiders() []Defence {
	return []Defence{
		{
			Name: "signs-of-life-outweigh-accusers", Scenario: "insider-accuses", Breaks: "resolves", Seeds: 2,
			About: "What a node is heard to say itself outweighs what others say of it",
			Files: edit("node/view.go", "case silent < freshFor:\n\t\treturn micronet.Alive", "case silent < 0:\n\t\treturn micronet.Alive"),
		},
		{
			Name: "the-old-is-refused", Scenario: "insider-replays", Breaks: "no_rollback", Seeds: 2,
			About: "A record gives way to a newer one only",
			Files: edit("gossip/receive.go", "case s.version.Less(o.signed.version):", "case false:"),
		},
		{
			Name: "members-have-credentials", Scenario: "insider-bombs", Breaks: "no_forge", Seeds: 2,
			About: "Only who shows the credential of a member is listed as one",
			Files: edit("gossip/swim/delegate.go", "return d.config.Delegate.Admit(l.id, l.epoch, n.Meta)", "return nil"),
		},
		{
			Name: "one-honest-member-is-enough", Scenario: "insiders-withhold", Breaks: "no_false_dead", Seeds: 2,
			About: "Whom one honest member hears is alive, whatever others keep silent about",
			Files: edit("gossip/heartbeat/packet.go", "\tb = t.appendNews(b, now, to, doubted)\n\tb = t.appendRest(b, now, to)\n", ""),
		},
		{
			Name: "ledgers-speak-for-one", Scenario: "insiders-suppress", Breaks: "revoked_within", Seeds: 2,
			About: "Who says that it holds the same statements is believed for itself alone",
			Files: edit("gossip/comparison.go", "return c.peers[id].same }", "{ for _, p := range c.peers { if p.same { return true } } }; return false }"),
		},
		{
			Name: "fresh-addresses-are-few", Scenario: "insider-is-elsewhere", Breaks: "bounded", Seeds: 2,
			About: "Of addresses that a node names and was not heard from, a few are tried",
			Files: edit("tunnel/paths.go", "if !s.fresh.take(now, 1) {", "if false {"),
		},
		{
			Name: "machines-cannot-be-copied", Scenario: "insider-is-elsewhere", Breaks: "bounded", Seeds: 2,
			About: "Nobody is reached over loopback who copied the mark of this machine",
			Files: edit("node/passport.go", "\t_, _ = h.Write(id[:])\n", ""),
		},
		{
			Name: "senders-have-budgets", Scenario: "insider-reflects", Breaks: "bounded", Seeds: 2,
			About: "A member that asks too often is not answered",
			Files: edit("gossip/swim/senders.go", "\tif b.tokens < 1 {\n", "\tif false {\n"),
		},
		{
			Name: "epochs-are-signed", Scenario: "insider-from-the-future", Breaks: "resolves", Seeds: 2,
			About: "Which start of a node it is follows from its own credential",
			Files: edit("node/serve.go", "if c.ID != id || c.Epoch != epoch {", "if c.ID != id {"),
		},
	}
}

// strangers: what counts elsewhere.
func strangers() []Defence {
	return []Defence{
		{
			Name: "members-are-of-this-cluster", Scenario: "insider-from-abroad", Breaks: "no_forge", Seeds: 2,
			About: "Only who a root of this very cluster has signed for is a member",
			Files: edit("internal/identity/trust.go", `	if key == nil || keyID(key) != g.Issuer {
		return Grant{}, nil, unauthorized("grant", "the grant was issued by a key that is %w", ErrUntrusted)
	}
	if !signedBy(`, `	if key == nil {
		key = make(ed25519.PublicKey, ed25519.PublicKeySize)
	} else if !signedBy(`),
		},
		{
			Name: "authorities-are-of-this-cluster", Scenario: "insider-from-abroad", Breaks: "resolves", Seeds: 2,
			About: "Only an authority of this very cluster revokes",
			Files: edit("internal/identity/statement.go", `	key, given, err := set.statementKey(&p)
	if err != nil {
		return Statement{}, err
	}
	if !verify(`, `	key, given, err := set.statementKey(&p)
	if err != nil {
		key = make([]byte, ed25519.PublicKeySize)
	} else if !verify(`),
		},
	}
}

// invitations: who is let in, and under which name.
func invitations() []Defence {
	return []Defence{
		{
			Name: "names-in-the-mesh-count", Scenario: "founders-lost", Breaks: "converged", Seeds: 2,
			About: "A name that somebody in the mesh has is given to no other, also where the authority's book is older",
			Files: edit("node/authority.go", "\treturn a.others(name)\n", "\treturn micronet.NodeID{}, false\n"),
		},
	}
}
