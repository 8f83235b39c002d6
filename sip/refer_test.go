package sip

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

func TestRefer(t *testing.T) {
	bothSides(t, func(s *stage, _ *siptest.Phone, c *siptest.Call, d *diary) {
		c.Refer("sip:bo%20b@lo.test;user=phone")
		r := expect[Referred](d)
		if r.To.User != "bo b" || r.To.Host != "lo.test" || r.To.Replaces != nil {
			s.t.Errorf("%+v", r)
		}
		d.leg.Report(r, 200, "") // not accepted yet
		if err := d.leg.AcceptReferral(r); err != nil {
			s.t.Error(err)
		}
		if m := s.saw(c, "202 REFER"); m.Get("Contact") == "" || m.Get("Refer-Sub") != "" {
			s.t.Errorf("%s", m)
		}
		s.wantNotice(c, "refer", "active;expires=180", "SIP/2.0 100 Trying\r\n")
		c.Refer("sip:cy@lo.test")
		s.saw(c, "491 REFER")
		d.leg.Report(r, 180, "")
		d.leg.Report(r, 486, "")
		d.leg.Report(r, 200, "") // its subscription is over
		s.wantNotice(c, "refer", "active;expires=180", "SIP/2.0 180 Ringing\r\n")
		s.wantNotice(c, "refer", "terminated;reason=noresource", "SIP/2.0 486 Busy Here\r\n")

		c.Refer("tel:+33170000009")
		r = expect[Referred](d)
		if r.To.User != "+33170000009" || r.To.Host != "" {
			s.t.Errorf("%+v", r)
		}
		if err := d.leg.AcceptReferral(r); err != nil {
			s.t.Error(err)
		}
		refer := s.saw(c, "202 REFER")
		num, _ := refer.CSeq()
		s.wantNotice(c, fmt.Sprintf("refer;id=%d", num), "active;expires=180", "SIP/2.0 100 Trying\r\n")
		// The last word goes before the BYE, which waits for its answer.
		d.leg.Report(r, 200, "")
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		var order []string
		for _, e := range c.Events() {
			if e.Name == "NOTIFY" || e.Name == "BYE" {
				order = append(order, e.Name)
			}
		}
		if got := strings.Join(order, " "); !strings.HasSuffix(got, "NOTIFY NOTIFY BYE") {
			s.t.Error(got)
		}
	})
}

func (s *stage) wantNotice(c *siptest.Call, event, state, body string) {
	s.t.Helper()
	m := s.saw(c, "NOTIFY")
	if m.Get("Event") != event || m.Get("Subscription-State") != state || m.Body != body ||
		m.Get("Content-Type") != "message/sipfrag;version=2.0" || m.Get("Contact") == "" {
		s.t.Errorf("NOTIFY is not about %q, %q, %q:\n%s", event, state, body, m)
	}
}

// RFC 4488: whoever wants no subscription gets none, and is told so.
func TestReferWithoutSubscription(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.answers()
		c.Refer("sip:bo@lo.test", siptest.H("Refer-Sub", "false"), siptest.H("Require", "norefersub"))
		r := expect[Referred](d)
		if err := d.leg.AcceptReferral(r); err != nil {
			t.Error(err)
		}
		if m := s.saw(c, "202 REFER"); m.Get("Refer-Sub") != "false" {
			t.Errorf("%s", m)
		}
		d.leg.Report(r, 200, "")
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		for _, e := range c.Events() {
			if e.Name == "NOTIFY" {
				t.Error("told by NOTIFY all the same")
			}
		}
	})
}

