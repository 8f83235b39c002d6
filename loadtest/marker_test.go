package loadtest

import (
	"testing"
	"time"

	"github.com/zaf/g711"
	"pgregory.net/rapid"
)

func TestMarkerSurvivesAndIsAWhisper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Marker{Call: rapid.Uint32().Draw(t, "call"), Side: Side(rapid.IntRange(0, 1).Draw(t, "side")),
			Seq: rapid.Uint32().Draw(t, "seq"), Sent: rapid.Int64Min(0).Draw(t, "sent")}
		codec := rapid.SampledFrom([]Codec{PCMA, PCMU}).Draw(t, "codec")
		payload := append([]byte(nil), Tone(440, codec)[:frameBytes]...)
		m.Put(payload, codec)
		for i, b := range payload[:markerBytes] {
			sample := g711.DecodeAlawFrame(b)
			if codec == PCMU {
				sample = g711.DecodeUlawFrame(b)
			}
			if sample < -256 || sample > 256 {
				t.Fatalf("sample %d is %d loud", i, sample)
			}
		}
		var back Marker
		if !back.Get(payload, codec) || back != m {
			t.Fatalf("%+v came back as %+v", m, back)
		}
		at := rapid.IntRange(0, markerBytes-1).Draw(t, "at")
		payload[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "flip"))
		if back.Get(payload, codec) && back == m && at >= 8 {
			t.Fatal("a changed marker was believed")
		}
	})
}

func TestSilenceAndTonesCarryNoMarker(t *testing.T) {
	var m Marker
	for _, codec := range []Codec{PCMA, PCMU} {
		silent := make([]byte, frameBytes)
		for i := range silent {
			silent[i] = codec.silence()
		}
		tone := Tone(660, codec)
		if m.Get(silent, codec) || m.Get(tone[:frameBytes], codec) || m.Get(tone[:10], codec) {
			t.Error("a marker was read from plain audio")
		}
	}
}

func TestHeardCountsLossRepetitionAndDisorder(t *testing.T) {
	for name, c := range map[string]struct {
		seqs           []uint32
		lost, repeated uint64
	}{
		"clean":            {[]uint32{5, 6, 7, 8}, 0, 0},
		"two lost":         {[]uint32{5, 8, 9}, 2, 0},
		"disorder":         {[]uint32{5, 7, 6, 8}, 0, 0},
		"late first":       {[]uint32{6, 5, 7}, 0, 0},
		"repeated":         {[]uint32{5, 5, 6, 6, 5}, 0, 3},
		"long gap":         {[]uint32{1, 101}, 99, 0},
		"wrap of numbers":  {[]uint32{0xFFFFFFFE, 0, 1}, 1, 0},
		"nothing":          {nil, 0, 0},
		"very old, unsure": {[]uint32{1, 100, 2}, 98, 1},
	} {
		var h heard
		repeats := uint64(0)
		for _, s := range c.seqs {
			if h.count(s) == repeated {
				repeats++
			}
		}
		if h.lost() != c.lost || repeats != c.repeated {
			t.Errorf("%s: %d lost, %d repeated, want %d, %d", name, h.lost(), repeats, c.lost, c.repeated)
		}
	}
}

func TestSpreadKeepsQuantiles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.Uint64Max(1<<60).Draw(t, "v")
		mid := middleOf(bucketOf(v))
		if diff := max(mid, v) - min(mid, v); diff > v/32+1 {
			t.Fatalf("%d counted as %d", v, mid)
		}
	})
	var s spread
	for i := range 1000 {
		s.add(time.Duration(i) * time.Millisecond)
	}
	before := s
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := s.quantile(q); got < want*95/100 || got > want*105/100 {
			t.Errorf("quantile %v is %v", q, got)
		}
	}
	s.add(time.Hour)
	if d := s.since(&before); d.n != 1 || d.longest() < 58*time.Minute {
		t.Errorf("since: %d, longest %v", d.n, d.longest())
	}
}

func TestCallerNumbersAreReadBack(t *testing.T) {
	for _, n := range []uint32{0, 1, 99999999} {
		for _, shown := range []string{CallerNumber(n), "0" + CallerNumber(n)[3:], CallerNumber(n)[1:]} {
			if got, ok := callOf(shown); !ok || got != n {
				t.Errorf("%q read as %d %v, want %d", shown, got, ok, n)
			}
		}
	}
	for _, s := range []string{"anonymous", "", "+33170000001", "12"} {
		if n, ok := callOf(s); ok {
			t.Errorf("%q read as call %d", s, n)
		}
	}
}

func TestDistributionsHaveTheirMean(t *testing.T) {
	for _, d := range []Dist{Fixed(time.Minute), Exponential(time.Minute), Lognormal(time.Minute, 0.8)} {
		p := Plan{Talk: d, Seed: 9}
		var total time.Duration
		for i := range uint32(20000) {
			total += p.fortune(i).talk
		}
		if mean := total / 20000; mean < 57*time.Second || mean > 63*time.Second {
			t.Errorf("%+v has mean %v", d, mean)
		}
	}
}

func TestPlanSaysWhatIsMissing(t *testing.T) {
	good := Plan{Server: "127.0.0.1:5060", Numbers: []string{"1"}, Rate: 1}
	if _, err := good.complete(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Plan){
		"server": func(p *Plan) { p.Server = "nowhere" },
		"number": func(p *Plan) { p.Numbers = nil },
		"both":   func(p *Plan) { p.Concurrent = 3 },
		"none":   func(p *Plan) { p.Rate = 0 },
		"ip":     func(p *Plan) { p.AgentIP = "::1" },
		"audio":  func(p *Plan) { p.Media, p.AgentAudio = true, []byte{1} },
	} {
		p := good
		spoil(&p)
		if _, err := p.complete(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
