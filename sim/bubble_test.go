package sim

import (
	"strings"
	"sync"
	"testing"
	"time"
)

func TestBubbleIsVirtual(t *testing.T) {
	begin := time.Now()
	for range 2 { // again, in the same process
		err := Bubble(func() {
			inside := time.Now()
			time.Sleep(24 * time.Hour)
			if took := time.Since(inside); took != 24*time.Hour {
				t.Errorf("a day took %v", took)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("two virtual days took %v", took)
	}
}

func TestBubbleTellsOfDeadlocks(t *testing.T) {
	err := Bubble(func() {
		var wg sync.WaitGroup
		wg.Add(1)
		wg.Wait()
	})
	if err == nil || !strings.Contains(err.Error(), "deadlock") {
		t.Errorf("all wait for each other: %v", err)
	}
	if err := Bubble(func() {}); err != nil {
		t.Errorf("a bubble after a failed one: %v", err)
	}
}

func TestBubbleTellsOfLeaks(t *testing.T) {
	stuck := make(chan chan struct{}, 1)
	err := Bubble(func() {
		block := make(chan struct{})
		stuck <- block
		go func() { <-block }()
	})
	if err == nil || !strings.Contains(err.Error(), "blocked goroutines remain") {
		t.Errorf("a goroutine is left: %v", err)
	}
}
