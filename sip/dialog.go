package sip

import (
	"net"
	"slices"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// dialog is the state of RFC 3261 section 12 that requests of ours are built
// from. Its headers are shared by all of them and never changed in place.
type dialog struct {
	flow   flow // by which the peer really reaches us, and we it
	from   *sip.FromHeader
	to     *sip.ToHeader
	target sip.Uri
	routes []sip.Uri
	cseq   uint32 // of our last request
	sips   bool   // the peer called us by a sips address
	as     string // user of our Contact; "" is the switch's own
}

// contact is our Contact in a dialog: sips where the peer's address, its first
// route or the one it called is (RFC 3261 sections 8.1.1.8 and 12.1.1).
func (d *dialog) contact(e *Edge) *sip.ContactHeader {
	c := e.contactAs(d.as, d.flow)
	if d.sips || d.target.Scheme == "sips" || len(d.routes) > 0 && d.routes[0].Scheme == "sips" {
		c.Address.Scheme = "sips"
		if d.flow.transport == "tls" {
			c.Address.UriParams = nil // the scheme says it (RFC 5630 section 3.1.4)
		}
	}
	return c
}

// retarget takes the Contact of a request or 2xx that refreshes the target (RFC
// 3261 section 12.2).
func (d *dialog) retarget(contact *sip.ContactHeader) {
	if contact != nil && !contact.Address.Wildcard {
		d.target = *contact.Address.Clone()
	}
}

// routeSet returns the Record-Route of a message, in its order.
func routeSet(msg sip.Message) []sip.Uri {
	var routes []sip.Uri
	for _, h := range msg.GetHeaders("record-route") {
		for value, more := h.Value(), true; more; {
			a, rest, ok := readAddress(value)
			if !ok {
				break
			}
			routes = append(routes, a.uri)
			value, more = strings.CutPrefix(rest, ",")
		}
	}
	return routes
}

// request builds a request inside the dialog with the next number. The caller
// holds mu.
func (l *Leg) request(method sip.RequestMethod) *sip.Request {
	if l.dialog.cseq++; l.dialog.cseq > l.reserved {
		l.keep()
	}
	return l.e.inside(l.id, &l.dialog, method, l.dialog.cseq)
}

// inside builds a request inside a dialog (RFC 3261 section 12.2.1.1), to be
// sent by the dialog's flow wherever its target and routes point.
func (e *Edge) inside(callID string, d *dialog, method sip.RequestMethod, number uint32) *sip.Request {
	target, routes := d.target, d.routes
	if len(routes) > 0 && !hasParam(routes[0].UriParams, "lr") {
		// A strict router takes itself from the Request-URI, the target comes last.
		target, routes = routes[0], append(slices.Clone(routes[1:]), target)
	}
	req := sip.NewRequest(method, target)
	req.AppendHeader(e.via(d.flow))
	for _, r := range routes {
		req.AppendHeader(&sip.RouteHeader{Address: r})
	}
	id := sip.CallIDHeader(callID)
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(d.from)
	req.AppendHeader(d.to)
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: number, MethodName: method})
	if method == sip.INVITE || method == sip.UPDATE {
		req.AppendHeader(d.contact(e))
	}
	if e.o.UserAgent != "" && method != sip.ACK {
		req.AppendHeader(e.userAgent)
	}
	e.by(req, d.flow)
	return req
}

// by sends a request by a flow, whatever its URI and routes say.
func (e *Edge) by(req *sip.Request, f flow) {
	req.SetTransport(sip.NetworkToUpper(f.transport))
	req.SetDestination(f.remote.String())
	// From our own socket: the library would open another for a peer that has not
	// written to us yet. In place of a connection that is gone it would open one
	// too; bound to an address that is nobody's, it cannot.
	req.Laddr = sip.Addr{IP: net.IPv4(0, 0, 0, 1)}
	if f.transport == "udp" {
		req.Laddr = e.listening(f).name
	}
}

// describe puts a session description into a message, or nothing.
func describe(msg sip.Message, sdp []byte) {
	if len(sdp) > 0 {
		kind := sip.ContentTypeHeader("application/sdp")
		msg.AppendHeader(&kind)
	}
	msg.SetBody(sdp)
}

// via makes the Via of a request of ours, with a branch of its own.
func (e *Edge) via(f flow) *sip.ViaHeader {
	host, port := e.sentBy(f)
	return &sip.ViaHeader{
		ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: sip.NetworkToUpper(f.transport),
		Host: host, Port: port,
		Params: sip.HeaderParams{{K: "branch", V: sip.GenerateBranch()}, {K: "rport"}},
	}
}

// contact makes our Contact on a flow.
func (e *Edge) contact(f flow) *sip.ContactHeader { return e.contactAs("", f) }

// contactAs is contact with the name that a carrier knows us by. A WebSocket is ws in
// a URI also when TLS is below it (RFC 7118 section 5.2).
func (e *Edge) contactAs(user string, f flow) *sip.ContactHeader {
	if user == "" {
		user = "foyer"
	}
	host, port := e.sentBy(f)
	uri := sip.Uri{Scheme: "sip", User: escapeUser(user), Host: host, Port: port}
	switch f.transport {
	case "udp":
	case "wss":
		uri.UriParams = sip.HeaderParams{{K: "transport", V: "ws"}}
	default:
		uri.UriParams = sip.HeaderParams{{K: "transport", V: f.transport}}
	}
	return &sip.ContactHeader{Address: uri}
}

func hasParam(params sip.HeaderParams, name string) bool {
	return slices.ContainsFunc(params, func(p sip.HeaderKV) bool { return equalFold([]byte(p.K), name) })
}
