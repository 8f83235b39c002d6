package rtp

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// TestSessionIsKept: a session that went through another process goes on as the one
// that did not.
func TestSessionIsKept(t *testing.T) {
	identity, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	print := (&Media{identity: identity}).Fingerprint()
	for _, p := range []Protection{
		{},
		{Offer: SDES, Answer: Among(Plain, SDES)},
		{Offer: DTLS, Answer: Among(SDES, DTLS), Fingerprint: print, ICE: true},
	} {
		one := NewSession(netip.MustParseAddrPort("192.0.2.1:4000"), 7)
		one.Speak([]Codec{PCMU, PCMA}, true)
		one.Protect(p)
		two := NewSession(netip.MustParseAddrPort("192.0.2.2:5000"), 8)
		two.Protect(p)
		answer, _, err := two.Answer(one.Offer(PCMA), NoCodec)
		if err != nil {
			t.Fatal(err)
		}
		again := func(s *Session) *Session {
			kept, err := json.Marshal(s.Keep())
			if err != nil {
				t.Fatal(err)
			}
			var k KeptSession
			if err := json.Unmarshal(kept, &k); err != nil {
				t.Fatal(err)
			}
			back := ResumeSession(k)
			if !reflect.DeepEqual(s, back) {
				t.Fatalf("%+v\nkept as %s\nis %+v", s, kept, back)
			}
			return back
		}
		one, two = again(one), again(two) // the offer is out
		stream, err := one.Accept(answer)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := json.Marshal(stream.Keep())
		if err != nil {
			t.Fatal(err)
		}
		var k KeptStream
		if err := json.Unmarshal(kept, &k); err != nil {
			t.Fatal(err)
		}
		if back := k.Resume(); !reflect.DeepEqual(stream, back) {
			t.Fatalf("%+v\nis %+v", stream, back)
		}
		if stream.Codec == NoCodec || p.Offer == SDES && (stream.Keys == nil || stream.Keys.Ours == "") {
			t.Fatalf("%+v", stream)
		}
		one, two = again(one), again(two) // agreed
		two.Hold(true)
		two = again(two)
		if _, _, err := one.Answer(two.Offer(NoCodec), NoCodec); err != nil {
			t.Fatal(err)
		}
		again(one)
	}
}

func BenchmarkKeepSession(b *testing.B) {
	s := NewSession(netip.MustParseAddrPort("192.0.2.1:4000"), 7)
	s.Offer(PCMA)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(s.Keep()); err != nil {
			b.Fatal(err)
		}
	}
}
