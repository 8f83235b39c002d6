package sip

import (
	"fmt"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"foyer/sip/siptest"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A call of the trunk's, every part of which is spoiled in every way.
const spoiledInvite siptest.Template = `{method:INVITE} {uri:sip:+33170000001@lo.test} {version:SIP/2.0}
Via: {via-protocol:SIP/2.0}/{via-transport:UDP} {via-host:127.0.0.2:$PORT};branch={branch:z9hG4bK$ID};{via-param:rport}
Max-Forwards: {max-forwards:70}
From: "{from-name:Kate}" <{from-uri:sip:+33140000001@op.example}>;tag={from-tag:f$ID}
To: {to-name:Night} <{to-uri:sip:+33170000001@lo.test}>{to-params:;a=b}
Call-ID: {call-id:$ID}
CSeq: {cseq-number:12} {cseq-method:INVITE}
Contact: <{contact:sip:kate@127.0.0.2:5070;transport=udp}>
Route: {route:<sip:edge.example;lr>}
Record-Route: {record-route:<sip:relay.example;lr>, <sip:relay2.example>}
Accept: {accept:application/sdp}
Allow: {allow:INVITE, ACK, BYE}
Supported: {supported:timer}
Require: {require:timer}
Session-Expires: {session-expires:1800;refresher=uac}
Min-SE: {min-se:90}
P-Asserted-Identity: {asserted:"Kate" <sip:+33140000001@op.example>}
Privacy: {privacy:none}
Reason: {reason:SIP;cause=200;text="x"}
Date: {date:Fri, 01 Jan 2010 16:00:00 GMT}
{name:X-Name}: {value:value}
Content-Type: {content-type:application/sdp}
Content-Length: {content-length:#}

{body:v=0}
`

// A phone's REGISTER with a good password.
const spoiledRegister siptest.Template = `REGISTER {reg-uri:sip:lo.test} SIP/2.0
Via: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK$ID;rport
Max-Forwards: 70
From: <sip:ana@lo.test>;tag=f$ID
To: <{reg-to:sip:ana@lo.test}>
Call-ID: $ID
CSeq: 12 REGISTER
Contact: {reg-contact:<sip:ana@127.0.0.2:5070>};expires={contact-expires:60};+sip.instance="{instance:<urn:uuid:1>}";reg-id={reg-id:1}
Expires: {expires:60}
User-Agent: {user-agent:baresip}
Authorization: {scheme:Digest} username="{username:ana}", realm="{realm:lo.test}", nonce="{nonce:$NONCE}", uri="{auth-uri:sip:lo.test}", response="{response:$RESPONSE}", algorithm={algorithm:MD5}, cnonce="{cnonce:c}", qop={qop:auth}, nc={nc:00000001}
Content-Length: 0

`

// Everything in every way, over UDP and TCP in pieces. After each the edge
// serves a valid request; in the end nothing is left of any.
func TestMalformed(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			m := besiegedBy(t, transport)
			for _, base := range []siptest.Template{spoiledInvite, spoiledRegister} {
				for _, element := range base.Elements() {
					for _, how := range siptest.Spoilings() {
						if m.cases++; !testing.Short() || m.cases%10 == 0 {
							m.spoil(base, element, how)
						}
					}
				}
			}
			m.balance()
		})
	}
}

// malice sends malformed requests and sees that the edge lives.
type malice struct {
	*arena
	t         *testing.T
	transport string
	neighbour *sender // whom nothing of it may reach
	dice      *rand.Rand
	log       *observer.ObservedLogs
	before    int // goroutines
	cases     int
	answers   map[int]int
}

func besiegedBy(t *testing.T, transport string) *malice {
	core, log := observer.New(zap.ErrorLevel)
	m := &malice{t: t, transport: transport, dice: rand.New(rand.NewPCG(1, 2)), log: log, answers: map[int]int{}}
	m.arena = openArena(t, func(o *Options) { o.Log = zap.New(core) })
	m.neighbour = m.sender(t, "udp")
	m.alive(m.neighbour)
	m.before = runtime.NumGoroutine()
	return m
}

