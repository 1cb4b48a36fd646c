package sim

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

const (
	// wordSize is the size of one number of a stream.
	wordSize = 8
	// wordsAtOnce is how many are under way: the next ones go when these have come back.
	wordsAtOnce = 512
)

// errOtherBytes is that other bytes came than were sent. A stream may end early, and must not do that.
var errOtherBytes = errors.New("a stream carries what was not sent")

// talkStream sends numbers and reads them back: a gap, a repeat or a reset is an error. size is in
// bytes, each way; from is the machine of the caller. answered is called whenever numbers have come back.
func talkStream(conn net.Conn, from string, size int64, answered func()) error {
	if _, err := io.WriteString(conn, "stream "+from+"\n"); err != nil {
		return err
	}
	buf := make([]byte, wordSize*wordsAtOnce)
	words := uint64(max(size, wordSize) / wordSize)
	for sent := uint64(0); sent < words; {
		n := min(words-sent, wordsAtOnce)
		for i := range n {
			binary.BigEndian.PutUint64(buf[i*wordSize:], sent+i)
		}
		if _, err := conn.Write(buf[:n*wordSize]); err != nil {
			return fmt.Errorf("after %d bytes: %w", sent*wordSize, err)
		}
		if _, err := io.ReadFull(conn, buf[:n*wordSize]); err != nil {
			return fmt.Errorf("after %d bytes: %w", sent*wordSize, err)
		}
		for i := range n {
			if got := binary.BigEndian.Uint64(buf[i*wordSize:]); got != sent+i {
				return fmt.Errorf("number %d came in the place of %d: %w", got, sent+i, errOtherBytes)
			}
		}
		sent += n
		answered()
	}
	return nil
}
