package rtp

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"foyer/terse"
)

var sessions = terse.New[KeptSession]()

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
			was, k := s.Keep(), KeptSession{}
			kept := sessions.Append(nil, &was)
			if err := sessions.Read(kept, &k); err != nil {
				t.Fatal(err)
			}
			back := ResumeSession(k)
			if !reflect.DeepEqual(s, back) {
				t.Fatalf("%+v\nkept as %x\nis %+v", s, kept, back)
			}
			return back
		}
		one, two = again(one), again(two) // the offer is out
		stream, err := one.Accept(answer)
		if err != nil {
			t.Fatal(err)
		}
		back, streams := Stream{}, terse.New[Stream]()
		if err := streams.Read(streams.Append(nil, &stream), &back); err != nil || !reflect.DeepEqual(stream, back) {
			t.Fatalf("%+v\nis %+v, %v", stream, back, err)
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
	var room []byte
	b.ReportAllocs()
	for b.Loop() {
		k := s.Keep()
		room = sessions.Append(room[:0], &k)
	}
}
