package sip

import (
	"errors"
	"fmt"
	"net"
	"syscall"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// Every message gets a goroutine of its own in the library; what one connection
// brings must stay in order all the same.
func TestOrderOfAConnection(t *testing.T) {
	h := openHouse(t, nil)
	carrier, _ := h.tcpPhone("127.0.0.2", siptest.Options{User: "carrier"})
	c, err := carrier.Invite(soon(t), number, offerA)
	if err != nil {
		t.Fatal(err)
	}
	d := listenTo(t, <-h.calls)
	if err := d.leg.Answer([]byte(ourSDP)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.WaitFor(soon(t), "200 INVITE"); err != nil {
		t.Fatal(err)
	}
	const digits = 1000
	for i := range digits {
		c.Info("application/dtmf", fmt.Sprint(i%10))
	}
	c.Bye()
	expect[Acked](d)
	for i := range digits {
		if got := expect[Info](d).Digit; got != byte('0'+i%10) {
			t.Fatalf("digit %d is %c", i, got)
		}
	}
	expect[Ended](d)
	if n := carrier.Wire().Count("5xx", false); n != 0 {
		t.Errorf("%d refused", n)
	}
}

func TestConnectionOfPhoneIsGone(t *testing.T) {
	h := openHouse(t, nil)
	agent, conn := h.tcpPhone("127.0.0.1", siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm})
	mustRegister(t, agent)
	b := h.reg.Bindings("bo")[0]

	ringing := newDiary(t)
	var err error
	if ringing.leg, err = h.edge.Dial(Dial{To: b, SDP: []byte(ourSDP)}, ringing.sink); err != nil {
		t.Fatal(err)
	}
	in, err := agent.WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	in.Ring(180, "")
	expect[Progress](ringing)
	// Somebody listens where it connected from: a call must not reach him.
	at := conn.LocalAddr().String()
	agent.Close()
	if r := expect[Refused](ringing); !r.Unreachable || r.Code != 503 {
		t.Errorf("%+v", r)
	}
	until(t, "the connection is known to be gone", func() bool { return !h.edge.connected("tcp", b.Source) })
	until(t, "the phone is gone with it", func() bool { return len(h.reg.Bindings("bo")) == 0 })
	l, err := net.Listen("tcp", at)
	if err == nil {
		defer l.Close()
		go func() {
			if c, err := l.Accept(); err == nil {
				t.Error("the edge called a phone's old address")
				c.Close()
			}
		}()
	}
	again := newDiary(t)
	if again.leg, err = h.edge.Dial(Dial{To: b, SDP: []byte(ourSDP)}, again.sink); err != nil {
		t.Fatal(err)
	}
	if r := expect[Refused](again); !r.Unreachable || r.Code != 503 {
		t.Errorf("%+v", r)
	}
	// Nor may a request that has slipped through the check.
	req := h.edge.inside("x", &dialog{flow: flow{"tcp", b.Source}, from: again.leg.dialog.from, to: again.leg.dialog.to, target: again.leg.dialog.target}, "OPTIONS", 1)
	req.SetBody(nil)
	if _, err := h.edge.ask(req); !errors.Is(err, errNoConnection) {
		t.Errorf("sent: %v", err)
	}
}

func TestCallerConnectionIsGone(t *testing.T) {
	h := openHouse(t, nil)
	carrier, _ := h.tcpPhone("127.0.0.2", siptest.Options{User: "carrier"})
	if _, err := carrier.Invite(soon(t), number, offerA); err != nil {
		t.Fatal(err)
	}
	d := listenTo(t, <-h.calls)
	carrier.Close()
	expect[Cancelled](d)
}

// A connection is nobody else's: with two phones on TCP, each is reached by its
// own.
func TestConnectionsAreNotMixedUp(t *testing.T) {
	h := openHouse(t, nil)
	bo, _ := h.tcpPhone("127.0.0.1", siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm})
	mustRegister(t, bo)
	stranger, _ := h.tcpPhone("127.0.0.1", siptest.Options{User: "stranger"})
	if _, err := stranger.Do(soon(t), stranger.NewRequest("OPTIONS", "sip:lo.test", "")); err != nil {
		t.Fatal(err)
	}
	d := newDiary(t)
	l, err := h.edge.Dial(Dial{To: h.reg.Bindings("bo")[0], SDP: []byte(ourSDP)}, d.sink)
	if err != nil {
		t.Fatal(err)
	}
	in, err := bo.WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	in.Ring(180, "")
	expect[Progress](d)
	l.Hangup(Reason{})
	if err := in.Ended(soon(t)); err != nil {
		t.Fatal(err)
	}
	if n := stranger.Wire().Count("INVITE", false); n != 0 {
		t.Error("the call went to another one's connection")
	}
	until(t, "no legs", func() bool { return h.edge.Legs() == 0 })
}

// failing fails some times before it says that it is closed.
type failing struct{ left int }

type failingListener struct {
	net.Listener
	*failing
}

type failingPackets struct {
	net.PacketConn
	*failing
}

func (f failingListener) Accept() (net.Conn, error) {
	if f.left--; f.left >= 0 {
		return nil, syscall.EMFILE
	}
	return nil, net.ErrClosed
}

func (f failingPackets) ReadFrom([]byte) (int, net.Addr, error) {
	if f.left--; f.left >= 0 {
		return 0, nil, errors.New("no buffer space")
	}
	return 0, nil, net.ErrClosed
}

func TestSocketErrorsDoNotEndServing(t *testing.T) {
	play(t, nil, func(s *stage) {
		f := &failing{left: 12}
		begun := time.Now()
		if err := s.edge.door.accept(failingListener{nil, f}, "tcp"); !errors.Is(err, net.ErrClosed) || f.left != -1 {
			t.Errorf("%v, %d left", err, f.left)
		}
		if took := time.Since(begun); took < time.Second || took > 10*time.Second {
			t.Errorf("tried for %v", took)
		}
		f.left = 3
		if _, _, err := (datagrams{PacketConn: failingPackets{nil, f}}).ReadFrom(nil); !errors.Is(err, net.ErrClosed) || f.left != -1 {
			t.Errorf("%v, %d left", err, f.left)
		}
	})
}
