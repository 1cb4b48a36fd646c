package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Two forms are kept on disk. Secrets are a magic word, the bytes and a checksum. Everything
// else is JSON with a format and a version, so that a foreign file is told from a torn one.

const checksumLen = 8

func checksum(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:checksumLen]
}

// sealSecret writes magic, payload and checksum.
func sealSecret(magic string, payload ...[]byte) []byte {
	out := []byte(magic)
	for _, p := range payload {
		out = append(out, p...)
	}
	return append(out, checksum(out)...)
}

// openSecret reads what sealSecret wrote; size is the length of the payload.
func openSecret(op, what, magic string, size int, b []byte) ([]byte, error) {
	switch {
	case !bytes.HasPrefix(b, []byte(magic)):
		return nil, invalid(op, "this is no file of %s, or it was written by another version", what)
	case len(b) != len(magic)+size+checksumLen:
		return nil, invalid(op, "the file of %s has %d bytes instead of %d: it was cut short or added to", what, len(b), len(magic)+size+checksumLen)
	}
	body := b[:len(b)-checksumLen]
	if !bytes.Equal(checksum(body), b[len(body):]) {
		return nil, invalid(op, "the file of %s is damaged: its checksum does not match", what)
	}
	return body[len(magic):], nil
}

// document is the frame of a JSON file.
type document struct {
	Format  string          `json:"format"`
	Version int             `json:"version"`
	Sum     string          `json:"sum"` // of all the rest
	Body    json.RawMessage `json:"body"`
}

const documentVersion = 1

// ErrVersion says that a file is whole, and was written by another version of the program.
var ErrVersion = errors.New("another version of micro-net wrote it")

// checksum is over what the document says, not over how it is indented.
func (d document) checksum() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\x00%d\x00", d.Format, d.Version)
	if err := json.Compact(&b, d.Body); err != nil {
		return "" // nothing in a body that is no JSON counts
	}
	return hex.EncodeToString(checksum(b.Bytes()))
}

func encodeDocument(op, format string, body any) ([]byte, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, internal(op, "write %s: %w", format, err)
	}
	d := document{Format: format, Version: documentVersion, Body: raw}
	d.Sum = d.checksum()
	return json.MarshalIndent(d, "", "  ")
}

// decodeDocument reads what encodeDocument wrote. Fields of newer versions are skipped.
func decodeDocument(op, format string, b []byte, most int, body any) error {
	if len(b) > most {
		return invalid(op, "the file has %d bytes, %s has at most %d", len(b), format, most)
	}
	var d document
	if err := json.Unmarshal(b, &d); err != nil {
		return invalid(op, "the file is torn or is no %s: %w", format, err)
	}
	if d.Format != format {
		return invalid(op, "the file holds %.64q, not %q", d.Format, format)
	}
	if d.Sum != d.checksum() {
		return invalid(op, "the %s is damaged: its checksum does not match", format)
	}
	if d.Version != documentVersion {
		return invalid(op, "the file has version %d, this program reads version %d: %w", d.Version, documentVersion, ErrVersion)
	}
	if err := json.Unmarshal(d.Body, body); err != nil {
		return invalid(op, "the %s is damaged: %w", format, err)
	}
	return nil
}
