package recorder

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foyer/rtp"

	pion "github.com/pion/rtp"
)

// broken is a disk whose write or sync breaks when told to, once.
type broken struct {
	linux
	write1, sync1 atomic.Bool
}

func (d *broken) write(fd int, b []byte) (int, error) {
	if d.write1.CompareAndSwap(true, false) {
		panic("a test broke this write")
	}
	return d.linux.write(fd, b)
}

func (d *broken) sync(fds []int) ([]int, error) {
	if d.sync1.CompareAndSwap(true, false) {
		panic("a test broke this sync")
	}
	return d.linux.sync(fds)
}

// A fault over one recording costs that one its rest, and no other anything.
func TestAFaultEndsOneRecordingAlone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		breaks func(s *Store, d *broken, id string)
		state  string // of the recording in which it happens
	}{
		{"writing", func(_ *Store, d *broken, _ string) { d.write1.Store(true) }, stateInterrupted},
		{"syncing", func(_ *Store, d *broken, _ string) { d.sync1.Store(true) }, stateComplete},
		{"telling that it is over", func(s *Store, _ *broken, id string) {
			ended := s.ended
			s.ended = func(i Info) {
				ended(i)
				if i.ID == id {
					panic("a test broke what is told")
				}
			}
		}, stateComplete},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := &broken{}
			b := opened(t, Options{}, func(s *Store) { s.disk = d })
			handle, id := b.begin(Meta{CallID: "c1"})
			if c.name != "writing" {
				c.breaks(b.Store, d, id)
			}
			ctx, stop := context.WithCancel(context.Background())
			b.ran.Go(func() { _ = b.Run(ctx, nil) })
			defer b.ran.Wait()
			defer stop()
			records := talk(time.Second, caller, agent)
			b.feed(handle, records[:60])
			eventually(t, "in its file", func() bool {
				info, err := Find(b.dir, id)
				return err == nil && info.Bytes > 3000
			})
			if c.name == "writing" {
				c.breaks(b.Store, d, id)
				if r, ok := b.recordings.Load(handle); ok {
					for _, p := range records[60:] {
						p.Recording = handle
						r.take(b.Store, &p)
					}
				}
			} else {
				b.feed(handle, records[60:])
				b.End(handle)
			}
			if i := b.waitEnded(); i.ID != id || i.State != c.state {
				t.Errorf("the recording it happened in: %+v", i)
			}
			if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
				t.Errorf("the recording it happened in: %+v %v", v, err)
			}
			other, info := b.record(Meta{CallID: "c2"}, talk(time.Second, caller, agent))
			if v, err := Verify(b.dir, other, ""); err != nil || !v.OK || info.State != stateComplete {
				t.Errorf("the next: %+v %v", v, err)
			}
			eventually(t, "counted", func() bool { return b.Stats().Faults == 1 })
		})
	}
}

// A fault over a packet, between the tap and the recording: that recording ends, and
// what else comes by the same tap is recorded on.
func TestAFaultOverAPacket(t *testing.T) {
	t.Parallel()
	loopback := netip.MustParseAddr("127.0.0.1")
	m, err := rtp.Open(rtp.Options{Addr: loopback, MinPort: 20000, MaxPort: 60000, Shards: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var boom atomic.Bool
	boom.Store(true)
	b := opened(t, Options{}, func(s *Store) {
		s.memory.chunks.New = func() any {
			if boom.CompareAndSwap(true, false) {
				panic("a test broke this packet")
			}
			return &chunk{b: make([]byte, headSize, chunkSize), place: -1}
		}
	})
	ctx, stop := context.WithCancel(context.Background())
	var run sync.WaitGroup
	run.Go(func() { _ = b.Run(ctx, m.Taps()) })
	defer run.Wait()
	defer stop()
	phone, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(loopback, 0)))
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	leg, err := m.NewLeg(rtp.LegOptions{Sink: func(rtp.MediaEvent) {}})
	if err != nil {
		t.Fatal(err)
	}
	defer leg.Close(nil)
	leg.Set(rtp.Stream{Remote: phone.LocalAddr().(*net.UDPAddr).AddrPort(), Codec: rtp.PCMA, PT: 8, Send: true, Receive: true})
	for i, want := range []string{stateInterrupted, stateComplete} {
		handle, id := b.begin(Meta{CallID: "c"})
		leg.Tap(handle, 0)
		for n := range 20 {
			p := pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SSRC: 1, SequenceNumber: uint16(i*20 + n), Timestamp: uint32(i*20+n) * 160}, Payload: make([]byte, 160)}
			raw, err := p.Marshal()
			if err == nil {
				_, err = phone.WriteToUDPAddrPort(raw, leg.Addr())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if want == stateComplete {
			eventually(t, "the packets in the file", func() bool {
				info, err := Find(b.dir, id)
				return err == nil && info.Bytes > 10*160
			})
		}
		leg.Tap(0, 0)
		b.End(handle)
		if info := b.waitEnded(); info.ID != id || info.State != want {
			t.Errorf("recording %d: %+v, want %s", i, info, want)
		}
		if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
			t.Errorf("recording %d: %+v %v", i, v, err)
		}
	}
	if n := b.Stats().Faults; n != 1 || boom.Load() {
		t.Errorf("%d faults", n)
	}
}
