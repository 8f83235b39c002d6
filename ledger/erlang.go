package ledger

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// Work is what callers ask of a group of agents, steady for as long as it takes
// to settle: a half hour of an ordinary day.
type Work struct {
	Calls    float64       // that arrive in each Per
	Per      time.Duration // such as 30 min
	Handle   time.Duration // mean time of an agent for a call, wrap-up included
	Patience time.Duration // mean time after which a waiting caller leaves; only Erlang A reads it
}

// Forecast is how a number of agents will do with some work. Shares and
// probabilities are between 0 and 1.
type Forecast struct {
	Agents    int           // at work: those on a break or elsewhere not counted
	Waiting   float64       // probability that a caller has to wait at all
	Abandoned float64       // share of the offered calls whose callers leave
	MeanWait  time.Duration // of all callers, those who leave included
	ASA       time.Duration // average speed of answer: mean wait of the answered
	Queue     float64       // mean number of callers waiting
	Occupancy float64       // share of an agent's time spent on calls

	// Two of the variants of the service level: calls answered in time, of all
	// offered (the strict one, which targets are set in) and of all answered.
	OfOffered, OfAnswered float64
}

const (
	// MostAgents is more than any group has; it bounds the work of a search.
	MostAgents = 100_000
	// mostPatient bounds the work of Erlang A: how many callers arrive before
	// one loses patience, which is how many may come to wait.
	mostPatient = 10_000_000
)

// ErrOverloaded: without callers who leave, the queue would grow for ever.
var ErrOverloaded = errors.New("as much work as the agents can do, or more: the queue would grow for ever")

// Erlangs is the work in agents who never rest: calls arriving in a handle time.
func (w Work) Erlangs() float64 {
	return w.Calls * float64(w.Handle) / float64(w.Per)
}

func (w Work) check(agents int, within time.Duration) error {
	switch {
	case !(w.Calls > 0) || math.IsInf(w.Calls, 1):
		return fmt.Errorf("calls: %v, must be more than none", w.Calls)
	case w.Per <= 0:
		return fmt.Errorf("period of the calls: %v, must be more than nothing", w.Per)
	case w.Handle <= 0:
		return fmt.Errorf("handle time: %v, must be more than nothing", w.Handle)
	case w.Patience < 0:
		return fmt.Errorf("patience: %v, must not be negative", w.Patience)
	case within < 0:
		return fmt.Errorf("answer within %v: must not be negative", within)
	case agents < 1 || agents > MostAgents:
		return fmt.Errorf("agents: %d, must be 1 to %d", agents, MostAgents)
	}
	return nil
}

// ErlangC forecasts how agents do when no caller ever leaves (M/M/N), and how
// many calls are answered within the given time. ErrOverloaded when they are
// not more than the work in erlangs. Erlang, "Solution of some problems in the
// theory of probabilities of significance in automatic telephone exchanges",
// 1917; the probability of waiting by way of the recursion for Erlang B, which
// has no factorials and is stable for any number of agents.
func ErlangC(w Work, agents int, within time.Duration) (Forecast, error) {
	if err := w.check(agents, within); err != nil {
		return Forecast{}, err
	}
	a, n := w.Erlangs(), float64(agents)
	if n <= a {
		return Forecast{}, fmt.Errorf("%d agents for %.1f erlangs: %w", agents, a, ErrOverloaded)
	}
	b := 1.0
	for k := 1.0; k <= n; k++ {
		b = a * b / (k + a*b)
	}
	waiting := b / (1 - a/n*(1-b))
	level := 1 - waiting*math.Exp(-(n-a)*float64(within)/float64(w.Handle))
	wait := durationOf(waiting * w.Handle.Seconds() / (n - a))
	return Forecast{
		Agents: agents, Waiting: waiting, MeanWait: wait, ASA: wait,
		Queue: waiting * a / (n - a), Occupancy: a / n,
		OfOffered: level, OfAnswered: level,
	}, nil
}

