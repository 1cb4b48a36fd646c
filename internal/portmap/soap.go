package portmap

import (
	"encoding/xml"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The requests that a service takes: UPnP Forum, WANIPConnection:1, section 2.4.
const (
	actionAddress = "GetExternalIPAddress"
	actionMap     = "AddPortMapping"
	actionEntry   = "GetSpecificPortMappingEntry"
	actionDelete  = "DeletePortMapping"
)

// Codes of refusals that need more than their number.
const (
	igdInvalidArgs    = 402 // some say so where they mean the next but one
	igdConflict       = 718
	igdOnlyPermanent  = 725
	igdOtherMechanism = 729 // the port is taken by PCP, or by what people typed in
)

// mappingName is what people read in the router's list of mappings.
const mappingName = "micro-net"

// soapRequest asks a service for something. Nothing in it needs to be escaped: it is all of our own making.
func soapRequest(s service, action, arguments string) *Request {
	body := fmt.Appendf(nil, `<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/">
<s:Body><u:%[1]s xmlns:u="%[2]s">%[3]s</u:%[1]s></s:Body>
</s:Envelope>
`, action, s.kind, arguments)
	return &Request{Via: HTTP, Port: s.control.port, Path: s.control.path, Body: body, Action: fmt.Sprintf(`"%s#%s"`, s.kind, action)}
}

// igdEntryArguments name a mapping of UDP.
func igdEntryArguments(outer uint16) string {
	return fmt.Sprintf("<NewRemoteHost></NewRemoteHost><NewExternalPort>%d</NewExternalPort><NewProtocol>UDP</NewProtocol>", outer)
}

// igdMapArguments ask for a mapping of a UDP port of this host, for so many seconds; 0: without end.
func igdMapArguments(client netip.Addr, port, outer uint16, seconds uint32) string {
	return igdEntryArguments(outer) + fmt.Sprintf("<NewInternalPort>%d</NewInternalPort><NewInternalClient>%s</NewInternalClient><NewEnabled>1</NewEnabled>"+
		"<NewPortMappingDescription>%s</NewPortMappingDescription><NewLeaseDuration>%d</NewLeaseDuration>", port, client, mappingName, seconds)
}

// soapAnswer is what a service says to a request.
type soapAnswer struct {
	action  string // what it answers; "" for a refusal
	refusal int    // the code
	addr    netip.Addr
	client  netip.Addr // these three of actionEntry; the first is invalid where the mapping leads nowhere
	port    uint16
	seconds uint32 // that are left; 0: without end
}

// envelope is the form of an answer.
type envelope struct {
	XMLName xml.Name `xml:"Envelope"`
	Body    struct {
		Fault *struct {
			Code int `xml:"detail>UPnPError>errorCode"`
		} `xml:"Fault"`
		Address *struct {
			Addr string `xml:"NewExternalIPAddress"`
		} `xml:"GetExternalIPAddressResponse"`
		Map    *struct{} `xml:"AddPortMappingResponse"`
		Delete *struct{} `xml:"DeletePortMappingResponse"`
		Entry  *struct {
			Client  string `xml:"NewInternalClient"`
			Port    uint16 `xml:"NewInternalPort"`
			Enabled string `xml:"NewEnabled"`
			Seconds uint32 `xml:"NewLeaseDuration"`
		} `xml:"GetSpecificPortMappingEntryResponse"`
	} `xml:"Body"`
}

// parseSOAP reads an answer; false for anything else. What a router says in words is passed over.
func parseSOAP(b []byte) (a soapAnswer, ok bool) {
	var e envelope
	if !readXML(b, &e) {
		return a, false
	}
	switch body := &e.Body; {
	case body.Fault != nil:
		a.refusal = body.Fault.Code
		return a, a.refusal > 0
	case body.Address != nil:
		a.action, a.addr = actionAddress, addrOf(body.Address.Addr)
	case body.Map != nil:
		a.action = actionMap
	case body.Delete != nil:
		a.action = actionDelete
	case body.Entry != nil:
		a.action, a.port, a.seconds = actionEntry, body.Entry.Port, body.Entry.Seconds
		if !slices.Contains([]string{"0", "false", "no"}, strings.ToLower(strings.TrimSpace(body.Entry.Enabled))) {
			a.client = addrOf(body.Entry.Client)
		}
	}
	return a, a.action != ""
}

// addrOf reads an IPv4 address; the zero one for anything else.
func addrOf(text string) netip.Addr {
	if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil && a.Is4() {
		return a
	}
	return netip.Addr{}
}

// igdReason says why a request was refused, in words.
func igdReason(code int) string {
	switch code {
	case 401:
		return "it maps no ports"
	case 501:
		return "it failed"
	case 606:
		return "not authorized"
	case igdConflict, igdOtherMechanism:
		return "others have the port, and those after it"
	case 724:
		return "it gives no port but the same one"
	case 726, 727:
		return "it lets in single hosts only"
	case 728:
		return "it has no resources for another mapping"
	}
	return ""
}
