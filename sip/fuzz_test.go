package sip

import (
	"bytes"
	"net"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"foyer/sip/siptest"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// seeds are the corpus of the RFCs and a few messages more.
func seeds(f *testing.F) {
	f.Helper()
	t := &testing.T{}
	for _, v := range vectors {
		f.Add(v.message(t, 5060))
	}
	for _, change := range [][]string{nil, {"Via: SIP/2.0/UDP [::1]:5060;branch=z9hG4bK1;RPORT"}, {"k: timer", "x: 20;refresher=uac"},
		{"From: a b<sip:x@y?z=1>;tag=1", "CSeq: 5  INVITE"}, {"Record-Route: <sip:a;lr>,<sip:b>", "Reason: SIP;cause=200;text=\"a;b\""},
		{"P-Asserted-Identity: \"x\\\"\" <tel:+331;x=y>, <sip:z@w>", "Privacy: id;critical"}, {"r: <sip:a@b?Replaces=c%3Bto-tag%3Dd>", "b: <sip:x@y>;q"}} {
		for _, method := range []string{"INVITE", "REGISTER"} {
			f.Add([]byte(strings.Join(request(method, "fuzz", change...), "\r\n") + "\r\n"))
		}
	}
}

// FuzzVet: what passes is read by the library, written so that it passes again
// and reads the same, and has all that the layers above rely on. What they take
// out of it is one line each.
func FuzzVet(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, isSIP := vet(data)
		if !isSIP || p.wrong != nil {
			return
		}
		msg := again(t, data)
		if msg.Via() == nil || msg.From() == nil || msg.To() == nil || msg.CallID() == nil || msg.CSeq() == nil {
			t.Fatalf("passed: %q", data)
		}
		req, ok := msg.(*sip.Request)
		if !ok {
			return
		}
		if req.CSeq().MethodName != req.Method || req.SipVersion != "SIP/2.0" {
			t.Fatalf("passed: %q", data)
		}
		if p.req != nil {
			readAlike(t, p.req, req)
		}
		_ = check(req)
		caller := callerOf(req)
		for _, s := range []string{caller.User, caller.Display, userOf(&req.Recipient), reasonOf(req).Text, claimed(req)} {
			if strings.ContainsAny(s, "\r\n\x00") {
				t.Fatalf("%q taken out of %q", s, data)
			}
		}
		if routes := routeSet(req); len(routes) > maxOfAKind {
			t.Fatalf("%d routes", len(routes))
		}
	})
}

// FuzzDecline: whatever arrives is answered by nothing or by one well-formed
// response, to where it came from, with no header that we did not mean to send.
func FuzzDecline(f *testing.F) {
	seeds(f)
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	defer udp.Close()
	out := &written{PacketConn: udp}
	core, broken := observer.New(zap.ErrorLevel)
	e, err := NewEdge(Options{UDP: out, UserAgent: "Foyer", Log: zap.New(core)})
	if err != nil {
		f.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(f.Context()) }()
	defer func() { _ = e.Close(); <-ended }()
	until(&testing.T{}, "the socket is served", func() bool {
		return e.connected("udp", netip.MustParseAddrPort("127.0.0.9:9")) && e.tpl.Pool("udp").Size() > 0
	})
	ends := addrs{udp.LocalAddr(), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 9), Port: 9}}
	f.Fuzz(func(t *testing.T, data []byte) {
		out.last, out.to = nil, nil
		good, isSIP := e.heard("udp", ends, bytes.Clone(data))
		if broken.Len() > 0 {
			t.Fatalf("%v\n%q", broken.All()[0], data)
		}
		if good != nil && !isSIP || good != nil && out.last != nil {
			t.Fatalf("handed on and answered: %q", data)
		}
		if out.last == nil {
			return
		}
		m, err := siptest.Parse(out.last)
		if err != nil || m.Status < 400 || m.Status > 599 || m.Body != "" || !bytes.HasSuffix(out.last, endOfHead) {
			t.Fatalf("%v: answered %q", err, out.last)
		}
		if out.to.String() != ends.remote.String() {
			t.Fatalf("sent to %s", out.to)
		}
		for _, h := range m.Headers {
			switch h.Name {
			case "Via", "From", "To", "Call-ID", "CSeq", "Allow", "Server", "Content-Length":
			default:
				t.Fatalf("%s in the answer %q to %q", h.Name, out.last, data)
			}
		}
		if again, _ := e.heard("udp", ends, bytes.Clone(data)); again != nil {
			t.Fatalf("answered once, handed on the second time: %q", data)
		}
	})
}

// written is a socket that keeps what is sent instead.
type written struct {
	net.PacketConn
	last []byte
	to   net.Addr
}

func (w *written) WriteTo(b []byte, to net.Addr) (int, error) {
	w.last, w.to = bytes.Clone(b), to
	return len(b), nil
}

