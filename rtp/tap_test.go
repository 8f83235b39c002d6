package rtp

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
	"pgregory.net/rapid"
)

func TestTapReturnsWhatWasPut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tap := newTap(1 << 10)
		var want []TapRecord
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				tap.flush(true)
			case 1:
				tap.flush(true)
				tap.Read(func(r TapRecord) {
					if len(want) == 0 {
						t.Fatalf("read %+v, nothing was put", r)
					}
					w := want[0]
					want = want[1:]
					if !bytes.Equal(r.Payload, w.Payload) {
						t.Fatalf("payload % x, want % x", r.Payload, w.Payload)
					}
					r.Payload, w.Payload = nil, nil
					if r.Kind != w.Kind || r.At != w.At || r.Seq != w.Seq || r.Recording != w.Recording ||
						r.Channel != w.Channel || r.Codec != w.Codec || r.Timestamp != w.Timestamp || r.SSRC != w.SSRC {
						t.Fatalf("read %+v, want %+v", r, w)
					}
				})
				if len(want) != 0 {
					t.Fatalf("%d records were not read", len(want))
				}
			default:
				r := TapRecord{
					Kind: TapKind(rapid.IntRange(0, 2).Draw(t, "kind")), Recording: rapid.Uint64().Draw(t, "recording"),
					Channel: rapid.Uint8().Draw(t, "channel"), Codec: PCMU, Seq: rapid.Uint16().Draw(t, "seq"),
					Timestamp: rapid.Uint32().Draw(t, "ts"), SSRC: rapid.Uint32().Draw(t, "ssrc"), At: rapid.Int64().Draw(t, "at"),
					Payload: make([]byte, rapid.IntRange(0, 200).Draw(t, "size")),
				}
				for i := range r.Payload {
					r.Payload[i] = byte(len(want) + i)
				}
				if tap.put(&r) {
					want = append(want, r)
				}
			}
		}
	})
}

// produce puts that many records, each of which can be checked by itself, and a
// last mark; it returns how often the mark found the tap full.
func produce(tap *Tap, records uint64) (refused uint64) {
	payload := make([]byte, 120)
	for i := range records {
		size := int(i % 113)
		for k := range payload[:size] {
			payload[k] = byte(i)
		}
		tap.put(&TapRecord{Recording: i, At: int64(^i), Payload: payload[:size]})
		if i%7 == 0 {
			tap.flush(true)
		}
		if i%1024 == 0 {
			runtime.Gosched() // let the reader find it empty now and then
		}
	}
	for !tap.put(&TapRecord{Kind: TapStop, Recording: records}) {
		refused++
		runtime.Gosched()
	}
	tap.flush(true)
	return refused
}

// The promises of the tap, under the race detector: two goroutines, a small
// ring, so that full and empty and the end of the buffer come often.
func TestTapPromises(t *testing.T) {
	const records = 200000
	type outcome struct {
		name  string
		count int
		ok    bool
		why   string
	}
	const (
		whole = iota
		missing
		torn
		again
		unasked
		asleep
	)
	table := []outcome{
		whole:   {name: "a record read whole and in order", ok: true, why: "its bytes happen before published, which the reader loads first"},
		missing: {name: "a record missing that was counted as dropped", ok: true, why: "full drops and counts, the shard never waits"},
		torn:    {name: "a record with bytes of two", why: "consumed is stored after the reading, so nothing is written over before"},
		again:   {name: "a record read twice or out of order", why: "consumed only grows, and the ring is read in the order of writing"},
		unasked: {name: "a record missing that was not counted", why: "put either writes or counts"},
		asleep:  {name: "a reader asleep while records wait", why: "hungry is set before the last look, and cleared after published is stored"},
	}
	tap := newTap(1 << 12)
	var producer sync.WaitGroup
	refused := uint64(0) // times the last mark found the tap full
	producer.Go(func() { refused = produce(tap, records) })
	next, lost, end := uint64(0), uint64(0), false
	patience := time.NewTimer(10 * time.Second)
	defer patience.Stop()
	for !end {
		select {
		case <-tap.Wake():
		case <-patience.C:
			table[asleep].count++
			end = true
		}
		tap.Read(func(r TapRecord) {
			if r.Kind == TapStop {
				end = true
				lost += r.Recording - next
				return
			}
			if r.Recording < next {
				table[again].count++
				return
			}
			lost += r.Recording - next
			next = r.Recording + 1
			good := r.At == int64(^r.Recording) && len(r.Payload) == int(r.Recording%113)
			for _, b := range r.Payload {
				good = good && b == byte(r.Recording)
			}
			if good {
				table[whole].count++
			} else {
				table[torn].count++
			}
		})
	}
	producer.Wait()
	dropped := tap.Dropped() - refused
	table[missing].count = int(min(lost, dropped))
	if lost > dropped {
		table[unasked].count = int(lost - dropped)
	}
	for _, o := range table {
		t.Logf("%8d  %-46s %s", o.count, o.name, o.why)
		if !o.ok && o.count > 0 {
			t.Errorf("FORBIDDEN: %s, %d times", o.name, o.count)
		}
	}
	if table[whole].count == 0 {
		t.Error("nothing was read")
	}
}

