package rtp

import "time"

// Robustness of G.711 against lost packets (Bpl of ITU-T G.107 and G.113): with
// the concealment of its appendix I, which phones have, and without.
const (
	bplConcealed = 25.1
	bplPlain     = 4.3
)

// rating is the transmission rating R of the simplified E-model (ITU-T G.107)
// for random loss: delay is one way from mouth to ear, loss in percent of
// packets, late ones counted as lost.
func rating(delay time.Duration, loss, bpl float64) float64 {
	d := float64(delay) / float64(time.Millisecond)
	id := 0.024 * d
	if d > 177.3 {
		id += 0.11 * (d - 177.3)
	}
	return 93.2 - id - 95*loss/(loss+bpl)
}

// opinion is the mean opinion score that goes with R, 1 to 4.5.
func opinion(r float64) float64 {
	switch {
	case r <= 0:
		return 1
	case r >= 100:
		return 4.5
	default:
		return 1 + 0.035*r + r*(r-60)*(100-r)*7e-6
	}
}

// mouthToEar estimates the one-way delay the peer's voice has at our side of
// the call: half the round trip, one packet being filled, and a jitter buffer
// of twice the jitter, at least 20 ms.
func mouthToEar(roundTrip, jitter, ptime time.Duration) time.Duration {
	return roundTrip/2 + ptime + max(2*jitter, 20*time.Millisecond)
}

// mos judges what a leg received.
func (r *reception) mos(roundTrip, ptime time.Duration) float64 {
	e := r.expected()
	if e == 0 {
		return 0
	}
	loss := 100 * float64(min(r.lost()+r.late, e)) / float64(e)
	return opinion(rating(mouthToEar(roundTrip, r.jitterP95(), ptime), loss, bplConcealed))
}
