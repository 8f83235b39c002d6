package rtp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// serve chooses the one stream of an offer that is answered: the one in use when
// it still can be, else the first that can. Its error is about the stream that
// came nearest.
func (d *description) serve(inUse int, local netip.Addr) (int, error) {
	if inUse < len(d.media) && d.media[inUse].usable(local) == nil {
		return inUse, nil
	}
	nearest, best := -1, error(ErrNoAudio)
	for i := range d.media {
		err := d.media[i].usable(local)
		if err == nil {
			return i, nil
		}
		if n := hurdle(err); n > nearest {
			nearest, best = n, err
		}
	}
	return 0, best
}

// hurdle counts how many checks of usable were passed.
func hurdle(err error) int {
	for i, h := range [...]error{ErrNoAudio, ErrTransport, ErrBadSDP, ErrAddress} {
		if errors.Is(err, h) {
			return i
		}
	}
	return 4
}

// usable tells whether a stream can be served: nil, or the first hurdle it fails at.
func (m *section) usable(local netip.Addr) error {
	switch {
	case m.media != "audio" || m.port == 0:
		return ErrNoAudio
	case !plain(m.proto):
		return fmt.Errorf("%w: %.30q", ErrTransport, m.proto)
	case m.bad != nil:
		return m.bad
	case !m.addr.IsUnspecified() && m.addr.Is4() != local.Is4():
		return fmt.Errorf("%w: %s from %s", ErrAddress, m.addr, local)
	case len(m.formats) == 0:
		return ErrNoCodec
	}
	return nil
}

// plain is RTP in the clear. The feedback profile (RFC 4585) is ordinary RTP for
// one who has no feedback to give.
func plain(proto string) bool {
	return strings.EqualFold(proto, "RTP/AVP") || strings.EqualFold(proto, "RTP/AVPF")
}

// pick chooses among the codecs of a usable stream.
func (m *section) pick(inUse, prefer Codec) format {
	for _, wanted := range [...]Codec{inUse, prefer} { // NoCodec is no format's
		for _, f := range m.formats {
			if f.codec == wanted {
				return f
			}
		}
	}
	return m.formats[0]
}

func (d *description) lines() []line {
	lines := make([]line, len(d.media))
	for i := range d.media {
		lines[i] = d.media[i].line
	}
	return lines
}
