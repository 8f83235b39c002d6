package rtp

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/deadline"
)

// A browser and a telephone with DTLS-SRTP, as caller and as called, beginning the
// handshake and leaving that to us: heard both ways by a peer of plain RTP.
func TestBrowserTalks(t *testing.T) {
	for _, c := range []struct {
		name          string
		ice, calls    bool
		active        bool
		profile, says string
	}{
		{"browser calls", true, true, true, "", "UDP/TLS/RTP/SAVPF"},
		{"browser calls and waits", true, true, false, "", "UDP/TLS/RTP/SAVPF"},
		{"browser is called", true, false, true, "", "UDP/TLS/RTP/SAVPF"},
		{"browser is called and waits", true, false, false, "", "UDP/TLS/RTP/SAVPF"},
		{"phone calls", false, true, true, "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVP"},
		{"phone of old calls", false, true, true, "RTP/SAVPF", "RTP/SAVPF"},
		{"phone that may do without", false, true, true, "RTP/AVP", "RTP/AVP"},
		{"phone calls and waits", false, true, false, "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVP"},
		{"phone is called", false, false, true, "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVP"},
		{"phone is called and waits", false, false, false, "UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVP"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, nil)
			a := newPeer(t, m, nil, alaw())
			b := newBrowser(t, m, a.leg, c.ice)
			b.profile, b.active = c.profile, c.active
			var st Stream
			if c.calls {
				st = b.calls()
			} else {
				st = b.isCalled()
			}
			if st.Guard != DTLS || (st.ICE != nil) != c.ice || !st.Send || !st.Receive || st.Mux != c.ice {
				t.Fatalf("agreed: %+v", st)
			}
			if text := string(b.session.Last()); !strings.Contains(text, " "+c.says+" ") {
				t.Errorf("our profile is not %s\n%s", c.says, text)
			}
			Bridge(a.leg, b.leg)
			a.sync()
			for i := range byte(20) {
				b.say(frame(i))
				k := a.hear()
				want := frame(i)[4]
				if k.PayloadType == 8 {
					want = toPCMA[want]
				}
				if k.Payload[4] != want {
					t.Fatalf("packet %d: % x", i, k.Payload[:6])
				}
				a.say(8, frame(i))
				if k := b.hear(); len(k.Payload) != 160 {
					t.Fatalf("packet %d back: %d bytes", i, len(k.Payload))
				}
			}
			r := b.report()
			if r.Guard != DTLS || r.Received != 20 || r.Malformed != 0 || r.Unproven > 1 {
				t.Errorf("report: %+v", r)
			}
			until(t, "the handshake's goroutine has ended", func() bool { return b.handshakes() == 0 })
			b.refresh(t)
			b.say(frame(9))
			a.hear()
			if n := b.handshakes(); n != 0 {
				t.Errorf("%d handshakes after a session refresh", n)
			}
		})
	}
}

// refresh repeats what was agreed, as a re-INVITE does.
func (b *browser) refresh(t *testing.T) {
	t.Helper()
	setup := "passive"
	if b.active {
		setup = "active"
	}
	b.session.Offer(NoCodec)
	st, err := b.session.Accept(b.describe(setup))
	if err != nil {
		t.Fatal(err)
	}
	b.leg.Set(st)
	_, st, err = b.session.Answer(b.describe("actpass"), NoCodec)
	if err != nil {
		t.Fatal(err)
	}
	if st.DTLS.Active == b.active {
		t.Errorf("the roles have changed: we begin %v", st.DTLS.Active)
	}
	b.leg.Set(st)
	b.report()
}

func (b *browser) handshakes() (n int) {
	done := make(chan int)
	b.leg.post(func(*shard) { done <- len(b.leg.shield.association.tries) })
	return <-done
}

