package portmap

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// SearchPort is where devices hear searches (UPnP Device Architecture, section 1.3). A router hears those that are sent to itself, if it is of
// the last fifteen years, and only to these do its answers get past a firewall of this host.
const SearchPort = 1900

// SearchGroup returns the address at which all devices of a network hear searches.
func SearchGroup() netip.Addr { return netip.AddrFrom4([4]byte{239, 255, 255, 250}) }

// gatewayType is what is searched for, without the version.
const gatewayType = "urn:schemas-upnp-org:device:InternetGatewayDevice:"

const (
	// foundLargest bounds an answer to a search: it is one datagram.
	foundLargest = 2048
	// pathLargest bounds a path that a router names.
	pathLargest = 1024
)

// searchRequest looks for routers of a version. Those of the second answer to the first as well, or should.
func searchRequest(version int) *Request {
	return &Request{Via: Search, Body: fmt.Appendf(nil,
		"M-SEARCH * HTTP/1.1\r\nHOST: %s:%d\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: %s%d\r\n\r\n", SearchGroup(), SearchPort, gatewayType, version)}
}

// place is somewhere at a router: which router goes without saying.
type place struct {
	port uint16
	path string
}

// parseFound reads where a router that was found describes itself; false for anything else, and for what is at another host.
func parseFound(b []byte, router netip.Addr) (place, bool) {
	if len(b) > foundLargest {
		return place{}, false
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(b)), nil)
	if err != nil || r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Header.Get("St"), gatewayType) {
		return place{}, false
	}
	return placeOf(nil, r.Header.Get("Location"), router)
}

// placeOf reads an address of the router itself, by number and over HTTP, relative to another one if that is not nil. Names are not
// looked up, and no other host is spoken to because a device says so.
func placeOf(base *url.URL, raw string, router netip.Addr) (place, bool) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return place{}, false
	}
	if base != nil {
		u = base.ResolveReference(u)
	}
	host, err := netip.ParseAddr(u.Hostname())
	if err != nil || host != router || u.Scheme != "http" || u.User != nil || u.Opaque != "" {
		return place{}, false
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if u.Port() == "" {
		port, err = 80, nil
	}
	p := place{port: uint16(port), path: u.RequestURI()}
	return p, err == nil && p.port != 0 && len(p.path) <= pathLargest
}

// url is the place as others write it.
func (p place) url(router netip.Addr) *url.URL {
	u, err := url.Parse("http://" + netip.AddrPortFrom(router, p.port).String() + p.path)
	if err != nil {
		return &url.URL{Scheme: "http", Host: netip.AddrPortFrom(router, p.port).String(), Path: "/"}
	}
	return u
}
