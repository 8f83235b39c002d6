package rtp

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"foyer/cmd/foyer/keeper"
)

// counted is a memory that counts what is put into it.
type counted struct {
	memory
	puts, bytes atomic.Int64
}

func (c *counted) Put(key string, value []byte) error {
	c.puts.Add(1)
	c.bytes.Add(int64(len(value)))
	return c.memory.Put(key, value)
}

// BenchmarkKept is BenchmarkRelay with nothing kept and with legs kept in the memory
// of calls, in turns.
func BenchmarkKept(b *testing.B) {
	for _, calls := range []int{50, 200, 500} {
		for _, s := range []Suite{noSuite, GCM128} {
			b.Run(fmt.Sprint(calls, "/", s, "/none"), func(b *testing.B) {
				b.ReportAllocs()
				relay(b, calls, s, nil)
			})
			b.Run(fmt.Sprint(calls, "/", s, "/kept"), func(b *testing.B) {
				m, err := keeper.NewMemory()
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() { _ = m.Close() })
				c, h := &counted{memory: memory{m}}, newHolder(b)
				b.ReportAllocs()
				relay(b, calls, s, func(o *Options) {
					o.Memory, o.Sockets = c, &inherited{holder: h}
					o.TapMemory = func(int) ([]byte, error) { return mapped(b, h.tap, TapMemory), nil }
				})
				b.ReportMetric(float64(c.puts.Load())/float64(calls), "records/call")
				b.ReportMetric(float64(c.bytes.Load())/float64(c.puts.Load()), "B/record")
			})
		}
	}
}

// BenchmarkResume is how long it takes to take up all legs of some calls, until the
// first packet of the last of them has been passed on.
func BenchmarkResume(b *testing.B) {
	for _, calls := range []int{100, 1000} {
		b.Run(fmt.Sprint(calls), func(b *testing.B) {
			h := newHolder(b)
			m := h.life(nil)
			c := newCrowd(b, 2*calls)
			defer c.close()
			c.join(b, m)
			for i := 0; i < len(c.legs); i += 2 {
				Bridge(c.legs[i], c.legs[i+1])
			}
			c.start()
			time.Sleep(500 * time.Millisecond)
			var took time.Duration
			for range b.N {
				m.Leave()
				m = h.life(nil)
				began := time.Now()
				for i, l := range c.legs {
					var err error
					if c.legs[i], err = m.Resume(l.Key(), LegOptions{}); err != nil {
						b.Fatal(err)
					}
				}
				m.Resumed()
				done := make(chan Report)
				c.legs[len(c.legs)-1].Report(func(r Report) { done <- r })
				<-done
				took += time.Since(began)
			}
			b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "ms/restart")
		})
	}
}

// BenchmarkRecord is what it costs a shard to bring one record up to date.
func BenchmarkRecord(b *testing.B) {
	for _, s := range []Suite{noSuite, GCM128} {
		b.Run(s.String(), func(b *testing.B) {
			h := newHolder(b)
			m := h.life(nil)
			p := newPeer(b, m, nil, alaw())
			if s != noSuite {
				p.leg.Set(func() Stream { st := alaw(); st.Guard, st.Keys = SDES, keysFor(s); return st }())
			}
			p.say(8, frame(1))
			p.sync()
			done := make(chan int)
			b.ReportAllocs()
			b.ResetTimer()
			p.leg.post(func(s *shard) {
				for range b.N {
					s.write(p.leg)
				}
				done <- len(records.Append(nil, s.record(p.leg)))
			})
			b.ReportMetric(float64(<-done), "B/record")
		})
	}
}
