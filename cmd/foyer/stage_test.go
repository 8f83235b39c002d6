package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pionrtp "github.com/pion/rtp"
	"github.com/zaf/g711"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/sip/siptest"
)

// stage is a whole switch in this process, on free loopback ports, with phones
// and carriers that speak real SIP and RTP. At its end everything must be back
// in balance.
type stage struct {
	t      *testing.T
	ex     *exchange
	cfg    *config.Config
	server string // host:port of SIP
	ctx    context.Context
	began  time.Time
	closed bool
	keeps  bool // callbacks promised and not made may be left on the floor
	people []*person
	odd    []string // Call-IDs of INVITEs by nobody's phone
}

// stageConfig is the smallest configuration with what a test changes in it.
const stageConfig = `version: 1
demo: true
site: {name: Test, public_host: lo.test, timezone: Europe/Paris, locale: fr, data_dir: "%[1]s"}
listen:
  http: 127.0.0.1:%[3]d
  sip_udp: 127.0.0.1:%[2]d
  sip_tcp: 127.0.0.1:%[2]d
  rtp: {addr: 127.0.0.1, ports: %[4]s, media_timeout: 2s}
registrar: {realm: lo.test, digest: md5, ban: {allow: [127.0.0.0/8]}}
observability: {log: {level: debug}}
trunks:
  - {id: carrier, auth: {mode: ip, allow: [127.0.0.2/32]}, max_calls: 20}
  - {id: early, auth: {mode: ip, allow: [127.0.0.3/32]}, max_calls: 20, early_media: true}
clients: [{id: essai, name: Essai SA, recording: tout}]
recording_policies:
  - {id: tout, purpose: contract_proof, legal_basis: "test calls only", select: {percent: 100}}
calendars: [{id: never, weekly: {}}]
queues:
  - {id: accueil, client: essai, require: [fr], ring: {timeout: 3s}, wrapup: {seconds: 0}}
  - {id: shut, client: essai, calendar: never}
  - {id: patient, client: essai, overflow: [{after: 1s, to: accueil}]}
  - {id: hasty, client: essai, overflow: [{after: 1s, to: hangup}]}
  - {id: nobody, client: essai, empty: {to: hangup}}
dids:
  - {number: "+33170000001", client: essai, to: accueil}
  - {number: "+33170000002", client: essai, to: shut}
  - {number: "+33170000003", client: essai, to: patient}
  - {number: "+33170000004", client: essai, to: hasty}
  - {number: "+33170000005", client: essai, to: nobody}
agents:
  - {id: ana, name: Ana, sip: {password: pw-ana}, skills: {fr: 5}, queues: [accueil], ready_on_register: true}
  - {id: bo,  name: Bo,  sip: {password: pw-bo},  skills: {fr: 3}, queues: [accueil], ready_on_register: true}
`

// staging is what a test may change before the switch starts.
type staging struct {
	yaml string
	log  *zap.Logger
	tuning
}

type stageOption func(*staging)

// with replaces a piece of the configuration, which must be there.
func with(old, new string) stageOption {
	return func(st *staging) {
		if !strings.Contains(st.yaml, old) {
			panic("no such piece of the configuration: " + old)
		}
		st.yaml = strings.ReplaceAll(st.yaml, old, new)
	}
}

// hasty gives up on an ACK or the answer to a BYE after little more than a
// second instead of 32.
func hasty(st *staging) { st.t1 = 20 * time.Millisecond }

func newStage(t *testing.T, opts ...stageOption) *stage {
	t.Helper()
	return openStage(t, t.TempDir(), opts...)
}

