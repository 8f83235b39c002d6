package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Bucket is how finely a report is cut.
type Bucket string

// The buckets there are.
const (
	ByQuarter  Bucket = "15m"
	ByHalfHour Bucket = "30m"
	ByDay      Bucket = "day"
)

// start is the beginning of the bucket that a quarter belongs to, on the wall clock
// of a zone. In the night that summer time ends, the hour that comes twice has
// buckets of its own each time, and the day has 25 hours.
func (b Bucket) start(at Instant, zone *time.Location) Instant {
	t := at.Time().In(zone)
	switch b {
	case ByHalfHour:
		return At(t.Add(-time.Duration(t.Minute()%30)*time.Minute - time.Duration(t.Second())*time.Second))
	case ByDay:
		return At(dayBegins(t))
	}
	return at
}

// end is where the bucket that starts at a moment ends.
func (b Bucket) end(start Instant, zone *time.Location) Instant {
	switch b {
	case ByHalfHour:
		return start + 2*quarter
	case ByDay:
		return At(dayBegins(start.Time().In(zone).Add(36 * time.Hour))) // no day has less than 20 hours or more than 28
	}
	return start + quarter
}

// dayBegins is the first moment of t's day, which is not midnight everywhere.
func dayBegins(t time.Time) time.Time {
	y, m, d := t.Date()
	begin := time.Date(y, m, d, 0, 0, 0, 0, t.Location())
	for begin.Day() != d {
		begin = begin.Add(Quarter)
	}
	return begin
}

// Promise is what was promised of a queue: a share of its calls within its target
// time, and how that share is made.
type Promise struct {
	Formula Formula
	Target  float64 // 0 to 1; zero: nothing was promised
}

// ReportQuery selects what a report adds up, and how.
type ReportQuery struct {
	From, To time.Time // of the quarters: From included, To not; zero: unbounded
	Bucket   Bucket
	Zone     *time.Location // of days and half hours
	ID       string         // one queue, or one agent; empty: each
	Client   string
	Clients  []string // what the asker may see; nil: every client
	Formula  Formula  // empty: each queue's own
	Promises func(queue string) Promise
}

// span is the time a line of a report is about.
type span struct {
	Start Instant `json:"start" table:"START"`
	End   Instant `json:"end"`
}

// SLALine is one queue's service level in one bucket.
type SLALine struct {
	span
	Client  string   `json:"client" table:"CLIENT"`
	Queue   string   `json:"queue" table:"QUEUE"`
	Formula Formula  `json:"formula" table:"FORMULA"`
	Level   *float64 `json:"service_level" table:"LEVEL"` // null: nothing to count
	Target  *float64 `json:"target" table:"TARGET"`
	Met     *bool    `json:"met" table:"MET"`
	Within  Millis   `json:"within_s" table:"WITHIN"`
	Short   Millis   `json:"short_s"`
	Calls
}

// QueueLine is one queue, or one client's queues together, in one bucket.
type QueueLine struct {
	span
	Client  string `json:"client" table:"CLIENT"`
	Queue   string `json:"queue,omitempty" table:"QUEUE"`
	Offered int    `json:"offered" table:"OFFERED"`
	Calls
	Overflowed int      `json:"overflowed" table:"OVERFLOWED"`
	Refused    int      `json:"refused" table:"REFUSED"`
	Callbacks  int      `json:"callbacks"`
	Failed     int      `json:"failed"`
	Handled    int      `json:"handled"`
	Formula    Formula  `json:"formula" table:"FORMULA"`
	Level      *float64 `json:"service_level" table:"LEVEL"`
	Within     Millis   `json:"within_s"`
	Short      Millis   `json:"short_s"`

	ASA      *Millis  `json:"asa_s" table:"ASA"`            // mean wait of the answered
	WaitMean *Millis  `json:"wait_mean_s"`                  // of all
	WaitP50  *Millis  `json:"wait_p50_s"`                   // within 3.2 %
	WaitP90  *Millis  `json:"wait_p90_s"`                   // within 3.2 %
	WaitMost *Millis  `json:"wait_max_s"`                   // exact
	AHT      *Millis  `json:"aht_s" table:"AHT"`            // (talk + hold + wrap-up) / handled
	Talked   Millis   `json:"talk_s"`                       // added up
	Held     Millis   `json:"hold_s"`                       // added up
	Wrapped  Millis   `json:"wrapup_s"`                     // added up
	Abandon  *float64 `json:"abandon_rate" table:"ABANDON"` // abandoned / offered
	AbandonL *float64 `json:"abandon_rate_without_short"`   // neither counts short abandons
}

