package rtp

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestKeypad(t *testing.T) {
	type in struct {
		ms       int
		ts       uint32
		code     byte
		end      bool
		duration uint16
	}
	ms := time.Millisecond
	for _, c := range []struct {
		name string
		in   []in
		want []Digit
	}{
		{"one key, its end three times", []in{
			{0, 100, 5, false, 160}, {20, 100, 5, false, 320}, {40, 100, 5, true, 480}, {40, 100, 5, true, 480}, {40, 100, 5, true, 480},
		}, []Digit{{'5', 60 * ms}}},
		{"only one of the ends came", []in{{40, 100, 10, true, 800}}, []Digit{{'*', 100 * ms}}},
		{"no end came", []in{{0, 100, 11, false, 160}, {20, 100, 11, false, 320}, {400, 0, 255, false, 0}}, []Digit{{'#', 40 * ms}}},
		{"no end came before the next key", []in{
			{0, 100, 1, false, 160}, {100, 900, 2, false, 160}, {120, 900, 2, true, 320}, {120, 900, 2, true, 320},
		}, []Digit{{'1', 20 * ms}, {'2', 40 * ms}}},
		{"nor of the next but its ends", []in{
			{0, 100, 1, false, 160}, {100, 900, 2, true, 320}, {100, 900, 2, true, 320}, {100, 900, 2, true, 320},
		}, []Digit{{'1', 20 * ms}, {'2', 40 * ms}}},
		{"the same key twice", []in{
			{0, 100, 7, true, 400}, {0, 100, 7, true, 400}, {200, 1700, 7, true, 400}, {200, 1700, 7, true, 400},
		}, []Digit{{'7', 50 * ms}, {'7', 50 * ms}}},
		{"a late packet of an old key", []in{
			{0, 100, 7, true, 400}, {200, 1700, 8, false, 160}, {205, 100, 7, false, 160}, {220, 1700, 8, true, 400},
		}, []Digit{{'7', 50 * ms}, {'8', 50 * ms}}},
		{"a long key in two segments", []in{
			{0, 0, 4, false, 65440}, {20, 65440, 4, false, 160}, {40, 65440, 4, true, 320},
		}, []Digit{{'4', 8220 * ms}}},
		{"the timestamp wraps", []in{{0, 0xFFFFFFF0, 3, true, 400}, {300, 2000, 3, true, 400}}, []Digit{{'3', 50 * ms}, {'3', 50 * ms}}},
		{"not a key", []in{{0, 100, 16, true, 400}, {0, 100, 64, true, 400}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var k keypad
			var got []Digit
			for _, p := range c.in {
				now := int64(p.ms) * int64(ms)
				if d, ok := k.expire(now); ok {
					got = append(got, d)
				}
				if d, ok := k.step(now, stamp{1, p.ts}, telephoneEvent{code: p.code, end: p.end, duration: p.duration}); ok {
					got = append(got, d)
				}
			}
			if len(got) != len(c.want) {
				t.Fatalf("got %v, want %v", got, c.want)
			}
			for i := range got {
				if got[i] != c.want[i] {
					t.Errorf("key %d: %v, want %v", i, got[i], c.want[i])
				}
			}
		})
	}
}

// A peer that was replaced by another (a carrier moved the call) counts its
// timestamps from anywhere: its keys are not old packets of keys told before.
func TestKeypadHearsANewSource(t *testing.T) {
	var k keypad
	var got []byte
	press := func(from stamp, code byte, end bool) {
		if d, ok := k.step(0, from, telephoneEvent{code: code, end: end, duration: 400}); ok {
			got = append(got, d.Digit)
		}
	}
	press(stamp{1, 30000}, 1, true)
	press(stamp{2, 29000}, 2, true)
	press(stamp{2, 29000}, 2, true) // its repeat
	press(stamp{3, 29000}, 3, false)
	press(stamp{4, 29400}, 3, false) // neither the next segment nor the same key
	press(stamp{4, 29400}, 3, true)
	if string(got) != "1233" {
		t.Errorf("heard %s", got)
	}
}

// What we press is heard as pressed, also when packets are lost on the way.
func TestPressedIsHeard(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p presser
		var k keypad
		press := rapid.StringOfN(rapid.SampledFrom([]rune(keys)), 1, 12, -1).Draw(t, "keys")
		for _, d := range press {
			length := time.Duration(rapid.IntRange(1, 20).Draw(t, "length")) * 20 * time.Millisecond
			if !p.add(byte(d), length) {
				t.Fatal("not taken")
			}
		}
		var heard []byte
		now, ts, ends := int64(0), uint32(1000), 0
		for p.busy() {
			now += int64(keyStep)
			if d, ok := k.expire(now); ok {
				heard = append(heard, d.Digit)
			}
			e, first, ok := p.step()
			if !ok {
				continue
			}
			if first {
				ts, ends = uint32(now/125000), 0
			}
			if e.end {
				ends++
			}
			if lost := !e.end && rapid.Bool().Draw(t, "lost") || e.end && ends < keyEnds && rapid.Bool().Draw(t, "lost"); lost {
				continue
			}
			var b [eventSize]byte
			e.write(b[:])
			if e, ok = readEvent(b[:]); !ok {
				t.Fatal("not read back")
			}
			if d, ok := k.step(now, stamp{1, ts}, e); ok {
				heard = append(heard, d.Digit)
			}
		}
		if string(heard) != press {
			t.Fatalf("pressed %s, heard %s", press, heard)
		}
	})
}

func TestPressLengths(t *testing.T) {
	for _, c := range []struct{ ask, get time.Duration }{
		{0, 100 * time.Millisecond},
		{time.Millisecond, 40 * time.Millisecond},
		{70 * time.Millisecond, 70 * time.Millisecond},
		{time.Hour, 8 * time.Second},
	} {
		var p presser
		p.add('1', c.ask)
		ends, last := 0, uint16(0)
		for p.busy() {
			if e, _, ok := p.step(); ok {
				last = e.duration
				if e.end {
					ends++
				}
			}
		}
		if samples(uint32(last)) != c.get || ends != 3 {
			t.Errorf("%s: %s long with %d ends, want %s with 3", c.ask, samples(uint32(last)), ends, c.get)
		}
	}
	var p presser
	if p.add('x', 0) || p.add(0, 0) {
		t.Error("took a key that does not exist")
	}
	for range 2 * keyQueue {
		p.add('1', 0)
	}
	if len(p.queue) != keyQueue {
		t.Errorf("%d keys wait, want no more than %d", len(p.queue), keyQueue)
	}
}

func FuzzReadEvent(f *testing.F) {
	f.Add([]byte{5, 0x8A, 1, 0x90})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, ok := readEvent(b)
		if !ok {
			return
		}
		var back [eventSize]byte
		e.write(back[:])
		if back[0] != b[0] || back[1] != b[1]&0xBF || back[2] != b[2] || back[3] != b[3] {
			t.Errorf("% x became % x", b[:eventSize], back)
		}
	})
}
