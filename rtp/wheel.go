package rtp

import "time"

// tick is the beat of a shard. Reading, relaying, playing and taps go by it when
// many legs are up.
const tick = 5 * time.Millisecond

// tickUnits is the audio of one tick, in clock units, which are bytes.
const tickUnits = clockRate * int(tick) / int(time.Second)

const (
	wheelSize  = 16 // ticks a leg may be ahead: more than the longest ptime
	visitEvery = 20 // ticks between two visits to a leg: 100 ms
	catchUp    = 20 // ticks a late shard makes up for; beyond, the time is skipped
)

// wheel holds the legs that send by the clock, each in the slot of the tick it
// is due at. A leg that is due later than wheelSize ticks cannot be in it.
type wheel struct {
	slots [wheelSize][]*Leg
	count int
}

func (w *wheel) add(l *Leg, due uint64) {
	i := due % wheelSize
	l.beat = beat{due: due, slot: int8(i), place: len(w.slots[i]), on: true}
	w.slots[i] = append(w.slots[i], l)
	w.count++
}

func (w *wheel) remove(l *Leg) {
	if !l.beat.on {
		return
	}
	slot := w.slots[l.beat.slot]
	last := slot[len(slot)-1]
	slot[l.beat.place] = last
	last.beat.place = l.beat.place
	slot[len(slot)-1] = nil
	w.slots[l.beat.slot] = slot[:len(slot)-1]
	l.beat.on = false
	w.count--
}

// next is up to n of the legs that pop will give.
func (w *wheel) next(at uint64, n int) []*Leg {
	slot := w.slots[at%wheelSize]
	return slot[max(len(slot)-n, 0):]
}

// pop takes a leg due at this tick out of the wheel, nil when there is none left.
func (w *wheel) pop(at uint64) *Leg {
	slot := w.slots[at%wheelSize]
	if len(slot) == 0 {
		return nil
	}
	l := slot[len(slot)-1]
	w.remove(l)
	return l
}

// lightest is the tick after now, no more than 20 ms later, with the fewest legs:
// a thousand callers are spread over the ticks whenever they came.
func (w *wheel) lightest(now uint64) uint64 {
	best := now + 1
	for t := now + 2; t <= now+4; t++ {
		if len(w.slots[t%wheelSize]) < len(w.slots[best%wheelSize]) {
			best = t
		}
	}
	return best
}

// beat is a leg's place in the wheel.
type beat struct {
	due   uint64 // tick
	place int
	slot  int8
	on    bool
}
