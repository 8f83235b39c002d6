package rtp

import (
	"encoding/binary"
	"strings"
	"time"
)

// keys are the events 0 to 15 of RFC 4733 section 3.2.
const keys = "0123456789*#ABCD"

const (
	eventSize   = 4                      // bytes of a telephone-event payload
	keyTimeout  = 200 * time.Millisecond // silence that ends a key whose end was lost
	keyStep     = 20 * time.Millisecond  // between the packets of a key we press
	keyShortest = 40 * time.Millisecond  // of a key and of the pause after it (RFC 4733 section 2.5.2.1 leaves it to the country; ETSI ES 201 235-3)
	keyLongest  = 8 * time.Second        // fits the 16 bit duration
	keyEnds     = 3                      // packets with the E bit (RFC 4733 section 2.5.1.4)
	keyQueue    = 32                     // keys waiting to be pressed on one leg
)

// telephoneEvent is the payload of RFC 4733 section 2.3.
type telephoneEvent struct {
	code     byte
	end      bool
	volume   byte
	duration uint16 // clock units
}

func readEvent(payload []byte) (e telephoneEvent, ok bool) {
	if len(payload) < eventSize {
		return e, false
	}
	return telephoneEvent{
		code:     payload[0],
		end:      payload[1]&0x80 != 0,
		volume:   payload[1] & 0x3F,
		duration: binary.BigEndian.Uint16(payload[2:]),
	}, true
}

func (e telephoneEvent) write(b []byte) {
	b[0], b[1] = e.code, e.volume
	if e.end {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], e.duration)
}

// stamp is what the packets of one key have in common, and no other key of a leg has.
type stamp struct{ ssrc, timestamp uint32 }

// keypad turns the event packets of a peer into one Digit for each key. A key is
// known by the RTP timestamp its packets share; its last packet is sent three
// times and may still be lost. Pure: now is the shard's clock in ns.
type keypad struct {
	down    bool
	done    bool // at least one key was told, that of start
	code    byte
	start   stamp  // of the segment
	earlier uint32 // clock units of the segments before it (RFC 4733 section 2.5.1.3)
	length  uint16
	last    int64
}

// step takes one event packet.
func (k *keypad) step(now int64, from stamp, e telephoneEvent) (Digit, bool) {
	if int(e.code) >= len(keys) {
		return Digit{}, false
	}
	if (k.down || k.done) && from.ssrc == k.start.ssrc {
		age := int32(from.timestamp - k.start.timestamp)
		switch {
		case age == 0 && !k.down, age < 0 && age > -5*clockRate:
			return Digit{}, false // a repeat of what was told, or an old packet
		case age == 0:
			k.last = now
			k.length = max(k.length, e.duration)
			return k.finish(e.end)
		}
	}
	lost, told := k.follow(from, e)
	k.start, k.last, k.length = from, now, e.duration
	if told {
		return lost, true // should this packet be an end, its repeats or the timeout tell it
	}
	return k.finish(e.end)
}

// follow begins a key, or the next segment of one that lasts longer than the
// duration field can say. A key still down whose end was lost is told.
func (k *keypad) follow(from stamp, e telephoneEvent) (Digit, bool) {
	next := stamp{k.start.ssrc, k.start.timestamp + uint32(k.length)}
	if k.down && k.code == e.code && from == next {
		k.earlier += uint32(k.length)
		return Digit{}, false
	}
	d, ok := k.finish(k.down)
	k.down, k.code, k.earlier = true, e.code, 0
	return d, ok
}

// finish tells the key when it has ended.
func (k *keypad) finish(ended bool) (Digit, bool) {
	if !ended || !k.down {
		return Digit{}, false
	}
	k.down, k.done = false, true
	return Digit{Digit: keys[k.code], Length: samples(k.earlier + uint32(k.length))}, true
}

// expire ends a key whose end never came.
func (k *keypad) expire(now int64) (Digit, bool) {
	return k.finish(k.down && now-k.last > int64(keyTimeout))
}

// presser makes the packets of the keys we press, one for each keyStep. Pure.
type presser struct {
	queue  []press
	active bool
	now    press
	sent   int    // clock units told so far
	ends   int    // packets with the E bit sent
	pause  int    // steps of silence left before the next key
	after  uint16 // number of the newest packet when the key began, none of its own
}

type press struct {
	code   byte
	length int // clock units
}

// add queues a key; an unknown one, or one too many, is left out.
func (p *presser) add(digit byte, length time.Duration) bool {
	i := strings.IndexByte(keys, digit)
	if i < 0 || len(p.queue) >= keyQueue {
		return false
	}
	if length == 0 {
		length = 100 * time.Millisecond
	}
	length = min(max(length, keyShortest), keyLongest)
	p.queue = append(p.queue, press{byte(i), int(length.Milliseconds()) * clockRate / 1000})
	return true
}

// busy says that step has more to do, so nothing else may be sent.
func (p *presser) busy() bool { return p.active || p.pause > 0 || len(p.queue) > 0 }

// step gives the next event packet, if this step has one. first says that it
// begins a key: a new timestamp and the marker bit.
func (p *presser) step() (e telephoneEvent, first, ok bool) {
	unit := int(keyStep.Milliseconds()) * clockRate / 1000
	if !p.active {
		if p.pause > 0 {
			p.pause--
			return e, false, false
		}
		if len(p.queue) == 0 {
			return e, false, false
		}
		*p = presser{queue: p.queue[1:], active: true, now: p.queue[0]}
		first = true
	}
	p.sent = min(p.sent+unit, p.now.length)
	e = telephoneEvent{code: p.now.code, volume: 10, duration: uint16(p.sent), end: p.sent == p.now.length}
	if e.end {
		p.ends++
	}
	if p.ends == keyEnds {
		p.active, p.pause = false, int(keyShortest/keyStep)
	}
	return e, first, true
}

// samples is a number of clock units as time.
func samples[T ~int | ~uint32](n T) time.Duration {
	return time.Duration(n) * time.Second / clockRate
}