// Whoever shows another certificate than the SDP promised gets no keys; the right
// one may still come.
func TestAForeignCertificateGetsNoKeys(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	b := newBrowser(t, m, a.leg, false)
	b.profile = "UDP/TLS/RTP/SAVP"
	b.dialTo()
	right := b.identity
	_, st, err := b.session.Answer(b.describe("actpass"), NoCodec)
	if err != nil {
		t.Fatal(err)
	}
	st.Latch = Exact
	b.leg.Set(st)
	if b.identity, err = newIdentity(time.Now()); err != nil {
		t.Fatal(err)
	}
	b.listen()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.shake(ctx, m.Fingerprint()); err == nil {
		t.Fatal("the handshake succeeded")
	}
	until(t, "the fingerprint is counted", func() bool { return b.troubles()[DTLSPrint] == 1 })
	b.identity = right
	if err := b.shake(ctx, m.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	until(t, "we have the keys too", func() bool { return b.report().Guard == DTLS })
	Bridge(a.leg, b.leg)
	a.sync()
	b.say(frame(1))
	a.hear()
}

func (b *browser) troubles() (n SRTPErrors) {
	done := make(chan SRTPErrors)
	b.leg.post(func(s *shard) { done <- s.totals[AgentLeg].SRTP })
	return <-done
}

// A phone begins as soon as it has sent its answer, and that may overtake the
// answer. It is not made to wait for its own repeat, which comes after a second.
func TestAHelloBeforeTheAnswerIsKept(t *testing.T) {
	m := open(t, nil)
	b := newBrowser(t, m, nil, false)
	b.profile, b.step = "UDP/TLS/RTP/SAVP", 30*time.Second
	b.dialTo()
	b.session.Offer(NoCodec)
	b.listen()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.shake(ctx, m.Fingerprint()) }()
	until(t, "the hello is here", func() bool {
		here := make(chan bool)
		b.leg.post(func(*shard) { here <- b.leg.early != nil })
		return <-here
	})
	st, err := b.session.Accept(b.describe("active"))
	if err != nil {
		t.Fatal(err)
	}
	b.leg.Set(st)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	until(t, "we have the keys too", func() bool { return b.report().Guard == DTLS })
}

// hello is a ClientHello as any stranger may send it.
func hello(t *testing.T) []byte {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	b := &browser{t: t, active: true, lane: &handshake{leg: &Leg{}, in: make(chan []byte), ended: make(chan struct{}), wait: deadline.New(), cancel: func() {}}}
	if b.identity, err = newIdentity(time.Now()); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", conn.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b.wire = c
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = b.shake(ctx, "") }()
	buf := make([]byte, 2000)
	n, err := conn.Read(buf)
	cancel()
	<-done
	if err != nil || n < 14 || buf[0] != 22 || buf[13] != 1 {
		t.Fatalf("no ClientHello: % x", buf[:n])
	}
	return buf[:n]
}

// ClientHellos from everywhere, before the handshake, in it and after it, records
// that are none, and copies of the peer's own: the peer gets through and stays.
func TestClientHelloSpray(t *testing.T) {
	spray := hello(t)
	for _, c := range []struct {
		name string
		ice  bool
	}{{"phone", false}, {"browser", true}} {
		t.Run(c.name, func(t *testing.T) {
			m := open(t, nil)
			a := newPeer(t, m, nil, alaw())
			b := newBrowser(t, m, a.leg, c.ice)
			if !c.ice {
				b.profile = "UDP/TLS/RTP/SAVP"
			}
			stop, sent := make(chan struct{}), make(chan int)
			var socks []net.Conn
			for range 8 {
				s, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.leg.Addr()))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				socks = append(socks, s)
			}
			go func() {
				n := 0
				for ; n < 20_000; n++ {
					select {
					case <-stop:
						sent <- n
						return
					default:
					}
					p := append([]byte(nil), spray...)
					switch n % 5 {
					case 1:
						p = p[:14+n%40] // cut
					case 2:
						p[20+n%100] ^= 0x55
					case 3:
						p = []byte{22, 254, 253, 0, 1, 0, 0, 0, 0, 0, 1, 0, 4, 20, 0, 0, 0} // an encrypted record
					case 4:
						p = []byte{21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40} // a fatal alert
					}
					_, _ = socks[n%len(socks)].Write(p)
					if n%10 == 0 {
						time.Sleep(100 * time.Microsecond)
					}
				}
				sent <- n
			}()
			b.calls()
			Bridge(a.leg, b.leg)
			a.sync()
			for i := range byte(50) {
				b.say(frame(i))
				a.hear()
				a.say(8, frame(i))
				b.hear()
				time.Sleep(2 * time.Millisecond) // packets of 20 ms, a little faster
			}
			close(stop)
			n := <-sent
			r := b.report()
			if n < 100 || r.Received != 50 {
				t.Errorf("%d sprayed; report %+v", n, r)
			}
			t.Logf("%d packets sprayed, %d counted, %v", n, r.Unproven, b.troubles())
		})
	}
}

