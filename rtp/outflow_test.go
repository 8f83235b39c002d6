package rtp

import (
	"testing"

	"pgregory.net/rapid"
)

const ms = int64(1e6)

func TestOutflowFollowsTheClock(t *testing.T) {
	o := newOutflow()
	begin, first := o.ts, o.seq
	seq, ts, marker := o.step(0, 160)
	if seq != first+1 || ts != begin || !marker {
		t.Fatalf("first: seq %d ts %d marker %v", seq, ts, marker)
	}
	o.packets = 1
	if _, ts, marker = o.step(20*ms, 160); ts != begin+160 || marker {
		t.Fatalf("second: ts +%d marker %v", ts-begin, marker)
	}
	// Music stops at 20 ms; an agent is heard from 1,020 ms on.
	o.cut()
	in := packet{ssrc: 5, seq: 65535, ts: 0xFFFFFFFF}
	seq, ts, marker, ok := o.carry(1020*ms, &in, 160)
	if !ok || seq != first+3 || ts != begin+160+8000 || !marker {
		t.Fatalf("relay: seq +%d ts +%d marker %v", seq-first, ts-begin, marker)
	}
	in.seq, in.ts = in.seq+1, in.ts+160
	seq, ts, marker, _ = o.carry(1040*ms, &in, 160)
	if seq != first+4 || ts != begin+160+8160 || marker {
		t.Fatalf("relay goes on: seq +%d ts +%d marker %v", seq-first, ts-begin, marker)
	}
	// Music again, 5 ms later: not before the end of what was said.
	o.cut()
	seq, ts, marker = o.step(1045*ms, 160)
	if seq != first+5 || ts != begin+160+8160+160 || !marker {
		t.Fatalf("music: seq +%d ts +%d marker %v", seq-first, ts-begin, marker)
	}
}

// Relayed packets keep their distances: what the source lost, swapped or doubled
// the peer sees lost, swapped or doubled.
func TestOutflowKeepsDistances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOutflow()
		o.packets = 1
		was := o.seq
		base := rapid.Uint16().Draw(t, "base")
		at, top := 0, 0
		for i := range rapid.IntRange(1, 400).Draw(t, "n") {
			p := packet{ssrc: 9, seq: base + uint16(at), ts: uint32(at) * 160}
			seq, ts, _, ok := o.carry(int64(i)*20*ms, &p, 160)
			if at < 0 {
				if ok {
					t.Fatalf("a packet from before the bridge went out as +%d", int16(seq-was))
				}
			} else if !ok || seq != was+1+uint16(at) || ts-o.relay.ts != p.ts {
				t.Fatalf("packet %d: ok %v, seq +%d", at, ok, seq-was)
			}
			top = max(top, at)
			at = top + rapid.IntRange(-40, 5).Draw(t, "step")
		}
	})
}

func TestOutflowSourceStartsAgain(t *testing.T) {
	o := newOutflow()
	o.packets = 1
	p := packet{ssrc: 9, seq: 100, ts: 1000}
	was, _, _, _ := o.carry(0, &p, 160)
	for _, c := range []struct {
		name string
		p    packet
	}{
		{"another SSRC", packet{ssrc: 10, seq: 101, ts: 1160}},
		{"far ahead", packet{ssrc: 10, seq: 101 + maxDropout, ts: 0}},
		{"far back", packet{ssrc: 10, seq: 5, ts: 0}},
	} {
		seq, _, marker, ok := o.carry(20*ms, &c.p, 160)
		if !ok || !marker || seq != was+1 {
			t.Errorf("%s: ok %v marker %v seq +%d", c.name, ok, marker, seq-was)
		}
		was = seq
	}
}

func TestOutflowLeavesOutWithoutAGap(t *testing.T) {
	o := newOutflow()
	o.packets = 1
	p := packet{ssrc: 9, seq: 100}
	first, _, _, _ := o.carry(0, &p, 160)
	for range 3 {
		p.seq++
		o.leaveOut(&p)
	}
	p.seq++
	if next, _, _, _ := o.carry(0, &p, 160); next != first+1 {
		t.Errorf("after three left out: +%d", next-first)
	}
}

func TestOutflowEvent(t *testing.T) {
	o := newOutflow()
	o.step(0, 160)
	o.packets = 1
	seq, ts := o.event(40*ms, true, 160)
	if seq2, ts2 := o.event(60*ms, false, 320); seq2 != seq+1 || ts2 != ts {
		t.Errorf("second packet of a key: seq +%d ts +%d", seq2-seq, ts2-ts)
	}
	o.cut()
	if _, after, _ := o.step(61*ms, 160); after != ts+320 {
		t.Errorf("audio after the key at +%d, want after its end", after-ts)
	}
}
