package netsim

import "time"

// golden is 2^64 divided by the golden ratio, the increment of splitmix64.
const golden = 0x9e3779b97f4a7c15

// mix is the finaliser of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number
// generators, OOPSLA 2014): every bit of x changes half the bits of the result.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf names a stream of decisions by words: FNV-1a over each word, mixed in between so that
// ("ab", "c") and ("a", "bc") differ.
func hashOf(seed uint64, words ...string) uint64 {
	h := mix(seed + golden)
	for _, w := range words {
		for i := range len(w) {
			h = (h ^ uint64(w[i])) * 0x100000001b3
		}
		h = mix(h + golden)
	}
	return h
}

// nth returns the n-th number of the stream that h names.
func nth(h, n uint64) uint64 { return mix(h + n*golden) }

// share returns the n-th number of the stream h as a share, 0 to just under 1.
func share(h, n uint64) float64 { return float64(nth(h, n)>>11) / (1 << 53) }

// spread returns the n-th number of the stream h as a duration, 0 to just under limit.
func spread(h, n uint64, limit time.Duration) time.Duration {
	if limit <= 0 {
		return 0
	}
	return time.Duration(nth(h, n) % uint64(limit))
}
