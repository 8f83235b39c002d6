package main

import (
	"net/netip"
	"testing"
	"time"

	"foyer/acd"
	"foyer/rtp"
	"foyer/terse"
	"foyer/terse/tersetest"
)

func TestRecordsOfCallsAreWhole(t *testing.T) { tersetest.RoundTrip(t, keptCalls) }

// A record of the next release has what this one does not know.
func TestRecordsOfCallsMayHaveMore(t *testing.T) {
	type nextCall struct {
		keptCall
		Later []string
	}
	var was nextCall
	was.Version, was.Facts.From, was.Later = keptCallVersion, "+33123456789", []string{"x"}
	was.Offers = []keptOffer{{ID: 7, Agent: "ana"}}
	var is keptCall
	if err := keptCalls.Read(terse.New[nextCall]().Append(nil, &was), &is); err != nil || is.Facts.From != was.Facts.From || is.Offers[0].Agent != acd.AgentID("ana") {
		t.Errorf("%+v, %v", is, err)
	}
}

func FuzzRecordOfCall(f *testing.F) {
	f.Add(keptCalls.Append(nil, &keptCall{Version: keptCallVersion, Offers: []keptOffer{{ID: 7, Phones: []keptPhone{{Contact: "sip:ana@x"}}}}, Out: &keptOut{Number: "1"}}))
	f.Fuzz(func(t *testing.T, b []byte) { tersetest.FixedPoint(t, keptCalls, b) })
}

// recordOfTalk is what is kept of a call in a talk.
func recordOfTalk(b *testing.B) *keptCall {
	b.Helper()
	side := func(ours, theirs string) keptSide {
		s, peer := rtp.NewSession(netip.MustParseAddrPort(ours), 7), rtp.NewSession(netip.MustParseAddrPort(theirs), 8)
		answer, _, err := peer.Answer(s.Offer(rtp.PCMA), rtp.NoCodec)
		if err != nil {
			b.Fatal(err)
		}
		stream, err := s.Accept(answer)
		if err != nil {
			b.Fatal(err)
		}
		session := s.Keep()
		return keptSide{Leg: "sip/leg/3848276298220188511@atlanta.example.com/9fxced76sl", Media: "media/20000", Session: &session, Stream: &stream}
	}
	agent := keptOffer{keptSide: side("192.0.2.1:20002", "198.51.100.7:4000"), ID: 7, Agent: "ana", Queue: "sales", Alerted: true, Taken: 1}
	agent.Phones = []keptPhone{{Session: *agent.Session, Transport: "udp", Source: "198.51.100.7:5060", Contact: "sip:ana@198.51.100.7:5060"}}
	agent.keptSide.Session = nil
	return &keptCall{
		Version: keptCallVersion, Phase: talking, Begun: time.Now(), Told: true, Caller: side("192.0.2.1:20000", "203.0.113.5:6000"),
		Called: "+33123456789", Queue: "sales", Trunk: "carrier", Offers: []keptOffer{agent}, Agent: 7, Recording: 9, RecID: "2026/11/26/x",
		RecSince: time.Now(), Answered: true, Connected: time.Now(),
		Facts: acd.Facts{From: "+33612345678", To: "+33123456789", Trunk: "carrier", Transport: "udp", SIPCallID: "3848276298220188511@atlanta.example.com"},
	}
}

// BenchmarkRecordOfCall writes and reads the record of one call.
func BenchmarkRecordOfCall(b *testing.B) {
	k := recordOfTalk(b)
	record := keptCalls.Append(nil, k)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			record = keptCalls.Append(record[:0], k)
		}
		b.ReportMetric(float64(len(record)), "bytes")
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var back keptCall
			if err := keptCalls.Read(record, &back); err != nil {
				b.Fatal(err)
			}
		}
	})
}
