package sip

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(asSwitch) != "" {
		if err := switchUntilKilled(); err != nil {
			fmt.Println(err)
		}
		return
	}
	flag.Parse()
	// Those that run side by side wait for connections most of the time.
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		f.Value.Set("8")
	}
	goleak.VerifyTestMain(m)
}

const (
	offerA = "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
	offerB = "v=0\r\no=- 1 2 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4002 RTP/AVP 8\r\na=sendonly\r\n"
	ourSDP = "v=0\r\no=- 7 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8\r\n"
	newSDP = "v=0\r\no=- 7 2 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 6002 RTP/AVP 8\r\na=recvonly\r\n"
	number = "sip:+33170000001@lo.test"
)

// stage is an edge with a carrier on a trunk and an agent's phone, on a network
// in memory, in a bubble where time passes at will.
type stage struct {
	t       *testing.T
	net     *siptest.Net
	edge    *Edge
	carrier *siptest.Phone
	phone   *siptest.Phone
	calls   chan *Leg
	ended   chan error
}

// play runs a test on a stage and sees that nothing is left when it ends.
func play(t *testing.T, change func(*Options), test func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{t: t, net: siptest.NewNet(1), calls: make(chan *Leg, 16), ended: make(chan error, 1)}
		o := Options{
			UserAgent: "Foyer/test",
			UDP:       s.listen("10.0.0.1:5060"),
			Trunks:    []Trunk{{ID: "carrier", Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32")}, MaxCalls: 3}},
			Invite:    func(l *Leg) { s.calls <- l; l.Wait() },
		}
		if change != nil {
			change(&o)
		}
		var err error
		if s.edge, err = NewEdge(o); err != nil {
			t.Fatal(err)
		}
		go func() { s.ended <- s.edge.Serve(t.Context()) }()
		s.carrier = s.newPhone("10.0.0.2:5060", siptest.Options{User: "carrier", Outbound: true})
		s.phone = s.newPhone("10.0.0.3:5060", siptest.Options{User: "ana", Outbound: true})
		synctest.Wait()
		defer s.close()
		test(s)
		s.settles() // finished transactions may remain; a leg may not
	})
}

func (s *stage) close() {
	s.carrier.Close()
	s.phone.Close()
	if err := s.edge.Close(); err != nil {
		s.t.Error(err)
	}
	if err := <-s.ended; err != nil {
		s.t.Error(err)
	}
	time.Sleep(time.Minute) // timers that are left must find nothing to do
	synctest.Wait()
}

// patience ends when something that should have happened has not.
func (s *stage) patience() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	s.t.Cleanup(cancel)
	return ctx
}

