package server

import (
	"context"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	wire "github.com/miekg/dns"

	micronet "github.com/micro/micro-net"
	"github.com/micro/micro-net/internal/osenv"
)

// onLoopback runs a server on a real port.
func onLoopback(t testing.TB) *Server {
	t.Helper()
	s := New(Config{Env: micronet.Env{Net: osenv.Network{}}, Addr: netip.MustParseAddrPort("127.0.0.1:0"), Handler: zone{}})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
	return s
}

// TestDig asks with the program that people ask with, over real sockets.
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("dig is not installed: the test of answers as dig reads them is skipped")
	}
	_, port, err := net.SplitHostPort(onLoopback(t).Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args string
		want []string
	}{
		{"web.micro.internal", []string{"status: NOERROR", "flags: qr aa rd; QUERY: 1, ANSWER: 1", "web.micro.internal.\t5\tIN\tA\t127.80.0.1", "udp: 1232", "recursion requested but not available"}},
		{"+tcp WEB.micro.internal", []string{"WEB.micro.internal.\t5\tIN\tA\t127.80.0.1", "(TCP)"}},
		{"+noedns no.micro.internal", []string{"status: NXDOMAIN", "AUTHORITY: 1, ADDITIONAL: 0"}},
		{"why.micro.internal", []string{"status: NOERROR", "ANSWER: 0", "EDE: 0 (Other): (port 80 is held)"}},
		{"big200.micro.internal SRV", []string{"Truncated, retrying in TCP mode", "ANSWER: 200"}},
		{"+ignore big200.micro.internal SRV", []string{"flags: qr aa tc rd"}},
		{"+edns=1 +noednsneg web.micro.internal", []string{"status: BADVERS", "EDNS: version: 0"}},
		{"+opcode=status web.micro.internal", []string{"status: NOTIMP"}},
		{"example.com", []string{"status: REFUSED", "EDE: 20 (Not Authoritative)"}},
		{"CH TXT version.bind", []string{"status: REFUSED"}},
	} {
		args := append([]string{"@127.0.0.1", "-p", port, "+tries=1", "+time=5"}, strings.Fields(c.args)...)
		out, err := exec.Command(dig, args...).CombinedOutput()
		if err != nil {
			t.Errorf("dig %s: %v\n%s", c.args, err, out)
		}
		for _, want := range c.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("dig %s does not show %q:\n%s", c.args, want, out)
			}
		}
	}
}

// BenchmarkLoopback is one question and answer over a real socket, several askers at once.
func BenchmarkLoopback(b *testing.B) {
	s := onLoopback(b)
	query, err := ask("web.micro.internal.", wire.TypeA).Pack()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := osenv.Network{}.DialPacket(b.Context(), s.Addr())
		if err != nil {
			b.Error(err)
			return
		}
		defer conn.Close()
		buf := make([]byte, 512)
		for pb.Next() {
			if _, err := conn.Write(query); err != nil {
				b.Error(err)
				return
			}
			if _, err := conn.Read(buf); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "queries/s")
}

// BenchmarkExchange is the work on one question without a socket.
func BenchmarkExchange(b *testing.B) {
	s := New(Config{Handler: zone{}})
	query, err := ask("web.micro.internal.", wire.TypeA).SetEdns0(1232, false).Pack()
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, maxReplyUDP)
	b.ReportAllocs()
	for b.Loop() {
		e := s.read(query, false)
		s.answerOwn(b.Context(), e)
		if _, err := e.pack(out); err != nil {
			b.Fatal(err)
		}
	}
}
