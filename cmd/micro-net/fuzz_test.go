package main

import "testing"

// FuzzParseReply: no input of a server makes doctor panic, and what is taken belongs to the query.
func FuzzParseReply(f *testing.F) {
	query, err := dnsQuery(7, "micro.internal", typeSOA)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{})
	f.Add(query)
	f.Add([]byte{0, 7, 0x81, 3, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, msg []byte) {
		r, err := parseReply(query, msg)
		if err == nil && (msg[0] != query[0] || msg[1] != query[1] || r.rcode > 15 || r.answers > 1<<16-1) {
			t.Errorf("parseReply(%x) = %+v", msg, r)
		}
	})
}
