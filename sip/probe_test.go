package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/goleak"
)

// street is a network of phones that answer OPTIONS or do not.
type street struct {
	mu     sync.Mutex
	dead   map[string]bool // by destination
	closed map[netip.AddrPort]bool
	delay  time.Duration
	trying bool     // phones never get further than 100
	asked  []string // "12s ana" for each request, since start
	began  time.Time
}

func newStreet() *street {
	return &street{dead: map[string]bool{}, closed: map[netip.AddrPort]bool{}, delay: 20 * time.Millisecond, began: time.Now()}
}

func (s *street) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// heard returns the requests since it was called last.
func (s *street) heard() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := strings.Join(s.asked, ", ")
	s.asked = nil
	return list
}

func (s *street) connected(transport string, remote netip.AddrPort) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return transport == "udp" || !s.closed[remote]
}

func (s *street) moved(string, flow, flow) {}

func (s *street) start(_ string, f func()) bool { go f(); return true }

func (s *street) request(_ context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, fmt.Sprintf("%v %s", time.Since(s.began).Round(time.Millisecond), req.To().Address.User))
	if s.dead["refuses "+req.Destination()] {
		return nil, errors.New("no route to host")
	}
	tx := &optionsTx{answers: make(chan *sip.Response, 2), done: make(chan struct{})}
	if !s.dead[req.Destination()] {
		tx.answer = time.AfterFunc(s.delay, func() {
			tx.answers <- sip.NewResponseFromRequest(req, 100, "Trying", nil)
			if !s.trying {
				tx.answers <- sip.NewResponseFromRequest(req, 486, "Busy Here", nil)
			}
		})
	}
	return tx, nil
}

// optionsTx is the client transaction of a request in the street.
type optionsTx struct {
	answers chan *sip.Response
	done    chan struct{}
	answer  *time.Timer
}

func (a *optionsTx) Responses() <-chan *sip.Response        { return a.answers }
func (a *optionsTx) OnRetransmission(sip.FnTxResponse) bool { return false }
func (a *optionsTx) OnTerminate(sip.FnTxTerminate) bool     { return false }
func (a *optionsTx) Done() <-chan struct{}                  { return a.done }
func (a *optionsTx) Err() error                             { return nil }
func (a *optionsTx) Terminate() {
	if a.answer != nil {
		a.answer.Stop()
	}
}

// serving runs a registrar in the street, with ana and bo at home, until the
// test ends. Probes are due every 10 s, the first 4 s after registration.
func serving(t *testing.T, s *street, then func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s.began = time.Now()
		d := newDesk(t, func(o *RegistrarOptions) {
			o.Probe, o.Now = 10*time.Second, time.Now
		})
		d.attach(s, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var served sync.WaitGroup
		served.Go(func() { d.run(ctx, unguarded) })
		then(d)
		cancel()
		served.Wait()
	})
}

// comes registers a phone without the network, so that the phase is known.
func (d *desk) comes(user, transport, source string, grant time.Duration) {
	d.t.Helper()
	d.change(func(now time.Time) []RegEvent {
		events, err := d.places.register(now, registration{
			user: user, callID: user, cseq: uint32(time.Since(time.Unix(0, 0)).Seconds()), from: flowBy(transport, source), grant: grant,
			phase: 4 * time.Second, contacts: []contact{{uri: "sip:" + user + "@h", instance: user}},
		})
		if err != nil {
			d.t.Error(err)
		}
		return events
	})
}

const (
	anaHome = "203.0.113.7:5060"
	boHome  = "198.51.100.1:40000"
)

// pass lets time go by and expects what is told and heard meanwhile.
func (d *desk) pass(s *street, t time.Duration, events, requests string) {
	d.t.Helper()
	time.Sleep(t)
	synctest.Wait()
	if got := d.told(); got != events {
		d.t.Errorf("at %v: told %q, want %q", time.Since(s.began), got, events)
	}
	if got := s.heard(); got != requests {
		d.t.Errorf("at %v: heard %q, want %q", time.Since(s.began), got, requests)
	}
}

func TestAnswersKeepAPhone(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, 30*time.Second)
		d.pass(s, 5*time.Second, "added ana@h *", "4s ana")
		if rtt := d.Bindings("ana")[0].RTT; rtt != s.delay {
			t.Errorf("RTT %v", rtt)
		}
		d.pass(s, 20*time.Second, "", "14s ana, 24s ana")
		d.pass(s, 10*time.Second, "expired ana@h", "")
	})
}