func (s *stage) listen(addr string) *siptest.Endpoint {
	s.t.Helper()
	e, err := s.net.Listen(addr)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *stage) newPhone(addr string, o siptest.Options) *siptest.Phone {
	s.t.Helper()
	o.Server, o.Domain = "10.0.0.1:5060", "lo.test"
	p, err := siptest.NewPhone(s.listen(addr), o)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// settles waits until no leg is left.
func (s *stage) settles() {
	s.t.Helper()
	for range 100 {
		synctest.Wait()
		if s.edge.Legs() == 0 {
			for id, n := range s.edge.TrunkCalls() {
				if n != 0 {
					s.t.Errorf("%d channels of %s in use and no leg", n, id)
				}
			}
			return
		}
		time.Sleep(time.Second)
	}
	s.t.Errorf("%d legs left", s.edge.Legs())
}

// diary is what a leg's sink was told.
type diary struct {
	t    *testing.T
	leg  *Leg
	mu   sync.Mutex
	told []LegEvent
	grew chan struct{}

	closed int // one more than the events told when we hung up
}

func newDiary(t *testing.T) *diary { return &diary{t: t, grew: make(chan struct{}, 1)} }

func (d *diary) sink(ev LegEvent) {
	d.mu.Lock()
	d.told = append(d.told, ev)
	d.mu.Unlock()
	select {
	case d.grew <- struct{}{}:
	default:
	}
}

// next waits for the next event.
func (d *diary) next() LegEvent {
	d.t.Helper()
	deadline := time.After(time.Hour)
	if !inBubble(d) {
		deadline = time.After(10 * time.Second)
	}
	for {
		d.mu.Lock()
		if len(d.told) > 0 {
			ev := d.told[0]
			d.told = d.told[1:]
			d.mu.Unlock()
			return ev
		}
		d.mu.Unlock()
		select {
		case <-d.grew:
		case <-deadline:
			d.t.Fatal("no event came")
			return nil
		}
	}
}

// inBubble tells a leg on a network in memory, where an hour is nothing.
func inBubble(d *diary) bool {
	if d.leg == nil || d.leg.e.o.UDP == nil {
		return false
	}
	switch d.leg.e.o.UDP.(type) {
	case *siptest.Endpoint, *plug:
		return true
	}
	return false
}

// expect waits for an event of a type.
func expect[E LegEvent](d *diary) E {
	d.t.Helper()
	ev := d.next()
	e, ok := ev.(E)
	if !ok {
		d.t.Fatalf("event %T %+v, want %T", ev, ev, e)
	}
	return e
}

// silent checks that nothing more was told.
func (d *diary) silent() {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, ev := range d.told {
		d.t.Errorf("told %T %+v", ev, ev)
	}
}

func listenTo(t *testing.T, l *Leg) *diary {
	d := newDiary(t)
	d.leg = l
	l.Listen(d.sink)
	return d
}

// arrives makes the carrier call and returns both ends.
func (s *stage) arrives(sdp string, extra ...siptest.Header) (*siptest.Call, *diary) {
	s.t.Helper()
	c, err := s.carrier.Invite(s.patience(), number, sdp, extra...)
	if err != nil {
		s.t.Fatal(err)
	}
	return c, listenTo(s.t, <-s.calls)
}

// talks makes a call that is up.
func (s *stage) talks(extra ...siptest.Header) (*siptest.Call, *diary) {
	s.t.Helper()
	c, d := s.arrives(offerA, extra...)
	if err := d.leg.Answer([]byte(ourSDP)); err != nil {
		s.t.Fatal(err)
	}
	s.saw(c, "200 INVITE")
	expect[Acked](d)
	return c, d
}

// saw waits for an event of a phone.
func (s *stage) saw(c *siptest.Call, what string) *siptest.Message {
	s.t.Helper()
	m, err := c.WaitFor(s.patience(), what)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *stage) binding() Binding {
	return Binding{User: "ana", Contact: "sip:ana@10.0.0.3:5060", Transport: "udp",
		Source: netip.MustParseAddrPort("10.0.0.3:5060"), Reachable: true}
}

// dials rings the phone.
func (s *stage) dials(change ...func(*Dial)) *diary {
	s.t.Helper()
	d := Dial{To: s.binding(), Caller: Caller{User: "+33612345678", Display: "Léa"}, SDP: []byte(ourSDP)}
	for _, f := range change {
		f(&d)
	}
	y := newDiary(s.t)
	l, err := s.edge.Dial(d, y.sink)
	if err != nil {
		s.t.Fatal(err)
	}
	y.leg = l
	return y
}

// rings dials and returns the phone's end.
func (s *stage) rings(change ...func(*Dial)) (*siptest.Call, *diary) {
	s.t.Helper()
	d := s.dials(change...)
	c, err := s.phone.WaitCall(s.patience())
	if err != nil {
		s.t.Fatal(err)
	}
	return c, d
}

// answers makes a call to the phone that is up.
func (s *stage) answers(extra ...siptest.Header) (*siptest.Call, *diary) {
	s.t.Helper()
	c, d := s.rings()
	c.Answer(offerA, extra...)
	s.saw(c, "ACK")
	if a := expect[Answered](d); string(a.SDP) != offerA {
		s.t.Fatalf("answered with %q", a.SDP)
	}
	return c, d
}

// raw sends a handmade message from the carrier, "%s" being a fresh branch.
func (s *stage) raw(from *siptest.Phone, lines ...string) {
	s.t.Helper()
	text := ""
	for _, l := range lines {
		text += l + "\r\n"
	}
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.1:5060"))
	if err := from.Wire().SendRaw([]byte(text), to); err != nil {
		s.t.Fatal(err)
	}
}

// status waits for the response to a handmade message by its Call-ID, if that is
// certain.
func (s *stage) status(p *siptest.Phone, callID string) *siptest.Message {
	s.t.Helper()
	m, err := p.Wire().WaitMessage(s.patience(), func(m *siptest.Message) bool {
		return !m.IsRequest() && m.Status >= 200 && (callID == "" || m.Get("Call-ID") == callID)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}
