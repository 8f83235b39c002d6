package recorder

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"foyer/rtp"

	"github.com/zaf/g711"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	childMain()
	goleak.VerifyTestMain(m)
}

// bench is a store that runs until the test ends.
type bench struct {
	*Store
	t     testing.TB
	stop  context.CancelFunc
	ended chan Info
	ran   sync.WaitGroup
}

// opened gives a store that does not run yet.
func opened(t testing.TB, o Options, adjust func(*Store)) *bench {
	t.Helper()
	b := &bench{t: t, ended: make(chan Info, 1000)}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	o.Ended = func(i Info) { b.ended <- i }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Store = s
	if adjust != nil {
		adjust(s)
	}
	return b
}

func running(t testing.TB, o Options, adjust func(*Store)) *bench {
	b := opened(t, o, adjust)
	ctx, stop := context.WithCancel(context.Background())
	b.stop = sync.OnceFunc(func() { stop(); b.ran.Wait() })
	b.ran.Go(func() {
		if err := b.Run(ctx, nil); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

func (b *bench) begin(m Meta) (uint64, string) {
	b.t.Helper()
	handle, id, err := b.Begin(m)
	if err != nil {
		b.t.Fatal(err)
	}
	return handle, id
}

// waitEnded gives the next recording that has closed.
func (b *bench) waitEnded() Info {
	b.t.Helper()
	select {
	case i := <-b.ended:
		return i
	case <-time.After(20 * time.Second):
		b.t.Fatal("recording did not close")
		return Info{}
	}
}

// record feeds a whole call through the store and closes it.
func (b *bench) record(m Meta, records []rtp.TapRecord) (string, Info) {
	b.t.Helper()
	handle, id := b.begin(m)
	b.feed(handle, records)
	b.End(handle)
	return id, b.waitEnded()
}

// feed plays records into the store, waiting where a real call would have given
// the writer time.
func (b *bench) feed(handle uint64, records []rtp.TapRecord) {
	r, ok := b.recordings.Load(handle)
	if !ok {
		b.t.Fatal("no such recording")
	}
	for _, t := range records {
		for {
			r.mu.Lock()
			behind := len(r.full)
			r.mu.Unlock()
			if behind < maxWaiting/2 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		t.Recording = handle
		b.take(t)
	}
}

// callStart is when the calls of tests begin.
var callStart = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// party is one side of a made-up call: a tone sent in 20 ms packets.
type party struct {
	channel uint8
	hz      float64
	codec   rtp.Codec
	ssrc    uint32
	seq     uint16
	ts      uint32
	clock   float64 // of the sender against ours, 0: 1
	delay   func(n int, sent time.Duration) (time.Duration, bool)
	from    time.Duration // first packet, after the start
	skew    func(n int) uint32
}

// packets makes what arrives of a party's talk of the given length, in order of
// arrival.
func (p party) packets(length time.Duration) (out []rtp.TapRecord) {
	if p.codec == rtp.NoCodec {
		p.codec = rtp.PCMA
	}
	if p.clock == 0 {
		p.clock = 1
	}
	for n := 0; ; n++ {
		sent := p.from + time.Duration(float64(n)*float64(20*time.Millisecond)/p.clock)
		if sent+20*time.Millisecond > length {
			break
		}
		late, lost := time.Duration(0), false
		if p.delay != nil {
			late, lost = p.delay(n, sent)
		}
		if lost {
			continue
		}
		payload := make([]byte, 160)
		for i := range payload {
			at := p.from.Seconds() + float64(n*160+i)/sampleRate
			payload[i] = encode(p.codec, int16(12000*math.Sin(2*math.Pi*p.hz*at)))
		}
		ts := p.ts + uint32(n*160)
		if p.skew != nil {
			ts += p.skew(n)
		}
		out = append(out, rtp.TapRecord{
			Kind: rtp.TapPacket, Channel: p.channel, Codec: p.codec, SSRC: p.ssrc, Seq: p.seq + uint16(n), Timestamp: ts,
			At: callStart.Add(sent + late).UnixNano(), Payload: payload,
		})
	}
	slices.SortStableFunc(out, func(a, b rtp.TapRecord) int { return cmp.Compare(a.At, b.At) })
	return out
}

func encode(c rtp.Codec, sample int16) byte {
	if c == rtp.PCMU {
		return g711.EncodeUlawFrame(sample)
	}
	return g711.EncodeAlawFrame(sample)
}

// talk is a whole call: both taps start, all packets, both taps stop.
func talk(length time.Duration, parties ...party) []rtp.TapRecord {
	var all []rtp.TapRecord
	for _, p := range parties {
		all = append(all, p.packets(length)...)
	}
	slices.SortStableFunc(all, func(a, b rtp.TapRecord) int { return cmp.Compare(a.At, b.At) })
	return bracket(length, all)
}

func bracket(length time.Duration, records []rtp.TapRecord) []rtp.TapRecord {
	var out []rtp.TapRecord
	for c := range uint8(channels) {
		out = append(out, rtp.TapRecord{Kind: rtp.TapStart, Channel: c, At: callStart.UnixNano()})
	}
	end := callStart.Add(length).UnixNano()
	for _, r := range records {
		if r.At <= end {
			out = append(out, r)
		}
	}
	for c := range uint8(channels) {
		out = append(out, rtp.TapRecord{Kind: rtp.TapStop, Channel: c, At: end})
	}
	return out
}

var (
	caller = party{channel: 0, hz: 440, ssrc: 0xCA11E4, seq: 65500, ts: math.MaxUint32 - 1000}
	agent  = party{channel: 1, hz: 1000, codec: rtp.PCMU, ssrc: 0xA6E47, seq: 17, ts: 12345}
)

// rough is a bad network: losses of 5 %, jitter of up to 60 ms and so reordering.
func rough(seed uint64) func(int, time.Duration) (time.Duration, bool) {
	r := rand.New(rand.NewPCG(seed, 1))
	return func(int, time.Duration) (time.Duration, bool) {
		return time.Duration(r.Int64N(int64(60 * time.Millisecond))), r.Float64() < 0.05
	}
}

// wav is a rendered recording.
type wav struct{ left, right []float64 }

func rendered(t testing.TB, dir, id, identity string) wav {
	t.Helper()
	var b bytes.Buffer
	if err := Render(&b, dir, id, identity); err != nil {
		t.Fatal(err)
	}
	return parseWAV(t, b.Bytes())
}

func parseWAV(t testing.TB, b []byte) (w wav) {
	t.Helper()
	if len(b) < wavHeader || string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " || string(b[36:40]) != "data" {
		t.Fatalf("not a WAV file: %.44q", b)
	}
	le := binary.LittleEndian
	if le.Uint32(b[4:]) != uint32(len(b)-8) || le.Uint32(b[40:]) != uint32(len(b)-wavHeader) {
		t.Fatalf("header speaks of %d bytes, there are %d", le.Uint32(b[40:]), len(b)-wavHeader)
	}
	if le.Uint16(b[20:]) != 1 || le.Uint16(b[22:]) != 2 || le.Uint32(b[24:]) != 8000 || le.Uint16(b[34:]) != 16 {
		t.Fatalf("not stereo PCM16 at 8 kHz: % x", b[20:36])
	}
	for b = b[wavHeader:]; len(b) >= wavFrame; b = b[wavFrame:] {
		w.left = append(w.left, float64(int16(le.Uint16(b))))
		w.right = append(w.right, float64(int16(le.Uint16(b[2:]))))
	}
	return w
}

func (w wav) length() time.Duration {
	return time.Duration(len(w.left)) * time.Second / sampleRate
}

// level is the amplitude of a frequency, by Goertzel's algorithm.
func level(pcm []float64, hz float64) float64 {
	if len(pcm) == 0 {
		return 0
	}
	k := 2 * math.Cos(2*math.Pi*hz/sampleRate)
	var a, b float64
	for _, x := range pcm {
		a, b = x+k*a-b, a
	}
	return 2 * math.Sqrt(max(0, a*a+b*b-k*a*b)) / float64(len(pcm))
}

// loudest is the tone among those of the tests that is strongest.
func loudest(pcm []float64) float64 {
	best, tone := 0.0, 0.0
	for _, hz := range []float64{300, 440, 697, 1000, 1477, 2000} {
		if l := level(pcm, hz); l > best && l > 50 {
			best, tone = l, hz
		}
	}
	return tone
}

func within(t testing.TB, what string, got, want, by time.Duration) {
	t.Helper()
	if d := got - want; d > by || d < -by {
		t.Errorf("%s is %v, want %v within %v", what, got, want, by)
	}
}

// take is what a tap's reader does with one record.
func (s *Store) take(t rtp.TapRecord) {
	if r, ok := s.recordings.Load(t.Recording); ok {
		r.take(s, &t)
	}
}
