package sip

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// heard takes a message whose bounds are known, before the library does, and
// returns it if the library may have it. A request that it may not have is
// answered here, and so is a REGISTER (enlist). isSIP is false if nothing in it
// says that it is a message at all. The goroutine that reads the socket or the
// connection calls it.
func (e *Edge) heard(transport string, ends addrs, msg []byte) (good []byte, isSIP bool) {
	e.guard("vetting a message", func() {
		if e.o.Trace != nil {
			e.trace(false, transport, ends, msg)
		}
		var p paper
		p, isSIP = vet(msg)
		if isSIP && e.o.Look != nil {
			if from, _ := addrPort(ends.remote); !e.o.Look(p.callID, from) {
				return
			}
		}
		switch {
		case !isSIP:
			e.o.Count.ParseError(transport)
		case p.wrong != nil:
			e.o.Count.ParseError(transport)
			e.decline(transport, ends, &p)
		case p.req != nil && !p.tagged && e.o.Registrar != nil:
			e.enlist(transport, ends, p.req)
		default:
			good = msg
		}
	})
	return good, isSIP
}

// lost answers a message of a connection of which nobody can know where it ends.
// The connection is closed next.
func (e *Edge) lost(transport string, ends addrs, head []byte, r *refusal) {
	e.guard("giving up a connection", func() {
		if e.o.Trace != nil {
			e.trace(false, transport, ends, head)
		}
		e.o.Count.ParseError(transport)
		p, answerable := vet(head)
		if p.wrong == nil || p.wrong.code == sip.StatusBadRequest {
			p.wrong = r
		}
		if answerable {
			e.decline(transport, ends, &p)
		}
	})
}

// decline answers a malformed request without a transaction, by what of it could
// be read, to nowhere but where it came from. An ACK and a response have no answer.
func (e *Edge) decline(transport string, ends addrs, p *paper) {
	if p.method == "" || p.method == "ACK" {
		return
	}
	reason := p.wrong.reason
	if reason == "" {
		reason = phrases[p.wrong.code]
	}
	res := sip.NewResponse(p.wrong.code, printable(reason))
	res.SipVersion = "SIP/2.0"
	for i, value := range p.vias {
		if i == 0 {
			value = returnPath(value, ends)
		}
		giveBack(res, "Via", value)
	}
	giveBack(res, "From", p.from)
	to := p.to
	if a, _, ok := readAddress(to); to != "" && !(ok && a.params.Has("tag")) {
		to += ";tag=" + e.hash(p.callID, p.from, p.vias[0], p.cseq)
	}
	giveBack(res, "To", to)
	giveBack(res, "Call-ID", p.callID)
	giveBack(res, "CSeq", p.cseq)
	for _, h := range p.wrong.headers {
		res.AppendHeader(sip.NewHeader(h.Name, h.Value))
	}
	if e.o.UserAgent != "" {
		res.AppendHeader(e.server)
	}
	res.SetBody(nil)
	res.SetTransport(sip.NetworkToUpper(transport))
	res.SetDestination(ends.remote.String())
	if err := e.write(transport, ends, res); err != nil {
		e.o.Log.Debug("malformed request not answered", zap.Error(err))
	}
}

// giveBack gives a header back as it came, if it came, on one line.
func giveBack(res *sip.Response, name, value string) {
	if value = printable(strings.ReplaceAll(value, "\t", " ")); value != "" {
		res.AppendHeader(sip.NewHeader(name, value))
	}
}

// returnPath notes in the top hop where the request came from (RFC 3581 section 4).
func returnPath(via string, ends addrs) string {
	source, known := addrPort(ends.remote)
	v, rest, ok := readVia(via)
	if !ok || !known {
		return via
	}
	v.Params.Add("received", source.Addr().String())
	v.Params.Add("rport", strconv.Itoa(int(source.Port())))
	return v.Value() + rest
}

// write sends a response by the socket its request came by.
func (e *Edge) write(transport string, ends addrs, res *sip.Response) error {
	at := ends.remote
	if transport == "udp" {
		at = ends.local
	}
	c, err := e.tpl.GetConnection(transport, at.String())
	if err != nil {
		return err
	}
	defer c.TryClose()
	return c.WriteMsg(res)
}
