package sip

import (
	"bytes"
	"fmt"
	"net"
	"testing"

	"github.com/emiago/sipgo/sip"
)

// BenchmarkEnlist is a registration from datagram to datagram without the
// sockets: a REGISTER that is challenged, and one that answers; and beside it what
// the phone needs for that.
func BenchmarkEnlist(b *testing.B) {
	udp, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	out := &written{PacketConn: udp}
	e, err := NewEdge(Options{UserAgent: "test", UDP: out, Flood: &FloodPolicy{Source: 1e6, Phone: 1e6, Strangers: 1e6, Total: 1e6},
		Registrar: NewRegistrar(RegistrarOptions{Realm: testRealm, Default: MD5, Accounts: testAccounts, Probe: -1})})
	if err != nil {
		b.Fatal(err)
	}
	serve(b, e)
	until(b, "the socket is served", func() bool { return e.tpl.Pool("udp").Size() > 0 })
	from := sip.TransportReadProps{Transport: "UDP", LocalAddr: udp.LocalAddr(), RemoteAddr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 5062}}
	ha1 := HA1(MD5, "ana", testRealm, "pw-ana")
	ha2 := string(MD5.appendSum(nil, []byte("REGISTER:sip:"+testRealm)))
	var text, sum []byte
	message := func(i int, nonce []byte) []byte {
		text = fmt.Appendf(text[:0], "REGISTER sip:%[2]s SIP/2.0\r\nVia: SIP/2.0/UDP 192.168.1.10:5060;branch=z9hG4bK%[1]d;rport\r\nMax-Forwards: 70\r\n"+
			"From: <sip:ana@%[2]s>;tag=1\r\nTo: <sip:ana@%[2]s>\r\nCall-ID: c%[1]d\r\nCSeq: %[1]d REGISTER\r\n"+
			"Contact: <sip:ana@192.168.1.10:5060;transport=udp>\r\nExpires: 300\r\n", i, testRealm)
		if nonce != nil {
			sum = MD5.appendSum(sum[:0], fmt.Appendf(nil, "%s:%s:00000001:c:auth:%s", ha1, nonce, ha2))
			text = fmt.Appendf(text, "Authorization: Digest username=\"ana\", realm=\"%[1]s\", nonce=\"%[2]s\", uri=\"sip:%[1]s\", response=\"%[3]s\", algorithm=MD5, qop=auth, nc=00000001, cnonce=\"c\"\r\n",
				testRealm, nonce, sum)
		}
		return append(text, "User-Agent: registrant\r\nContent-Length: 0\r\n\r\n"...)
	}
	ask := func(b *testing.B, i int, nonce []byte, code string) {
		if data, err := e.filter(from, message(i, nonce)); data != nil || err != nil || !bytes.HasPrefix(out.last, []byte("SIP/2.0 "+code)) {
			b.Fatalf("answered %q", out.last)
		}
	}
	i := 0
	for _, whole := range []bool{true, false} {
		b.Run(map[bool]string{true: "registration", false: "the phone"}[whole], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !whole {
					message(2*i, nil)
					message(2*i+1, out.last[:40])
					continue
				}
				i++
				ask(b, 2*i, nil, "401")
				_, nonce, _ := bytes.Cut(out.last, []byte(`nonce="`))
				nonce, _, _ = bytes.Cut(nonce, []byte(`"`))
				ask(b, 2*i+1, bytes.Clone(nonce), "200")
			}
		})
	}
}
