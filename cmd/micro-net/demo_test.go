package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
)

// TestDemoService: the sample service says its port, who it is, and ends well when it is stopped.
func TestDemoService(t *testing.T) {
	w := newWorld(t)
	var out, errs output
	done := make(chan int, 1)
	go func() { done <- w.app(&out, &errs).run(context.Background(), []string{"demo-service", "a"}) }()
	var port int
	eventually(t, func() bool {
		_, err := fmt.Sscanf(out.String(), "listening on port %d\n", &port)
		return err == nil
	})
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	res, err := (&http.Client{Transport: tr}).Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || string(body) != "hello from the instance at a\n" {
		t.Errorf("it says %q, %v", body, err)
	}
	w.exec.signals <- syscall.SIGTERM
	if code := <-done; code != 0 {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}
