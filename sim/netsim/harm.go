package netsim

import "slices"

// harmed returns a copy of a datagram as the network spoiled it: with one bit flipped, or cut off
// somewhere. The datagram itself stays as it is: a duplicate of it may still be under way.
func (p *packet) harmed(f fate) *packet {
	if len(p.data) == 0 {
		return p
	}
	q := *p
	q.harm = f.harm
	if f.harm == WhyTruncated {
		q.data = p.data[:f.spot%uint64(len(p.data))]
		q.size = len(q.data)
		return &q
	}
	q.data = slices.Clone(p.data)
	bit := f.spot % uint64(8*len(q.data))
	q.data[bit/8] ^= 1 << (bit % 8)
	return &q
}
