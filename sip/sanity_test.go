package sip

import (
	"fmt"
	"strings"
	"testing"

	"foyer/sip/siptest"
)

// request is a good request in lines, some of them replaced by name or added.
func request(method, callID string, change ...string) []string {
	lines := []string{
		method + " " + number + " SIP/2.0",
		"Via: SIP/2.0/UDP 10.0.0.2:5060;branch=z9hG4bK" + callID,
		"Max-Forwards: 70",
		"From: <sip:+33123456789@op.example>;tag=f" + callID,
		"To: <" + number + ">",
		"Call-ID: " + callID,
		"CSeq: 1 " + method,
		"Contact: <sip:op@10.0.0.2:5060>",
		"Content-Length: 0",
	}
next:
	for _, c := range change {
		if strings.HasPrefix(c, "line:") {
			lines[0] = c[len("line:"):]
			continue
		}
		name, value, _ := strings.Cut(c, ":")
		for i, l := range lines {
			if n, _, _ := strings.Cut(l, ":"); i > 0 && strings.EqualFold(n, name) {
				if lines[i] = c; value == "" {
					lines = append(lines[:i], lines[i+1:]...)
				}
				continue next
			}
		}
		lines = append(lines, strings.TrimPrefix(c, "+"))
	}
	return append(lines, "")
}

