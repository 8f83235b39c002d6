package loadtest

import (
	"fmt"
	"slices"
	"time"
)

// Status is the state of a run at one moment.
type Status struct {
	Elapsed                              time.Duration
	Started                              int // calls so far
	Active                               int // not yet over
	Waiting                              int // connected to the switch, not to an agent
	Talking                              int
	AgentsBusy                           int // ringing included
	Answered, Abandoned, Refused, Failed int
	Media                                MediaTotals
	Mistakes                             int
}

func (s Status) String() string {
	return fmt.Sprintf("%4.0fs  %d calls: %d up, %d waiting, %d talking; %d answered, %d abandoned, %d refused, %d failed; %d packets lost, %d misrouted, %d mistakes",
		s.Elapsed.Seconds(), s.Started, s.Active, s.Waiting, s.Talking, s.Answered, s.Abandoned, s.Refused, s.Failed,
		s.Media.Lost, s.Media.Misrouted, s.Mistakes)
}

// Quantiles sum up a distribution of delays.
type Quantiles struct {
	N             uint64
	P50, P99, Max time.Duration
}

func (q Quantiles) String() string {
	return fmt.Sprintf("p50 %v p99 %v max %v (n=%d)", short(q.P50), short(q.P99), short(q.Max), q.N)
}

func short(d time.Duration) time.Duration {
	switch {
	case d > 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(time.Microsecond)
}

func (s *spread) quantiles() Quantiles {
	return Quantiles{N: s.n, P50: s.quantile(0.5), P99: s.quantile(0.99), Max: s.longest()}
}

// Result is what a run came to.
type Result struct {
	Status
	Calls []Call // finished, by number; those never finished are missing and in Active
	// Offer is from the caller's INVITE to the INVITE at the agent, of calls that
	// came when an agent was free; Wait the same of the others.
	Offer, Wait Quantiles
	PostDial    Quantiles // caller's INVITE to the first answer above 100
	Setup       Quantiles // caller's INVITE to its 200
	Freed       Quantiles // agent's BYE, sent or received, to the next INVITE there, callers waiting
	FreedAfter  Quantiles // the same from the 200 to that BYE
	AckDelay    Quantiles // agent's 200 to its ACK
	Resent      int       // messages the generator had to repeat
	Repeated    int       // requests the switch repeated
	Stray       int       // messages for nobody
	Errors      map[string]int
}

// Brace says that something is about to disturb the media: MediaTotals.Gaps tell of it.
func (r *Running) Brace() {
	if r.media != nil {
		r.media.brace(time.Now())
	}
}

// Status returns the state now.
func (r *Running) Status() Status {
	var media MediaTotals
	if r.media != nil {
		t, d := r.media.totals()
		media = window(t, MediaTotals{}, d)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{Elapsed: time.Since(r.began), Started: r.tally.started, Active: len(r.calls), Waiting: r.tally.waiting,
		Talking: r.tally.talking, Answered: r.tally.answered, Abandoned: r.tally.abandoned,
		Refused: r.tally.refused, Failed: r.tally.failing, Media: media,
		AgentsBusy: r.tally.busy}
	for _, n := range r.mistakes {
		s.Mistakes += n
	}
	return s
}

// Result returns everything known so far; it may be called before the end too.
func (r *Running) Result() Result {
	res := Result{Status: r.Status()}
	for _, w := range r.wires {
		s := w.Stats()
		res.Resent += s.Resent
		res.Repeated += s.Repeated
		res.Stray += s.Stray
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.past {
		res.Calls = append(res.Calls, d.Call)
	}
	slices.SortFunc(res.Calls, func(a, b Call) int { return int(int64(a.Number) - int64(b.Number)) })
	t := &r.delays
	res.Offer, res.Wait, res.PostDial, res.Setup = t.offer.quantiles(), t.wait.quantiles(), t.ring.quantiles(), t.setup.quantiles()
	res.Freed, res.FreedAfter, res.AckDelay = t.freed.quantiles(), t.freed2.quantiles(), t.answer.quantiles()
	res.Errors = map[string]int{}
	for text, n := range r.mistakes {
		res.Errors[text] = n
	}
	return res
}

// Mark remembers the media counters of a moment, for Since.
type Mark struct {
	at     time.Time
	totals MediaTotals
	delays *spread
}

// Mark takes the counters now.
func (r *Running) Mark() Mark {
	m := Mark{at: time.Now(), delays: &spread{}}
	if r.media != nil {
		m.totals, m.delays = r.media.totals()
	}
	return m
}

// Since returns what the media did since a mark, and how long that was.
func (r *Running) Since(m Mark) (MediaTotals, time.Duration) {
	if r.media == nil {
		return MediaTotals{}, time.Since(m.at)
	}
	t, d := r.media.totals()
	return window(t, m.totals, d.since(m.delays)), time.Since(m.at)
}

// Mute lets every phone stop sending media, or start again.
func (r *Running) Mute(on bool) {
	if r.media != nil {
		r.media.mute(on)
	}
}
