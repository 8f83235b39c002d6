package rtp

import (
	"testing"
)

// What has come for many legs is read, judged and sent together. One whose handling
// breaks takes nobody's packet with it: neither one that waits to be sent, nor one
// that has been read and not judged.
func TestAFaultCostsTheGroupNothing(t *testing.T) {
	m := open(t, nil)
	const pairs, at = 2 * warmBatch, warmBatch + warmBatch/2
	var talkers, listeners []*peer
	for i := range pairs {
		a := shielded(t, m, nil, alaw(), keysFor(GCM128))
		b := newPeer(t, m, a.leg, alaw())
		if i%2 == 1 { // the other way round: what leaves is sealed
			a, b = newPeer(t, m, nil, alaw()), nil
			b = shielded(t, m, a.leg, alaw(), keysFor(CM80))
		}
		Bridge(a.leg, b.leg)
		a.sync()
		a.say(8, frame(1))
		b.hear()
		talkers, listeners = append(talkers, a), append(listeners, b)
	}
	bad := newPeer(t, m, nil, alaw())
	gate, held := make(chan struct{}), make(chan struct{})
	bad.leg.post(func(*shard) {
		bad.leg.sink = func(e MediaEvent) {
			if _, ok := e.(Latched); ok {
				panic("a fault")
			}
			bad.told <- e
		}
		close(held)
		<-gate
	})
	<-held
	for i, a := range talkers {
		if i == at {
			bad.say(8, frame(0))
		}
		a.say(8, frame(2))
	}
	close(gate)
	await[Broken](bad)
	for i, b := range listeners {
		if k := b.hear(); k.Payload[0] != frame(2)[0] {
			t.Errorf("%d heard % x", i, k.Payload[:4])
		}
		if r := talkers[i].sync(); r.Received != 2 || r.Lost != 0 {
			t.Errorf("%d: %+v", i, r)
		}
	}
}
