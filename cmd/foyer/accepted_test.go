package main

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip/siptest"
)

// The flows of the acceptance list that stand nowhere else.

func playCallOut(t *testing.T) {
	for _, who := range []string{"caller", "far end"} {
		s, far, _ := withTwoCarriers(t, "caller_id: passthrough, ")
		cara, out := s.rang("+33170000004", 1300)
		in := far.rings()
		if to := siptest.UserOf(in.Invite().URI); to != "+33140000000" || in.Invite().Caller() != "+33612345678" {
			t.Errorf("called: %s", in.Invite())
		}
		far.takes(in)
		cara.hears(700)
		far.hears(1300)
		if who == "caller" {
			out.Bye()
			if bye := far.expect(in, "BYE"); !strings.Contains(bye.Get("Reason"), "Q.850;cause=16") {
				t.Errorf("BYE: %s", bye)
			}
			s.wantEnd(ledger.Overflowed, acd.Caller, acd.CauseHangup)
			continue
		}
		in.Bye()
		cara.expect(out, "BYE")
		s.wantEnd(ledger.Overflowed, acd.Carrier, acd.CauseHangup)
	}
}

func playRefusals(t *testing.T) {
	s := newStage(t, with("require: [fr], ring: {timeout: 3s}", "require: [fr], full: {max: 1, prompt: connecting}, ring: {timeout: 3s}"))
	cara := s.caller(carrierHost, 1300)
	for number, code := range map[string]int{"+33170000099": 404, "0170": 404, "+3317000000": 484, "+33170000002": 480} {
		out := cara.call(number)
		if m := cara.expect(out, "4xx INVITE"); m.Status != code {
			t.Errorf("%s: %d, want %d", number, m.Status, code)
		}
	}
	// By early media nobody has been answered yet: who is turned away hears why, and
	// gets a code.
	kept := s.caller("127.0.0.3", 1300)
	waits := kept.call("+33170000001")
	kept.expect(waits, "183 INVITE")
	s.until("the first caller waits", func() bool { return s.ex.board.snapshot(s.ctx).Queues[0].Waiting == 1 })
	late := s.caller("127.0.0.3", 1300)
	late.expect(late.call("+33170000001"), "486 INVITE")
	s.ex.calls.postAll(ordered{by: acd.Supervisor, cause: acd.CauseAdmin})
	kept.expect(waits, "603 INVITE")

	s.ex.draining.Store(true)
	out := cara.call("+33170000001")
	if m := cara.expect(out, "503 INVITE"); m.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %s", m)
	}
	s.ex.draining.Store(false)
}

// playRingback: a caller who has not been answered hears a telephone ring, if the
// trunk says so, and music again once there is an agent who puts them on hold.
func playRingback(t *testing.T) {
	s := newStage(t, with("early_media: true}", "early_media: true, ringback: true}"))
	cara := s.caller("127.0.0.3", 1300)
	out := cara.call("+33170000001")
	cara.voice.talkTo(t, cara.expect(out, "183 INVITE").Body)
	cara.hears(440)
	ana := s.agent("ana", anaTone)
	in := ana.rings()
	ana.picksUp(in)
	cara.hears(anaTone)
	in.Reinvite(ana.described(2, "sendonly").String())
	ana.expect(in, "200 INVITE")
	cara.hearsMusic(anaTone, 440)
	in.Bye()
	cara.expect(out, "BYE")
}

func playCodecChange(t *testing.T) {
	s := newStage(t)
	caller, ana, out, in := s.inTouch([]int{siptest.PCMA, 101}, []int{siptest.PCMA, 101})
	d, err := siptest.ParseSDP(caller.speaks(siptest.PCMU, 101))
	if err != nil {
		t.Fatal(err)
	}
	d.Version = 2
	out.Reinvite(d.String())
	res := caller.expect(out, "200 INVITE")
	if answer, err := siptest.ParseSDP(res.Body); err != nil || answer.Payloads[0] != siptest.PCMU {
		t.Errorf("answered %v, %v", answer.Payloads, err)
	}
	caller.hears(anaTone)
	ana.hears(callerTone)
	in.Bye()
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}

