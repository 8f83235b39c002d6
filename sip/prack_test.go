package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

var wants100rel = siptest.H("Require", "100rel")

// times counts the events of a name.
func times(c *siptest.Call, name string) int {
	n := 0
	for _, e := range c.Events() {
		if e.Name == name {
			n++
		}
	}
	return n
}

func pracks(c *siptest.Call, m *siptest.Message, sdp string) {
	c.Send("PRACK", sdp, siptest.H("RAck", m.Get("RSeq")+" "+m.Get("CSeq")))
}

// RFC 3262 section 3: a provisional response is repeated until its PRACK comes, the
// next one waits for that, and so does the 200 if there is a description in it.
func TestReliableProvisional(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA, wants100rel)
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		m := s.saw(c, "183")
		if m.Get("Require") != "100rel" || m.Get("RSeq") != "1" || m.Body != ourSDP {
			t.Errorf("%s", m)
		}
		if err := d.leg.Ring(180, nil); err != nil {
			t.Error(err)
		}
		time.Sleep(4 * time.Second) // T1 is 500 ms: again at 0.5, 1.5 and 3.5 s
		synctest.Wait()
		if n := times(c, "183 INVITE"); n != 4 {
			t.Errorf("sent %d times in 4 s", n)
		}
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if times(c, "200 INVITE") != 0 || times(c, "180 INVITE") != 0 {
			t.Error("did not wait for the PRACK")
		}
		for _, rack := range []string{"2 1 INVITE", "1 2 INVITE", "1 1 BYE", "1 1", ""} {
			extra := []siptest.Header{siptest.H("RAck", rack)}
			if rack == "" {
				extra = nil
			}
			c.Send("PRACK", "", extra...)
			s.saw(c, "481 PRACK")
		}
		pracks(c, m, "")
		s.saw(c, "200 PRACK")
		ok := s.saw(c, "200 INVITE")
		if ok.Body != "" {
			t.Errorf("what is agreed on is described again: %s", ok)
		}
		expect[Acked](d)
		pracks(c, m, "")
		s.saw(c, "481 PRACK")
		time.Sleep(time.Minute)
		if n := times(c, "183 INVITE"); n != 4 {
			t.Errorf("repeated after its PRACK: %d", n)
		}
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
	})
}

func TestReliableProvisionalsInTurn(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA, wants100rel)
		for _, code := range []int{180, 182} {
			if err := d.leg.Ring(code, nil); err != nil {
				t.Fatal(err)
			}
		}
		first := s.saw(c, "180")
		pracks(c, first, "")
		second := s.saw(c, "182")
		if second.Get("RSeq") != "2" {
			t.Errorf("%s", second)
		}
		// Without a description in it the 200 need not wait.
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if m := s.saw(c, "200 INVITE"); m.Body != ourSDP {
			t.Errorf("%s", m)
		}
		expect[Acked](d)
		pracks(c, second, "") // the answer has overtaken it
		s.saw(c, "200 PRACK")
		pracks(c, second, "")
		s.saw(c, "481 PRACK")
		d.leg.Hangup(Reason{})
	})
}

// A caller who demands reliability and then says nothing is turned away after 64*T1.
func TestPrackMissing(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA, wants100rel)
		began := time.Now()
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Error(err)
		}
		s.saw(c, "504 INVITE")
		if after := time.Since(began); after < 31*time.Second || after > 33*time.Second {
			t.Errorf("after %s", after)
		}
		expect[Cancelled](d)
		if err := d.leg.Ring(180, nil); err == nil {
			t.Error("rings on")
		}
	})
}

// Our offer goes in the 183 when the INVITE has none; the PRACK brings the answer.
func TestPrackBringsTheAnswer(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives("", wants100rel)
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		pracks(c, s.saw(c, "183"), offerA)
		s.saw(c, "200 PRACK")
		if a := expect[Acked](d); string(a.SDP) != offerA {
			t.Errorf("%q", a.SDP)
		}
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if m := s.saw(c, "200 INVITE"); m.Body != "" {
			t.Errorf("offers anew: %s", m)
		}
		expect[Acked](d)
		d.leg.Hangup(Reason{})
	})
}