// A browser with two ways to us may go over to the other one in the midst of the
// handshake: to ICE both are the same peer's.
func TestBrowserChangesItsWayInTheHandshake(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	b := newBrowser(t, m, a.leg, true)
	b.rewire = func(first net.Conn) net.Conn {
		second, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.leg.Addr()))
		if err != nil {
			t.Fatal(err)
		}
		ours, password, err := b.agent.GetRemoteUserCredentials()
		if err != nil {
			t.Fatal(err)
		}
		theirs, _, err := b.agent.GetLocalUserCredentials()
		if err != nil {
			t.Fatal(err)
		}
		msg, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ours+":"+theirs),
			stun.NewShortTermIntegrity(password), stun.Fingerprint)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := second.Write(msg.Raw); err != nil {
			t.Fatal(err)
		}
		if answer := nextCheck(t, second); answer.Type != stun.BindingSuccess {
			t.Fatalf("the check of the second way: %s", answer.Type)
		}
		_ = second.SetReadDeadline(time.Time{})
		return newTwoWays(first, second)
	}
	b.calls()
	Bridge(a.leg, b.leg)
	a.sync()
	for i := range byte(20) {
		b.say(frame(i))
		a.hear()
		a.say(8, frame(i))
		b.hear()
	}
	if got := b.troubles(); got != (SRTPErrors{}) {
		t.Errorf("counted: %+v", got)
	}
}

// twoWays sends what is first by the first way, and everything after it by the
// second. It hears on both.
type twoWays struct {
	net.Conn
	second net.Conn
	moved  atomic.Bool
	came   chan []byte
}

func newTwoWays(first, second net.Conn) *twoWays {
	w := &twoWays{Conn: first, second: second, came: make(chan []byte, 100)}
	var both sync.WaitGroup
	for _, way := range []net.Conn{first, second} {
		both.Go(func() {
			for {
				b := make([]byte, 2000)
				n, err := way.Read(b)
				if err != nil {
					return
				}
				w.came <- b[:n]
			}
		})
	}
	go func() { both.Wait(); close(w.came) }()
	return w
}

func (w *twoWays) Read(b []byte) (int, error) {
	data, ok := <-w.came
	if !ok {
		return 0, net.ErrClosed
	}
	return copy(b, data), nil
}

func (w *twoWays) Write(b []byte) (int, error) {
	if w.moved.Swap(true) {
		return w.second.Write(b)
	}
	return w.Conn.Write(b)
}

func (w *twoWays) Close() error { return errors.Join(w.Conn.Close(), w.second.Close()) }

