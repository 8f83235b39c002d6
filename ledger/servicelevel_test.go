package ledger

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// golden is the row on which the literature tells the formulas apart.
func golden() Calls {
	return Calls{Answered: 1000, Abandoned: 60, AnsweredWithin: 860, AbandonedWithin: 20, AbandonedLater: 40, ShortAbandoned: 10}
}

func TestServiceLevelsOfTheGoldenRow(t *testing.T) {
	for _, tt := range []struct{ code, name, want string }{
		{"SL1", "quick_abandons_met", "83.02"},
		{"SL2", "answered_only", "86.00"},
		{"SL3", "all_abandons_count", "81.13"},
		{"SL4", "late_abandons_count", "82.69"},
		{"SL5", "short_abandons_met", "82.08"},
		{"exclude_short", "exclude_short", "81.90"},
	} {
		f, err := ParseFormula(tt.code)
		if err != nil || string(f) != tt.name {
			t.Errorf("%s is %q, %v", tt.code, f, err)
		}
		level, ok := f.Of(golden())
		if got := fmt.Sprintf("%.2f", 100*level); got != tt.want || !ok {
			t.Errorf("%s (%s) is %s %%, want %s %%", tt.code, f, got, tt.want)
		}
		if _, ok := f.Of(Calls{}); ok {
			t.Errorf("%s of nothing", f)
		}
	}
	for _, bad := range []string{"", "SL0", "SL6", "sl", "service"} {
		if _, err := ParseFormula(bad); err == nil || !strings.Contains(err.Error(), "answered_only") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, ok := Formula("other").Of(golden()); ok {
		t.Error("an unknown formula has a value")
	}
}

// Whatever is counted, a level is a ratio, and the formulas keep their order: who
// forgives more is never below who forgives less.
func TestServiceLevelsKeepTheirOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := func(what string, most int) int { return rapid.IntRange(0, most).Draw(t, what) }
		c := Calls{Answered: n("answered", 500), AbandonedWithin: n("abandoned within", 50), AbandonedLater: n("later", 50)}
		c.Abandoned = c.AbandonedWithin + c.AbandonedLater
		c.AnsweredWithin = n("within", c.Answered)
		c.ShortAbandoned = n("short", c.AbandonedWithin)
		level := map[Formula]float64{}
		for _, name := range Formulas() {
			x, ok := Formula(name).Of(c)
			if ok && (x < 0 || x > 1) {
				t.Fatalf("%s of %+v is %f", name, c, x)
			}
			if !ok && c.Answered > 0 {
				t.Fatalf("%s of %+v is nothing", name, c)
			}
			level[Formula(name)] = x
		}
		for _, pair := range [][2]Formula{
			{QuickAbandonsMet, ShortAbandonsMet}, {ShortAbandonsMet, AllAbandonsCount}, {LateAbandonsCount, AllAbandonsCount},
			{ExcludeShort, AllAbandonsCount}, {LateAbandonsCount, ExcludeShort}, {AnsweredOnly, LateAbandonsCount},
		} {
			if c.Answered > 0 && level[pair[0]] < level[pair[1]] {
				t.Fatalf("%s is below %s for %+v", pair[0], pair[1], c)
			}
		}
	})
}
