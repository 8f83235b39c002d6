package sip

import (
	"bytes"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// glance is what decides whether a message is looked at: the little that can be
// seen of it without parsing it. It may be wrong, as a stranger may write what he likes; nothing is granted by it.
type glance struct {
	response bool
	method   string // upper-case letters as they came, "" if there were none
	tagged   bool   // To has a tag
	ours     bool   // and the dialog or transaction is one of ours
	credible bool   // it carries a nonce that we gave to this very flow, or is from a home we know
	host     string // of From
	scanner  bool
}

// glanceAt looks at a message.
func (e *Edge) glanceAt(data []byte, s standing, from flow) (g glance) {
	line, _, _ := bytes.Cut(data, []byte("\r\n"))
	method, _, _ := bytes.Cut(line, []byte(" "))
	g.response = bytes.HasPrefix(method, []byte("SIP/"))
	if !g.response {
		g.method = methodName(method)
	}
	h := headsOf(data)
	tag := tagOfValue(h.to)
	g.tagged = len(tag) > 0
	if s != foreign {
		return g // whatever else there is to see changes nothing
	}
	g.scanner = scans(h.agent, h.from)
	switch {
	case g.scanner:
	case g.response:
		g.ours = e.legs.find(string(h.callID), string(tagOfValue(h.from))) != nil
	case g.tagged:
		g.ours = e.legs.find(string(h.callID), string(tag)) != nil
	case g.method == "REGISTER":
		g.credible = e.challenged(h.authorization, from) || e.o.Registrar != nil && e.o.Registrar.guesses.met(from.remote.Addr())
	case g.method == "INVITE":
		g.host = hostOfValue(h.from)
	}
	return g
}

// heads are the headers a glance looks at.
type heads struct{ to, from, callID, agent, authorization []byte }

func headsOf(data []byte) (h heads) {
	for name, value := range rawLines(data) {
		switch {
		case isHeader(name, "To", "t"):
			h.to = value
		case isHeader(name, "From", "f"):
			h.from = value
		case isHeader(name, "Call-ID", "i"):
			h.callID = value
		case isHeader(name, "User-Agent", ""):
			h.agent = value
		case isHeader(name, "Authorization", ""):
			h.authorization = value
		}
	}
	return h
}

// challenged reports whether credentials carry a nonce that was given to the flow
// they come by. Who has it can be answered there: the source is not spoofed.
func (e *Edge) challenged(authorization []byte, from flow) bool {
	_, value, found := bytes.Cut(authorization, []byte(`nonce="`))
	nonce, _, closed := bytes.Cut(value, []byte(`"`))
	if !found || !closed || e.o.Registrar == nil {
		return false
	}
	_, ok := e.o.Registrar.nonces.open(e.o.Now(), string(nonce), sip.NetworkToUpper(from.transport)+" "+from.remote.String())
	return ok
}

// weigh says how important a message is, or why it is not looked at whoever else
// is quiet.
func (g *glance) weigh(s standing, hosts []string) (c weight, why shed) {
	switch {
	case s == foreign && g.scanner:
		return asking, shedScanner
	case s == foreign && (g.response || g.tagged) && !g.ours:
		return asking, shedSilence
	case g.response || g.tagged:
		return talking, ""
	}
	switch g.method {
	case "ACK", "CANCEL":
		if s != foreign {
			return talking, ""
		}
	case "INVITE":
		switch {
		case s == registered || s == ofTrunk:
			return calling, ""
		case s == friend, namesOneOf(hosts, g.host):
			return signingIn, ""
		}
	case "REGISTER":
		if s == registered || s == friend || g.credible {
			return refreshing, ""
		}
		return signingIn, ""
	}
	switch s {
	case foreign:
		return asking, shedSilence
	case friend:
		return asking, ""
	}
	return refreshing, ""
}

func namesOneOf(hosts []string, host string) bool {
	for _, h := range hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

// methodName is a method without an allocation for those that matter here.
func methodName(b []byte) string {
	switch string(b) {
	case "REGISTER":
		return "REGISTER"
	case "INVITE":
		return "INVITE"
	case "ACK":
		return "ACK"
	case "CANCEL":
		return "CANCEL"
	}
	return ""
}

// tagOfValue finds the tag in the value of a From or To header.
func tagOfValue(value []byte) []byte {
	if i := bytes.LastIndexByte(value, '>'); i >= 0 {
		value = value[i+1:] // what stands in the URI is not meant
	}
	for {
		_, rest, found := bytes.Cut(value, []byte(";"))
		if !found {
			return nil
		}
		param, _, _ := bytes.Cut(rest, []byte(";"))
		name, tag, _ := bytes.Cut(param, []byte("="))
		if equalFold(bytes.TrimSpace(name), "tag") {
			return bytes.TrimSpace(tag)
		}
		value = rest
	}
}

// hostOfValue finds the host of the SIP URI in the value of a From header.
func hostOfValue(value []byte) string {
	if i := bytes.LastIndexByte(value, '<'); i >= 0 {
		value = value[i+1:]
	}
	if i := bytes.IndexByte(value, '@'); i >= 0 {
		value = value[i+1:]
	} else if i := bytes.IndexByte(value, ':'); i >= 0 {
		value = value[i+1:]
	}
	if end := bytes.IndexAny(value, ">;? \t"); end >= 0 {
		value = value[:end]
	}
	if i := bytes.LastIndexByte(value, ':'); i >= 0 && i > bytes.LastIndexByte(value, ']') {
		value = value[:i]
	}
	return string(bytes.Trim(value, "[]"))
}
