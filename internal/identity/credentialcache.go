package identity

import (
	"crypto/sha256"
	"sync"
)

// cacheHalf is how many verified credentials one half of the cache holds. Two halves hold every
// peer that the path layer keeps (4,096); beyond that a credential is verified again.
const cacheHalf = 4096

type cacheKey [sha256.Size]byte

func cacheKeyOf(raw []byte) cacheKey { return sha256.Sum256(raw) }

// credentialCache remembers credentials whose signatures are good. It holds two halves: when
// the young one is full it becomes the old one, and what the old one held is dropped unless it
// was asked for in the meantime. Only members can fill it, as bad credentials are not kept.
type credentialCache struct {
	mu         sync.Mutex // held for map operations alone
	young, old map[cacheKey]*Credential
}

func newCredentialCache() *credentialCache {
	return &credentialCache{young: make(map[cacheKey]*Credential)}
}

// get returns what was verified, nil for nothing. It is shared.
func (c *credentialCache) get(key cacheKey) *Credential {
	c.mu.Lock()
	defer c.mu.Unlock()
	if v := c.young[key]; v != nil {
		return v
	}
	v := c.old[key]
	if v != nil {
		c.putLocked(key, v)
	}
	return v
}

func (c *credentialCache) put(key cacheKey, v *Credential) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.putLocked(key, v)
}

func (c *credentialCache) putLocked(key cacheKey, v *Credential) {
	if len(c.young) >= cacheHalf {
		c.old, c.young = c.young, make(map[cacheKey]*Credential)
	}
	c.young[key] = v
}
