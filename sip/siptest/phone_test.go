package siptest

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// soon is the patience of a test that expects something to happen at once.
func soon(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
	t.Cleanup(stop)
	return ctx
}

// pair makes two phones that have each other as server.
func pair(t *testing.T, a, b net.PacketConn, oa, ob Options) (*Phone, *Phone) {
	t.Helper()
	oa.User, oa.Server = "ana", b.LocalAddr().String()
	ob.User, ob.Server = "bo", a.LocalAddr().String()
	pa, err := NewPhone(a, oa)
	if err != nil {
		t.Fatal(err)
	}
	pb, err := NewPhone(b, ob)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pa.Close(); pb.Close() })
	return pa, pb
}

func udp(t *testing.T) net.PacketConn {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestWholeCallOverUDP(t *testing.T) {
	ctx := soon(t)
	a, b := pair(t, udp(t), udp(t), Options{Name: "Ana"}, Options{})
	out := must[*Call](t)(a.Invite(ctx, b.AOR(), SDP{Addr: "127.0.0.1", Port: 4000}.String(), H("X-Test", "1")))
	in := must[*Call](t)(b.WaitCall(ctx))
	if in.Invite().Get("x-test") != "1" || in.Invite().Caller() != "ana" {
		t.Fatalf("INVITE arrived as\n%s", in.Invite())
	}
	in.Trying()
	in.Ring(180, "")
	must[*Message](t)(out.WaitFor(ctx, "180"))
	in.Answer(SDP{Addr: "127.0.0.1", Port: 4002}.String())
	must[*Message](t)(out.WaitFor(ctx, "2xx"))
	must[*Message](t)(in.WaitFor(ctx, "ACK"))
	if !strings.Contains(out.RemoteSDP(), "m=audio 4002 ") || !strings.Contains(in.RemoteSDP(), "m=audio 4000 ") {
		t.Fatal("descriptions were not exchanged")
	}
	out.Reinvite(SDP{Addr: "127.0.0.1", Port: 4000, Version: 2, Direction: "sendonly"}.String())
	hold := must[*Message](t)(out.WaitFor(ctx, "200 INVITE"))
	if s := must[SDP](t)(ParseSDP(hold.Body)); s.Direction != "recvonly" || s.Version != 2 {
		t.Fatalf("hold answered with %+v", s)
	}
	must[*Message](t)(in.WaitFor(ctx, "ACK"))
	in.Update("")
	must[*Message](t)(in.WaitFor(ctx, "200 UPDATE"))
	in.Info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
	if m := must[*Message](t)(out.WaitFor(ctx, "INFO")); m.Get("content-type") != "application/dtmf-relay" {
		t.Fatalf("INFO arrived as\n%s", m)
	}
	if err := in.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
	if err := out.Ended(ctx); err != nil {
		t.Fatal(err)
	}
	if n := a.Wire().Calls() + b.Wire().Calls(); n != 0 {
		t.Fatalf("%d dialogs left", n)
	}
}

func TestWholeCallOverTCP(t *testing.T) {
	ctx := soon(t)
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	defer l.Close()
	dialled := must[net.Conn](t)(net.Dial("tcp", l.Addr().String()))
	accepted := must[net.Conn](t)(l.Accept())
	a := must[*Phone](t)(NewStreamPhone(dialled, Options{User: "ana"}))
	b := must[*Phone](t)(NewStreamPhone(accepted, Options{User: "bo"}))
	t.Cleanup(func() { a.Close(); b.Close() })
	out := must[*Call](t)(a.Invite(ctx, b.AOR(), SDP{Addr: "127.0.0.1", Port: 4000}.String()))
	in := must[*Call](t)(b.WaitCall(ctx))
	in.Answer("")
	must[*Message](t)(out.WaitFor(ctx, "200"))
	must[*Message](t)(in.WaitFor(ctx, "ACK"))
	if err := out.Hangup(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestCancelAndRefusal(t *testing.T) {
	ctx := soon(t)
	a, b := pair(t, udp(t), udp(t), Options{}, Options{})
	giveUp, cancel := context.WithCancel(ctx)
	out := must[*Call](t)(a.Invite(giveUp, b.AOR(), ""))
	in := must[*Call](t)(b.WaitCall(ctx))
	in.Ring(180, "")
	must[*Message](t)(out.WaitFor(ctx, "180"))
	cancel()
	for _, what := range []string{"200 CANCEL", "487 INVITE", "ended"} {
		must[*Message](t)(out.WaitFor(ctx, what))
	}
	must[*Message](t)(in.WaitFor(ctx, "CANCEL"))
	must[*Message](t)(in.WaitFor(ctx, "ACK"))

	out = must[*Call](t)(a.Invite(ctx, b.AOR(), ""))
	must[*Call](t)(b.WaitCall(ctx)).Reject(486, H("Retry-After", "5"))
	if m := must[*Message](t)(out.WaitFor(ctx, "4xx")); m.Get("Retry-After") != "5" {
		t.Fatalf("refused with\n%s", m)
	}
	if err := out.Ended(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestManualPhoneIsRude(t *testing.T) {
	ctx := soon(t)
	a, b := pair(t, udp(t), udp(t), Options{Manual: []string{"ACK"}}, Options{Manual: []string{"BYE"}})
	out := must[*Call](t)(a.Invite(ctx, b.AOR(), ""))
	in := must[*Call](t)(b.WaitCall(ctx))
	in.Answer(SDP{Addr: "127.0.0.1", Port: 4002}.String())
	must[*Message](t)(out.WaitFor(ctx, "200"))
	// Without an ACK the answer comes again.
	if _, err := a.Wire().WaitMessage(ctx, func(m *Message) bool { return m.Status == 200 }); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wire().WaitMessage(ctx, func(m *Message) bool { return m.Status == 200 }); err != nil {
		t.Fatal(err)
	}
	out.Ack(SDP{Addr: "127.0.0.1", Port: 4000}.String())
	must[*Message](t)(in.WaitFor(ctx, "ACK"))
	if !strings.Contains(in.RemoteSDP(), "4000") {
		t.Fatal("answer in the ACK was not taken")
	}
	out.Bye()
	bye := must[*Message](t)(in.WaitFor(ctx, "BYE"))
	if err := in.Respond(bye, 200, ""); err != nil {
		t.Fatal(err)
	}
	if err := out.Ended(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestOptionsAndStrangers(t *testing.T) {
	ctx := soon(t)
	w := NewWire(udp(t), WireOptions{})
	defer w.Close()
	server := w.LocalAddr().String()
	for _, user := range []string{"ana", "bo"} {
		must[*Phone](t)(w.Phone(Options{User: user, Server: server}))
	}
	ana := w.phones["ana"]
	for target, want := range map[string]int{"bo": 200, "nobody": 404} {
		res := must[*Message](t)(ana.Do(ctx, ana.NewRequest("OPTIONS", "sip:"+target+"@"+server, "")))
		if res.Status != want {
			t.Errorf("OPTIONS to %s answered %d, want %d", target, res.Status, want)
		}
	}
	if res := must[*Message](t)(ana.Do(ctx, ana.NewRequest("BYE", "sip:bo@"+server, ""))); res.Status != 481 {
		t.Errorf("stray BYE answered %d", res.Status)
	}
}