// playKeys: every key in both ways, to a side that takes events and to one that
// does not.
func playKeys(t *testing.T) {
	const keys = "0123456789*#ABCD"
	s := newStage(t)
	caller, ana, out, in := s.inTouch([]int{siptest.PCMA, 101}, []int{siptest.PCMA, 101})
	// heard are the keys that have come, and how many ends of keys: no two that follow
	// each other are the same, so that one told in two pieces is still one.
	heard := func() ([]byte, int) {
		codes, ends := ana.voice.keys(101)
		return slices.Compact(codes), ends
	}
	var want []byte
	for i := range keys {
		want = append(want, byte(i))
		_, before := heard()
		caller.voice.press(101, byte(i))
		s.within(20*time.Second, "the key has come", func() bool { codes, ends := heard(); return bytes.Equal(codes, want) && ends > before })
	}
	for i := range keys {
		want = append(want, byte(i))
		out.Info("application/dtmf-relay", fmt.Sprintf("Signal=%c\r\nDuration=250\r\n", keys[i]))
		caller.expect(out, "200 INFO")
	}
	// A key that is held for three seconds is heard for three seconds.
	want = append(want, 11)
	out.Info("application/dtmf-relay", "Signal=#\r\nDuration=3000\r\n")
	caller.expect(out, "200 INFO")
	s.within(30*time.Second, "all keys, the last for three seconds", func() bool {
		longest := 0
		for _, p := range ana.voice.packets() {
			if p.PayloadType == 101 && p.Payload[1]&0x80 != 0 {
				longest = max(longest, int(p.Payload[2])<<8|int(p.Payload[3]))
			}
		}
		codes, _ := heard()
		return bytes.Equal(codes, want) && longest >= 3000*8
	})
	in.Bye()

	// The same towards a side that takes no events: by INFO.
	s = newStage(t)
	caller, ana, out, in = s.inTouch([]int{siptest.PCMA, 101}, []int{siptest.PCMA})
	for i := range keys {
		caller.voice.press(101, byte(i))
		if m := ana.expect(in, "INFO"); !strings.Contains(m.Body, fmt.Sprintf("Signal=%c\r\n", keys[i])) {
			t.Errorf("key %c came as %q", keys[i], m.Body)
		}
	}
	out.Bye()
}

// playLargeInvite: what does not fit into a packet arrives, by UDP and by TCP.
func playLargeInvite(t *testing.T) {
	s := newStage(t)
	padding := siptest.H("X-Padding", strings.Repeat("x", 4000))
	cara := s.caller(carrierHost, 1300)
	out := cara.call("+33170000001", padding)
	if m := cara.expect(out, "200 INVITE"); m.Body == "" {
		t.Errorf("answer: %s", m)
	}
	out.Bye()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(carrierHost)}}
	c, err := dialer.DialContext(s.ctx, "tcp", s.server)
	if err != nil {
		t.Fatal(err)
	}
	phone, err := siptest.NewStreamPhone(c, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	if err != nil {
		t.Fatal(err)
	}
	stream := s.enter(phone, carrierHost, 1300)
	out = stream.call("+33170000001", padding)
	stream.expect(out, "200 INVITE")
	out.Bye()
	stream.expect(out, "200 BYE")
}

func playOptions(t *testing.T) {
	s := newStage(t)
	cara := s.caller(carrierHost, 1300)
	res, err := cara.Do(s.ctx, cara.NewRequest("OPTIONS", "sip:"+s.server, ""))
	if err != nil || res.Status != 200 || !res.Has("Allow", "UPDATE") || !res.Has("Supported", "timer") || res.Get("Accept") != "application/sdp" {
		t.Errorf("OPTIONS: %v, %v", res, err)
	}
	out := cara.call("+33170000001")
	cara.expect(out, "200 INVITE")
	out.Send("OPTIONS", "")
	cara.expect(out, "200 OPTIONS")
	out.Bye()
	cara.expect(out, "200 BYE")
}
