//go:build linux

package lab

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// advice is one line of doctor.
type advice struct{ Status, Check, Detail, Fix, Value string }

// doctor returns the lines of a check.
func (d *daemon) doctor(check string) (out []advice) {
	d.t.Helper()
	text, err := d.run("doctor", "-o", "json")
	var all []advice
	if jsonErr := json.Unmarshal([]byte(text), &all); jsonErr != nil {
		d.t.Fatalf("doctor: %v, %v: %s", err, jsonErr, text)
	}
	for _, a := range all {
		if a.Check == check {
			out = append(out, a)
		}
	}
	return out
}

// eventuallyAdvised waits for a line of doctor.
func (d *daemon) eventuallyAdvised(check, status, value, detail, fix string) {
	d.t.Helper()
	var got []advice
	defer func() {
		if d.t.Failed() {
			d.t.Logf("%s: %+v", d.Name, got)
		}
	}()
	took := eventually(d.t, 30*time.Second, d.Name+" says: "+check+" "+status+" "+value+" "+detail, func() bool {
		got = d.doctor(check)
		for _, a := range got {
			if a.Status == status && a.Value == value && strings.Contains(a.Detail, detail) && strings.Contains(a.Fix, fix) {
				return true
			}
		}
		return false
	})
	d.t.Logf("%v: %s: %s: %s", took, d.Name, check, detail)
}

// TestE2EDoctor: doctor tells what is between hosts, with devices of the kernel.
func TestE2EDoctor(t *testing.T) {
	Need(t, "nft")
	l := New(t)
	open := l.Host("host1").up(t)
	token := open.token("--uses", "3")
	second := l.Host("host2").up(t, "--join", token)
	restricted, symmetric := l.Host("host3"), l.Host("host4")
	restricted.PortRestricted()
	symmetric.Symmetric()
	home := restricted.up(t, "--join", token)
	far := symmetric.up(t, "--join", token)
	far.must("status", "--wait", "nodes=4", "--timeout", "30s")

	open.eventuallyAdvised("nat", "ok", "none", "at its own address, "+open.Addr+":8085", "")
	open.eventuallyAdvised("udp in", "ok", "", "packets get in", "")
	home.eventuallyAdvised("nat", "ok", "endpoint-independent", "203.0.113.3:8085", "")
	home.eventuallyAdvised("udp in", "warn", "", "only replies get in, as behind most NATs", "forward UDP 8085")
	far.eventuallyAdvised("nat", "warn", "endpoint-dependent", "(symmetric): 2 nodes outside see 203.0.113.4:", "forward UDP 8085")
	far.eventuallyAdvised("udp out", "warn", "", "host3 is reached over the relay host", "micro-net trace host3")
	open.eventuallyAdvised("udp out", "ok", "", "3 nodes answer over UDP directly", "")
	open.eventuallyAdvised("path size", "ok", "", "packets of 1452 bytes get through to 3 nodes", "")

	// A hop of 1280 bytes that tells nobody, and one that loses only large packets.
	second.filter("ip length > 1280 drop")
	open.eventuallyAdvised("path size", "warn", "", "narrow path to host2: packets of 1252 bytes get through and those of 1332 are lost", "tracepath -n "+second.Addr)
	second.filter("ct state established,related accept; meta l4proto udp drop")
	second.eventuallyAdvised("udp in", "warn", "", "only replies get in: ", "let UDP 8085 in")
	second.filter("meta l4proto udp drop")
	second.eventuallyAdvised("nat", "warn", "udp-blocked", "packets travel over TCP", "let UDP out")
	second.eventuallyAdvised("udp out", "warn", "", "host1 is reached over TCP", "let UDP out")
	open.eventuallyAdvised("udp out", "warn", "", "2 of 3 nodes answer over UDP directly; host2 is reached over TCP", "micro-net trace host2")
}

// filter puts rules in front of what the host takes in, in place of those before.
func (d *daemon) filter(rules string) {
	d.t.Helper()
	text := "table inet test_filter {}\ndelete table inet test_filter\ntable inet test_filter {\n\tchain in {\n" +
		"\t\ttype filter hook input priority filter; policy accept;\n\t\tiifname \"lo\" accept\n\t\t" + strings.ReplaceAll(rules, "; ", "\n\t\t") + "\n\t}\n}"
	if out, err := d.Host.Run(10*time.Second, "nft", text); err != nil {
		d.t.Fatalf("nft: %v: %s", err, out)
	}
}
