package sip

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// BenchmarkCall is a whole call: INVITE from a trunk, INVITE to a phone, both
// answered, acknowledged and hung up. cpu-us/call is of the whole process, the
// carrier and the phone of the test included; setup-us is from the carrier's
// INVITE being sent to the phone's being received. Kept is the same with legs that
// outlive the process.
func BenchmarkCall(b *testing.B) {
	b.Run("lost", func(b *testing.B) { benchmarkCall(b, nil) })
	b.Run("kept", func(b *testing.B) {
		k := newMemory()
		benchmarkCall(b, k)
		b.ReportMetric(float64(k.puts)/float64(b.N), "records/call")
		b.ReportMetric(float64(k.bytes)/float64(max(k.puts, 1)), "bytes/record")
	})
}

func benchmarkCall(b *testing.B, k Keep) {
	udp := func(at string) net.PacketConn {
		pc, err := net.ListenPacket("udp", at)
		if err != nil {
			b.Fatal(err)
		}
		return pc
	}
	calls := make(chan *Leg, 16)
	e, err := NewEdge(Options{
		Keep:   k,
		UDP:    udp("127.0.0.1:0"),
		Trunks: []Trunk{{ID: "carrier", Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}},
		Invite: func(l *Leg) { calls <- l; l.Wait() },
	})
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = e.Serve(b.Context()) }()
	server := e.o.UDP.LocalAddr().String()
	carrierWire := siptest.NewWire(udp("127.0.0.2:0"), siptest.WireOptions{Quiet: true})
	agentWire := siptest.NewWire(udp("127.0.0.3:0"), siptest.WireOptions{Quiet: true})
	defer carrierWire.Close()
	defer agentWire.Close()
	rung := make(chan *siptest.Call, 16)
	carrier, err := carrierWire.Phone(siptest.Options{User: "carrier", Server: server, Outbound: true, Forgetful: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := agentWire.Phone(siptest.Options{User: "ana", Server: server, Outbound: true, Forgetful: true, OnCall: func(c *siptest.Call) { rung <- c }}); err != nil {
		b.Fatal(err)
	}
	at, _ := addrPort(agentWire.LocalAddr())
	phone := Binding{User: "ana", Contact: "sip:ana@" + at.String(), Transport: "udp", Source: at}

	events := make(chan LegEvent, 16)
	sink := func(ev LegEvent) { events <- ev }
	ended := func(want LegEvent) {
		for {
			switch (<-events).(type) {
			case Ended:
				if _, ok := want.(Ended); ok {
					return
				}
			case Answered:
				if _, ok := want.(Answered); ok {
					return
				}
			case Acked:
				if _, ok := want.(Acked); ok {
					return
				}
			}
		}
	}
	var setup time.Duration
	cpu := processTime()
	b.ReportAllocs()
	for b.Loop() {
		begun := time.Now()
		c, err := carrier.Invite(b.Context(), number, offerA)
		if err != nil {
			b.Fatal(err)
		}
		caller := <-calls
		agent, err := e.Dial(Dial{To: phone, Caller: caller.Caller(), SDP: caller.SDP()}, sink)
		if err != nil {
			b.Fatal(err)
		}
		in := <-rung
		setup += time.Since(begun)
		in.Ring(180, "")
		in.Answer(offerA)
		ended(Answered{})
		caller.Listen(sink)
		if err := caller.Answer([]byte(ourSDP)); err != nil {
			b.Fatal(err)
		}
		ended(Acked{})
		c.Bye()
		ended(Ended{})
		agent.Hangup(Reason{Q850: 16})
	}
	b.StopTimer()
	b.ReportMetric(float64((processTime()-cpu).Microseconds())/float64(b.N), "cpu-us/call")
	b.ReportMetric(float64(setup.Microseconds())/float64(b.N), "setup-us")
	var wait sync.WaitGroup
	wait.Go(func() { _ = e.Close() })
	wait.Wait()
}

func processTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
