package portmap

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/micro/micro-net/internal/portmap/portmaptest"
)

const foundIGD = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nst: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n" +
	"EXT:\r\nLocation: http://192.168.1.1:39475/rootDesc.xml?x=1\r\n\r\n"

func TestParseFound(t *testing.T) {
	p, ok := parseFound([]byte(foundIGD), inside)
	if !ok || p != (place{39475, "/rootDesc.xml?x=1"}) {
		t.Errorf("%+v %v", p, ok)
	}
	for _, c := range []struct{ what, old, by string }{
		{"another host", "192.168.1.1:", "192.168.1.2:"},
		{"this host", "192.168.1.1:", "127.0.0.1:"},
		{"a name", "192.168.1.1:", "router.lan:"},
		{"a name that begins like it", "192.168.1.1:", "192.168.1.1.example.net:"},
		{"somebody's password", "http://", "http://admin:admin@"},
		{"another host behind its number", "http://192.168.1.1:39475", "http://192.168.1.1@203.0.113.9:39475"},
		{"TLS", "http://", "https://"},
		{"a file", "http://192.168.1.1:39475", "file://"},
		{"no address", "http://192.168.1.1:39475", ""},
		{"a wrong port", "39475", "65536"},
		{"port 0", "39475", "0"},
		{"no port", "39475", "x"},
		{"a long path", "rootDesc", strings.Repeat("x", pathLargest)},
		{"no end", "EXT:", "EXT: " + strings.Repeat("x", foundLargest)},
		{"another device", "InternetGatewayDevice", "MediaServer"},
		{"no type", "st: ", "xt: "},
		{"a refusal", "200 OK", "404 Not Found"},
		{"an announcement", "HTTP/1.1 200 OK", "NOTIFY * HTTP/1.1"},
	} {
		if p, ok := parseFound([]byte(strings.Replace(foundIGD, c.old, c.by, 1)), inside); ok {
			t.Errorf("%s: %+v", c.what, p)
		}
	}
	if p, ok := placeOf(nil, "http://192.168.1.1/x", inside); !ok || p != (place{80, "/x"}) {
		t.Errorf("without a port: %+v %v", p, ok)
	}
}

// described is a description with two services, one within the other's device.
const described = `<?xml version="1.0" encoding="iso-8859-1"?><root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>BASE</URLBase><device>
<deviceList><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANPPPConnection:1</serviceType><controlURL>/ppp</controlURL></service></serviceList>
<deviceList><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:2</serviceType><controlURL>ctl?a=1</controlURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>`

func TestParseDescription(t *testing.T) {
	from := place{5000, "/desc/root.xml"}
	for base, want := range map[string][]service{
		"":                          {{serviceKinds()[0], place{5000, "/desc/ctl?a=1"}}, {serviceKinds()[2], place{5000, "/ppp"}}},
		"http://192.168.1.1:49152/": {{serviceKinds()[0], place{49152, "/ctl?a=1"}}, {serviceKinds()[2], place{49152, "/ppp"}}},
		"http://203.0.113.9:49152/": {{serviceKinds()[0], place{5000, "/desc/ctl?a=1"}}, {serviceKinds()[2], place{5000, "/ppp"}}},
	} {
		got := parseDescription([]byte(strings.Replace(described, "BASE", base, 1)), from, inside)
		if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
			t.Errorf("base %q: %+v", base, got)
		}
	}
	for _, elsewhere := range []string{"http://203.0.113.9/ctl", "//203.0.113.9/ctl", "https://192.168.1.1/ctl", "http://u@192.168.1.1/", "mailto:x", ""} {
		got := parseDescription([]byte(strings.Replace(described, "ctl?a=1", elsewhere, 1)), from, inside)
		if len(got) != 1 {
			t.Errorf("%q: %+v", elsewhere, got)
		}
	}
	for what, doc := range map[string]string{
		"no XML": "hello", "half": described[:400], "nothing": "", "too much": described + strings.Repeat(" ", FetchedLargest),
		"entities": `<!DOCTYPE root [<!ENTITY a "b">]>` + strings.Replace(described, "ctl?a=1", "&a;", 1),
		"deep":     strings.Repeat("<root><device><deviceList>", FetchedLargest/30),
	} {
		if got := parseDescription([]byte(doc), from, inside); len(got) != 0 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	many := strings.Replace(described, "</serviceList>", strings.Repeat("<service><serviceType>"+serviceKinds()[0]+"</serviceType><controlURL>/x</controlURL></service>", 100)+"</serviceList>", 1)
	if got := parseDescription([]byte(many), from, inside); len(got) != servicesTried {
		t.Errorf("%d services of many", len(got))
	}
}