func TestRefreshDisturbsNothing(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, time.Minute)
		for range 4 {
			time.Sleep(3 * time.Second)
			d.comes("ana", "udp", anaHome, time.Minute)
		}
		d.pass(s, 13*time.Second, "added ana@h *, refreshed ana@h *, refreshed ana@h *, refreshed ana@h *, refreshed ana@h *", "4s ana, 14s ana, 24s ana")
	})
}

func TestSilenceLosesAPhone(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		s.set(func() { s.dead[anaHome] = true })
		// Asked at 4 s, given up at 7, asked again at 7.5, lost at 10.5.
		d.pass(s, 10*time.Second, "added ana@h *", "4s ana, 7.5s ana")
		d.pass(s, time.Second, "lost ana@h", "")
		if list := d.Bindings("ana"); len(list) != 1 || list[0].Reachable {
			t.Errorf("a lost phone is kept: %+v", list)
		}
		d.pass(s, 20*time.Second, "", "17.5s ana, 27.5s ana") // the usual pace, one question each
		s.set(func() { s.dead[anaHome] = false })
		d.pass(s, 10*time.Second, "regained ana@h *", "37.5s ana")
	})
}

func TestOneLostPacketLosesNobody(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		s.set(func() { s.dead[anaHome] = true })
		time.Sleep(7*time.Second + 200*time.Millisecond)
		s.set(func() { s.dead[anaHome] = false })
		d.pass(s, 12*time.Second, "added ana@h *", "4s ana, 7.5s ana, 17.5s ana")
		// The next one lost is again the first.
		s.set(func() { s.dead[anaHome] = true })
		d.pass(s, 12*time.Second, "", "27.5s ana, 31s ana")
	})
}

// A probe that ends because we close says nothing about the phone.
func TestClosingLosesNobody(t *testing.T) {
	s := newStreet()
	var d *desk
	serving(t, s, func(running *desk) {
		d = running
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		s.set(func() { s.dead[anaHome] = true })
		d.pass(s, 8*time.Second, "added ana@h *", "4s ana, 7.5s ana")
	})
	if got := d.told(); got != "" {
		t.Errorf("told %q", got)
	}
}

func TestTryingIsNoAnswer(t *testing.T) {
	s := newStreet()
	s.trying = true
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		d.pass(s, 11*time.Second, "added ana@h *, lost ana@h", "4s ana, 7.5s ana")
	})
}

func TestRegisterRegainsAPhone(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		s.set(func() { s.dead["refuses "+anaHome] = true })
		d.pass(s, 6*time.Second, "added ana@h *, lost ana@h", "4s ana, 4.5s ana") // told at once, so lost at once
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		d.pass(s, time.Second, "regained ana@h *", "")
		// Its earlier silence is forgotten: it is asked twice before it is lost again.
		s.set(func() { s.dead = map[string]bool{anaHome: true} })
		d.pass(s, 11*time.Second, "", "14.5s ana, 18s ana")
		d.pass(s, 4*time.Second, "lost ana@h", "")
	})
}

func TestClosedConnectionLosesItsPhones(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "tcp", boHome, 5*time.Minute)
		d.comes("bo", "tcp", boHome, 5*time.Minute)
		d.pass(s, time.Second, "added ana@h *, added bo@h *", "")
		s.set(func() { s.closed[netip.MustParseAddrPort(boHome)] = true })
		d.flowClosed(flow{"tcp", netip.MustParseAddrPort(boHome)})
		d.pass(s, 0, "lost bo@h, lost ana@h", "")
		d.flowClosed(flow{"tcp", netip.MustParseAddrPort(boHome)})
		d.pass(s, 20*time.Second, "", "") // nobody to ask
		d.comes("bo", "tcp", "198.51.100.1:40001", 5*time.Minute)
		d.pass(s, 0, "added bo@h *", "")
		if list := d.Bindings("bo"); len(list) != 1 || list[0].Source.Port() != 40001 {
			t.Errorf("bo is at %+v", list)
		}
	})
}

// An answer read just before the connection closed is no sign of life.
func TestAnswerFromClosedConnection(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("bo", "tcp", boHome, 5*time.Minute)
		time.Sleep(4*time.Second + s.delay/2) // asked, not yet answered
		s.set(func() { s.closed[netip.MustParseAddrPort(boHome)] = true })
		d.flowClosed(flow{"tcp", netip.MustParseAddrPort(boHome)})
		d.pass(s, 20*time.Second, "added bo@h *, lost bo@h", "4s bo")
	})
}

