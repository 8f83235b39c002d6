package sip

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// keys are the events of RFC 4733 section 3.2 that are keys, by their number.
const keys = "0123456789*#ABCD"

// longestPress bounds what is said of how long a key was pressed.
const longestPress = 8 * time.Second

// digitOf reads a DTMF digit: Signal=5 and Duration=160 in application/dtmf-relay, 5
// alone in application/dtmf. Some write the events of RFC 4733 as numbers.
func digitOf(kind, body string) (Info, bool) {
	signal, length := body, ""
	if kind == "application/dtmf-relay" {
		signal, length = fieldOf(body, "signal"), fieldOf(body, "duration")
	}
	var d Info
	if ms, err := strconv.Atoi(length); err == nil && ms > 0 {
		d.Length = min(time.Duration(ms)*time.Millisecond, longestPress)
	}
	signal = strings.ToUpper(strings.TrimSpace(signal))
	if len(signal) == 1 && strings.Contains(keys, signal) {
		d.Digit = signal[0]
		return d, true
	}
	if n, err := strconv.Atoi(signal); err == nil && n >= 10 && n < len(keys) {
		d.Digit = keys[n]
		return d, true
	}
	return Info{}, false
}

// fieldOf finds a line such as Signal=5, or Signal: 5.
func fieldOf(body, field string) string {
	for line := range strings.Lines(body) {
		name, value, found := strings.Cut(line, "=")
		if !found {
			name, value, _ = strings.Cut(line, ":")
		}
		if strings.EqualFold(strings.TrimSpace(name), field) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// mostKeys is how many key presses may wait for the peer to answer those before.
const mostKeys = 64

// Info presses a key for the peer by INFO, after those before it. It does nothing on
// a leg that is not up, and what the peer answers changes nothing.
func (l *Leg) Info(digit byte, length time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != up || !strings.Contains(keys, string(digit)) || len(l.presses) == mostKeys {
		return
	}
	l.presses = append(l.presses, Info{digit, min(max(length, 0), longestPress)})
	if !l.pressing {
		l.pressing = l.e.start("pressing keys", l.press)
	}
}

// press sends the keys that wait, one after the other: in two requests on the way at
// once they might change places.
func (l *Leg) press() {
	for {
		l.mu.Lock()
		if l.phase != up || len(l.presses) == 0 {
			l.presses, l.pressing = nil, false
			l.mu.Unlock()
			return
		}
		key := l.presses[0]
		l.presses = l.presses[1:]
		req := l.request(sip.INFO)
		l.mu.Unlock()
		kind := sip.ContentTypeHeader("application/dtmf-relay")
		req.AppendHeader(&kind)
		req.SetBody(fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", key.Digit, key.Length.Milliseconds()))
		ctx, cancel := context.WithTimeout(l.e.stopped, l.e.timing.unanswered)
		if _, err := l.e.finalOf(ctx, req); err != nil {
			l.e.o.Log.Debug("INFO not answered", zap.Error(err))
		}
		cancel()
	}
}
