package portmap

import (
	"bytes"
	"encoding/xml"
	"io"
	"net/netip"
)

// FetchedLargest bounds what is read of an answer over HTTP. Routers describe themselves in 2 to 20 KB.
const FetchedLargest = 64 << 10

// servicesTried is how many services of a router are asked: it may have one for each way out, of which one is connected.
const servicesTried = 4

// service is one that maps ports.
type service struct {
	kind    string // one of serviceKinds: what goes into requests is never a router's word
	control place
}

// serviceKinds are the services that map ports, the best first. All take the same requests.
func serviceKinds() []string {
	return []string{
		"urn:schemas-upnp-org:service:WANIPConnection:2", "urn:schemas-upnp-org:service:WANIPConnection:1", "urn:schemas-upnp-org:service:WANPPPConnection:1",
	}
}

// description is how a device describes itself (UPnP Device Architecture, section 2.3), as far as we need it.
type description struct {
	XMLName xml.Name        `xml:"root"`
	Base    string          `xml:"URLBase"`
	Device  describedDevice `xml:"device"`
}

type describedDevice struct {
	Services []describedService `xml:"serviceList>service"`
	Devices  []describedDevice  `xml:"deviceList>device"`
}

type describedService struct {
	Type    string `xml:"serviceType"`
	Control string `xml:"controlURL"`
}

// all lists the services of a device and of those in it.
func (d *describedDevice) all() []describedService {
	out := d.Services
	for i := range d.Devices {
		out = append(out, d.Devices[i].all()...)
	}
	return out
}

// parseDescription reads which services of a router map ports, the best first; none for anything that is no description. from is
// where it was fetched.
func parseDescription(b []byte, from place, router netip.Addr) (out []service) {
	var d description
	if !readXML(b, &d) {
		return nil
	}
	base := from.url(router)
	if p, ok := placeOf(nil, d.Base, router); ok {
		base = p.url(router)
	}
	all := d.Device.all()
	for _, kind := range serviceKinds() {
		for _, s := range all {
			if s.Type != kind || s.Control == "" || len(out) == servicesTried {
				continue
			}
			if p, ok := placeOf(base, s.Control, router); ok {
				out = append(out, service{kind, p})
			}
		}
	}
	return out
}

// readXML reads a document of a bounded size; false if it is none. All that we read is ASCII, whatever the document says that it is written
// in.
func readXML(b []byte, into any) bool {
	if len(b) > FetchedLargest {
		return false
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
	return d.Decode(into) == nil
}
