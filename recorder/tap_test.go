package recorder

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"foyer/rtp"

	pion "github.com/pion/rtp"
)

// A call over real sockets, from the packets on the wire to the WAV: bridged legs,
// their shard's tap, the recorder.
func TestRecordedFromTheWire(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParseAddr("127.0.0.1")
	m, err := rtp.Open(rtp.Options{Addr: loopback, MinPort: 20000, MaxPort: 60000, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	b := opened(t, Options{}, nil)
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = b.Run(ctx, m.Taps()) })

	const length = 1200 * time.Millisecond
	var legs [channels]*rtp.Leg
	var phones [channels]*net.UDPConn
	for i := range legs {
		phones[i], err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
		if err != nil {
			t.Fatal(err)
		}
		defer phones[i].Close()
		if legs[i], err = m.NewLeg(rtp.LegOptions{Role: rtp.Role(i), Beside: legs[0], Sink: func(rtp.MediaEvent) {}}); err != nil {
			t.Fatal(err)
		}
		legs[i].Set(rtp.Stream{Remote: phones[i].LocalAddr().(*net.UDPAddr).AddrPort(), Codec: rtp.PCMA, PT: 8, Send: true, Receive: true})
	}
	rtp.Bridge(legs[0], legs[1])
	handle, id := b.begin(Meta{CallID: "wire"})
	began := time.Now()
	for i := range legs {
		legs[i].Tap(handle, uint8(i))
	}
	var talking sync.WaitGroup
	for i, hz := range []float64{440, 1000} {
		talking.Go(func() {
			for n, p := range (party{hz: hz}).packets(length) {
				time.Sleep(time.Until(began.Add(time.Duration(n) * 20 * time.Millisecond)))
				packet := pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SSRC: uint32(i) + 1, SequenceNumber: p.Seq, Timestamp: p.Timestamp}, Payload: p.Payload}
				raw, err := packet.Marshal()
				if err == nil {
					_, err = phones[i].WriteToUDPAddrPort(raw, legs[i].Addr())
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	talking.Wait()
	time.Sleep(time.Until(began.Add(length)))
	for i := range legs {
		legs[i].Tap(0, uint8(i))
	}
	talked := time.Since(began)
	b.End(handle)
	info := b.waitEnded()
	for i := range legs {
		legs[i].Close(nil)
	}
	stop()
	run.Wait()

	if info.State != stateComplete || info.LostMS != 0 || b.Stats().Dropped != 0 {
		t.Errorf("%+v, %+v", info, b.Stats())
	}
	w := rendered(t, b.dir, id, "")
	within(t, "length", w.length(), time.Duration(info.DurationS*float64(time.Second)), time.Millisecond)
	within(t, "length", w.length(), talked, 200*time.Millisecond) // marks wait for the shard, on a busy machine too
	if l, r := loudest(w.left), loudest(w.right); l != 440 || r != 1000 {
		t.Errorf("left %v Hz, right %v Hz", l, r)
	}
	if l, r := level(w.left, 440), level(w.right, 1000); l < 8000 || r < 8000 {
		t.Errorf("levels %.0f and %.0f", l, r)
	}
}