// Every answer is asserted at the socket.
func TestWhatIsWrong(t *testing.T) {
	play(t, nil, func(s *stage) {
		for i, c := range []struct {
			name   string
			method string
			change []string
			code   int
			header string // Name: value in the answer
		}{
			{"good", "OPTIONS", nil, 200, "Accept: application/sdp"},
			{"version", "OPTIONS", []string{"line:OPTIONS " + number + " SIP/7.0"}, 505, ""},
			{"no From", "INVITE", []string{"From:"}, 400, ""},
			{"no To", "INVITE", []string{"To:"}, 400, ""},
			{"no CSeq", "INVITE", []string{"CSeq:"}, 400, ""},
			{"no Via port", "OPTIONS", []string{"Via: SIP/2.0/UDP 10.0.0.2:port;branch=z9hG4bKx"}, 400, ""},
			{"port too large", "OPTIONS", []string{"Via: SIP/2.0/UDP 10.0.0.2:70000;branch=z9hG4bKy"}, 400, ""},
			{"broken From", "INVITE", []string{"From: \"x <sip:a@b>;tag=1"}, 400, ""},
			{"broken Via below the top", "INVITE", []string{"+Via: nothing"}, 400, ""},
			{"CSeq too large", "INVITE", []string{"CSeq: 36893488147419103232 INVITE"}, 400, ""},
			{"CSeq of another method", "INVITE", []string{"CSeq: 1 OPTIONS"}, 400, ""},
			{"CSeq with more space", "OPTIONS", []string{"CSeq: 1  OPTIONS"}, 200, ""},
			{"two From", "OPTIONS", []string{"+From: <sip:x@y>;tag=2"}, 400, ""},
			{"control character in Call-ID", "OPTIONS", []string{"Call-ID: a\x1b[2J"}, 400, ""},
			{"two Call-ID in short", "OPTIONS", []string{"+i: 12"}, 400, ""},
			{"two Content-Length", "OPTIONS", []string{"+Content-Length: 0"}, 400, ""},
			{"Content-Length too large", "OPTIONS", []string{"Content-Length: -1"}, 400, ""},
			{"Max-Forwards no number", "OPTIONS", []string{"Max-Forwards: many"}, 400, ""},
			{"Max-Forwards 0", "INVITE", []string{"Max-Forwards: 0"}, 483, ""},
			{"control character in a name", "OPTIONS", []string{"+X\x01Y: 1"}, 400, ""},
			{"scheme", "INVITE", []string{"line:INVITE nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0"}, 416, ""},
			{"sips", "INVITE", []string{"line:INVITE sips:a@lo.test SIP/2.0"}, 416, ""},
			{"no host", "INVITE", []string{"line:INVITE sip:a@ SIP/2.0"}, 400, ""},
			{"Require", "INVITE", []string{"Require: 100rel, timer", "+Require: nothingSIPy"}, 420, "Unsupported: nothingSIPy"},
			{"body", "INVITE", []string{"Content-Type: application/unknown", "Content-Length:"}, 415, "Accept: application/sdp"},
			{"Accept", "INVITE", []string{"Accept: text/plain"}, 406, ""},
			{"no Contact", "INVITE", []string{"Contact:"}, 400, ""},
			{"bad Contact", "INVITE", []string{"Contact: <sip:@:1>"}, 400, ""},
			{"unknown method", "NEWMETHOD", nil, 501, "Allow: " + allowed},
			{"REFER", "REFER", nil, 403, ""},
			{"SUBSCRIBE", "SUBSCRIBE", nil, 405, "Allow: " + allowed},
			{"MESSAGE", "MESSAGE", nil, 405, "Allow: " + allowed},
			{"PUBLISH", "PUBLISH", nil, 405, "Allow: " + allowed},
			{"REGISTER without agents", "REGISTER", nil, 405, "Allow: " + allowed},
			{"BYE for nobody", "BYE", []string{"To: <" + number + ">;tag=nobody"}, 481, ""},
			{"BYE without tag", "BYE", nil, 481, ""},
			{"INVITE inside nothing", "INVITE", []string{"To: <" + number + ">;tag=nobody"}, 481, ""},
			{"CANCEL of nothing", "CANCEL", nil, 481, ""},
			{"UPDATE of nothing", "UPDATE", nil, 481, ""},
			{"session too short", "INVITE", []string{"k: timer", "x: 20"}, 422, "Min-SE: 90"},
			{"capital parameters", "OPTIONS", []string{"Via: SIP/2.0/UDP 10.0.0.2:5060;BRANCH=z9hG4bKcap;RPORT", "From: <sip:a@b> ; TAG = x"}, 200, ""},
		} {
			callID := fmt.Sprintf("wrong%d", i)
			lines := request(c.method, callID, c.change...)
			if c.name == "body" {
				lines = append(lines, "something")
			}
			s.raw(s.carrier, lines...)
			if strings.Contains(c.name, "Call-ID") {
				callID = ""
			}
			m := s.status(s.carrier, callID)
			name, value, _ := strings.Cut(c.header, ": ")
			if m.Status != c.code || name != "" && m.Get(name) != value {
				s.t.Errorf("%s: answered %s", c.name, m)
			}
			if via := m.Get("Via"); c.code == 200 && !strings.Contains(strings.ToLower(via), "branch=z9hg4bk") {
				s.t.Errorf("%s: Via %s", c.name, via)
			}
			s.raw(s.carrier, request("ACK", callID)...) // never answered
		}
		for _, e := range s.carrier.Wire().Trace() {
			if !e.Out && strings.HasSuffix(e.Msg.Get("CSeq"), "ACK") {
				s.t.Errorf("an ACK was answered: %s", e.Msg)
			}
		}
		for i, junk := range []string{"", "\r\n\r\n", "\x00\x01\x00\x08" + strings.Repeat("x", 80), strings.Repeat("A", 9000),
			"SIP/2.0 9999 What\r\n\r\n", "INVITE\r\n" + strings.Repeat("x", 100) + "\r\n\r\n",
			"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 255.255.255.255;branch=z9hG4bKbroadcast\r\nCSeq: 1 INVITE\r\nCall-ID: x\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nContent-Length: 0\r\n\r\n"} {
			s.raw(s.carrier, junk)
			callID := fmt.Sprintf("alive%d", i)
			s.raw(s.carrier, append([]string{"", ""}, request("OPTIONS", callID)...)...) // empty lines before a message
			if m := s.status(s.carrier, callID); m.Status != 200 {
				s.t.Errorf("after junk %d: %s", i, m)
			}
		}
		if n := s.carrier.Wire().Count("ACK", false); n != 0 {
			s.t.Errorf("%d ACK to stray responses", n)
		}
	})
}

