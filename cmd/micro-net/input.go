package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	micronet "github.com/micro/micro-net"
)

// maxInput bounds what is read from standard input; files are bounded by micronet.FS.
const maxInput = 64 << 20

// readLine reads what somebody types up to the end of the line. Ctrl-C ends the wait for it.
func (a *app) readLine(ctx context.Context) (string, error) {
	line, err := await(ctx, func() ([]byte, error) { return bufio.NewReader(io.LimitReader(a.in, maxInput)).ReadBytes('\n') })
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return string(bytes.TrimSpace(line)), err
}

// readInput reads a file, or standard input for "-". Ctrl-C ends the wait for somebody to type.
func (a *app) readInput(ctx context.Context, op, name string) ([]byte, error) {
	if name != "-" {
		data, err := a.env.FS.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			// Not NotFound: that exit code speaks of the mesh.
			return nil, micronet.E(op, micronet.Invalid, "%s: no such file", name)
		}
		if err != nil {
			return nil, micronet.E(op, micronet.KindOf(err), "%w", err)
		}
		return data, nil
	}
	return await(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(a.in, maxInput)) })
}

// await ends the wait for a reader that cannot be interrupted; that ends with the process.
func await(ctx context.Context, from func() ([]byte, error)) ([]byte, error) {
	type result struct {
		data []byte
		err  error
	}
	read := make(chan result, 1)
	go func() {
		data, err := from()
		read <- result{data, err}
	}()
	select {
	case r := <-read:
		return r.data, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// token reads the forms of a token: the string, @FILE, or - for standard input.
func (a *app) token(ctx context.Context, op, word string) (string, error) {
	name, isFile := strings.CutPrefix(word, "@")
	if !isFile && word != "-" {
		return strings.TrimSpace(word), nil
	}
	data, err := a.readInput(ctx, op, name)
	if err != nil {
		return "", err
	}
	token := string(bytes.TrimSpace(data))
	if token == "" {
		return "", micronet.E(op, micronet.Invalid, "%s holds no token", word).WithFix("make one with `micro-net invite`")
	}
	return token, nil
}
