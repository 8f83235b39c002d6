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

// Info presses a key for the peer by INFO. It does nothing on a leg that is not up,
// and whatever the peer answers changes nothing.
func (l *Leg) Info(digit byte, length time.Duration) {
	if !strings.Contains(keys, string(digit)) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.phase != up {
		return
	}
	req := l.request(sip.INFO)
	kind := sip.ContentTypeHeader("application/dtmf-relay")
	req.AppendHeader(&kind)
	req.SetBody(fmt.Appendf(nil, "Signal=%c\r\nDuration=%d\r\n", digit, min(max(length, 0), longestPress).Milliseconds()))
	ctx, cancel := context.WithTimeout(l.e.stopped, l.e.timing.give)
	tx, err := l.e.send(ctx, req) // here, so that digits leave in order
	if err != nil || !l.e.start("waiting for the answer to INFO", func() {
		defer cancel()
		if _, err := await(ctx, tx); err != nil {
			l.e.o.Log.Debug("INFO not answered", zap.Error(err))
		}
	}) {
		cancel()
	}
}
