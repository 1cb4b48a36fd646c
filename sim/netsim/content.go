package netsim

// Content tells a kind of datagrams from others, by what is in them. It is asked with the world's lock held: it must be
// quick and must not call the world.
type Content interface {
	Has(datagram []byte) bool
}

// sieves reports whether a path that carries packets of p's size keeps p, for what is in it.
func (l Link) sieves(p *packet) bool { return l.Drops != nil && p.proto == UDP && l.Drops.Has(p.data) }
