package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"foyer/cmd/foyer/config"
)

// toll keeps account of what is dialled to the public network, and ends what goes
// too far: whoever takes over a phone, a caller's number or a door of a queue must
// not be able to run up a bill. It is a pure machine, the time being an argument,
// in the site's zone: days begin at its midnight. Any goroutine may call any
// method; none calls out.
type toll struct {
	mu      sync.Mutex
	day     string
	payers  map[string]*account // "agent ana", "client essai"
	numbers map[string]int      // calls of the day, by number
	running []*passage
}

// account is what a payer has used of a day.
type account struct {
	calls  int
	talked time.Duration
	spent  config.Money
	told   int // the highest share, in percent, that has been told of
}

// payer is somebody whose account a call goes to, and what they may do.
type payer struct {
	name   string
	limits config.DialLimits
}

// passage is the leave to call one number once.
type passage struct {
	way
	rate     config.Money // a minute
	payers   []payer
	stop     func() // told when it goes too far; must not block
	began    time.Time
	answered time.Time // zero: not yet
}

var (
	errTooMany  = errors.New("too many calls at once")
	errDayCalls = errors.New("too many calls today")
	errDayTime  = errors.New("too many minutes today")
	errDaySpend = errors.New("too much spent today")
	errAgain    = errors.New("this number has been called too often today")
)

func newToll() *toll { return &toll{payers: map[string]*account{}, numbers: map[string]int{}} }

// begin grants a passage, or says which limit it would break. over must follow.
func (t *toll) begin(now time.Time, p *passage, perNumber int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	for _, who := range p.payers {
		if err := t.mayBegin(now, who); err != nil {
			return fmt.Errorf("%s: %w", who.name, err)
		}
	}
	if t.numbers[p.number] >= perNumber {
		return errAgain
	}
	t.numbers[p.number]++
	for _, who := range p.payers {
		t.account(who.name).calls++
	}
	p.began = now
	t.running = append(t.running, p)
	return nil
}

func (t *toll) mayBegin(now time.Time, who payer) error {
	a := t.account(who.name)
	up := 0
	for _, r := range t.running {
		if r.paidBy(who.name) {
			up++
		}
	}
	talked, spent := t.used(now, who.name)
	switch l := who.limits; {
	case up >= l.Calls:
		return errTooMany
	case a.calls >= l.DailyCalls:
		return errDayCalls
	case talked >= l.Daily:
		return errDayTime
	case l.DailySpend > 0 && spent >= l.DailySpend:
		return errDaySpend
	}
	return nil
}

// answer begins what is paid for.
func (t *toll) answer(now time.Time, p *passage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.answered.IsZero() {
		p.answered = now
	}
}

// over ends a passage. It may be called again.
func (t *toll) over(now time.Time, p *passage) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	i := slices.Index(t.running, p)
	if i < 0 {
		return
	}
	t.running = slices.Delete(t.running, i, i+1)
	for _, who := range p.payers {
		a := t.account(who.name)
		a.talked += p.talked(now)
		a.spent += p.spent(now)
	}
}

// excess is a passage that must end, and whose limit it has met.
type excess struct {
	passage *passage
	payer   string
	why     error
}

// nearing is a payer who has used much of a day's limit.
type nearing struct {
	payer   string
	percent int // 50, 80 or 100
	of      string
}

// watch returns the passages that have gone too far by now, and the payers who
// have come to half, four fifths or all of a limit since it was called last.
func (t *toll) watch(now time.Time) (ends []excess, told []nearing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn(now)
	seen := map[string]bool{}
	for _, p := range t.running {
		for _, who := range p.payers {
			if why := t.exceeds(now, p, who); why != nil {
				ends = append(ends, excess{p, who.name, why})
				break
			}
		}
		for _, who := range p.payers {
			if !seen[who.name] {
				seen[who.name] = true
				told = append(told, t.warn(now, who)...)
			}
		}
	}
	return ends, told
}

func (t *toll) exceeds(now time.Time, p *passage, who payer) error {
	if p.answered.IsZero() {
		return nil
	}
	talked, spent := t.used(now, who.name)
	switch l := who.limits; {
	case p.talked(now) >= l.Call:
		return errTooLong
	case talked >= l.Daily:
		return errDayTime
	case l.DailySpend > 0 && spent >= l.DailySpend:
		return errDaySpend
	}
	return nil
}

var errTooLong = errors.New("the call is too long")

func (t *toll) warn(now time.Time, who payer) []nearing {
	a := t.account(who.name)
	talked, spent := t.used(now, who.name)
	share, of := int(100*talked/max(who.limits.Daily, 1)), "minutes"
	if l := who.limits.DailySpend; l > 0 && int(100*spent/l) > share {
		share, of = int(100*spent/l), "spend"
	}
	for _, mark := range []int{100, 80, 50} {
		if share >= mark && a.told < mark {
			a.told = mark
			return []nearing{{who.name, mark, of}}
		}
	}
	return nil
}

// used is what a payer has used today, with the calls that are up.
func (t *toll) used(now time.Time, name string) (talked time.Duration, spent config.Money) {
	a := t.account(name)
	talked, spent = a.talked, a.spent
	for _, p := range t.running {
		if p.paidBy(name) {
			talked += p.talked(now)
			spent += p.spent(now)
		}
	}
	return talked, spent
}

func (t *toll) account(name string) *account {
	a := t.payers[name]
	if a == nil {
		a = &account{}
		t.payers[name] = a
	}
	return a
}

// turn begins a new day. What is up then counts for the day on which it ends.
func (t *toll) turn(now time.Time) {
	if day := now.Format(time.DateOnly); day != t.day {
		t.day = day
		clear(t.payers)
		clear(t.numbers)
	}
}

func (p *passage) paidBy(name string) bool {
	return slices.ContainsFunc(p.payers, func(w payer) bool { return w.name == name })
}

func (p *passage) talked(now time.Time) time.Duration {
	if p.answered.IsZero() {
		return 0
	}
	return now.Sub(p.answered)
}

// spent counts every minute that has begun.
func (p *passage) spent(now time.Time) config.Money {
	if p.answered.IsZero() {
		return 0
	}
	return p.rate * config.Money(p.talked(now)/time.Minute+1)
}