// FuzzFrame: however the network cuts a stream, the same messages come of it, in
// order, none of a byte that was not there.
func FuzzFrame(f *testing.F) {
	one := strings.Join(request("OPTIONS", "a"), "\r\n") + "\r\n"
	f.Add([]byte(one+"\r\n\r\n"+one+one[:40]), uint8(3))
	f.Add([]byte("A\r\nl:3\r\n\r\nabcB\r\nContent-Length : 0\r\n\r\n\r\n\r\n\r\nC\r\nl:1\r\nl:1\r\n\r\n"), uint8(1))
	f.Add([]byte("A\r\nl\r\n :\r\n 2\r\n\r\nabB"), uint8(5))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		whole, pieces := lines{}, lines{}
		want, wantLost := drain(&whole, stream)
		var got [][]byte
		var lost error
		for rest := stream; len(rest) > 0 && lost == nil; {
			n := min(len(rest), int(step)%97+1)
			var more [][]byte
			more, lost = drain(&pieces, rest[:n])
			rest = rest[n:]
			got = append(got, more...)
		}
		if !reflect.DeepEqual(got, want) || (lost == nil) != (wantLost == nil) {
			t.Fatalf("whole: %q, %v\nin pieces of %d: %q, %v", want, wantLost, int(step)%97+1, got, lost)
		}
		rest := stream
		for _, msg := range got {
			i := bytes.Index(rest, msg)
			if i < 0 || strings.Trim(string(rest[:i]), "\r\n") != "" {
				t.Fatalf("%q lost before %q", rest[:i], msg)
			}
			rest = rest[i+len(msg):]
			if _, r := bodyLength(msg); r != nil {
				t.Fatalf("no end, but a message: %q", msg)
			}
		}
	})
}

// drain reads data and returns the messages that are whole.
func drain(f *lines, data []byte) (msgs [][]byte, lost error) {
	for len(data) > 0 {
		n := copy(f.room(), data)
		f.add(n)
		data = data[n:]
		for p := message; p != nothing; {
			var msg []byte
			if p, msg, lost = f.next(); lost != nil {
				return msgs, lost
			}
			if p == message {
				msgs = append(msgs, bytes.Clone(msg))
			}
		}
	}
	return msgs, nil
}

// FuzzAddress: an address in normal form is written and read as the same.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{`"a\"b" <sip:u:p@h:5;x=y?z=w>;TAG = 1 ; q="a b";r`, "kate<tel:+33;x>", "sip:a@[::1]:5;tag=1", `<sip:*21#@h>;+sip.instance="<urn:uuid:1>", <b:c>`, "M\xfcller <sip:a@b>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, rest, ok := readAddress(s)
		if !ok || hasControl(s) {
			return
		}
		if rest != "" && rest[0] != ',' || len(rest) > len(s) || !strings.HasSuffix(s, rest) {
			t.Fatalf("%q is left of %q", rest, s)
		}
		text := (&sip.ToHeader{DisplayName: a.display, Address: a.uri, Params: a.params}).Value()
		b, rest, ok := readAddress(text)
		if !ok || rest != "" {
			t.Fatalf("%q written as %q cannot be read", s, text)
		}
		if a.angled = true; !reflect.DeepEqual(a, b) {
			t.Fatalf("%q read as %+v, written as %q, read as %+v", s, a, text, b)
		}
	})
}

// FuzzVia: the same for a hop. Nothing of it leads a response elsewhere than
// back: that is FuzzDecline's.
func FuzzVia(f *testing.F) {
	for _, s := range []string{"SIP / 2.0 / UDP h : 5 ; BRANCH = z9hG4bK1;rport, x", "SIP/2.0/TCP [::1]:9;received=[::2];a=\"b,c\"", "SIP/2.0/X 1.2.3.4;ttl=1;maddr=224.2.0.1", "SIP/2.0/UDP [::ffff:1.2.3.4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, rest, ok := readVia(s)
		if !ok || hasControl(s) {
			return
		}
		if rest != "" && rest[0] != ',' || !strings.HasSuffix(s, rest) {
			t.Fatalf("%q is left of %q", rest, s)
		}
		if v.Port < 0 || v.Port > 65535 {
			t.Fatalf("port %d", v.Port)
		}
		again, rest, ok := readVia(v.Value())
		if !ok || rest != "" || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q read as %+v, written as %q, read as %+v", s, v, v.Value(), again)
		}
	})
}

