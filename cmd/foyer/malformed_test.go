package main

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// An offer, every part of which is spoiled in every way.
const spoiledOffer siptest.Template = `INVITE sip:+33170000001@lo.test SIP/2.0
Via: SIP/2.0/UDP $AT;branch=z9hG4bK$ID;rport
Max-Forwards: 70
From: <sip:+33612345678@carrier.test>;tag=f$ID
To: <sip:+33170000001@lo.test>
Call-ID: $ID
CSeq: 12 INVITE
Contact: <sip:carrier@$AT>
Content-Type: application/sdp
Content-Length: #

{first:v}={v:0}
o={o-user:-} {o-id:11} {o-version:11} {o-net:IN} {o-family:IP4} {o-addr:127.0.0.2}
s={s:-}
c={c-net:IN} {c-family:IP4} {c-addr:127.0.0.2}
b={b:AS:64}
t={t:0 0}
m={media:audio} {port:4000} {proto:RTP/AVP} {formats:8 0 101}
a=rtpmap:{rtpmap:8 PCMA/8000}
a=rtpmap:{eventmap:101 telephone-event/8000}
a=fmtp:{fmtp:101 0-16}
a=ptime:{ptime:20}
a=maxptime:{maxptime:60}
a=rtcp:{rtcp:4001 IN IP4 127.0.0.2}
a={direction:sendrecv}
{attribute:a=odd:1}
`

// Whatever a carrier offers, the whole switch takes the call or refuses it, and
// goes on; in the end no leg, port, recording or goroutine is left of any.
func TestMalformedOffers(t *testing.T) {
	s := newStage(t)
	conn, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}, net.UDPAddrFromAddrPort(s.cfg.Listen.SIPUDP.AddrPort))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &spoiler{s: s, conn: conn, answers: map[int]int{}}
	c.call(spoiledOffer, "", nil)
	before := runtime.NumGoroutine()
	for _, element := range spoiledOffer.Elements() {
		for _, how := range siptest.Spoilings() {
			if c.cases++; testing.Short() && c.cases%20 != 0 {
				continue
			}
			c.call(spoiledOffer, element, how.Of)
			if t.Failed() {
				t.Fatalf("%s %s", element, how.Name)
			}
		}
	}
	code := c.call(spoiledOffer, "", nil)
	t.Logf("%d offers, answers by code: %v", c.cases, c.answers)
	if code != 200 || c.answers[200] == 0 || c.answers[488] == 0 {
		t.Errorf("the good offer was answered %d", code)
	}
	s.until("goroutines as before", func() bool { return runtime.NumGoroutine() <= before })
}

// spoiler calls with offers that may be bad, and hangs up what is answered.
type spoiler struct {
	s       *stage
	conn    *net.UDPConn
	cases   int
	calls   int
	answers map[int]int
}

// call makes one call, ends it, and asks something valid. It returns the final
// answer's code.
func (c *spoiler) call(base siptest.Template, element string, how func(string) string) int {
	c.calls++
	id := fmt.Sprintf("offer%d", c.calls)
	at := c.conn.LocalAddr().String()
	filled := siptest.Template(strings.NewReplacer("$AT", at, "$ID", id).Replace(string(base)))
	c.s.odd = append(c.s.odd, id)
	c.send(filled.Spoil(element, how))
	m := c.answer(id, "INVITE")
	c.answers[m.Status]++
	if m.Status == 500 {
		c.s.t.Errorf("broken: %s", m)
	}
	branch := siptest.Param(m.Get("Via"), "branch")
	if m.Status == 200 {
		branch += "ack"
	}
	c.inside(m, "ACK", branch, 12)
	if m.Status == 200 {
		c.inside(m, "BYE", branch+"bye", 13)
		if bye := c.answer(id, "BYE"); bye.Status != 200 {
			c.s.t.Errorf("BYE: %s", bye)
		}
	}
	c.send(fmt.Appendf(nil, "OPTIONS sip:lo.test SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bKp%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:carrier@carrier.test>;tag=p\r\nTo: <sip:lo.test>\r\nCall-ID: p%s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", at, id, id))
	if p := c.answer("p"+id, "OPTIONS"); p.Status != 200 {
		c.s.t.Errorf("a valid request afterwards: %s", p)
	}
	return m.Status
}

func (c *spoiler) inside(m *siptest.Message, method, branch string, number int) {
	c.send(fmt.Appendf(nil, "%s sip:lo.test SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContent-Length: 0\r\n\r\n",
		method, c.conn.LocalAddr(), branch, m.Get("From"), m.Get("To"), m.Get("Call-ID"), number, method))
}

func (c *spoiler) send(b []byte) {
	c.s.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.s.t.Fatal(err)
	}
}

// answer waits for the final answer to a request.
func (c *spoiler) answer(id, method string) *siptest.Message {
	c.s.t.Helper()
	b := make([]byte, 64<<10)
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
		n, err := c.conn.Read(b)
		if err != nil {
			c.s.t.Fatalf("no answer to %s %s: %v", method, id, err)
		}
		m, err := siptest.Parse(b[:n])
		if err != nil {
			c.s.t.Fatalf("%v in\n%q", err, b[:n])
		}
		if m.Status >= 200 && m.Get("Call-ID") == id && strings.HasSuffix(m.Get("CSeq"), method) {
			return m
		}
	}
}
