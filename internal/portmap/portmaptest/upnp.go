package portmaptest

import (
	"cmp"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Where a Router that speaks UPnP is found.
const (
	SearchPort = 1900
	HTTPPort   = 5000
)

const (
	descriptionPath = "/rootDesc.xml"
	controlPath     = "/ctl/IPConn"
	connectionType  = "urn:schemas-upnp-org:service:WANIPConnection:1"
	deviceType      = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
)

// Found is what the router says to a search, nil for nothing.
func (r *Router) Found(search []byte) []byte {
	text := string(search)
	if !r.UPnP || !strings.HasPrefix(text, "M-SEARCH * HTTP/1.1\r\n") || !strings.Contains(text, "\r\nST: "+deviceType+"\r\n") ||
		!strings.Contains(text, "\r\nMAN: \"ssdp:discover\"\r\n") || !strings.HasSuffix(text, "\r\n\r\n") {
		return nil
	}
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: %[1]s\r\nUSN: uuid:00000000-0000-0000-0000-000000000001::%[1]s\r\nEXT:\r\n"+
		"SERVER: box/1 UPnP/1.1 box/1\r\nLOCATION: http://%[2]s:%[3]d%[4]s\r\n\r\n", deviceType, r.Inside, cmp.Or(r.Web, HTTPPort), descriptionPath)
}

// description is nested as the routers' are: the service is one of a device in a device in the router.
const description = `<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><specVersion><major>1</major><minor>0</minor></specVersion>
<device><deviceType>` + deviceType + `</deviceType><friendlyName>box</friendlyName>
<serviceList><service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/ctl/L3F</controlURL></service></serviceList>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList><service><serviceType>` + connectionType + `</serviceType><serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId>
<SCPDURL>/WANIPCn.xml</SCPDURL><controlURL>` + controlPath + `</controlURL><eventSubURL>/evt/IPConn</eventSubURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>
`

// Codes of refusals.
const (
	invalidArgs   = 402
	notThere      = 714
	conflict      = 718
	onlyPermanent = 725
	notAllowed    = 606
	invalidAction = 401
)

// endless is how long a mapping without end lasts.
const endless = 100 * 365 * day

// Fetch is what the router says over HTTP: its description, or an answer to a request of SOAP.
func (r *Router) Fetch(now time.Time, from netip.Addr, path, action string, body []byte) (status int, answer []byte) {
	r.expire(now)
	switch {
	case !r.UPnP:
		return http.StatusNotFound, nil
	case path == descriptionPath && body == nil:
		return http.StatusOK, []byte(description)
	case path != controlPath:
		return http.StatusNotFound, nil
	}
	name, ok := strings.CutPrefix(strings.Trim(action, `"`), connectionType+"#")
	if !ok || !strings.Contains(string(body), "<u:"+name+" xmlns:u=\""+connectionType+"\">") {
		return fault(invalidAction)
	}
	return r.act(now, from, name, arguments(body))
}

func (r *Router) act(now time.Time, from netip.Addr, name string, args map[string]string) (int, []byte) {
	switch name {
	case "GetExternalIPAddress":
		return told(name, "<NewExternalIPAddress>"+r.Outer().String()+"</NewExternalIPAddress>")
	case "AddPortMapping":
		return r.add(now, from, args)
	case "GetSpecificPortMappingEntry":
		return r.entry(now, args)
	case "DeletePortMapping":
		inner, m := r.at(args["NewExternalPort"])
		if m == nil {
			return fault(notThere)
		}
		if inner.Addr() != from {
			return fault(notAllowed)
		}
		r.drop(inner)
		return told(name, "")
	}
	return fault(invalidAction)
}

// at returns the mapping of an outer port.
func (r *Router) at(outer string) (netip.AddrPort, *mapping) {
	for inner, m := range r.mappings {
		if strconv.Itoa(int(m.outer)) == outer {
			return inner, m
		}
	}
	return netip.AddrPort{}, nil
}

func (r *Router) add(now time.Time, from netip.Addr, args map[string]string) (int, []byte) {
	outer, err1 := strconv.ParseUint(args["NewExternalPort"], 10, 16)
	port, err2 := strconv.ParseUint(args["NewInternalPort"], 10, 16)
	seconds, err3 := strconv.ParseUint(args["NewLeaseDuration"], 10, 32)
	client, err4 := netip.ParseAddr(args["NewInternalClient"])
	inner := netip.AddrPortFrom(client, uint16(port))
	holder, _ := r.at(args["NewExternalPort"])
	switch {
	case err1 != nil || err2 != nil || err3 != nil || err4 != nil || args["NewProtocol"] != "UDP" || args["NewEnabled"] != "1" || args["NewRemoteHost"] != "":
		return fault(invalidArgs)
	case r.Refuse != 0 || client != from:
		return fault(notAllowed)
	case r.Permanent && seconds != 0:
		return fault(onlyPermanent)
	case holder.IsValid() && holder != inner:
		return fault(conflict)
	}
	lasts := time.Duration(seconds) * time.Second
	if lasts == 0 {
		lasts = endless
	} else if r.Longest != 0 {
		lasts = min(lasts, r.Longest)
	}
	if m := r.mappings[inner]; m != nil && m.outer != uint16(outer) {
		r.drop(inner)
	}
	got, ok := r.set(now, inner, [12]byte{}, uint16(outer), day)
	if !ok {
		return fault(501)
	}
	if got.outer != uint16(outer) { // here nobody chooses another one
		r.drop(inner)
		return fault(conflict)
	}
	r.mappings[inner].until = now.Add(lasts)
	return told("AddPortMapping", "")
}

func (r *Router) entry(now time.Time, args map[string]string) (int, []byte) {
	inner, m := r.at(args["NewExternalPort"])
	if m == nil {
		return fault(notThere)
	}
	left := m.until.Sub(now)
	if left > day {
		left = 0
	}
	return told("GetSpecificPortMappingEntry", fmt.Sprintf("<NewInternalPort>%d</NewInternalPort><NewInternalClient>%s</NewInternalClient><NewEnabled>1</NewEnabled>"+
		"<NewPortMappingDescription>x</NewPortMappingDescription><NewLeaseDuration>%d</NewLeaseDuration>", inner.Port(), inner.Addr(), left/time.Second))
}

// arguments reads those of a request, which have no attributes.
func arguments(body []byte) map[string]string {
	out := map[string]string{}
	for _, m := range regexp.MustCompile(`<(New\w+)>([^<]*)</New`).FindAllSubmatch(body, -1) {
		out[string(m[1])] = string(m[2])
	}
	return out
}

const soapHead = `<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>`

func told(name, results string) (int, []byte) {
	return http.StatusOK, fmt.Appendf(nil, soapHead+`<u:%[1]sResponse xmlns:u="`+connectionType+`">%[2]s</u:%[1]sResponse></s:Body></s:Envelope>`, name, results)
}

func fault(code int) (int, []byte) {
	return http.StatusInternalServerError, fmt.Appendf(nil, soapHead+`<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>`+
		`<UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>%d</errorCode><errorDescription>x</errorDescription></UPnPError></detail></s:Fault></s:Body></s:Envelope>`, code)
}