// RFC 3311: what was agreed on early may be changed early, by PRACK or UPDATE; before
// that, and without PRACK, the time for it has not come.
func TestOffersBeforeTheAnswer(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA, wants100rel)
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		m := s.saw(c, "183")
		c.Update(offerB)
		if r := s.saw(c, "500 UPDATE"); r.Get("Retry-After") == "" {
			t.Errorf("%s", r)
		}
		pracks(c, m, offerB)
		o := expect[Reoffered](d)
		if o.Method != "PRACK" || string(o.SDP) != offerB {
			t.Errorf("%+v", o)
		}
		c.Update(offerA)
		s.saw(c, "500 UPDATE") // one offer at a time
		d.leg.Accept(o, []byte(newSDP))
		if r := s.saw(c, "200 PRACK"); r.Body != newSDP {
			t.Errorf("%s", r)
		}
		c.Update(offerA)
		d.leg.Accept(expect[Reoffered](d), []byte(ourSDP))
		if r := s.saw(c, "200 UPDATE"); r.Body != ourSDP {
			t.Errorf("%s", r)
		}
		c.Update(offerB)
		d.leg.Decline(expect[Reoffered](d), Reject{Code: 488})
		s.saw(c, "488 UPDATE")
		c.Cancel()
		expect[Cancelled](d)
		s.saw(c, "487")
	})
}

func TestCancelledBeforeThePrack(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA, wants100rel)
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		s.saw(c, "183")
		if err := d.leg.Answer([]byte(ourSDP)); err != nil {
			t.Error(err)
		}
		c.Cancel()
		s.saw(c, "487")
		expect[Cancelled](d)
		time.Sleep(time.Minute)
		if times(c, "200 INVITE") != 0 {
			t.Error("answered after the CANCEL")
		}
	})
}

// A phone or carrier that wants its 18x acknowledged gets a PRACK for each, once, in
// order; and the ACK has the number of the INVITE, not one of those in between.
func TestWeSendPrack(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings()
		if tags := c.Invite().Get("Supported"); !strings.Contains(tags, "100rel") {
			t.Errorf("Supported: %s", tags)
		}
		ring := func(code, rseq int, sdp string) {
			c.Ring(code, sdp, wants100rel, siptest.H("RSeq", fmt.Sprint(rseq)))
		}
		ring(183, 700, offerA)
		if p := expect[Progress](d); p.Code != 183 || string(p.SDP) != offerA {
			t.Errorf("%+v", p)
		}
		m := s.saw(c, "PRACK")
		if m.Get("RAck") != "700 1 INVITE" || m.Get("CSeq") != "2 PRACK" || m.URI != "sip:ana@10.0.0.3:5060" {
			t.Errorf("%s", m)
		}
		ring(183, 700, offerA) // a copy
		ring(180, 702, "")     // one before it was lost
		synctest.Wait()
		d.silent()
		ring(180, 701, "")
		if p := expect[Progress](d); p.Code != 180 {
			t.Errorf("%+v", p)
		}
		if m := s.saw(c, "PRACK"); m.Get("RAck") != "701 1 INVITE" || m.Get("CSeq") != "3 PRACK" {
			t.Errorf("%s", m)
		}
		c.Update(offerB)
		d.leg.Accept(expect[Reoffered](d), []byte(newSDP))
		s.saw(c, "200 UPDATE")
		c.Answer("") // nothing is left to agree on
		if ack := s.saw(c, "ACK"); ack.Get("CSeq") != "1 ACK" {
			t.Errorf("ACK after two PRACKs is numbered %s", ack.Get("CSeq"))
		}
		if a := expect[Answered](d); string(a.SDP) != offerB {
			t.Errorf("answered with %q", a.SDP)
		}
		if n := times(c, "PRACK"); n != 2 {
			t.Errorf("%d PRACKs", n)
		}
		d.leg.Hangup(Reason{})
		if bye := s.saw(c, "BYE"); bye.Get("CSeq") != "4 BYE" {
			t.Errorf("%s", bye.Get("CSeq"))
		}
	})
}

// Without Require: 100rel nothing changes, and without an early description UPDATE
// has to wait.
func TestProvisionalWithoutPrack(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.rings()
		c.Ring(180, "")
		expect[Progress](d)
		c.Update(offerB)
		s.saw(c, "491 UPDATE")
		c.Answer(offerA)
		s.saw(c, "ACK")
		expect[Answered](d)
		if times(c, "PRACK") != 0 {
			t.Error("a PRACK nobody asked for")
		}
		d.leg.Hangup(Reason{})
	})
	play(t, nil, func(s *stage) {
		c, d := s.arrives(offerA, siptest.H("Supported", "100rel"))
		if err := d.leg.Ring(183, []byte(ourSDP)); err != nil {
			t.Fatal(err)
		}
		if m := s.saw(c, "183"); m.Get("RSeq") != "" || m.Get("Require") != "" {
			t.Errorf("%s", m)
		}
		d.leg.Reject(Reject{Code: 480})
		s.saw(c, "480")
	})
}
