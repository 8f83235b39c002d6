package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"filippo.io/age"
	pionrtp "github.com/pion/rtp"
	"github.com/zaf/g711"

	"foyer/acd"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/sip/siptest"
)

// speaks is a description with these payload types, first the one spoken.
func (p *person) speaks(payloads ...int) string {
	p.voice.mu.Lock()
	p.voice.law = uint8(payloads[0])
	p.voice.mu.Unlock()
	d := siptest.Audio(p.voice.conn.LocalAddr())
	d.Payloads = payloads
	return d.String()
}

// inTouch connects a caller and an agent who offer and answer with these.
func (s *stage) inTouch(callers, agents []int) (caller, ana *person, out, in *siptest.Call) {
	s.t.Helper()
	ana = s.agent("ana", anaTone)
	caller = s.caller(carrierHost, callerTone)
	out, err := caller.Invite(s.ctx, "sip:+33170000001@"+s.server, caller.speaks(callers...))
	if err != nil {
		s.t.Fatal(err)
	}
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(s.t, out.RemoteSDP())
	in = ana.rings()
	in.Answer(ana.speaks(agents...))
	ana.expect(in, "ACK")
	ana.voice.talkTo(s.t, in.RemoteSDP())
	caller.hears(anaTone)
	ana.hears(callerTone)
	return caller, ana, out, in
}

func TestLawsAreTranslated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ caller, agent int }{{siptest.PCMU, siptest.PCMA}, {siptest.PCMA, siptest.PCMU}, {siptest.PCMU, siptest.PCMU}} {
		t.Run(fmt.Sprint(c.caller, " and ", c.agent), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			caller, ana, out, _ := s.inTouch([]int{c.caller, 101}, []int{c.agent, 101})
			for _, p := range []struct {
				*person
				law int
			}{{caller, c.caller}, {ana, c.agent}} {
				for _, packet := range p.voice.packets() {
					if int(packet.PayloadType) != p.law && packet.PayloadType != 101 {
						t.Fatalf("%s, who agreed on %d, gets payload type %d", p.User(), p.law, packet.PayloadType)
					}
				}
			}
			caller.hearsOn(20)
			out.Bye()
			row := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
			left, right := s.recorded(row.RecordingID)
			if power(left, callerTone) < 0.8 || power(right, anaTone) < 0.8 {
				t.Errorf("recorded: %.2f of the caller's tone on the left, %.2f of the agent's on the right", power(left, callerTone), power(right, anaTone))
			}
		})
	}
}

// keys are the telephone-events a voice has heard: code by code, with the number
// of packets that told the end.
func (v *voice) keys(payload uint8) (codes []byte, ends int) {
	last := int64(-1)
	for _, p := range v.packets() {
		if p.PayloadType != payload || len(p.Payload) < 4 {
			continue
		}
		if int64(p.Timestamp) != last {
			codes, last = append(codes, p.Payload[0]), int64(p.Timestamp)
		}
		if p.Payload[1]&0x80 != 0 {
			ends++
		}
	}
	return codes, ends
}

