package rtp

import (
	"errors"
	"fmt"
	"net/netip"
)

// serve chooses the one stream of an offer that is answered: the one in use when
// it still can be, else the first protected one, else the first that can; inUse is
// -1 when none is. Its error is about the stream that came nearest.
func (d *description) serve(inUse int, local netip.Addr, allowed Guards) (int, error) {
	first, nearest, best := -1, -1, error(ErrNoAudio)
	for i := range d.media {
		err := d.media[i].usable(local, allowed)
		switch n := hurdle(err); {
		case err == nil && i == inUse:
			return i, nil
		case err == nil:
			better := first >= 0 && plain(d.media[first].proto) && !plain(d.media[i].proto)
			if first < 0 || better {
				first = i
			}
		case n > nearest:
			nearest, best = n, err
		}
	}
	if first < 0 {
		return 0, best
	}
	return first, nil
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

// foundByChecks passes over the addresses of protected streams whose peer makes ICE
// checks: it may have put there what says nothing, as browsers do that hide their own.
func (d *description) foundByChecks(local netip.Addr) {
	for i := range d.media {
		m := &d.media[i]
		protected := m.guards()&^Among(Plain) != 0
		if protected && m.ufrag != "" && !m.lite && (m.bad != nil || m.addr.Is4() != local.Is4()) {
			m.addr, m.bad = netip.IPv4Unspecified(), nil
		}
	}
}

// usable tells whether a stream can be served: nil, or the first hurdle it fails at.
func (m *section) usable(local netip.Addr, allowed Guards) error {
	switch {
	case m.media != "audio" || m.port == 0:
		return ErrNoAudio
	case m.guards()&allowed == 0:
		return fmt.Errorf("%w: %.30q", ErrTransport, m.proto)
	case m.bad != nil:
		return m.bad
	case !m.addr.IsUnspecified() && m.addr.Is4() != local.Is4():
		return fmt.Errorf("%w: %s from %s", ErrAddress, m.addr, local)
	case len(m.formats) == 0 && m.wide.codec == NoCodec:
		return ErrNoCodec
	}
	return nil
}

// pick chooses among the laws of G.711 of a usable stream; NoCodec if it has neither.
func (m *section) pick(inUse, prefer Codec) format {
	for _, wanted := range [...]Codec{inUse, prefer} { // NoCodec is no format's
		for _, f := range m.formats {
			if f.codec == wanted {
				return f
			}
		}
	}
	if len(m.formats) == 0 {
		return format{}
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