// Checks: only one who knows the password is answered with success, and only such a
// one is sent to.
func TestChecksNeedThePassword(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(a.leg.Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	st := alaw()
	st.Send, st.Receive, st.Mux, st.Guard, st.Keys = true, true, true, SDES, keysFor(GCM128)
	st.ICE = &Checks{OurName: "ours", TheirName: "theirs", OurPassword: "password-of-twenty-two"}
	st.Remote = conn.LocalAddr().(*net.UDPAddr).AddrPort() // says the SDP, which is no proof
	a.leg.Set(st)
	a.leg.Hear(&Playlist{Sounds: []*Sound{tune(8000)}, Loop: true})
	const password, user = "password-of-twenty-two", "ours:theirs"
	check := func(user, password string, more ...stun.Setter) []stun.Setter {
		list := append([]stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(user)}, more...)
		if password != "" {
			list = append(list, stun.NewShortTermIntegrity(password))
		}
		return append(list, stun.Fingerprint)
	}
	use := stun.RawAttribute{Type: stun.AttrUseCandidate}
	controlled := stun.RawAttribute{Type: stun.AttrICEControlled, Value: make([]byte, 8)}
	for _, c := range []struct {
		name  string
		make  []stun.Setter
		class stun.MessageClass // of the answer
		none  bool
		why   ICEFailure
	}{
		{"no password", check(user, "", use), 0, true, ICEMalformed},
		{"wrong password", check(user, "password-of-twenty-too", use), 0, true, ICEPassword},
		{"for another", check("ours:others", password, use), 0, true, ICEName},
		{"names swapped", check("theirs:ours", password, use), 0, true, ICEName},
		{"no fingerprint", []stun.Setter{stun.TransactionID, stun.BindingRequest, stun.NewUsername(user), use, stun.NewShortTermIntegrity(password)}, 0, true, ICEMalformed},
		{"wants us to choose", check(user, password, controlled), stun.ClassErrorResponse, false, ICERole},
		{"a check", check(user, password), stun.ClassSuccessResponse, false, iceFailures},
		{"a choice", check(user, password, use), stun.ClassSuccessResponse, false, iceFailures},
	} {
		before := a.failures()
		msg, err := stun.Build(c.make...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(msg.Raw); err != nil {
			t.Fatal(err)
		}
		if !c.none {
			answer := nextCheck(t, conn)
			if answer.TransactionID != msg.TransactionID || answer.Type.Class != c.class || answer.Type.Method != stun.MethodBinding {
				t.Errorf("%s: answered %s", c.name, answer.Type)
			}
			if err := stun.NewShortTermIntegrity(password).Check(answer); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			var at stun.XORMappedAddress
			if err := at.GetFrom(answer); c.class == stun.ClassSuccessResponse && (err != nil || at.Port != conn.LocalAddr().(*net.UDPAddr).Port) {
				t.Errorf("%s: mapped address %v, %v", c.name, at, err)
			}
		}
		if c.why < iceFailures {
			until(t, c.name+" is counted", func() bool { return a.failures()[c.why] == before[c.why]+1 })
		}
	}
	b := make([]byte, 2000)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := conn.Read(b); err != nil || isCheck(b[:n]) || !bytes.Equal(b[:1], []byte{0x80}) {
		t.Errorf("after the choice comes no music: %v", err)
	}
	// A re-INVITE whose SDP names another address: the way stays.
	st.Remote = netip.MustParseAddrPort("127.0.0.1:9")
	a.leg.Set(st)
	a.sync()
	for _ = conn.SetReadDeadline(time.Now()); ; {
		if _, err := conn.Read(b); err != nil {
			break // what was on its way is read
		}
	}
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Read(b); err != nil {
		t.Errorf("after a re-INVITE comes no music: %v", err)
	}
	if n := a.failures()[ICEUnanswered]; n != 0 {
		t.Errorf("%d legs without a way", n)
	}
}

func (p *peer) failures() (n ICEFailures) {
	done := make(chan ICEFailures)
	p.leg.post(func(s *shard) { done <- s.totals[TrunkLeg].ICE })
	return <-done
}

// nextCheck is the next STUN message; audio before the choice is a fault.
func nextCheck(t *testing.T, conn net.Conn) *stun.Message {
	t.Helper()
	b := make([]byte, 2000)
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	m := &stun.Message{Raw: b[:n]}
	if err := m.Decode(); err != nil {
		t.Fatalf("before the choice came % x", b[:min(n, 16)])
	}
	return m
}

// A fault in a handshake is a handshake that failed: its leg and the others go on.
func TestAFaultInAHandshake(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	h := &handshake{leg: a.leg, name: &net.UDPAddr{}, in: make(chan []byte), ended: make(chan struct{}), wait: deadline.New(), cancel: func() {}}
	close(h.ended)
	var none context.Context // from which no other can be made
	if conn, _, err := h.safely(none, m.identity, Handshake{Active: true}, false); err != errFault || conn != nil {
		t.Errorf("%v %v", conn, err)
	}
	if n := m.Faults(); n != 1 {
		t.Errorf("%d faults", n)
	}
}