func TestKeysArePassedUnderTheOthersNumber(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller, ana, out, in := s.inTouch([]int{8, 97}, []int{8, 110})
	wantKey := func(to *person, payload, code uint8) {
		t.Helper()
		var codes []byte
		var ends int
		s.until("the key", func() bool { codes, ends = to.voice.keys(payload); return ends >= 3 })
		if len(codes) != 1 || codes[0] != code || ends != 3 {
			t.Errorf("%s hears keys %v with %d ends, want %d once with 3", to.User(), codes, ends, code)
		}
	}
	caller.voice.press(97, 5)
	wantKey(ana, 110, 5)
	ana.voice.press(110, 11) // #
	wantKey(caller, 97, 11)
	caller.hears(anaTone)
	ana.hears(callerTone)
	out.Bye()
	ana.expect(in, "BYE")
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

func TestKeysByINFO(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	caller, ana, out, in := s.inTouch([]int{8, 101}, []int{8, 101})
	out.Info("application/dtmf-relay", "Signal=7\r\nDuration=160\r\n")
	caller.expect(out, "200 INFO")
	out.Info("application/dtmf", "*")
	caller.expect(out, "200 INFO")
	var codes []byte
	s.until("both keys", func() bool { var ends int; codes, ends = ana.voice.keys(101); return ends >= 6 })
	if !bytes.Equal(codes, []byte{7, 10}) {
		t.Errorf("the agent hears keys %v, want 7 and *", codes)
	}
	in.Info("application/dtmf-relay", "Signal=D\r\n")
	ana.expect(in, "200 INFO")
	s.until("the agent's key", func() bool { codes, ends := caller.voice.keys(101); return ends >= 3 && codes[0] == 15 })
	out.Info("text/html", "<script>")
	caller.expect(out, "415 INFO")
	ana.hears(callerTone)
	out.Bye()
	s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
}

// strangers send a tone to media ports from where nobody agreed on, as fast as
// they can, until stop.
func strangers(t *testing.T, tone float64, hosts []string, to []*net.UDPAddr) (stop func(), sent func() int) {
	t.Helper()
	done := make(chan struct{})
	var wait sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for _, host := range hosts {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
		if err != nil {
			t.Fatal(err)
		}
		wait.Go(func() {
			defer conn.Close()
			pcm := make([]byte, 320)
			p := pionrtp.Packet{Header: pionrtp.Header{Version: 2, PayloadType: siptest.PCMA, SSRC: 0xbad}}
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				for j := range 160 {
					v := int16(20000 * math.Sin(2*math.Pi*tone*float64(160*i+j)/8000))
					pcm[2*j], pcm[2*j+1] = byte(v), byte(v>>8)
				}
				p.Payload = g711.EncodeAlaw(pcm)
				p.SequenceNumber++
				p.Timestamp += 160
				raw, _ := p.Marshal()
				for _, a := range to {
					conn.WriteToUDP(raw, a)
				}
				mu.Lock()
				n++
				mu.Unlock()
			}
		})
	}
	return sync.OnceFunc(func() { close(done); wait.Wait() }), func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestStrangersAreNeitherHeardNorRecorded(t *testing.T) {
	t.Parallel()
	const tone = 2300
	s, caller, ana, out, in := conversation(t)
	var ports []*net.UDPAddr
	for _, c := range []*siptest.Call{out, in} {
		d, err := siptest.ParseSDP(c.RemoteSDP())
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, d.Target())
	}
	// From elsewhere, and from the very hosts of both, by another port.
	stop, sent := strangers(t, tone, []string{"127.0.0.9", "127.0.0.1", carrierHost}, ports)
	defer stop()
	s.until("300 packets of strangers", func() bool { return sent() > 300 })
	caller.hearsOn(20)
	caller.hears(anaTone)
	ana.hears(callerTone)
	for _, p := range []*person{caller, ana} {
		if x := power(p.voice.heard(20), tone); x > 0.01 {
			t.Errorf("%s hears %.3f of a stranger", p.User(), x)
		}
	}
	stop()
	out.Bye()
	row := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	left, right := s.recorded(row.RecordingID)
	if l, r := power(left, tone), power(right, tone); l > 0.01 || r > 0.01 {
		t.Errorf("recorded: %.3f and %.3f of a stranger", l, r)
	}
}

func TestPolicyOfNothingRecordsNothing(t *testing.T) {
	t.Parallel()
	s, caller, _, out, _ := conversation(t, with("percent: 100", "percent: 0"))
	caller.hearsOn(10)
	out.Bye()
	if c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup); c.RecordingID != "" || c.RecordedFor != 0 {
		t.Errorf("CDR: %s", asJSON(c))
	}
	list, err := recorder.List(s.cfg.Recording.Store.Dir, recorder.Filter{})
	if err != nil || len(list) != 0 {
		t.Errorf("recordings: %v, %v", list, err)
	}
}

func TestSealedRecordingOpensWithItsKeyOnly(t *testing.T) {
	t.Parallel()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	s, caller, _, out, _ := conversation(t, with("trunks:\n", "recording: {encrypt: {recipient: "+key.Recipient().String()+"}}\ntrunks:\n"))
	caller.hearsOn(30)
	out.Bye()
	c := s.wantEnd(ledger.Answered, acd.Caller, acd.CauseHangup)
	dir := s.cfg.Recording.Store.Dir
	s.until("recording complete", func() bool {
		i, err := recorder.Find(dir, c.RecordingID)
		return err == nil && i.State == "complete" && i.Encrypted
	})
	file := filepath.Join(filepath.Dir(s.cfg.Site.DataDir), "foyer.yaml")
	wav, identity := filepath.Join(t.TempDir(), "call.wav"), filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(identity, []byte("# a key\n"+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	get := []string{"recording", "get", c.RecordingID, "-c", file, "--out", wav}
	if _, errs, code := foyer(t, get...); code == 0 || !bytes.Contains([]byte(errs), []byte("--identity")) {
		t.Errorf("without the key: exit %d %s", code, errs)
	}
	if _, err := os.Stat(wav); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file is left without the key: %v", err)
	}
	if _, errs, code := foyer(t, append(get, "--identity", identity)...); code != 0 {
		t.Fatalf("with the key: exit %d %s", code, errs)
	}
	raw, err := os.ReadFile(wav)
	if err != nil || len(raw) < 8000 {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	left, right := channels(raw[44:])
	if power(left, callerTone) < 0.8 || power(right, anaTone) < 0.8 {
		t.Errorf("%.2f of the caller on the left, %.2f of the agent on the right", power(left, callerTone), power(right, anaTone))
	}
}