// openStage starts a switch on a data directory that may have been used before.
func openStage(t *testing.T, dir string, opts ...stageOption) *stage {
	t.Helper()
	yaml := fmt.Sprintf(stageConfig, filepath.Join(dir, "data"), freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1"), freeRange(t))
	st := &staging{yaml: yaml, log: stageLog(t), tuning: tuning{read: config.Load}}
	for _, o := range opts {
		o(st)
	}
	file := filepath.Join(dir, "foyer.yaml")
	if err := os.WriteFile(file, []byte(st.yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	ex, err := openExchange(cfg, st.log, st.tuning)
	if err != nil {
		t.Fatal(err)
	}
	if err := ex.start(); err != nil {
		ex.shut()
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s := &stage{t: t, began: time.Now().Truncate(time.Millisecond), ex: ex, cfg: cfg, server: cfg.Listen.SIPUDP.String(), ctx: ctx}
	t.Cleanup(func() {
		s.strike()
		cancel()
	})
	return s
}

func stageLog(t *testing.T) *zap.Logger {
	if os.Getenv("FOYER_TEST_LOG") != "" {
		return zaptest.NewLogger(t)
	}
	return zap.NewNop()
}

// strike drains the switch and checks that nothing is left: no leg, no port, no
// call in the floor, no recording open.
func (s *stage) strike() {
	s.t.Helper()
	if s.closed {
		return
	}
	s.closed = true
	s.ex.drain(5 * time.Second)
	s.ex.settleLegs(5 * time.Second)
	if n := s.ex.edge.Legs(); n != 0 {
		s.t.Errorf("%d SIP legs left", n)
	}
	s.until("ports released", func() bool { used, _ := s.ex.media.Ports(); return used == 0 })
	s.until("leave to call numbers given back", func() bool {
		s.ex.toll.mu.Lock()
		defer s.ex.toll.mu.Unlock()
		return len(s.ex.toll.running) == 0
	})
	s.until("recordings closed", func() bool { return s.ex.recordings.Stats().Active == 0 })
	s.ex.board.ask(s.ctx, func() {
		now := s.ex.board.now()
		s.ex.board.take([]posted{{now.UnixNano(), acd.Event{Kind: acd.Tick}}}) // on a busy machine its timer may be late
		for _, broken := range s.ex.board.floor.Check(now) {
			s.t.Error("floor: ", broken)
		}
		calls := slices.DeleteFunc(s.ex.board.floor.Snapshot(now).Calls, func(c acd.CallView) bool {
			return s.keeps && c.Callback != "" && !c.Present
		})
		if len(calls) > 0 {
			s.t.Errorf("calls left on the floor: %+v", calls)
		}
	})
	s.audit()
	for _, p := range s.people {
		p.Close()
	}
	s.ex.shut()
}

// retires ends this life of the switch; promises are kept for the next.
func (s *stage) retires() {
	s.keeps = true
	s.strike()
}

// audit checks the books: one CDR for every INVITE that got past 100, and in
// each the times add up to the millisecond.
func (s *stage) audit() {
	s.t.Helper()
	sent, past, errands := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, id := range s.odd {
		sent[id] = true
	}
	for _, p := range s.people {
		if _, inside := s.ex.plan.Load().agents[acd.AgentID(p.User())]; inside {
			continue // what an agent calls is part of their caller's call
		}
		for _, e := range p.Wire().Trace() {
			switch {
			case e.Msg == nil:
			case e.Out && e.Msg.Method == "INVITE" && s.errand(e.Msg.URI):
				errands[e.Msg.Get("Call-ID")] = true
			case e.Out && e.Msg.Method == "INVITE":
				sent[e.Msg.Get("Call-ID")] = true
			case e.Msg.Status == 100 && !errands[e.Msg.Get("Call-ID")]:
				past[e.Msg.Get("Call-ID")] = true
			}
		}
	}
	if err := s.ex.cdrs.Flush(s.ctx); err != nil {
		s.t.Fatal(err)
	}
	rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range rows {
		c := &rows[i]
		if !s.wantSums(c) {
			s.t.Errorf("times of a call do not add up: %s", asJSON(c))
		}
		if c.Started.Time().Before(s.began) {
			continue // of an earlier life
		}
		if !sent[c.SIPCallID] && c.Direction != "outbound" {
			s.t.Errorf("a CDR too many: %s", asJSON(c))
		}
		delete(sent, c.SIPCallID)
		delete(past, c.SIPCallID)
	}
	if len(past) > 0 {
		s.t.Errorf("%d INVITEs past 100 left no CDR: %v", len(past), past)
	}
}

// errand says whether a call is to the switch itself, of which there is no record.
func (s *stage) errand(uri string) bool {
	user := siptest.UserOf(uri)
	return strings.HasPrefix(user, "*") || s.ex.plan.Load().echoes(user)
}

func (s *stage) wantSums(c *ledger.CDR) bool {
	sum := c.QueuedFor + c.TalkedFor + c.HeldFor + c.DivertedFor
	if c.Duration != ledger.Span(c.Started, c.Ended) {
		return false
	}
	return sum == c.Duration || c.Queue == "" && sum == 0
}

// until waits for something that happens without an event a test could wait for.
func (s *stage) until(what string, ok func() bool) {
	s.t.Helper()
	s.within(10*time.Second, what, ok)
}

func (s *stage) within(long time.Duration, what string, ok func() bool) {
	s.t.Helper()
	end := time.Now().Add(long)
	for !ok() {
		if time.Now().After(end) {
			s.t.Fatalf("not within %s: %s", long, what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Ports for switches under test lie below the range from which the kernel gives
// sockets theirs, so that no phone of a test can take one between the choice and
// the use.
var portsGiven atomic.Uint32

// freePort finds a port free for UDP and TCP.
func freePort(t *testing.T, host string) int {
	t.Helper()
	for range 1000 {
		port := 10000 + int(portsGiven.Add(1)+uint32(os.Getpid())*37)%8000
		udp, err := net.ListenPacket("udp", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			continue
		}
		tcp, err := net.Listen("tcp", fmt.Sprintf("%s:%d", host, port))
		udp.Close()
		if err == nil {
			tcp.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

var rangesGiven atomic.Uint32

// freeRange gives each stage media ports of its own.
func freeRange(*testing.T) string {
	from := 20000 + 200*(int(rangesGiven.Add(1)+uint32(os.Getpid())*7)%60)
	return fmt.Sprintf("%d-%d", from, from+199)
}

// person is somebody with a telephone: a SIP phone and a voice, a tone of their
// own that can be found again in what others hear and in recordings.
type person struct {
	*siptest.Phone
	s     *stage
	voice *voice
}

// caller rings from the carrier's address.
func (s *stage) caller(host string, tone float64) *person {
	return s.person(host, tone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
}

// agent is a registered agent.
func (s *stage) agent(id string, tone float64) *person {
	s.t.Helper()
	p := s.person("127.0.0.1", tone, siptest.Options{User: id, Password: "pw-" + id, Domain: "lo.test"})
	p.register()
	return p
}

func (p *person) register() {
	p.s.t.Helper()
	res, err := p.Register(p.s.ctx, time.Minute)
	if err != nil || res.Status != 200 {
		p.s.t.Fatalf("REGISTER of %s: %v, %v", p.User(), res, err)
	}
	id := acd.AgentID(p.User())
	p.s.until(p.User()+" ready or rung at once", func() bool {
		state := p.s.agentState(id)
		return state == acd.Ready || state == acd.Reserved || state == acd.Offered
	})
}

func (s *stage) person(host string, tone float64, o siptest.Options) *person {
	s.t.Helper()
	pc, err := net.ListenPacket("udp", host+":0")
	if err != nil {
		s.t.Fatal(err)
	}
	o.Server = s.server
	phone, err := siptest.NewPhone(pc, o)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.enter(phone, host, tone)
}

// enter gives a phone a voice and closes it when the switch has been struck.
func (s *stage) enter(phone *siptest.Phone, host string, tone float64) *person {
	p := &person{Phone: phone, s: s, voice: newVoice(s.t, host, tone)}
	if s.ex == nil {
		s.t.Cleanup(func() { phone.Close() })
	} else {
		s.people = append(s.people, p)
	}
	return p
}

// call rings a number, with the person's own media address in the offer.
func (p *person) call(number string, extra ...siptest.Header) *siptest.Call {
	p.s.t.Helper()
	c, err := p.Invite(p.s.ctx, "sip:"+number+"@"+p.s.server, p.voice.offer(), extra...)
	if err != nil {
		p.s.t.Fatal(err)
	}
	return c
}

// rings waits for the person's phone to ring.
func (p *person) rings() *siptest.Call {
	p.s.t.Helper()
	c, err := p.WaitCall(p.s.ctx)
	if err != nil {
		p.s.t.Fatalf("%s's phone does not ring: %v\n%s", p.User(), err, p.Wire().Ladder())
	}
	c.Ring(180, "")
	return c
}

// picksUp answers a call with the person's voice.
func (p *person) picksUp(c *siptest.Call) {
	p.s.t.Helper()
	c.Answer(p.voice.offer())
	p.expect(c, "ACK")
	p.voice.talkTo(p.s.t, c.RemoteSDP())
	if p.s.ex != nil {
		p.s.until("bridged", func() bool { return p.s.bridged(c) })
	}
}

// bridged says whether the call that an agent's phone has answered is connected
// to its caller, or over.
func (s *stage) bridged(c *siptest.Call) bool {
	k := s.ex.calls.card(acd.CallID(c.Invite().Get("X-Foyer-Call")))
	return k == nil || !k.answered.IsZero()
}

func (p *person) expect(c *siptest.Call, what string) *siptest.Message {
	p.s.t.Helper()
	m, err := c.WaitFor(p.s.ctx, what)
	if err != nil {
		p.s.t.Fatalf("%s: %v\n%s", p.User(), err, p.Wire().Ladder())
	}
	return m
}

// connected brings caller and agent together: the usual beginning of a test.
func (s *stage) connected(caller, agent *person) (out, in *siptest.Call) {
	s.t.Helper()
	out = caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(s.t, out.RemoteSDP())
	in = agent.rings()
	agent.picksUp(in)
	return out, in
}

func (s *stage) agentState(id acd.AgentID) (state acd.AgentState) {
	s.ex.board.ask(s.ctx, func() {
		for _, a := range s.ex.board.floor.Snapshot(s.ex.board.now()).Agents {
			if a.ID == id {
				state = a.State
			}
		}
	})
	return state
}

// cdr waits for the record of the newest call.
func (s *stage) cdr() ledger.CDR {
	s.t.Helper()
	var last ledger.CDR
	s.until("a CDR", func() bool {
		if s.ex.calls.count() > 0 {
			return false
		}
		s.ex.board.ask(s.ctx, func() {}) // the last word has been taken, and is written
		if err := s.ex.cdrs.Flush(s.ctx); err != nil {
			s.t.Fatal(err)
		}
		rows, err := s.ex.cdrs.List(s.ctx, ledger.Query{Limit: 1})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(rows) == 1 {
			last = rows[0]
			return true
		}
		return false
	})
	return last
}

// wantEnd checks how a call ended.
func (s *stage) wantEnd(outcome ledger.Outcome, by acd.Party, cause acd.Cause) ledger.CDR {
	s.t.Helper()
	c := s.cdr()
	if c.Outcome != outcome || c.EndedBy != by.String() || c.Cause != cause.String() {
		s.t.Errorf("the call ended as %s by %s for %s, want %s by %s for %s\n%s", c.Outcome, c.EndedBy, c.Cause, outcome, by, cause, asJSON(c))
	}
	return c
}

// held says whether one party put the other on hold, be it for less than a
// millisecond.
func held(c ledger.CDR) bool {
	return slices.ContainsFunc(c.Segments, func(s ledger.Segment) bool { return s.Kind == ledger.OnHold })
}

func asJSON(v any) string {
	b, _ := json.MarshalIndent(v, "", "  ")
	return string(b)
}

// recorded renders the recording of a call: left and right channel.
func (s *stage) recorded(id string) (left, right []float64) {
	s.t.Helper()
	dir := s.cfg.Recording.Store.Dir
	s.until("recording complete", func() bool {
		i, err := recorder.Find(dir, id)
		return err == nil && i.State == "complete"
	})
	var wav bytes.Buffer
	if err := recorder.Render(&wav, dir, id, ""); err != nil {
		s.t.Fatal(err)
	}
	return channels(wav.Bytes()[44:])
}

// channels takes the two voices of a recording apart.
func channels(pcm []byte) (left, right []float64) {
	for i := 0; i+3 < len(pcm); i += 4 {
		left = append(left, float64(int16(uint16(pcm[i])|uint16(pcm[i+1])<<8)))
		right = append(right, float64(int16(uint16(pcm[i+2])|uint16(pcm[i+3])<<8)))
	}
	return left, right
}

// power is the share of a signal's energy that lies at one frequency (Goertzel),
// 0 to 1, at 8 kHz. It is taken over windows of 50 ms, so that a tone that was
// interrupted, and goes on with another phase, is still that tone.
func power(x []float64, hz float64) float64 {
	const window = 400
	var at, all float64
	for len(x) >= window {
		share, energy := powerOf(x[:window], hz)
		at, all = at+share*energy, all+energy
		x = x[window:]
	}
	if all == 0 {
		return 0
	}
	return at / all
}

func powerOf(x []float64, hz float64) (share, energy float64) {
	w := 2 * math.Pi * hz / 8000
	var s1, s2 float64
	for _, v := range x {
		s := v + 2*math.Cos(w)*s1 - s2
		s2, s1 = s1, s
		energy += v * v
	}
	if energy == 0 {
		return 0, 0
	}
	p := s1*s1 + s2*s2 - 2*math.Cos(w)*s1*s2
	return 2 * p / (energy * float64(len(x))), energy
}

// voice sends a tone as RTP every 20 ms and keeps what it hears.
type voice struct {
	conn *net.UDPConn
	tone float64
	mu   sync.Mutex
	to   netip.AddrPort // guarded by mu
	mute bool           // guarded by mu
	law  uint8          // payload type spoken; guarded by mu
	key  *key           // being pressed; guarded by mu
	dial *tones         // being dialled; guarded by mu
	wide *coded         // spoken instead of the tone; guarded by mu
	got  []pionrtp.Packet
	stop chan struct{}
}

// key is a telephone-event on its way (RFC 4733).
type key struct {
	payload, code uint8
	start         uint32
	sent          int
}

// tones is a key as two tones in the audio itself, for so many packets of 20 ms.
type tones struct {
	low, high float64
	left      int
}

func newVoice(t *testing.T, host string, tone float64) *voice {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		t.Fatal(err)
	}
	v := &voice{conn: conn, tone: tone, law: siptest.PCMA, stop: make(chan struct{})}
	var wait sync.WaitGroup
	wait.Go(v.listen)
	wait.Go(v.speak)
	t.Cleanup(func() {
		close(v.stop)
		conn.Close()
		wait.Wait()
	})
	return v
}

func (v *voice) offer() string { return siptest.Audio(v.conn.LocalAddr()).String() }

func (v *voice) talkTo(t *testing.T, sdp string) {
	t.Helper()
	d, err := siptest.ParseSDP(sdp)
	if err != nil {
		t.Fatalf("%v in\n%s", err, sdp)
	}
	v.mu.Lock()
	v.to = d.Target().AddrPort()
	v.mu.Unlock()
}

func (v *voice) silence(on bool) {
	v.mu.Lock()
	v.mute = on
	v.mu.Unlock()
}

func (v *voice) speak() {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	p := pionrtp.Packet{Header: pionrtp.Header{Version: 2, PayloadType: siptest.PCMA, SSRC: uint32(v.tone)}}
	begun := time.Now()
	for {
		select {
		case <-tick.C:
		case <-v.stop:
			return
		}
		// A ticker leaves out ticks on a busy machine; a telephone's clock does not.
		for due := uint32(time.Since(begun) / (20 * time.Millisecond)); p.Timestamp/160 < due; {
			v.say(&p)
		}
	}
}

// say sends the next 20 ms.
func (v *voice) say(p *pionrtp.Packet) {
	pcm, sample := make([]byte, 320), v.sample()
	for i := range 160 {
		s := int16(sample(2 * math.Pi * float64(int(p.Timestamp)+i) / 8000))
		pcm[2*i], pcm[2*i+1] = byte(s), byte(s>>8)
	}
	p.SequenceNumber++
	p.Timestamp += 160
	v.mu.Lock()
	to, mute, event := v.to, v.mute, v.step(p.Timestamp)
	out := *p
	switch out.PayloadType = v.law; {
	case event != nil:
		out = *event
		out.SSRC, out.SequenceNumber = p.SSRC, p.SequenceNumber
		if w := v.wide; w != nil { // keys are pressed in the stream that is spoken in
			w.packet.SequenceNumber++
			out.SSRC, out.SequenceNumber = w.packet.SSRC, w.packet.SequenceNumber
		}
	case v.wide != nil:
		out = v.wide.next()
	case v.law == siptest.PCMU:
		out.Payload = g711.EncodeUlaw(pcm)
	default:
		out.Payload = g711.EncodeAlaw(pcm)
	}
	v.mu.Unlock()
	raw, _ := out.Marshal()
	if to.IsValid() && !mute {
		v.conn.WriteToUDPAddrPort(raw, to)
	}
}

// sample is what is spoken in the next 20 ms, by the phase of 1 Hz.
func (v *voice) sample() func(turn float64) float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if d := v.dial; d != nil {
		if d.left--; d.left == 0 {
			v.dial = nil
		}
		return func(turn float64) float64 { return 5000*math.Sin(d.low*turn) + 5000*math.Sin(d.high*turn) }
	}
	return func(turn float64) float64 { return 8000 * math.Sin(v.tone*turn) }
}

// dials sends the two tones of a key for 100 ms.
func (v *voice) dials(low, high float64) {
	v.mu.Lock()
	v.dial = &tones{low, high, 5}
	v.mu.Unlock()
}

// press sends a key as a telephone-event of 100 ms.
func (v *voice) press(payload, code uint8) {
	v.mu.Lock()
	v.key = &key{payload: payload, code: code}
	v.mu.Unlock()
}

// step is the next packet of the key being pressed, nil for none. The caller
// holds mu.
func (v *voice) step(now uint32) *pionrtp.Packet {
	k := v.key
	if k == nil {
		return nil
	}
	if k.sent == 0 {
		k.start = now
	}
	k.sent++
	length, last := min(k.sent, 5)*160, byte(0)
	if k.sent > 5 {
		last = 0x80
	}
	if k.sent == 8 { // the end is told three times
		v.key = nil
	}
	return &pionrtp.Packet{
		Header:  pionrtp.Header{Version: 2, PayloadType: k.payload, Timestamp: k.start, Marker: k.sent == 1},
		Payload: []byte{k.code, last | 10, byte(length >> 8), byte(length)},
	}
}

func (v *voice) listen() {
	buf := make([]byte, 2048)
	for {
		n, _, err := v.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var p pionrtp.Packet
		if p.Unmarshal(append([]byte(nil), buf[:n]...)) == nil {
			v.mu.Lock()
			v.got = append(v.got, p)
			v.mu.Unlock()
		}
	}
}

// heard is the audio of the last n packets received.
func (v *voice) heard(n int) []float64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	var x []float64
	for _, p := range v.got[max(0, len(v.got)-n):] {
		pcm := g711.DecodeAlaw(p.Payload)
		if p.PayloadType == siptest.PCMU {
			pcm = g711.DecodeUlaw(p.Payload)
		}
		for i := 0; i+1 < len(pcm); i += 2 {
			x = append(x, float64(int16(uint16(pcm[i])|uint16(pcm[i+1])<<8)))
		}
	}
	return x
}

func (v *voice) packets() []pionrtp.Packet {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]pionrtp.Packet(nil), v.got...)
}

// hears waits until this voice hears mostly the tone of another.
func (p *person) hears(tone float64) {
	p.s.t.Helper()
	p.s.until(fmt.Sprintf("%s hears %.0f Hz", p.User(), tone), func() bool {
		x := p.voice.heard(10)
		return len(x) >= 1600 && power(x, tone) > 0.8
	})
}

// hearsMusic waits until what comes is audio but neither silence nor a test tone.
func (p *person) hearsMusic(not ...float64) {
	p.s.t.Helper()
	p.s.until(p.User()+" hears music", func() bool {
		x := p.voice.heard(10)
		energy := 0.0
		for _, v := range x {
			energy += v * v
		}
		for _, tone := range not {
			if power(x, tone) > 0.5 {
				return false
			}
		}
		return len(x) >= 1600 && energy/float64(len(x)) > 1000
	})
}