// ErlangA forecasts how agents do when callers lose patience, each after an
// exponential time of that mean (M/M/N+M): Palm, "Methods of judging the
// annoyance caused by congestion", 1953; Garnett, Mandelbaum and Reiman,
// "Designing a call center with impatient customers", MSOM 4(3), 2002. Fewer
// agents than erlangs are no error: callers who leave keep the queue finite.
func ErlangA(w Work, agents int, within time.Duration) (Forecast, error) {
	if err := w.check(agents, within); err != nil {
		return Forecast{}, err
	}
	rate, patience := w.Calls/w.Per.Seconds(), w.Patience.Seconds()
	switch {
	case w.Patience == 0:
		return Forecast{}, errors.New("patience: Erlang A needs it; Erlang C is for callers who never leave")
	case rate*patience > mostPatient:
		return Forecast{}, fmt.Errorf("patience: %v, too long for so many calls; Erlang C is for callers who never leave", w.Patience)
	}
	f := Forecast{Agents: agents}
	answered, wait := 0.0, 0.0 // share of the offered, and their waiting by that share
	first, share := w.present(agents)
	l := newLine(w, agents, within)
	for i, p := range share {
		q := first + i - agents // callers ahead of one who arrives now
		f.Occupancy += p * min(1, float64(first+i)/float64(agents))
		if q < 0 { // an agent is free
			answered += p
			f.OfOffered += p
			continue
		}
		l.lengthen(q)
		f.Waiting += p
		f.Queue += p * float64(q)
		answered += p * l.answered()
		wait += p * l.answered() * l.wait
		f.OfOffered += p * l.answered() * (1 - l.late)
	}
	f.Abandoned = f.Queue / (rate * patience)
	f.MeanWait = durationOf(f.Queue / rate)
	f.ASA = durationOf(wait / answered)
	f.OfAnswered = f.OfOffered / answered
	return f, nil
}

// present is how many callers are present, talking or waiting: share[i] is the
// share of time in which first+i are. It starts from the likeliest number and
// goes both ways until less than 1e-14 is left, so nothing over- or underflows
// and a large group costs no more than the root of its size.
func (w Work) present(agents int) (first int, share []float64) {
	n, offered := float64(agents), w.Erlangs()
	leave := float64(w.Handle) / float64(w.Patience) // by one waiting caller in a handle time
	departures := func(k int) float64 { return min(float64(k), n) + max(float64(k)-n, 0)*leave }
	likeliest := int(offered)
	if offered >= n {
		likeliest = agents + int((offered-n)/leave)
	}
	// Ratios of neighbours fall with the distance, so the last one bounds all the rest.
	const negligible = 1e-14
	p := 1.0
	for k := likeliest; k > 0; k-- {
		r := departures(k) / offered
		if r < 1 && p*r/(1-r) < negligible {
			break
		}
		p *= r
		share = append(share, p)
	}
	first = likeliest - len(share)
	slices.Reverse(share)
	share = append(share, 1)
	p = 1
	for k := likeliest + 1; ; k++ {
		r := offered / departures(k)
		if r < 1 && p*r/(1-r) < negligible {
			break
		}
		p *= r
		share = append(share, p)
	}
	total := 0.0
	for _, p := range share {
		total += p
	}
	for i := range share {
		share[i] /= total
	}
	return first, share
}

// line is what awaits a caller who finds all agents busy and q callers ahead:
// the solution of g'(q) = r(q)·(g(q-1) - g(q)) - θ·g(q), with r(q) = Nμ + qθ, in
// closed form. In terms of c = Nμ/θ the caller is answered at all with
// probability c/(c+q+1), and then in time if a negative binomial count of
// parameters c+1 and 1-exp(-θT) exceeds q.
type line struct {
	c, theta float64
	x        float64 // 1 - exp(-θT)
	q        int
	late     float64 // probability that a caller who is answered is not in time
	wait     float64 // mean wait of a caller who is answered, in seconds

	// The probability that the count is q: m·exp(scale), so that the first ones,
	// which a float64 cannot hold, lead to those that it can.
	m, scale, unit float64
}

func newLine(w Work, agents int, within time.Duration) *line {
	theta := 1 / w.Patience.Seconds()
	c := float64(agents) * float64(w.Patience) / float64(w.Handle)
	l := &line{c: c, theta: theta, x: -math.Expm1(-theta * within.Seconds()), m: 1}
	l.scale = -(c + 1) * theta * within.Seconds()
	l.unit = math.Exp(l.scale)
	l.late = l.unit
	l.wait = 1 / ((c + 1) * theta)
	return l
}

// lengthen puts callers in line until q are ahead; a line never gets shorter.
func (l *line) lengthen(q int) {
	const tooLarge = 1e250
	for l.q < q {
		l.q++
		k := float64(l.q)
		l.wait += 1 / ((l.c + 1 + k) * l.theta)
		if l.m *= (k + l.c) / k * l.x; l.m > tooLarge {
			l.m /= tooLarge
			l.scale += math.Log(tooLarge)
			l.unit = math.Exp(l.scale)
		}
		l.late = min(l.late+l.m*l.unit, 1)
	}
}

// answered is the probability that the caller is answered before losing patience.
func (l *line) answered() float64 { return l.c / (l.c + float64(l.q) + 1) }

func durationOf(seconds float64) time.Duration {
	ns := seconds * float64(time.Second)
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}
