package portmap

// Via is how a Request travels.
type Via int

// The ways of a Request.
const (
	ToPort Via = iota // a datagram to Port of the router
	Search            // a datagram to SearchPort, of the router and of all that SearchGroup reaches; answers count from the router alone
	HTTP              // over TCP, to a port of the router
)

// Request is what a Keeper wants to be sent. None of them names a host: whatever a router says, we speak to that router.
type Request struct {
	Via    Via
	Body   []byte // of HTTP: to be posted; nil: to be fetched
	Port   uint16 // of HTTP, as the two that follow
	Path   string // and query, escaped
	Action string // the header SOAPAction of what is posted
}

// datagram is a Request to Port.
func datagram(b []byte) *Request { return &Request{Body: b} }