func TestParseSOAP(t *testing.T) {
	const head = `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`
	const entry = `<u:GetSpecificPortMappingEntryResponse xmlns:u="x"><NewInternalPort>8085</NewInternalPort><NewInternalClient> 192.168.1.20
</NewInternalClient><NewEnabled>1</NewEnabled><NewLeaseDuration>3600</NewLeaseDuration></u:GetSpecificPortMappingEntryResponse>`
	for body, want := range map[string]soapAnswer{
		`<u:GetExternalIPAddressResponse xmlns:u="x"><NewExternalIPAddress>203.0.113.7</NewExternalIPAddress></u:GetExternalIPAddressResponse>`: {action: actionAddress, addr: global},
		`<GetExternalIPAddressResponse><NewExternalIPAddress>2001:db8::1</NewExternalIPAddress></GetExternalIPAddressResponse>`:                 {action: actionAddress},
		`<GetExternalIPAddressResponse/>`: {action: actionAddress},
		`<AddPortMappingResponse/>`:       {action: actionMap},
		`<DeletePortMappingResponse/>`:    {action: actionDelete},
		entry:                             {action: actionEntry, client: client, port: 8085, seconds: 3600},
		strings.Replace(entry, "<NewEnabled>1", "<NewEnabled>False", 1):                                   {action: actionEntry, port: 8085, seconds: 3600},
		`<s:Fault><detail><UPnPError><errorCode> 718 </errorCode></UPnPError></detail></s:Fault>` + entry: {refusal: 718},
	} {
		a, ok := parseSOAP([]byte(head + body + `</s:Body></s:Envelope>`))
		if !ok || a != want {
			t.Errorf("%s:\n%+v %v, want %+v", body, a, ok, want)
		}
	}
	for _, body := range []string{
		"", `<s:Fault/>`, `<s:Fault><detail><UPnPError><errorCode>x</errorCode></UPnPError></detail></s:Fault>`, `<Other/>`,
		strings.Replace(entry, "8085", "80850", 1), strings.Replace(entry, "3600", "-1", 1), strings.Repeat(" ", FetchedLargest),
	} {
		if a, ok := parseSOAP([]byte(head + body + `</s:Body></s:Envelope>`)); ok {
			t.Errorf("%.100s: %+v", body, a)
		}
	}
	if a, ok := parseSOAP([]byte(`<Letter><Body><AddPortMappingResponse/></Body></Letter>`)); ok {
		t.Errorf("no envelope: %+v", a)
	}
}

// What is asked for, in full, as the documents of the UPnP Forum have it.
func TestIGDRequests(t *testing.T) {
	want := "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:2\r\n\r\n"
	if got := searchRequest(2); string(got.Body) != want || got.Via != Search {
		t.Errorf("%q", got.Body)
	}
	s := service{serviceKinds()[1], place{5000, "/ctl"}}
	got := soapRequest(s, actionMap, igdMapArguments(client, 8085, 8086, 7200))
	want = `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<s:Body><u:AddPortMapping xmlns:u="urn:schemas-upnp-org:service:WANIPConnection:1"><NewRemoteHost></NewRemoteHost><NewExternalPort>8086</NewExternalPort>` +
		`<NewProtocol>UDP</NewProtocol><NewInternalPort>8085</NewInternalPort><NewInternalClient>192.168.1.20</NewInternalClient><NewEnabled>1</NewEnabled>` +
		`<NewPortMappingDescription>micro-net</NewPortMappingDescription><NewLeaseDuration>7200</NewLeaseDuration></u:AddPortMapping></s:Body>
</s:Envelope>
`
	if string(got.Body) != want || got.Port != 5000 || got.Path != "/ctl" || got.Action != `"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping"` {
		t.Errorf("%+v\n%s", got, got.Body)
	}
}

func FuzzFound(f *testing.F) {
	f.Add([]byte(foundIGD))
	f.Add((&portmaptest.Router{UPnP: true, Inside: inside}).Found(searchRequest(1).Body))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseFound(b, inside)
		if !ok {
			return
		}
		// Whatever it says, the place is at the router, and stays so when others read what we make of it.
		if again, ok := placeOf(nil, p.url(inside).String(), inside); !ok || again.port != p.port || p.port == 0 || !strings.HasPrefix(p.path, "/") {
			t.Errorf("%+v, again %+v %v", p, again, ok)
		}
		if strings.ContainsAny(p.path, " \r\n\x00") {
			t.Errorf("a path that ends the line: %q", p.path)
		}
	})
}

func FuzzDescription(f *testing.F) {
	f.Add([]byte(described))
	_, doc := (&portmaptest.Router{UPnP: true}).Fetch(begin, client, "/rootDesc.xml", "", nil)
	f.Add(doc)
	f.Fuzz(func(t *testing.T, b []byte) {
		all := parseDescription(b, place{5000, "/desc.xml"}, inside)
		if len(all) > servicesTried {
			t.Errorf("%d services", len(all))
		}
		for _, s := range all {
			if s.control.port == 0 || !strings.HasPrefix(s.control.path, "/") || strings.ContainsAny(s.control.path, " \r\n\x00") || len(s.control.path) > pathLargest {
				t.Errorf("%+v", s)
			}
		}
	})
}

func FuzzSOAP(f *testing.F) {
	r := &portmaptest.Router{UPnP: true, Outer: func() netip.Addr { return global }, Open: func(_ netip.AddrPort, p uint16) (uint16, bool) { return p, true }, Close: func(netip.AddrPort) {}}
	s := service{serviceKinds()[1], place{5000, "/ctl/IPConn"}}
	for _, q := range []*Request{
		soapRequest(s, actionAddress, ""), soapRequest(s, actionMap, igdMapArguments(client, 8085, 8085, 7200)),
		soapRequest(s, actionEntry, igdEntryArguments(8085)), soapRequest(s, actionDelete, igdEntryArguments(8085)), soapRequest(s, actionDelete, igdEntryArguments(8085)),
	} {
		_, answer := r.Fetch(begin, client, q.Path, q.Action, q.Body)
		f.Add(answer)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := parseSOAP(b)
		if ok && (a.action == "") == (a.refusal == 0) {
			t.Errorf("neither an answer nor a refusal, or both: %+v", a)
		}
		if (a.addr.IsValid() && !a.addr.Is4()) || (a.client.IsValid() && !a.client.Is4()) {
			t.Errorf("%+v", a)
		}
	})
}