// spoil sends one case, hears what comes back and asks something valid.
func (m *malice) spoil(base siptest.Template, element string, how siptest.Spoiling) {
	from := m.neighbour
	if m.transport == "tcp" {
		from = m.sender(m.t, "tcp")
		_ = from.conn.(*net.TCPConn).SetLinger(0) // ends in a reset, in the middle of whatever
		defer from.conn.Close()
	}
	text := string(m.filled(base, from).Spoil(element, how.Of))
	defer func() {
		if m.t.Failed() {
			m.t.Fatalf("%s %s:\n%.2000q", element, how.Name, text)
		}
	}()
	for rest := text; rest != "" && len(rest) < 65000; {
		n := len(rest)
		if m.transport == "tcp" {
			n = 1 + m.dice.IntN(n)
		}
		if _, err := from.conn.Write([]byte(rest[:n])); err != nil {
			break // closed on us already
		}
		rest = rest[n:]
	}
	m.alive(from)
	if from != m.neighbour {
		m.alive(m.neighbour)
	}
}

// filled puts what is new for each case into its text. Credentials are right:
// what is wrong is what is spoiled.
func (m *malice) filled(base siptest.Template, from *sender) siptest.Template {
	nonce := m.reg.nonces.issue(time.Now(), strings.ToUpper(m.transport)+" "+from.conn.LocalAddr().String())
	return siptest.Template(strings.NewReplacer(
		"$ID", fmt.Sprintf("case%d", m.cases), "$PORT", fmt.Sprint(from.port()), "$NONCE", nonce, "$RESPONSE", prove("ana", nonce, "sip:lo.test"),
	).Replace(string(base)))
}

// alive asks something valid and takes whatever comes until its answer. A
// connection that has brought a malformed message may be closed instead, or left
// to itself once that is refused.
func (m *malice) alive(s *sender) {
	patience := 10 * time.Second
	if s != m.neighbour {
		patience = 500 * time.Millisecond
	}
	s.n++
	id := fmt.Sprintf("probe%d", s.n)
	_, err := s.conn.Write(askAfter(id))
	for err == nil {
		var a *siptest.Message
		if a, err = s.read(patience); err != nil {
			break
		}
		if s != m.neighbour && a.Status >= 400 {
			patience = 20 * time.Millisecond
		}
		if a.Get("Call-ID") == id {
			if a.Status != 200 && s == m.neighbour { // a connection's own may be taken for a body
				m.t.Errorf("a valid request was answered %s", a)
			}
			return
		}
		m.answers[a.Status]++
		if a.Status == 500 {
			m.t.Errorf("broken: %s", a)
		}
		if strings.HasSuffix(a.Get("CSeq"), " INVITE") && a.Status >= 300 {
			_, _ = s.conn.Write(ackOf(a))
		}
	}
	if s == m.neighbour {
		m.t.Errorf("a valid request was not answered: %v", err)
	}
}

// ackOf makes the ACK of a refusal.
func ackOf(a *siptest.Message) []byte {
	number, _, _ := strings.Cut(a.Get("CSeq"), " ")
	return fmt.Appendf(nil, "ACK sip:lo.test SIP/2.0\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s ACK\r\nContent-Length: 0\r\n\r\n",
		a.Get("Via"), a.Get("From"), a.Get("To"), a.Get("Call-ID"), number)
}

// balance checks that nothing is left, and that nothing was broken or went
// astray on the way.
func (m *malice) balance() {
	m.t.Logf("%d cases, answers by code: %v", m.cases, m.answers)
	if !testing.Short() && m.cases < 4500 {
		m.t.Error("too few cases")
	}
	until(m.t, "no legs", func() bool { return m.edge.Legs() == 0 && m.edge.TrunkCalls()["carrier"] == 0 })
	// A refusal whose ACK was lost with its connection is given up after 32 s.
	for deadline := time.Now().Add(45 * time.Second); runtime.NumGoroutine() > m.before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			m.t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), m.before, stacks[:runtime.Stack(stacks, true)])
		}
	}
	for _, entry := range m.log.All() {
		m.t.Errorf("%s: %v", entry.Message, entry.ContextMap())
	}
	m.strays(m.t)
}
