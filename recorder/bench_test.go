package recorder

import (
	"testing"
	"time"

	"foyer/rtp"

	"golang.org/x/sys/unix"
)

// benchCalls are recordings that only the benchmark drives: no goroutine runs.
func benchCalls(b *testing.B, n int, o Options) (*Store, []*recording) {
	s := opened(b, o, nil)
	var calls []*recording
	for range n {
		handle, _ := s.begin(Meta{CallID: "bench", Started: callStart})
		r, _ := s.recordings.Load(handle)
		for c := range uint8(channels) {
			s.take(rtp.TapRecord{Kind: rtp.TapStart, Recording: handle, Channel: c, At: callStart.UnixNano()})
		}
		calls = append(calls, r)
	}
	b.Cleanup(func() {
		for _, r := range calls {
			if r.fd >= 0 {
				_ = s.disk.close(r.fd)
			}
		}
	})
	return s.Store, calls
}

// second takes what a second of a call brings and writes it as the writer does.
func second(s *Store, r *recording, at time.Time, payload []byte) {
	for i := range 50 {
		for c := range uint8(channels) {
			s.take(rtp.TapRecord{Recording: r.handle, Channel: c, Codec: rtp.PCMA, SSRC: uint32(c), Seq: uint16(i), Timestamp: uint32(i * 160),
				At: at.Add(time.Duration(i) * 20 * time.Millisecond).UnixNano(), Payload: payload})
		}
		if i%10 == 9 {
			r.mu.Lock()
			if r.fill != nil {
				r.fill.since = time.Time{} // due
			}
			r.mu.Unlock()
			s.advance(r, time.Now())
		}
	}
}

func benchSecond(b *testing.B, o Options) {
	s, calls := benchCalls(b, 200, o)
	payload := make([]byte, 160)
	for _, r := range calls {
		s.advance(r, time.Now())
	}
	before := cpu(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		second(s, calls[n%len(calls)], callStart.Add(time.Duration(n/len(calls))*time.Second), payload)
		n++
	}
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(n)/1e6, "cpu-ms/call-s")
}

// A second of a recorded call: 100 packets copied, 5 chunks sealed and written.
func BenchmarkCallSecond(b *testing.B) { benchSecond(b, Options{}) }
func BenchmarkSealedCallSecond(b *testing.B) {
	_, to := keys(b)
	benchSecond(b, Options{Recipient: to})
}

// The same in memory that outlives the process.
func BenchmarkKeptCallSecond(b *testing.B) {
	h := newHouse(b, "")
	benchSecond(b, Options{Memory: h.memory, Keep: shelfOf(h.shelf)})
}

func cpu(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// One packet from the tap into the chunk of one of 500 calls.
func BenchmarkPacket(b *testing.B) {
	s, calls := benchCalls(b, 500, Options{})
	k := &taker{s: s}
	t := rtp.TapRecord{Codec: rtp.PCMA, Payload: make([]byte, 160), At: callStart.UnixNano()}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		r := calls[i%len(calls)]
		if t.Recording = r.handle; i%len(calls) == 0 {
			t.Seq++
		}
		k.take(t)
		if len(r.full) > 0 {
			s.recycle(r.full[0])
			r.full = r.full[:0]
		}
	}
}

// Beginning and ending a recording: directory, files, sync.
func BenchmarkBeginEnd(b *testing.B) {
	s := running(b, Options{}, nil)
	records := bracket(time.Second, nil)
	before := cpu(b)
	n, closed := 0, 0
	for b.Loop() {
		handle, _ := s.begin(Meta{CallID: "bench"})
		s.feed(handle, records)
		s.End(handle)
		for n++; n-closed > 100; closed++ {
			s.waitEnded()
		}
	}
	for ; closed < n; closed++ {
		s.waitEnded()
	}
	s.stop()
	b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(n)/1e6, "cpu-ms/call")
}
