package api

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	micronet "github.com/micro/micro-net"
)

// Beyond the bound a client is refused at once and counted, and a closed one makes room.
func TestH31_ConnectionsAreBounded(t *testing.T) {
	ln, dropped := newMemListener(), 0
	events := &micronet.Events{PacketDropped: func(micronet.PacketDrop) { dropped++ }}
	full := newSlots()
	full.total = maxConns - 1
	b := &bounded{Listener: ln, slots: full, events: events, admit: func(net.Conn) (access, bool) { return access{right: mayAll}, true }}
	accepted := make(chan net.Conn)
	go func() {
		for c, err := b.Accept(); err == nil; c, err = b.Accept() {
			accepted <- c
		}
		close(accepted)
	}()
	if _, err := ln.dial(""); err != nil {
		t.Fatal(err)
	}
	first := <-accepted
	second, err := ln.dial("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the second client reads %v, want the end", err)
	}
	_ = first.Close()
	_ = first.Close() // gives back one slot, not two
	if _, err := ln.dial(""); err != nil {
		t.Fatal(err)
	}
	<-accepted
	_ = ln.Close()
	<-accepted
	if full.total != maxConns || dropped != 1 {
		t.Errorf("%d slots are taken and %d clients were counted as refused, want %d and 1", full.total, dropped, maxConns)
	}
}

// One user of the socket cannot shut out another, and all of them together not root.
func TestQ36_NobodyLocksOthersOut(t *testing.T) {
	s := newSlots()
	user := func(uid int) access {
		return access{socket: true, right: mayRegister, cred: micronet.Credentials{UID: uid}}
	}
	fill := func(a access) (n int) {
		for s.take(a) {
			n++
		}
		return n
	}
	if got := fill(user(7)); got != maxConnsPerUser {
		t.Fatalf("one user has %d connections, want %d", got, maxConnsPerUser)
	}
	for uid := 8; uid < 100; uid++ {
		fill(user(uid))
	}
	root := access{socket: true, right: mayAll}
	if got := fill(root); got != reservedConns {
		t.Fatalf("%d connections are left for root, want %d", got, reservedConns)
	}
	s.give(user(7))
	if !s.take(user(7)) || s.take(user(7)) {
		t.Fatal("a place that became free is not given once")
	}
	for range reservedConns {
		s.give(root)
	}
	for uid := 7; uid < 100; uid++ {
		for s.of[uid] > 0 {
			s.give(user(uid))
		}
	}
	if s.total != 0 || s.common != 0 || len(s.of) != 0 {
		t.Errorf("after all have gone: %+v", s)
	}
}

// A client that takes nothing of its answer is cut, and so gives its slot back.
func TestH24_ClientThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{}).serve(nil)
		conn, err := w.tcp.dial("")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /api/v1/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(takeTimeout + time.Second)
		if all, err := io.ReadAll(conn); err != nil || strings.Contains(string(all), "openapi") {
			t.Errorf("after %v it still gets %q, %v", takeTimeout, all, err)
		}
	})
}
