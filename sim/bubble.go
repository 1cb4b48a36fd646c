package sim

import (
	"fmt"
	"testing"
	"testing/synctest"
)

// Bubble runs f in virtual time: time passes when every goroutine that f started waits, and then at
// once. All of them must end before f returns. The error says which did not, or that all wait for
// each other. It works in any binary, not only in tests: package synctest needs a testing.T for
// nothing but its name.
//
// f runs in a goroutine of its own, as the zero T cannot be failed. A panic in a goroutine of the
// bubble ends the process, like any other.
func Bubble(f func()) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("virtual time: %v", p)
		}
	}()
	var t testing.T
	synctest.Test(&t, func(*testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			f()
		}()
		<-done
	})
	return nil
}