// AgentLine is one agent in one bucket. For whoever may see some clients only, it
// holds the work for those, and nothing that concerns no client.
type AgentLine struct {
	span
	Agent string `json:"agent" table:"AGENT"`
	AgentCounts
	LoggedIn    Millis   `json:"logged_in_s" table:"LOGGED IN"`
	Handling    Millis   `json:"handling_s" table:"HANDLING"`
	AHT         *Millis  `json:"aht_s" table:"AHT"`
	Occupancy   *float64 `json:"occupancy" table:"OCCUPANCY"`     // handling / (handling + idle)
	Utilisation *float64 `json:"utilisation" table:"UTILISATION"` // handling / logged in
	Acceptance  *float64 `json:"acceptance" table:"ACCEPTANCE"`   // answered offers / offers
	Adherence   *float64 `json:"adherence" table:"ADHERENCE"`     // at work / scheduled
}

// ErrTooLong is returned for a report of more lines than anybody reads.
var ErrTooLong = errors.New("the report would be too long: ask for fewer days or a larger bucket")

// mostLines bounds a report, which is made in memory.
const mostLines = 100_000

// Reports are the names of the reports.
func Reports() []string { return []string{"sla", "queues", "agents", "intervals"} }

// Report makes one of the Reports: its lines by time, then client, then queue or
// agent. sla and queues have a line a queue, intervals one a client, agents one an
// agent. Buckets with nothing in them have no line.
func (s *Store) Report(ctx context.Context, name string, q ReportQuery) ([]any, error) {
	switch name {
	case "sla", "queues", "intervals":
		return s.queueReport(ctx, name, q)
	case "agents":
		return s.agentReport(ctx, q)
	}
	return nil, fmt.Errorf("no report is called %q: it is one of %s", name, strings.Join(Reports(), ", "))
}

type lineKey struct {
	start      Instant
	client, id string
}

func (a lineKey) compare(b lineKey) int {
	return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.client, b.client), cmp.Compare(a.id, b.id))
}

// sum is what goes into one line.
type sum struct {
	queue    QueueCounts
	agent    AgentCounts
	promises map[Promise]bool
}

// add adds up the intervals that a query selects.
func (s *Store) add(ctx context.Context, q ReportQuery, of Subject, key func(*Interval) lineKey) (map[lineKey]*sum, []lineKey, error) {
	sums := map[lineKey]*sum{}
	selected := IntervalQuery{Subject: of, From: q.From, To: q.To, ID: q.ID, Client: q.Client, Clients: q.Clients}
	err := s.EachInterval(ctx, selected, func(i *Interval) error {
		k := key(i)
		k.start = q.Bucket.start(i.Start, q.Zone)
		into := sums[k]
		if into == nil {
			if len(sums) == mostLines {
				return ErrTooLong
			}
			into = &sum{promises: map[Promise]bool{}}
			sums[k] = into
		}
		if of == OfQueue {
			into.queue.Add(i.Queue)
			into.promises[q.promise(i.ID)] = true
		} else {
			into.agent.Add(i.Agent)
		}
		return nil
	})
	keys := make([]lineKey, 0, len(sums))
	for k := range sums {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, lineKey.compare)
	return sums, keys, err
}

// promise is a queue's, with the formula that was asked for.
func (q *ReportQuery) promise(queue string) Promise {
	p := Promise{Formula: ExcludeShort}
	if q.Promises != nil {
		p = q.Promises(queue)
	}
	p.Formula = cmp.Or(q.Formula, p.Formula, ExcludeShort)
	return p
}

// common is the promise that all queues of a line share. Where they differ, their
// calls are counted by the strictest formula, and nothing is said of a target.
func (s *sum) common() Promise {
	formulas, targets := map[Formula]bool{}, map[float64]bool{}
	var last Promise
	for p := range s.promises {
		formulas[p.Formula], targets[p.Target] = true, true
		last = p
	}
	if len(targets) > 1 {
		last.Target = 0
	}
	if len(formulas) > 1 {
		last = Promise{Formula: AllAbandonsCount}
	}
	return last
}

