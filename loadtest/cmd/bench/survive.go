package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"foyer/loadtest"
)

// survive kills the switch again and again while calls are in every phase, waiting,
// ringing, talking and ending, and counts from outside what became of them. It runs
// only when it is named; -calls is how many are up at once, -seconds how long it goes
// on, one kill every three seconds.
func (b *bench) survive(ctx context.Context) error {
	calls := 200
	if len(b.calls) == 1 {
		calls = b.calls[0]
	}
	kills := max(int(b.window.Seconds()/3), 1)
	what := fmt.Sprintf("%d calls, %d kills", calls, kills)
	say("%s: starting", what)
	s, err := b.open(ctx, loadtest.Setup{Agents: calls * 3 / 4, Record: true, Kept: true, RingFor: 30 * time.Second}, func(p *loadtest.Plan) {
		p.Concurrent, p.Media, p.Seed = calls, true, 1
		p.Talk, p.AnswerAfter = loadtest.Lognormal(8*time.Second, 0.7), loadtest.Exponential(time.Second)
		p.AgentHangs, p.Settle = 0.5, 30*time.Second
	})
	if err != nil {
		return err
	}
	if err := s.until(ctx, time.Minute, func(t loadtest.Status) bool { return t.Active >= calls*9/10 }); err != nil {
		return s.abandon(ctx, err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(kills)))
	var down []time.Duration
	for range kills {
		pause(ctx, 2*time.Second+time.Duration(rnd.IntN(2000))*time.Millisecond)
		d, err := s.sw.Kill(ctx)
		if err != nil {
			return s.abandon(ctx, err)
		}
		down = append(down, d)
	}
	heard := s.load.Status().Media
	b.complaints(s.sw, what)
	res, err := s.end(ctx, what)
	slices.Sort(down)
	b.table.add("", what+": calls lost", fmt.Sprintf("of %d", res.Started), fmt.Sprint(res.Failed))
	b.table.add("", what+": from the kill to ready, p50 / max", "ms", ms(down[len(down)/2])+" / "+ms(down[len(down)-1]))
	b.table.add("", what+fmt.Sprintf(": %d gaps in live audio, p50 / p99 / max", heard.Gaps), "ms",
		ms(heard.GapP50)+" / "+ms(heard.GapP99)+" / "+ms(heard.GapMax))
	b.table.add("", what+": packets lost", fmt.Sprintf("of %d", res.Media.Sent), fmt.Sprint(res.Media.Lost))
	return err
}

// complaints tells what the switch has said of what went wrong, other than that it was
// killed, and how long taking up a life took at worst.
func (b *bench) complaints(sw *loadtest.Switch, what string) {
	raw, err := os.ReadFile(filepath.Join(sw.Dir, "foyer.log"))
	if err != nil {
		b.fault("%s: %v", what, err)
		return
	}
	said := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		var entry struct {
			Level, Logger, Msg, Error, Panic, Stack string
		}
		switch json.Unmarshal([]byte(line), &entry); {
		case entry.Msg == "the last life is taken up":
			say("%s", strings.TrimSpace(line))
		case entry.Level == "error" && entry.Logger != "keeper":
			said[entry.Msg+": "+entry.Error+entry.Panic+entry.Stack]++
		}
	}
	for text, n := range said {
		b.fault("%s: the switch says %d times: %s", what, n, text)
	}
}