func TestReferRefused(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.answers()
		for _, x := range []struct {
			name  string
			extra []siptest.Header
			code  int
		}{
			{"none", nil, 400},
			{"two", []siptest.Header{siptest.H("Refer-To", "<sip:a@lo.test>"), siptest.H("Refer-To", "<sip:b@lo.test>")}, 400},
			{"no user", []siptest.Header{siptest.H("Refer-To", "<sip:lo.test>")}, 400},
			{"no URI", []siptest.Header{siptest.H("Refer-To", "nonsense")}, 400},
			{"another scheme", []siptest.Header{siptest.H("Refer-To", "<http://lo.test/>")}, 400},
			{"a BYE", []siptest.Header{siptest.H("Refer-To", "<sip:bo@lo.test;method=BYE>")}, 403},
			{"tags missing", []siptest.Header{siptest.H("Refer-To", "<sip:bo@lo.test?Replaces=abc%3Bto-tag%3D1>")}, 400},
		} {
			c.Send("REFER", "", x.extra...)
			if m := s.saw(c, "xxx REFER"); m.Status != x.code {
				t.Errorf("%s: %d, want %d", x.name, m.Status, x.code)
			}
		}
		d.silent()
		c.Send("REFER", "", siptest.H("r", "<sip:bo@lo.test>"))
		d.leg.DeclineReferral(expect[Referred](d), Reject{Code: 403})
		s.saw(c, "403 REFER")
		c.Refer("sip:bo@lo.test?Replaces=" + "a%40b%3Bfrom-tag%3Df%3Bto-tag%3Dt%3Bearly-only")
		if r := expect[Referred](d); r.To.Replaces == nil || *r.To.Replaces != (Replaces{CallID: "a@b", To: "t", From: "f", EarlyOnly: true}) {
			t.Errorf("%+v", r.To.Replaces)
		}
		d.leg.Hangup(Reason{})
	})
}

// A phone that hangs up after its 202 has ended the subscription too: nothing is
// sent into a dialog that is gone.
func TestReferrerHangsUp(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.answers()
		c.Refer("sip:bo@lo.test")
		r := expect[Referred](d)
		if err := d.leg.AcceptReferral(r); err != nil {
			t.Error(err)
		}
		s.saw(c, "NOTIFY")
		c.Bye()
		s.saw(c, "200 BYE")
		expect[Ended](d)
		d.leg.Report(r, 200, "")
		synctest.Wait()
		time.Sleep(time.Minute)
		n := 0
		for _, e := range c.Events() {
			if e.Name == "NOTIFY" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d NOTIFYs", n)
		}
	})
}

// A phone that never answers a NOTIFY does not keep the BYE back for long.
func TestNoticeNobodyAnswers(t *testing.T) {
	play(t, nil, func(s *stage) {
		s.phone.Manual(true, "NOTIFY")
		c, d := s.answers()
		c.Refer("sip:bo@lo.test")
		r := expect[Referred](d)
		if err := d.leg.AcceptReferral(r); err != nil {
			t.Error(err)
		}
		d.leg.Report(r, 200, "")
		began := time.Now()
		d.leg.Hangup(Reason{})
		s.saw(c, "BYE")
		if after := time.Since(began); after > 3*time.Second {
			t.Errorf("BYE after %s", after)
		}
	})
}

func TestParseReplaces(t *testing.T) {
	for value, want := range map[string]*Replaces{
		"98732@sip.example.com;from-tag=r33th4x0r;to-tag=ff87ff":      {CallID: "98732@sip.example.com", To: "ff87ff", From: "r33th4x0r"},
		"12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only":      {CallID: "12adf2f34456gs5", To: "12345", From: "54321", EarlyOnly: true},
		"87134@171.161.34.23 ; TO-TAG=24796 ; From-Tag = 0 ; other=x": {CallID: "87134@171.161.34.23", To: "24796", From: "0"},
		"a;to-tag=1":              nil,
		"a;from-tag=1":            nil,
		";to-tag=1;from-tag=2":    nil,
		"":                        nil,
		"a;to-tag=;from-tag=2":    nil,
		"a;early-only;to-tag=1;;": nil,
	} {
		got := parseReplaces(value)
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%q: %+v, want %+v", value, got, want)
		}
	}
}