// When nobody tells that the connection closed, the probe finds out.
func TestProbeFindsClosedConnection(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("bo", "tcp", boHome, 5*time.Minute)
		s.set(func() { s.closed[netip.MustParseAddrPort(boHome)] = true })
		d.pass(s, 5*time.Second, "added bo@h *, lost bo@h", "")
	})
}

func TestUnansweredCallLosesAPhone(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "udp", anaHome, 5*time.Minute)
		d.pass(s, time.Second, "added ana@h *", "")
		b := d.Bindings("ana")[0]
		s.set(func() { s.dead[anaHome] = true })
		d.ReportUnreachable(b)
		d.pass(s, 0, "lost ana@h", "1s ana")
		d.ReportUnreachable(b)
		d.pass(s, 4*time.Second, "", "")
		s.set(func() { s.dead[anaHome] = false })
		d.ReportUnreachable(b)
		d.pass(s, time.Second, "regained ana@h *", "5s ana")
		b.Source = netip.MustParseAddrPort(boHome)
		d.ReportUnreachable(b) // it has moved since: what was true there is not true here
		d.pass(s, 0, "", "")
	})
}

// The outcome of a probe over a flow that the phone has left says nothing.
func TestLateOutcomeOfAnOldFlow(t *testing.T) {
	s := newStreet()
	serving(t, s, func(d *desk) {
		d.comes("ana", "tcp", anaHome, 5*time.Minute)
		s.set(func() { s.dead[anaHome] = true })
		time.Sleep(8 * time.Second) // second question in flight
		d.comes("ana", "tcp", "203.0.113.7:5062", 5*time.Minute)
		d.pass(s, 10*time.Second, "added ana@h *, refreshed ana@h *", "4s ana, 7.5s ana, 17.5s ana")
	})
}

func TestProbesAreSpread(t *testing.T) {
	r := NewRegistrar(RegistrarOptions{Realm: testRealm})
	var perSecond [25]int
	for range 25000 {
		perSecond[int(r.phase().Seconds())]++
	}
	for at, n := range perSecond {
		if n < 700 || n > 1300 { // 1000 and 9 standard deviations
			t.Errorf("%d of 25000 first probes in second %d", n, at)
		}
	}
}

func TestNoProbesWhenSwitchedOff(t *testing.T) {
	b := newBindings(5, 0)
	if _, err := b.register(monday, asks("c", 1, flowBy("udp", anaHome), "ana@a")); err != nil {
		t.Fatal(err)
	}
	if at, _ := b.deadline(); at != monday.Add(time.Minute) {
		t.Errorf("due at %v", at)
	}
}

func TestProbeGoesWhereThePhoneIs(t *testing.T) {
	r := NewRegistrar(RegistrarOptions{Realm: testRealm})
	req, err := r.options(Binding{User: "ana", Contact: "sip:ana@192.168.1.10:5062;ob", Transport: "tcp", Source: netip.MustParseAddrPort(anaHome)})
	if err != nil {
		t.Fatal(err)
	}
	if req.Destination() != anaHome || req.Transport() != "TCP" || req.Recipient.String() != "sip:ana@192.168.1.10:5062;ob" {
		t.Errorf("%s to %s by %s", req.Recipient.String(), req.Destination(), req.Transport())
	}
	if to := req.To(); to.Address.User != "ana" || to.Address.Host != testRealm {
		t.Errorf("To: %s", to)
	}
}

func TestRunLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	d := newDesk(t, func(o *RegistrarOptions) { o.Now = time.Now })
	s := newStreet()
	s.dead[anaHome] = true
	d.attach(s, nil)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { d.run(ctx, unguarded); close(ended) }()
	d.comes("ana", "udp", anaHome, time.Minute)
	d.ReportUnreachable(d.Bindings("ana")[0])
	for s.heard() == "" {
		time.Sleep(time.Millisecond)
	}
	cancel()
	<-ended
	if got := d.told(); got != "added ana@h *, lost ana@h" {
		t.Errorf("told %q", got)
	}
}

// unguarded lets a test see what breaks.
func unguarded(_ string, f func()) bool { f(); return true }
