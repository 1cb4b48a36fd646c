package gossip

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	micronet "github.com/micro/micro-net"
)

// Item is one part of a document: the node itself, or one instance. The catalog compares, sends
// and hashes items as bytes; what is in them is the Codec's business, so that items of newer
// versions pass through older nodes unchanged.
type Item struct {
	Key   string // 1 to MaxItemKey bytes
	Value []byte // at most MaxItemValue bytes
}

// Size is how many bytes an item takes in a document.
func (it Item) Size() int { return itemOverhead + len(it.Key) + len(it.Value) }

// Codec turns a document into items and back. Both directions are pure and may be called from
// several goroutines. Implementation: gossip/wire.
type Codec interface {
	// Encode returns the items, strictly ascending by key, the same for equal documents. The
	// Owner, Version and Left of the document are in the header and not in the items.
	Encode(d Document) ([]Item, error)
	// Decode reads and checks items. It skips items and fields that it does not know. The result
	// shares no memory with the items.
	Decode(owner micronet.NodeID, v Version, left bool, items []Item) (Document, error)
}

// Bounds of an item and of a document.
const (
	MaxItemKey   = 300
	MaxItemValue = 4 << 10
	MaxInstances = 256
	// maxItems leaves room for kinds of items that later versions may add.
	maxItems = MaxInstances + 64
	// itemOverhead is what an item costs beside its key and value; no item is shorter.
	itemOverhead = 2 + 4
)

var errTruncated = errors.New("the bytes end too early, or too late")

// appendItems appends the canonical list: per item a 16-bit key length, the key, a 32-bit value
// length, the value, all big endian.
func appendItems(b []byte, items []Item) []byte {
	for _, it := range items {
		b = binary.BigEndian.AppendUint16(b, uint16(len(it.Key)))
		b = append(b, it.Key...)
		b = binary.BigEndian.AppendUint32(b, uint32(len(it.Value)))
		b = append(b, it.Value...)
	}
	return b
}

// readItems reads count items. The values alias the cursor's bytes.
func readItems(c *cursor, count uint32) ([]Item, error) {
	if count > maxItems || int(count) > len(c.rest)/itemOverhead {
		return nil, fmt.Errorf("%d items do not fit", count)
	}
	items := make([]Item, 0, count)
	for range count {
		key, err := readKey(c)
		if err != nil {
			return nil, err
		}
		value := c.take32(MaxItemValue)
		if c.bad {
			return nil, errTruncated
		}
		if n := len(items); n > 0 && items[n-1].Key >= key {
			return nil, fmt.Errorf("item %q is not in order", key)
		}
		items = append(items, Item{Key: key, Value: value})
	}
	return items, nil
}

func readKey(c *cursor) (string, error) {
	n := c.u16()
	if n == 0 || n > MaxItemKey {
		return "", fmt.Errorf("an item key of %d bytes", n)
	}
	key := c.take(int(n))
	if c.bad {
		return "", errTruncated
	}
	return string(key), nil
}

// parseBody reads a whole canonical list.
func parseBody(body []byte, count uint32) ([]Item, error) {
	c := cursor{rest: body}
	items, err := readItems(&c, count)
	if err == nil && !c.done() {
		err = errTruncated
	}
	return items, err
}

// checkItems reports why items cannot be signed.
func checkItems(items []Item) error {
	if len(items) > maxItems {
		return fmt.Errorf("%d items, at most %d are allowed", len(items), maxItems)
	}
	for i, it := range items {
		if len(it.Key) == 0 || len(it.Key) > MaxItemKey || len(it.Value) > MaxItemValue {
			return fmt.Errorf("item %q has %d bytes of key and %d of value, at most %d and %d are allowed",
				it.Key, len(it.Key), len(it.Value), MaxItemKey, MaxItemValue)
		}
		if i > 0 && items[i-1].Key >= it.Key {
			return fmt.Errorf("item %q is there twice or out of order", it.Key)
		}
	}
	return nil
}

func hashBody(body []byte) [sha256.Size]byte { return sha256.Sum256(body) }

// cursor reads big endian values from the front of a slice. After the first read beyond the end
// it is bad, and everything it returns is zero.
type cursor struct {
	rest []byte
	bad  bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n > len(c.rest) {
		c.bad = true
		return nil
	}
	out := c.rest[:n:n]
	c.rest = c.rest[n:]
	return out
}

// take32 takes what a 32-bit length announces, at most limit bytes.
func (c *cursor) take32(limit uint32) []byte {
	n := c.u32()
	if n > limit {
		c.bad = true
		return nil
	}
	return c.take(int(n))
}

func (c *cursor) u8() uint8 {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (c *cursor) u16() uint16 {
	if b := c.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (c *cursor) u64() uint64 {
	if b := c.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// done reports that everything was read and nothing is left.
func (c *cursor) done() bool { return !c.bad && len(c.rest) == 0 }
