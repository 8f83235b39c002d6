package rtp

import (
	"bytes"
	"testing"

	pion "github.com/pion/rtp"
)

// Our reader of the header agrees with pion's wherever both understand the
// packet, and never reaches outside of it.
func FuzzParse(f *testing.F) {
	plain, err := (&pion.Packet{Header: pion.Header{Version: 2, PayloadType: 8, SequenceNumber: 7, Timestamp: 160, SSRC: 9}, Payload: []byte("abc")}).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plain)
	f.Add([]byte{0x80})
	f.Add([]byte{0xB1, 0x80 | 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0xBE, 0xDE, 0, 1, 1, 2, 3, 4, 5, 6, 7, 0, 2})
	f.Add([]byte{0xA0, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 200})
	f.Fuzz(func(t *testing.T, b []byte) {
		var p packet
		ok := p.parse(b)
		if ok && (p.payload < headerSize || p.payload > len(p.buf) || len(p.buf) > len(b)) {
			t.Fatalf("payload from %d to %d of %d", p.payload, len(p.buf), len(b))
		}
		var q pion.Packet
		if err := q.Unmarshal(b); err != nil || !ok {
			return
		}
		if p.marker != q.Marker || p.pt != q.PayloadType || p.seq != q.SequenceNumber || p.ts != q.Timestamp || p.ssrc != q.SSRC {
			t.Errorf("header %+v, pion says %+v", p, q.Header)
		}
		if !bytes.Equal(p.buf[p.payload:], q.Payload) {
			t.Errorf("payload % x, pion says % x", p.buf[p.payload:], q.Payload)
		}
	})
}

func TestWriteHeaderIsReadBack(t *testing.T) {
	b := make([]byte, headerSize+2)
	writeHeader(b, 101, true, 65535, 0xFFFFFFFE, 0xDEADBEEF)
	var q pion.Packet
	if err := q.Unmarshal(b); err != nil {
		t.Fatal(err)
	}
	if !q.Marker || q.PayloadType != 101 || q.SequenceNumber != 65535 || q.Timestamp != 0xFFFFFFFE || q.SSRC != 0xDEADBEEF {
		t.Errorf("%+v", q.Header)
	}
}

func TestIsRTCP(t *testing.T) {
	for _, c := range []struct {
		b    []byte
		want bool
	}{
		{[]byte{0x80, 200}, true}, {[]byte{0x81, 201}, true}, {[]byte{0x80, 207}, true},
		{[]byte{0x80, 8}, false}, {[]byte{0x80, 0x80 | 8}, false}, {[]byte{0x80, 0x80 | 101}, false},
		{[]byte{0x00, 200}, false}, {[]byte{0x80}, false}, {nil, false},
	} {
		if got := isRTCP(c.b); got != c.want {
			t.Errorf("% x: %v", c.b, got)
		}
	}
}
