package node_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/micro/micro-net/node"
)

// A node inside a program needs no daemon: this one founds a cluster of its own, offers a service,
// and calls it by name. With node.WithJoin(token) it would be part of the mesh that the token is of.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	n, err := node.New(node.WithName("worker-7"), node.WithListen(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		fmt.Println(err)
		return
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := n.Run(ctx); err != nil {
			fmt.Println(err)
		}
	})

	ln, err := n.Listen(ctx, "greeter") // waits until the node is ready
	if err != nil {
		fmt.Println(err)
		return
	}
	running.Go(func() {
		_ = http.Serve(ln, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello from %s%s", r.Host, r.URL.Path)
		}))
	})

	res, err := n.HTTPClient().Get("http://greeter/world")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, err := io.ReadAll(res.Body)
	fmt.Println(string(body), err)
	_ = res.Body.Close()
	stop() // the node says goodbye, and with it the listener ends
	running.Wait()
	// Output: hello from greeter/world <nil>
}
