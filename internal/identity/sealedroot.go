package identity

import (
	"bytes"
	"crypto/ed25519"
	"io"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/cryptobyte"
)

// A sealed root is a root, with its certificate, that a passphrase opens:
//
//	magic, with the version │ passes 4 │ memory in KiB 4 │ threads 1 │ salt 16 │ nonce 24 │
//	ciphertext of seed 32 and certificate │ checksum 8
//
// The key is Argon2id (RFC 9106) of passphrase and salt, the cipher XChaCha20-Poly1305 over all that
// comes before the ciphertext. The checksum tells a damaged file from a wrong passphrase.

const sealedRootMagic = "micro-net sealed root 1\n"

// MinPassphrase is the shortest passphrase in bytes that a root is sealed with.
const MinPassphrase = 12

// The cost of guessing a passphrase: what RFC 9106 section 4 recommends where memory is scarce, about
// a tenth of a second. A file may say otherwise, within bounds: it may be a stranger's.
const (
	sealPasses, maxSealPasses   = 3, 16
	sealMemory, maxSealMemory   = 64 << 10, 1 << 20 // KiB
	sealThreads, maxSealThreads = 4, 16
	saltLen                     = 16
	maxSealedRoot               = MaxCertificate + 512
)

// sealing is the head of a sealed root.
type sealing struct {
	passes, memory uint32
	threads        uint8
	salt           [saltLen]byte
	nonce          [chacha20poly1305.NonceSizeX]byte
}

func (s *sealing) key(passphrase []byte) []byte {
	return argon2.IDKey(passphrase, s.salt[:], s.passes, s.memory, s.threads, chacha20poly1305.KeySize)
}

func (s *sealing) head() ([]byte, error) {
	b := cryptobyte.NewBuilder([]byte(sealedRootMagic))
	b.AddUint32(s.passes)
	b.AddUint32(s.memory)
	b.AddUint8(s.threads)
	b.AddBytes(s.salt[:])
	b.AddBytes(s.nonce[:])
	return b.Bytes()
}

// Seal encrypts the root with a passphrase of at least MinPassphrase bytes. It takes 64 MiB of memory
// for about a tenth of a second.
func (r Root) Seal(entropy io.Reader, passphrase []byte) ([]byte, error) {
	if len(passphrase) < MinPassphrase {
		return nil, invalid("root", "the passphrase has %d characters, at least %d keep the key of a cluster safe", len(passphrase), MinPassphrase)
	}
	s := sealing{passes: sealPasses, memory: sealMemory, threads: sealThreads}
	for _, b := range [][]byte{s.salt[:], s.nonce[:]} {
		if _, err := io.ReadFull(entropy, b); err != nil {
			return nil, internal("root", "draw a salt: %w", err)
		}
	}
	head, err := s.head()
	if err != nil {
		return nil, internal("root", "seal the root key: %w", err)
	}
	cipher, err := chacha20poly1305.NewX(s.key(passphrase))
	if err != nil {
		return nil, internal("root", "seal the root key: %w", err)
	}
	out := cipher.Seal(bytes.Clone(head), s.nonce[:], append(r.key.Seed(), r.Certificate...), head)
	return append(out, checksum(out)...), nil
}

// OpenRoot reads what Seal wrote. A file that is foreign or damaged is Invalid, a wrong passphrase
// Unauthorized.
func OpenRoot(sealed, passphrase []byte) (Root, error) {
	s, head, text, err := parseSealed(sealed)
	if err != nil {
		return Root{}, err
	}
	cipher, err := chacha20poly1305.NewX(s.key(passphrase))
	if err != nil {
		return Root{}, internal("root", "open the root key: %w", err)
	}
	plain, err := cipher.Open(nil, s.nonce[:], text, head)
	if err != nil {
		return Root{}, unauthorized("root", "the passphrase does not open this file")
	}
	if len(plain) < ed25519.SeedSize {
		return Root{}, invalid("root", "the file holds no root key")
	}
	return ParseRoot(sealSecret(rootMagic, plain[:ed25519.SeedSize]), plain[ed25519.SeedSize:])
}

func parseSealed(sealed []byte) (s sealing, head, text []byte, err error) {
	rest, ours := bytes.CutPrefix(sealed, []byte(sealedRootMagic))
	switch {
	case !ours:
		return s, nil, nil, invalid("root", "this is no exported root key, or it was written by another version")
	case len(sealed) > maxSealedRoot || len(sealed) < checksumLen:
		return s, nil, nil, invalid("root", "the exported root key has %d bytes: it was cut short or added to", len(sealed))
	}
	body := sealed[:len(sealed)-checksumLen]
	if !bytes.Equal(checksum(body), sealed[len(body):]) {
		return s, nil, nil, invalid("root", "the exported root key is damaged: its checksum does not match").WithFix("use another copy of it")
	}
	in := cryptobyte.String(rest[:len(rest)-checksumLen])
	if !in.ReadUint32(&s.passes) || !in.ReadUint32(&s.memory) || !in.ReadUint8(&s.threads) || !in.CopyBytes(s.salt[:]) || !in.CopyBytes(s.nonce[:]) {
		return s, nil, nil, invalid("root", "the exported root key is cut short")
	}
	if !within(s.passes, maxSealPasses) || !within(s.memory, maxSealMemory) || !within(uint32(s.threads), maxSealThreads) {
		return s, nil, nil, invalid("root", "the exported root key asks for more work than this program does")
	}
	return s, body[:len(body)-len(in)], in, nil
}

func within(n, most uint32) bool { return n > 0 && n <= most }
