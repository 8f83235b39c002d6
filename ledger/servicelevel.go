package ledger

import (
	"fmt"
	"strings"
)

// Calls are the counts that a service level is made of. T is the queue's target
// time and s its limit of a short abandon; both clocks start when the call enters
// the queue. A callback that the caller has taken is in none of them.
type Calls struct {
	Answered        int `json:"answered" table:"ANSWERED"`
	AnsweredWithin  int `json:"answered_within"`             // of the answered, after at most T
	Abandoned       int `json:"abandoned" table:"ABANDONED"` // the short ones too
	AbandonedWithin int `json:"abandoned_within"`
	AbandonedLater  int `json:"abandoned_later"`
	ShortAbandoned  int `json:"short_abandoned"` // of the abandoned, sooner than s
}

// Formula is one way to make a service level of the same counts. The ways differ
// by some points, so every report names its own.
type Formula string

const (
	// QuickAbandonsMet (SL1): who hung up within T had no reason to complain.
	QuickAbandonsMet Formula = "quick_abandons_met"
	// AnsweredOnly (SL2): abandoned calls are not looked at.
	AnsweredOnly Formula = "answered_only"
	// AllAbandonsCount (SL3): every abandoned call is a call not answered in time.
	AllAbandonsCount Formula = "all_abandons_count"
	// LateAbandonsCount (SL4): only those who hung up after T are counted.
	LateAbandonsCount Formula = "late_abandons_count"
	// ShortAbandonsMet (SL5): short abandons count as answered in time.
	ShortAbandonsMet Formula = "short_abandons_met"
	// ExcludeShort leaves short abandons out of the count. It has no number in the
	// literature and is what a queue uses that says nothing else.
	ExcludeShort Formula = "exclude_short"
)

// formula is a Formula, its number and what it computes.
type formula struct {
	name  Formula
	code  string
	ratio func(Calls) (met, of int)
}

func formulas() []formula {
	return []formula{
		{QuickAbandonsMet, "SL1", func(c Calls) (int, int) { return c.AnsweredWithin + c.AbandonedWithin, c.Answered + c.Abandoned }},
		{AnsweredOnly, "SL2", func(c Calls) (int, int) { return c.AnsweredWithin, c.Answered }},
		{AllAbandonsCount, "SL3", func(c Calls) (int, int) { return c.AnsweredWithin, c.Answered + c.Abandoned }},
		{LateAbandonsCount, "SL4", func(c Calls) (int, int) { return c.AnsweredWithin, c.Answered + c.AbandonedLater }},
		{ShortAbandonsMet, "SL5", func(c Calls) (int, int) { return c.AnsweredWithin + c.ShortAbandoned, c.Answered + c.Abandoned }},
		{ExcludeShort, "", func(c Calls) (int, int) { return c.AnsweredWithin, c.Answered + c.Abandoned - c.ShortAbandoned }},
	}
}

// Formulas are the names of all formulas, in the order of their numbers.
func Formulas() []string {
	var names []string
	for _, f := range formulas() {
		names = append(names, string(f.name))
	}
	return names
}

// ParseFormula reads a formula's name, or its number as in SL3.
func ParseFormula(text string) (Formula, error) {
	for _, f := range formulas() {
		if text == string(f.name) || f.code != "" && strings.EqualFold(text, f.code) {
			return f.name, nil
		}
	}
	return "", fmt.Errorf("no service level is called %q: it is SL1 to SL5, or one of %s", text, strings.Join(Formulas(), ", "))
}

// Of is the service level of these calls, 0 to 1; false when there is nothing to count.
func (f Formula) Of(c Calls) (level float64, ok bool) {
	for _, known := range formulas() {
		if known.name == f {
			met, of := known.ratio(c)
			if of <= 0 {
				return 0, false
			}
			return float64(met) / float64(of), true
		}
	}
	return 0, false
}
