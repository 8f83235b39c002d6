package sip

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

func BenchmarkGate(b *testing.B) {
	now := time.Unix(1_800_000_000, 0)
	from := make([]flow, 100_000)
	for i := range from {
		from[i] = flow{"udp", netip.AddrPortFrom(v4(uint32(i)), 5060)}
	}
	for _, c := range []struct {
		what    string
		sources int
	}{{"hot source", 1}, {"100,000 spoofed sources", len(from)}} {
		b.Run(c.what, func(b *testing.B) {
			g := newGate(FloodPolicy{}, now, zap.NewNop())
			b.ReportAllocs()
			for i := range b.N {
				now := now.Add(time.Duration(i) * 20 * time.Microsecond)
				if _, ok := g.fromSource(foreign, from[i*7919%c.sources], whole, now); ok {
					g.fromAll(foreign, signingIn, whole, now)
				}
			}
		})
	}
}

// What a datagram costs before the parser, by what it is; beside it the parser.
func BenchmarkFilter(b *testing.B) {
	e, _, _ := besieged(b, FloodPolicy{})
	from := make([]sip.TransportReadProps, 100_000)
	for i := range from {
		from[i] = sip.TransportReadProps{Transport: "UDP", LocalAddr: e.o.UDP.LocalAddr(), RemoteAddr: &net.UDPAddr{IP: v4(uint32(i)).AsSlice(), Port: 5060}}
	}
	reg := registerOf(1)
	for _, c := range []struct {
		what    string
		text    []byte
		sources int
	}{
		{"OPTIONS of a stranger", []byte(strings.ReplaceAll(string(reg), "REGISTER", "OPTIONS")), 1},
		{"scanner", []byte(strings.Replace(string(reg), "Linphone", "friendly-scanner", 1)), 1},
		{"REGISTER, hot source", reg, 1},
		{"REGISTER, 100,000 spoofed sources", reg, len(from)},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			for i := range b.N {
				if _, err := e.filter(from[i*7919%c.sources], c.text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("the parser", func(b *testing.B) {
		p := sip.NewParser(sip.WithHeadersParsers(headerParsers()))
		b.ReportAllocs()
		for range b.N {
			if _, err := p.ParseSIP(reg); err != nil {
				b.Fatal(err)
			}
		}
	})
}
