package sip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// PingTrunk asks a trunk by OPTIONS now, whatever its interval, and returns what
// is known of it then.
func (e *Edge) PingTrunk(ctx context.Context, id string) (TrunkState, error) {
	l, known := e.trunks.named(id)
	switch {
	case !known:
		return TrunkState{}, fmt.Errorf("no trunk %q", id)
	case l.Host == "":
		return TrunkState{}, fmt.Errorf("trunk %s: %w", id, ErrNoHost)
	}
	e.pingTrunk(ctx, l.watch)
	s := l.watch.state(e.o.Now())
	s.Calls = int(l.calls.Load())
	return s, nil
}

// ErrNoHost says that a trunk only brings calls.
var ErrNoHost = errors.New("no host that could be called or asked")

// pingTrunk sends OPTIONS to every place of a trunk at once and takes the best
// answer. Places that are silent or unwilling while others answer come last for calls
// from then on.
func (e *Edge) pingTrunk(ctx context.Context, w *watch) {
	places, err := e.placesOf(ctx, w.trunk.host())
	if err != nil {
		e.echoed(ctx, w, echo{err: err.Error()})
		return
	}
	w.mu.Lock()
	w.found(&w.places, places)
	w.mu.Unlock()
	echoes := make([]echo, len(places))
	var all sync.WaitGroup
	for i, p := range places {
		all.Go(func() { e.guard("pinging a trunk", func() { echoes[i] = e.ping(ctx, w, p) }) })
	}
	all.Wait()
	best := echoes[0]
	for _, o := range echoes[1:] {
		if o.good() && !best.good() || o.code != 0 && best.code == 0 {
			best = o
		}
	}
	for i, p := range places {
		switch {
		case ctx.Err() != nil || !best.good():
		case echoes[i].good():
			e.hosts.heard(p)
		default: // another answers: this one comes last
			e.hosts.silent(p, echoes[i].after)
		}
	}
	e.echoed(ctx, w, best)
}

func (e *Edge) echoed(ctx context.Context, w *watch, o echo) {
	if ctx.Err() != nil {
		return // we stopped asking
	}
	if !w.needed() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pulse.took(e.o.Now(), o, 0)
		return
	}
	e.turn(w, func(now time.Time) { w.pulse.took(now, o, rand.Float64()) })
}

// ping sends OPTIONS to one place.
func (e *Edge) ping(ctx context.Context, w *watch, at netip.AddrPort) echo {
	ctx, cancel := context.WithTimeout(ctx, pingWait)
	defer cancel()
	f := e.flowTo(w.trunk, at)
	d := dialog{flow: f, target: sip.Uri{Scheme: "sip", Host: w.trunk.Host, Port: int(w.trunk.Port)}}
	own, _ := e.sentBy(f)
	d.from = &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: "foyer", Host: own}, Params: sip.HeaderParams{{K: "tag", V: sip.GenerateTagN(12)}}}
	d.to = &sip.ToHeader{Address: d.target}
	req := e.inside(sip.GenerateTagN(24), &d, sip.OPTIONS, 1)
	req.AppendHeader(e.contact(f))
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	req.SetBody(nil)
	begun := e.o.Now()
	res, err := e.finalOf(ctx, req)
	if err != nil {
		return echo{err: brieflyWhy(err)}
	}
	return echo{code: res.StatusCode, rtt: e.o.Now().Sub(begun), after: retryAfter(res)}
}

// brieflyWhy is an error as an operator reads it.
func brieflyWhy(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return err.Error()
}
