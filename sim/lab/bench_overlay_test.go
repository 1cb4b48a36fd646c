//go:build linux

package lab

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The overlay networks that are measured beside: programs on a call b at its inner address.
const (
	benchNebula    = "nebula"
	benchWireGuard = "wireguard-go"

	benchInner     = "10.88.0" // network of inner addresses, a is .1 and b .2
	benchDevice    = "inner0"
	benchNebulaMTU = 1300 // its default
	benchWGMTU     = 1420 // that of wg-quick on a path of 1500
)

// benchNebulaConfig is that of one host: its paths, the other's inner and outer address, whether it is the lighthouse, whose it
// asks, its own outer address. Buffers and batches are what its documentation recommends.
const benchNebulaConfig = `pki: {ca: %[1]s/ca.crt, cert: %[1]s/%[2]s.crt, key: %[1]s/%[2]s.key}
static_host_map: {"%[3]s": ["%[4]s:4242"]}
lighthouse: {am_lighthouse: %[5]t, interval: 60, hosts: [%[6]s]}
listen: {host: %[7]s, port: 4242, read_buffer: 10485760, write_buffer: 10485760, batch: 64}
cipher: aes
tun: {dev: %[8]s, mtu: %[9]d, tx_queue: 5000}
logging: {level: error}
firewall: {outbound: [{port: any, proto: any, host: any}], inbound: [{port: any, proto: any, host: any}]}
`

func startNebula(w *benchWorld) benchRunning {
	w.t.Helper()
	dir := w.folder()
	w.must(w.a.Run(commandTime, "nebula-cert", "ca", "-name", "bench", "-out-crt", dir+"/ca.crt", "-out-key", dir+"/ca.key"))
	var programs []*Process
	for i, h := range []*Host{w.b, w.a} {
		other, own, ask := w.a, 2, ""
		if i == 1 {
			other, own, ask = w.b, 1, fmt.Sprintf("%q", benchInner+".2")
		}
		w.must(w.a.Run(commandTime, "nebula-cert", "sign", "-name", h.Name, w.nebulaNetworks(), fmt.Sprintf("%s.%d/24", benchInner, own),
			"-ca-crt", dir+"/ca.crt", "-ca-key", dir+"/ca.key", "-out-crt", dir+"/"+h.Name+".crt", "-out-key", dir+"/"+h.Name+".key"))
		conf := filepath.Join(dir, h.Name+".yml")
		benchWrite(w.t, conf, fmt.Appendf(nil, benchNebulaConfig, dir, h.Name, fmt.Sprintf("%s.%d", benchInner, 3-own), other.Addr,
			own == 2, ask, h.Addr, benchDevice, benchNebulaMTU))
		programs = append([]*Process{h.Start("nebula", "-config", conf)}, programs...)
	}
	return benchRunning{at: innerOfB, programs: programs}
}

// nebulaNetworks is the flag for a host's address, which has changed its name.
func (w *benchWorld) nebulaNetworks() string {
	help, _ := w.a.Run(commandTime, "nebula-cert", "sign", "-h") // it ends with an error after its help
	if strings.Contains(help, "-networks") {
		return "-networks"
	}
	return "-ip"
}

func innerOfB(int) string { return benchInner + ".2" }

func startWireGuard(w *benchWorld) benchRunning {
	w.t.Helper()
	dir := w.folder()
	hosts := []*Host{w.b, w.a}
	var programs []*Process
	keys, publics := make([]string, 2), make([]string, 2)
	for i, h := range hosts {
		secret := w.must(h.Run(commandTime, "wg", "genkey"))
		keys[i] = filepath.Join(dir, h.Name+".key")
		benchWrite(w.t, keys[i], []byte(secret))
		publics[i] = strings.TrimSpace(w.must(h.RunInput(commandTime, secret, "wg", "pubkey")))
		programs = append([]*Process{h.Start("env", "WG_PROCESS_FOREGROUND=1", "LOG_LEVEL=error", "wireguard-go", "-f", benchDevice)}, programs...)
	}
	for i, h := range hosts {
		other := 1 - i
		w.awaitDevice(h)
		inner := fmt.Sprintf("%s.%d", benchInner, 2-i)
		w.must(h.Run(commandTime, "wg", "set", benchDevice, "listen-port", "51820", "private-key", keys[i],
			"peer", publics[other], "allowed-ips", fmt.Sprintf("%s.%d/32", benchInner, 2-other), "endpoint", hosts[other].Addr+":51820"))
		w.must(h.Run(commandTime, "ip", "addr", "add", inner+"/24", "dev", benchDevice))
		w.must(h.Run(commandTime, "ip", "link", "set", benchDevice, "mtu", fmt.Sprint(benchWGMTU), "up"))
	}
	return benchRunning{at: innerOfB, programs: programs}
}

// awaitDevice waits until a host's wg can speak to the program that makes the device.
func (w *benchWorld) awaitDevice(h *Host) {
	w.t.Helper()
	for deadline := time.Now().Add(benchReady); ; time.Sleep(50 * time.Millisecond) {
		out, err := h.Run(commandTime, "wg", "show", benchDevice)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("host %s has no %s: %v\n%s", h.Name, benchDevice, err, out)
		}
	}
}
