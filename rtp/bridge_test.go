package rtp

import (
	"testing"
)

func frame(b byte) []byte {
	f := make([]byte, 160)
	for i := range f {
		f[i] = b + byte(i)
	}
	return f
}

func TestBridgeRelaysBothWays(t *testing.T) {
	m := open(t, nil)
	a := newPeer(t, m, nil, alaw())
	b := newPeer(t, m, a.leg, ulaw())
	Bridge(a.leg, b.leg)
	a.sync()
	a.say(8, frame(3))
	got := b.hear()
	if got.PayloadType != 0 || !got.Marker {
		t.Errorf("first packet: type %d, marker %v", got.PayloadType, got.Marker)
	}
	for i, c := range frame(3) {
		if got.Payload[i] != toPCMU[c] {
			t.Fatalf("byte %d: %#x became %#x", i, c, got.Payload[i])
		}
	}
	await[BridgeUp](b)
	b.say(0, frame(9))
	back := a.hear()
	if back.PayloadType != 8 || back.Payload[5] != toPCMA[frame(9)[5]] {
		t.Errorf("back: type %d, payload % x", back.PayloadType, back.Payload[:8])
	}
}
