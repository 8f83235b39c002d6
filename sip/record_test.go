package sip

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"foyer/terse"
	"foyer/terse/tersetest"
)

// restingEdge is an edge that serves nothing.
func restingEdge(t testing.TB, k Keep) *Edge {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e, err := NewEdge(Options{UDP: udp, Keep: k, Trunks: []Trunk{{ID: "carrier", MaxCalls: 1, Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

const (
	keptInvite = "INVITE sip:+33170000001@lo.test SIP/2.0\r\n" +
		"Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport;received=192.0.2.1\r\n" +
		"Max-Forwards: 70\r\nFrom: \"M\xe9lanie\" <sip:+33123456789@op.example>;tag=theirs\r\nTo: <sip:+33170000001@lo.test>;tag=ours\r\n" +
		"Call-ID: a@op.example\r\nCSeq: 101 INVITE\r\nContact: <sip:192.0.2.1:5060>\r\nContent-Type: application/sdp\r\n" +
		"Content-Length: 4\r\n\r\nv=0\n"
	kept200 = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport=5060;received=192.0.2.1\r\n" +
		"From: <sip:+33123456789@op.example>;tag=theirs\r\nTo: <sip:+33170000001@lo.test>;tag=ours\r\n" +
		"Call-ID: a@op.example\r\nCSeq: 101 INVITE\r\nContact: <sip:foyer@10.0.0.1:5060>\r\nContent-Type: application/sdp\r\n" +
		"Content-Length: 4\r\n\r\nv=1\n"
)

// keptLegs is a record of each phase and of everything a leg may have to remember.
func keptLegs() map[string]*legRecord {
	at := time.Date(2026, 11, 26, 10, 0, 0, 123456789, time.UTC)
	base := legRecord{
		Version: recordVersion, CallID: "a@op.example", Tag: "ours", Theirs: "theirs", Transport: "udp", Remote: netip.MustParseAddrPort("192.0.2.1:5060"),
		FromUs: `"Line \"1\"" <sip:+33170000001@lo.test;user=phone>;tag=ours`, ToThem: "<sip:+33123456789@[2001:db8::1]:5070;user=phone>;tag=theirs",
		Target: "sip:x%20y@192.0.2.1:5060;transport=udp;ob", CSeq: 21,
		Sent: []byte("v=1\r\n"), Heard: []byte("v=0\xff\r\n"),
	}
	with := func(change func(*legRecord)) *legRecord {
		r := base
		change(&r)
		return &r
	}
	server := func(change func(*legRecord)) *legRecord {
		return with(func(r *legRecord) {
			r.Server, r.First, r.Trunk = true, 101, "carrier"
			r.Caller, r.Called, r.To, r.Hops = Caller{User: "+33123456789", Display: "Mélanie", Private: true}, "+33170000001", "ana", 68
			r.Diverted = []Diversion{{User: "+33199999999", Reason: "user-busy", Counter: 1, Private: true}}
			r.Vouched = &Vouched{Verstat: "TN-Validation-Passed", Attest: "A", Identity: []string{"x.y.z"}}
			r.Places = []netip.Addr{netip.MustParseAddr("192.0.2.1")}
			change(r)
		})
	}
	return map[string]*legRecord{
		"opening, they call": server(func(r *legRecord) { r.Phase, r.Invite = Opening, []byte(keptInvite) }),
		"ringing": server(func(r *legRecord) {
			r.Phase, r.Invite, r.Rang = Opening, []byte(keptInvite), &rangRecord{Code: 183, SDP: []byte("v=1\r\n")}
		}),
		"ringing, no PRACK yet": server(func(r *legRecord) {
			r.Phase, r.Invite, r.Reliably, r.RSeq, r.Rang = Opening, []byte(keptInvite), true, 3, &rangRecord{180, nil, 2}
		}),
		"agreed early": server(func(r *legRecord) {
			r.Phase, r.Invite, r.Reliably, r.RSeq, r.Early, r.Updates = Opening, []byte(keptInvite), true, 2, true, true
		}),
		"no ACK yet": server(func(r *legRecord) {
			r.Phase, r.Said = Up, &saidRecord{Response: []byte(kept200), To: "192.0.2.1:5060", Unacked: true, Initial: true, Owed: true, Since: at}
		}),
		"up": server(func(r *legRecord) {
			r.Phase, r.SIPS, r.Heeded, r.Tokens, r.Refers = Up, true, 105, 7, 2
			r.Routes = []string{"sip:192.0.2.9;lr;x=1", "sip:192.0.2.8:5062;lr"}
			r.Session = &sessionRecord{30 * time.Minute, we, false, at, at.Add(time.Minute)}
			r.Referral = &referralRecord{7, "refer;id=104", true}
			r.Least, r.Acked = 90*time.Second, 12
		}),
		"answered an UPDATE": server(func(r *legRecord) {
			r.Phase, r.Heeded, r.Said = Up, 101, &saidRecord{Response: []byte(kept200), To: "192.0.2.1:5060"}
		}),
		"offering": server(func(r *legRecord) {
			r.Phase, r.Offering = Up, &offeringRecord{[]byte(keptInvite), true}
		}),
		"leaving": server(func(r *legRecord) { r.Phase, r.Why = Leaving, Reason{SIP: 200, Q850: 16, Text: "done"} }),
		"we call": with(func(r *legRecord) {
			r.Phase, r.Theirs, r.User, r.Contact, r.Invite = Opening, "", "ana", "sip:ana@192.168.1.10:5060", []byte(keptInvite)
		}),
		"we call a number": with(func(r *legRecord) {
			r.Phase, r.Theirs, r.Trunk, r.Invite, r.Challenge, r.As = Opening, "", "carrier", []byte(keptInvite), 1, "account"
			r.Ahead = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.2:5060"), netip.MustParseAddrPort("[2001:db8::2]:5060")}
			r.Places = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
		}),
		"giving up": with(func(r *legRecord) {
			r.Phase, r.Theirs, r.User, r.Contact, r.Invite = GivingUp, "", "ana", "sip:ana@x", []byte(keptInvite)
		}),
		"by TLS": with(func(r *legRecord) {
			r.Phase, r.Transport, r.User, r.Contact, r.Acked = Up, "tls", "ana", "sip:ana@x", 1
		}),
	}
}

// keptAgain returns what a leg that was resumed would be kept as.
func keptAgain(l *Leg) *legRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record(l.phase, l.unacked, l.left.said)
}

// nextLegRecord is what the next release might keep of a leg.
type nextLegRecord struct {
	legRecord
	New []string
}

func TestRecordsAreWhole(t *testing.T) {
	tersetest.RoundTrip(t, legRecords)
	tersetest.RoundTrip(t, bindingRecords)
}

func TestRecordsComeBack(t *testing.T) {
	for what, r := range keptLegs() {
		t.Run(what, func(t *testing.T) {
			e := restingEdge(t, newMemory())
			// A later release may write what we do not know.
			text := terse.New[nextLegRecord]().Append(nil, &nextLegRecord{*r, []string{"x"}})
			l, err := e.Resume(text)
			if err != nil {
				t.Fatal(err)
			}
			want, _ := json.MarshalIndent(r, "", " ")
			got, _ := json.MarshalIndent(keptAgain(l), "", " ")
			if !bytes.Equal(got, want) {
				t.Errorf("is %s\nwas %s", got, want)
			}
			if l.Standing().Phase != r.Phase || l.SIPCallID() != r.CallID || e.legs.find(r.CallID, r.Tag) != l {
				t.Errorf("leg %+v", l)
			}
			channels := 0
			if r.Trunk != "" && r.Phase != Leaving {
				channels = 1
			}
			if n := e.TrunkCalls()["carrier"]; n != channels {
				t.Errorf("%d channels, want %d", n, channels)
			}
			if _, err := e.Resume(text); err == nil {
				t.Error("resumed twice")
			}
		})
	}
}

// What stands in for a call that began on a connection is that it is over.
func TestInviteIsLostWithItsConnection(t *testing.T) {
	k := newMemory()
	e := restingEdge(t, k)
	r := keptLegs()["ringing"]
	r.Transport = "tcp"
	text := legRecords.Append(nil, r)
	l, err := e.Resume(text)
	if err != nil || l.Standing().Phase != Over || e.Legs() != 0 || e.TrunkCalls()["carrier"] != 0 {
		t.Fatalf("leg %v, %v", l, err)
	}
	expect[Cancelled](listenTo(t, l))
}

func TestRecordsThatAreNone(t *testing.T) {
	e := restingEdge(t, nil)
	change := func(f func(*legRecord)) string {
		r := keptLegs()["opening, they call"]
		f(r)
		text := legRecords.Append(nil, r)
		return string(text)
	}
	for what, text := range map[string]string{
		"nothing":              "",
		"half":                 "\x01\x02",
		"another version":      change(func(r *legRecord) { r.Version = 1 }),
		"over":                 change(func(r *legRecord) { r.Phase = Over }),
		"no such phase":        change(func(r *legRecord) { r.Phase = 77 }),
		"no tag":               change(func(r *legRecord) { r.Tag = "" }),
		"nobody's":             change(func(r *legRecord) { r.Theirs = "" }),
		"no From":              change(func(r *legRecord) { r.FromUs = "" }),
		"no target":            change(func(r *legRecord) { r.Target = "x" }),
		"a route that is none": change(func(r *legRecord) { r.Routes = []string{"<>"} }),
		"no INVITE":            change(func(r *legRecord) { r.Invite = nil }),
		"an INVITE without":    change(func(r *legRecord) { r.Invite = []byte(strings.Replace(keptInvite, "CSeq", "X", 1)) }),
		"a 200 that is none":   change(func(r *legRecord) { r.Said = &saidRecord{Response: []byte(keptInvite), Unacked: true} }),
		"a bad offer":          change(func(r *legRecord) { r.Phase, r.Offering = Up, &offeringRecord{Request: []byte("x")} }),
	} {
		if l, err := e.Resume([]byte(text)); err == nil {
			t.Errorf("%s: resumed %+v", what, l)
		}
	}
	if e.Legs() != 0 || e.TrunkCalls()["carrier"] != 0 {
		t.Errorf("%d legs, %v", e.Legs(), e.TrunkCalls())
	}
}

// FuzzResume: whatever record there is, a leg that comes of it is kept as a record of
// which the same leg comes.
func FuzzResume(f *testing.F) {
	for _, r := range keptLegs() {
		text := legRecords.Append(nil, r)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		e := restingEdge(t, nil)
		l, err := e.Resume(text)
		if err != nil || l.Standing().Phase == Over {
			return
		}
		first := legRecords.Append(nil, keptAgain(l))
		l, err = restingEdge(t, nil).Resume(first)
		if err != nil {
			t.Fatalf("%v: %x", err, first)
		}
		if second := legRecords.Append(nil, keptAgain(l)); !bytes.Equal(first, second) {
			t.Errorf("is %x\nwas %x", second, first)
		}
	})
}

// A leg that there is no room for goes on, and is not found by the next process as
// it once was.
func TestLegThatCannotBeKept(t *testing.T) {
	live(t, nil, func(v *lives) {
		c, d := v.talks()
		v.mem.full = errFull
		c.Reinvite(offerB)
		d.leg.Accept(expect[Reoffered](d), []byte(newSDP))
		v.saw(c, "200 INVITE")
		if left := v.mem.left(LegPrefix); len(left) > 0 {
			v.t.Errorf("left %v", left)
		}
		v.mem.full = nil
		d.leg.Hangup(Reason{})
		v.saw(c, "BYE")
	})
}

func TestNothingIsKeptWithoutMemory(t *testing.T) {
	play(t, nil, func(s *stage) {
		c, d := s.talks()
		if d.leg.invite != nil || d.leg.reserved != 0 {
			s.t.Error("something was written down")
		}
		c.Bye()
		expect[Ended](d)
	})
}

// BenchmarkKeep is one record of a leg, put into memory of no cost.
func BenchmarkKeep(b *testing.B) {
	for _, what := range []string{"opening, they call", "no ACK yet", "up"} {
		b.Run(what, func(b *testing.B) {
			k := &noMemory{}
			e := restingEdge(b, k)
			r := keptLegs()[what]
			r.Sent, r.Heard = []byte(ourSDP), []byte(offerA)
			text := legRecords.Append(nil, r)
			l, err := e.Resume(text)
			if err != nil {
				b.Fatal(err)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			b.ReportAllocs()
			for b.Loop() {
				l.keep()
			}
			b.ReportMetric(float64(k.bytes), "bytes")
		})
	}
}

type noMemory struct{ bytes int }

func (m *noMemory) Put(_ string, value []byte) error { m.bytes = len(value); return nil }
func (*noMemory) Delete(string)                      {}
func (*noMemory) Get(string) ([]byte, bool)          { return nil, false }

func BenchmarkResume(b *testing.B) {
	r := keptLegs()["up"]
	text := legRecords.Append(nil, r)
	e := restingEdge(b, nil)
	for b.Loop() {
		l, err := e.Resume(text)
		if err != nil {
			b.Fatal(err)
		}
		l.lose()
		e.resumed = nil
	}
}
