//go:build linux

package lab

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"
)

// help is the test binary as a program of a host, so that there is something to kill.
//
//	web NAME ADDR      an HTTP server that says who it is
//	stranger ADDR      a TCP server that is no part of the mesh
//	silent ADDR        a UDP socket, for its port
func help(mode string, args []string) error {
	switch mode {
	case "web":
		server := http.Server{Addr: args[1], ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, args[0])
		})}
		return server.ListenAndServe()
	case "stranger":
		ln, err := net.Listen("tcp", args[0])
		if err != nil {
			return err
		}
		fmt.Println("listening")
		greet(ln, strangerWords)
	case "silent":
		pc, err := net.ListenPacket("udp", args[0])
		if err != nil {
			return err
		}
		fmt.Println("listening")
		_, _, _ = pc.ReadFrom(nil)
	}
	return nil
}

// strangerWords are what a connection to a VIP must never read.
const strangerWords = "I am a stranger\n"

// helper starts the test binary as a program on the host.
func (h *Host) helper(t testing.TB, mode string, args ...string) *Process {
	t.Helper()
	return h.Start(append([]string{"env", helperMode + "=" + mode, program(t, "helper")}, args...)...)
}

// web starts an HTTP server on the host and registers it as an instance of a service.
func (d *daemon) web(service string, port int) *Process {
	d.t.Helper()
	p := d.helper(d.t, "web", d.Name, fmt.Sprintf("127.0.0.1:%d", port))
	eventually(d.t, 10*time.Second, "the web server listens", func() bool {
		c, err := d.dial(fmt.Sprintf("127.0.0.1:%d", port), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	d.must("register", "--service", service, "--port", fmt.Sprint(port), "--protocol", "http")
	return p
}