func TestTapFull(t *testing.T) {
	tap := newTap(1 << 10)
	payload := make([]byte, 160)
	n := 0
	for tap.put(&TapRecord{Seq: uint16(n), Payload: payload}) {
		n++
	}
	tap.put(&TapRecord{Payload: payload})
	tap.flush(true)
	if tap.Dropped() != 2 || n != 1024/(tapHeader+160) {
		t.Errorf("%d written, %d dropped", n, tap.Dropped())
	}
	if got := tap.Read(func(TapRecord) {}); got != n {
		t.Errorf("read %d of %d", got, n)
	}
	if !tap.put(&TapRecord{Payload: payload}) {
		t.Error("still full after it was read")
	}
}

func TestTapStaysInItsFirstQuarterWhileReadPromptly(t *testing.T) {
	tap := newTap(1 << 20)
	payload, deepest := make([]byte, 160), uint64(0)
	for range 100000 {
		tap.put(&TapRecord{Payload: payload})
		deepest = max(deepest, tap.written&(1<<20-1))
		tap.flush(true)
		tap.Read(func(TapRecord) {})
	}
	if deepest > 1<<18+1<<12 || tap.Dropped() > 0 {
		t.Errorf("wrote up to byte %d, dropped %d", deepest, tap.Dropped())
	}
}

// The same journey by the tap, a channel and a queue of xsync: a packet written
// by one goroutine, read by another.
func BenchmarkTap(b *testing.B) {
	b.Run("tap", benchTap)
	b.Run("channel", benchChannel)
	b.Run("xsync", benchXsync)
}

func benchTap(b *testing.B) {
	payload := make([]byte, 160)
	tap, stop := newTap(1<<20), make(chan struct{})
	var reader sync.WaitGroup
	sum := 0
	reader.Go(func() {
		for {
			select {
			case <-tap.Wake():
				tap.Read(func(r TapRecord) { sum += int(r.Payload[0]) })
			case <-stop:
				return
			}
		}
	})
	b.ReportAllocs()
	for i := range b.N {
		for !tap.put(&TapRecord{Seq: uint16(i), Payload: payload}) {
			tap.flush(true)
			runtime.Gosched()
		}
		if i%256 == 0 { // about what a tick brings
			tap.flush(true)
		}
	}
	b.StopTimer()
	close(stop)
	reader.Wait()
}

type item struct {
	r    TapRecord
	data [160]byte
}

func benchChannel(b *testing.B) {
	payload := make([]byte, 160)
	c := make(chan item, 4096)
	var reader sync.WaitGroup
	sum := 0
	reader.Go(func() {
		for i := range c {
			sum += int(i.data[0])
		}
	})
	b.ReportAllocs()
	for n := range b.N {
		i := item{r: TapRecord{Seq: uint16(n)}}
		copy(i.data[:], payload)
		c <- i
	}
	b.StopTimer()
	close(c)
	reader.Wait()
}

func benchXsync(b *testing.B) {
	payload := make([]byte, 160)
	q := xsync.NewSPSCQueue[item](4096)
	var reader sync.WaitGroup
	stop := make(chan struct{})
	sum := 0
	reader.Go(func() {
		for {
			if i, ok := q.TryDequeue(); ok {
				sum += int(i.data[0])
				continue
			}
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	b.ReportAllocs()
	for n := range b.N {
		i := item{r: TapRecord{Seq: uint16(n)}}
		binary.NativeEndian.PutUint16(i.data[:], uint16(n))
		copy(i.data[:], payload)
		for !q.TryEnqueue(i) {
			runtime.Gosched()
		}
	}
	b.StopTimer()
	close(stop)
	reader.Wait()
}
