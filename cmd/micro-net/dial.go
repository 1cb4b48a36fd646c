package main

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/spf13/cobra"
)

func (a *app) dialCommand() *cobra.Command {
	c := a.command("dial SERVICE", "connect standard input and output to a service",
		`  micro-net dial redis
  printf 'PING\r\n' | micro-net dial redis
  ssh -o ProxyCommand='micro-net dial sshd' worker-7`,
		cobra.ExactArgs(1), func(ctx context.Context, args []string) error {
			far := &farEnd{client: a.client(), service: args[0]}
			conn, err := far.dial(ctx)
			if err != nil {
				return err
			}
			return a.talk(ctx, far, conn)
		})
	return a.completes(a.talks(c), serviceNames)
}

// talk copies until the service has said its last. The end of standard input ends only our
// direction: the answer may be still to come.
func (a *app) talk(ctx context.Context, far *farEnd, conn net.Conn) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	// Reading standard input cannot be interrupted; the goroutine ends with the process.
	go func() {
		if _, err := io.Copy(conn, a.in); err == nil {
			_ = halfClose(conn)
		}
	}()
	_, err := io.Copy(a.out, conn)
	return far.lost(ctx, "dial", err)
}

// halfClose tells the other end that nothing more comes.
func halfClose(c net.Conn) error {
	hc, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return errors.ErrUnsupported
	}
	return hc.CloseWrite()
}