func (s *Store) queueReport(ctx context.Context, name string, q ReportQuery) ([]any, error) {
	key := func(i *Interval) lineKey { return lineKey{client: i.Client, id: i.ID} }
	if name == "intervals" {
		key = func(i *Interval) lineKey { return lineKey{client: i.Client} }
	}
	sums, keys, err := s.add(ctx, q, OfQueue, key)
	if err != nil {
		return nil, err
	}
	lines := make([]any, len(keys))
	for n, k := range keys {
		at := span{k.start, q.Bucket.end(k.start, q.Zone)}
		if name == "sla" {
			lines[n] = slaLine(at, k, sums[k])
		} else {
			lines[n] = queueLine(at, k, sums[k])
		}
	}
	return lines, nil
}

func slaLine(at span, k lineKey, s *sum) *SLALine {
	p, c := s.common(), &s.queue
	l := &SLALine{span: at, Client: k.client, Queue: k.id, Formula: p.Formula, Level: level(p.Formula, c.Calls),
		Within: c.Within, Short: c.Short, Calls: c.Calls}
	if p.Target > 0 {
		l.Target = &p.Target
		if exact, ok := p.Formula.Of(c.Calls); ok {
			met := exact >= p.Target
			l.Met = &met
		}
	}
	return l
}

func queueLine(at span, k lineKey, s *sum) *QueueLine {
	p, c := s.common(), &s.queue
	waited := 0
	for _, n := range c.Waits {
		waited += n
	}
	l := &QueueLine{
		span: at, Client: k.client, Queue: k.id, Offered: c.Offered, Calls: c.Calls,
		Overflowed: c.Overflowed, Refused: c.Refused, Callbacks: c.Callbacks, Failed: c.Failed, Handled: c.Handled,
		Formula: p.Formula, Level: level(p.Formula, c.Calls), Within: c.Within, Short: c.Short,
		ASA: mean(c.WaitAnswered, c.Answered), WaitMean: mean(c.WaitAll, waited),
		AHT:    mean(c.Talked+c.Held+c.WrappedUp, c.Handled),
		Talked: c.Talked, Held: c.Held, Wrapped: c.WrappedUp,
		Abandon:  share(int64(c.Abandoned), int64(c.Offered)),
		AbandonL: share(int64(c.Abandoned-c.ShortAbandoned), int64(c.Offered-c.ShortAbandoned)),
	}
	if waited > 0 {
		p50, p90, most := c.Waits.Quantile(0.5), c.Waits.Quantile(0.9), c.WaitMost
		p50, p90 = min(p50, most), min(p90, most)
		l.WaitP50, l.WaitP90, l.WaitMost = &p50, &p90, &most
	}
	return l
}

func (s *Store) agentReport(ctx context.Context, q ReportQuery) ([]any, error) {
	sums, keys, err := s.add(ctx, q, OfAgent, func(i *Interval) lineKey { return lineKey{id: i.ID} })
	if err != nil {
		return nil, err
	}
	whole := q.Client == "" && q.Clients == nil
	lines := make([]any, len(keys))
	for n, k := range keys {
		a := &sums[k].agent
		handling := a.Handling()
		l := &AgentLine{
			span: span{k.start, q.Bucket.end(k.start, q.Zone)}, Agent: k.id, AgentCounts: *a,
			LoggedIn: a.LoggedIn(), Handling: handling,
			AHT: mean(handling, a.Handled), Acceptance: share(int64(a.Accepted), int64(a.Offers)),
		}
		if whole { // else the time that is no client's is not in it
			l.Occupancy = share(int64(handling), int64(handling+a.Idle))
			l.Utilisation = share(int64(handling), int64(l.LoggedIn))
			l.Adherence = share(int64(a.Adhered), int64(a.Scheduled))
		}
		lines[n] = l
	}
	return lines, nil
}

// level is a service level to four decimals; nil when there is nothing to count.
func level(f Formula, c Calls) *float64 {
	x, ok := f.Of(c)
	if !ok {
		return nil
	}
	return rounded(x)
}

func share(part, whole int64) *float64 {
	if whole <= 0 {
		return nil
	}
	return rounded(float64(part) / float64(whole))
}

func rounded(x float64) *float64 {
	x = math.Round(x*1e4) / 1e4
	return &x
}

// mean is to the millisecond; nil of nothing.
func mean(total Millis, n int) *Millis {
	if n <= 0 {
		return nil
	}
	m := (total + Millis(n)/2) / Millis(n)
	return &m
}