// FuzzURI: a URI is written and read as the same, and the library, which reads
// the Request-URI, understands the same of it.
func FuzzURI(f *testing.F) {
	for _, s := range []string{"sip:a-_.!~*'()&=+$,;?/b:c@h:5080;x;y=z", "sip:h;lr?X=1&X=2", "tel:+33;phone-context=a", "soap.beep://h:1", "sips:a%40b@[2001:db8:::1.2.3.4]", "sip:%00@1.2.3.4", "sip:h;[", "sip:h;x=[::1]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := readURI(s)
		if !ok {
			return
		}
		again, ok := readURI(u.String())
		if !ok || !reflect.DeepEqual(u, again) {
			t.Fatalf("%q read as %+v, written as %q, read as %+v", s, u, u.String(), again)
		}
		if u.Headers != nil || u.Scheme != "sip" && u.Scheme != "sips" || !legible(s, &u) {
			return
		}
		var theirs sip.Uri
		if err := sip.ParseUri(s, &theirs); err != nil {
			t.Fatalf("the library cannot read %q: %v", s, err)
		}
		if theirs.HierarhicalSlashes { // it takes the slashes off a user that begins with them
			theirs.User = "//" + theirs.User
		}
		if theirs.User != u.User || theirs.Password != u.Password || theirs.Host != u.Host || theirs.Port != u.Port || len(theirs.UriParams) != len(u.UriParams) {
			t.Fatalf("%q: we read %+v, the library %+v", s, u, theirs)
		}
	})
}

// FuzzSession: a session timer is never longer than asked, ends after it is
// refreshed, and what we answer is read back as what we agreed to.
func FuzzSession(f *testing.F) {
	f.Add("timer", "1800;refresher=uac", "90")
	f.Add("100rel", "90 ; Refresher = UAS;x", "")
	f.Add("", "4294967296", "99999999999")
	f.Fuzz(func(t *testing.T, supported, expires, least string) {
		req := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", Host: "h"})
		req.AppendHeader(sip.NewHeader("Supported", supported))
		req.AppendHeader(sip.NewHeader("Session-Expires", expires))
		req.AppendHeader(sip.NewHeader("Min-SE", least))
		policy := SessionPolicy{}.orDefault()
		ask := askOf(req)
		s, tooBrief := policy.grant(ask)
		if tooBrief || s.by == neither {
			return
		}
		if s.expires <= 0 || ask.expires != 0 && s.expires > ask.expires {
			t.Fatalf("asked %+v, granted %+v", ask, s)
		}
		var timer sessionTimer
		now := time.Unix(1e9, 0)
		timer.agreed(now, s)
		if !timer.last.After(now) || s.by == we && (timer.refresh.Before(now) || !timer.refresh.Before(timer.last)) {
			t.Fatalf("%+v runs %+v", s, timer)
		}
		res := sip.NewResponse(200, "OK")
		s.writeAnswer(res)
		if read := accepted(askOf(res)); read.expires != (s.expires + time.Second - 1).Truncate(time.Second) {
			t.Fatalf("granted %+v, answered %s, read %+v", s, res, read)
		}
	})
}

// FuzzReason: what was read is written as one line for each cause, and read as
// the same.
func FuzzReason(f *testing.F) {
	f.Add(`SIP;cause=200;text="Call completed \"elsewhere\", ok"`, `Q.850 ; cause = 16`)
	f.Add(`sip ;CAUSE=600;text=busy, X;cause=1`, "")
	f.Fuzz(func(t *testing.T, first, second string) {
		msg := sip.NewResponse(200, "OK")
		msg.AppendHeader(sip.NewHeader("Reason", first))
		msg.AppendHeader(sip.NewHeader("Reason", second))
		r := reasonOf(msg)
		back := sip.NewResponse(200, "OK")
		r.write(back)
		for _, h := range back.GetHeaders("reason") {
			if hasControl(h.Value()) {
				t.Fatalf("wrote %q", h.Value())
			}
		}
		r.Text = printable(r.Text)
		if r.SIP == 0 && r.Q850 == 0 {
			r.Text = "" // no cause, no header
		}
		if again := reasonOf(back); again != r {
			t.Fatalf("%q and %q read as %+v, written as %s, read as %+v", first, second, r, back, again)
		}
	})
}

// FuzzDigit: a key is one of sixteen, and the key itself when it is written the
// way everybody writes it.
func FuzzDigit(f *testing.F) {
	f.Add("application/dtmf-relay", "Signal= #\r\nDuration=160\r\n")
	f.Add("application/dtmf", "16")
	f.Add("application/dtmf-relay", "signal:11")
	f.Fuzz(func(t *testing.T, kind, body string) {
		d, ok := digitOf(kind, body)
		digit := d.Digit
		if !ok {
			if digit != 0 {
				t.Fatalf("%q without being one", digit)
			}
			return
		}
		if strings.IndexByte("0123456789*#ABCD", digit) < 0 {
			t.Fatalf("%q in %q", digit, body)
		}
		for _, form := range []string{"Signal=" + string(digit) + "\r\nDuration=100\r\n", "signal = " + strconv.Itoa(strings.IndexByte("0123456789*#ABCD", digit))} {
			if again, ok := digitOf("application/dtmf-relay", form); !ok || again.Digit != digit {
				t.Fatalf("%q from %q, %q from %q", digit, body, again, form)
			}
		}
	})
}
