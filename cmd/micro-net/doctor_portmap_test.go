package main

import (
	"testing"
	"time"

	"github.com/micro/micro-net/node/api"
)

func TestDoctorTellsThePortMapping(t *testing.T) {
	const router = "192.168.1.1"
	for _, c := range []struct {
		m      api.PortMapping
		status verdict
		detail string
		fix    string
	}{
		{api.PortMapping{State: "off"}, good, "switched off", ""},
		{api.PortMapping{State: "none", Reason: "203.0.113.7 is no private address"}, good, "none: 203.0.113.7 is no private address", ""},
		{api.PortMapping{State: "asking", Router: router}, good, "none yet: the router 192.168.1.1 is being asked", ""},
		{
			api.PortMapping{State: "granted", Router: router, Protocol: "PCP", Address: "203.0.113.7:8085", Until: time.Date(2026, 12, 1, 2, 3, 4, 0, time.UTC)},
			good, "granted as 203.0.113.7:8085 until 2026-12-01T02:03:04Z, by the router 192.168.1.1 (PCP)", "",
		},
		{
			api.PortMapping{State: "granted", Router: router, Protocol: "UPnP", Address: "10.1.2.3:8085", Until: time.Date(2026, 12, 1, 2, 3, 4, 0, time.UTC)},
			good, "by the router 192.168.1.1 (UPnP): a private address, there is another NAT behind it", "",
		},
		{api.PortMapping{State: "silent", Router: router}, good, "none: the router 192.168.1.1 answers none of PCP, NAT-PMP and UPnP", ""},
		{api.PortMapping{State: "unusable", Router: router, Protocol: "PCP", Address: "100.64.1.2"}, good, "192.168.1.1, 100.64.1.2: there is another NAT", ""},
		{api.PortMapping{State: "refused", Router: router, Protocol: "PCP", Reason: "not authorized"}, warn, "says no (PCP): not authorized", "--port-map off"},
	} {
		w := healthyHost(t)
		w.backend.status.PortMapping = c.m
		w.start()
		by, _ := w.findings()
		w.wantFinding(by, "port mapping", c.status, c.detail, c.fix)
	}
	w := healthyHost(t)
	w.start()
	if by, _ := w.findings(); len(by["port mapping"]) != 0 {
		t.Errorf("of an older daemon: %+v", by["port mapping"])
	}
}