// A message cannot be answered anywhere but where it came from, unless it is a
// trunk's that asks for no more than its Via says.
func TestAnswersFindTheirWay(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.raw(s.phone, request("OPTIONS", "norport", "Via: SIP/2.0/UDP 192.168.1.10:4711;branch=z9hG4bKnorport")...)
		m := s.status(s.phone, "norport")
		if via := m.Get("Via"); siptest.Param(via, "received") != "10.0.0.3" || siptest.Param(via, "rport") != "5060" {
			s.t.Errorf("Via %s", via)
		}
		other := s.newPhone("10.0.0.2:7000", siptest.Options{User: "else"})
		defer other.Close()
		s.raw(s.carrier, request("OPTIONS", "viaport", "Via: SIP/2.0/UDP carrier.example:7000;branch=z9hG4bKviaport")...)
		m = s.status(other, "viaport")
		if via := m.Get("Via"); siptest.Param(via, "received") != "10.0.0.2" || siptest.HasParam(via, "rport") {
			s.t.Errorf("Via %s", via)
		}
		// Also the answers the library gives by itself: 487 and 200 to a CANCEL.
		s.raw(s.carrier, request("INVITE", "rports", "Via: SIP/2.0/UDP 10.0.0.2:7000;branch=z9hG4bKrports;rport")...)
		l := <-s.calls
		d := listenTo(s.t, l)
		s.raw(s.carrier, request("CANCEL", "rports", "Via: SIP/2.0/UDP 10.0.0.2:7000;branch=z9hG4bKrports;rport", "CSeq: 1 CANCEL")...)
		expect[Cancelled](d)
		for range 2 {
			s.status(s.carrier, "rports")
		}
		s.raw(s.carrier, request("ACK", "rports", "Via: SIP/2.0/UDP 10.0.0.2:7000;branch=z9hG4bKrports;rport")...)
	})
}

func TestInfo(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		for _, x := range []struct {
			kind, body string
			digit      byte
			code       string
		}{
			{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n", '5', "200"},
			{"Application/DTMF-Relay; x=y", "Signal= #\nDuration=160\n", '#', "200"},
			{"application/dtmf-relay", "signal: d", 'D', "200"},
			{"application/dtmf-relay", "Signal=11", '#', "200"},
			{"application/dtmf-relay", "Signal=16", 0, "200"},
			{"application/dtmf", "*", '*', "200"},
			{"application/dtmf", "", 0, "200"},
			{"application/dtmf-relay", "Duration=1", 0, "200"},
			{"text/plain", "hello", 0, "415"},
		} {
			c.Send("INFO", x.body, siptest.H("Content-Type", x.kind))
			s.saw(c, x.code+" INFO")
			if x.digit != 0 {
				if i := expect[Info](d); i.Digit != x.digit {
					s.t.Errorf("%q: %c", x.body, i.Digit)
				}
			}
		}
		d.silent()
		for method, code := range map[string]string{"OPTIONS": "200", "REFER": "400", "PRACK": "481", "STRANGE": "501"} {
			c.Send(method, "")
			if m := s.saw(c, code+" "+method); code != "400" && code != "481" && m.Get("Allow") != allowed {
				s.t.Errorf("%s", m)
			}
		}
		d.leg.Hangup(Reason{})
	})
}

func TestNumbersOutOfOrder(t *testing.T) {
	bothSides(t, func(s *stage, p *siptest.Phone, c *siptest.Call, d *diary) {
		c.Info("application/dtmf", "1")
		s.saw(c, "200 INFO")
		expect[Info](d)
		low := s.lastRequest(p, "INFO")
		low.Set("CSeq", "1 INFO")
		low.Set("Via", "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKlow")
		if err := p.Wire().SendRaw(low.Bytes(), s.edge.o.UDP.LocalAddr()); err != nil {
			s.t.Fatal(err)
		}
		if _, err := p.Wire().WaitMessage(s.patience(), func(m *siptest.Message) bool { return m.Status == 500 }); err != nil {
			s.t.Fatal(err)
		}
		low.Set("CSeq", "99 INFO")
		low.Set("From", low.Get("From")+"x") // a tag that is not the peer's
		low.Set("Via", "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKtag")
		if err := p.Wire().SendRaw(low.Bytes(), s.edge.o.UDP.LocalAddr()); err != nil {
			s.t.Fatal(err)
		}
		if _, err := p.Wire().WaitMessage(s.patience(), func(m *siptest.Message) bool { return m.Status == 481 }); err != nil {
			s.t.Fatal(err)
		}
		d.silent()
		d.leg.Hangup(Reason{})
	})
}

// lastRequest returns a copy of the last request of a method a phone sent.
func (s *stage) lastRequest(p *siptest.Phone, method string) *siptest.Message {
	s.t.Helper()
	all := p.Wire().Trace()
	for i := len(all) - 1; i >= 0; i-- {
		if m := all[i].Msg; all[i].Out && m != nil && m.Method == method {
			return m.Clone()
		}
	}
	s.t.Fatalf("no %s sent", method)
	return nil
}
