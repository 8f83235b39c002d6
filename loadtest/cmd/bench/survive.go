package main

import (
	"context"
	"encoding/json"
	"errors"
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
// ringing, talking and ending, then upgrades it as often, every fourth time to a
// program that dies when it takes over, and counts from outside what became of the
// calls. It runs only when it is named; -calls is how many are up at once, -seconds how
// long each half goes on, one death every three seconds.
func (b *bench) survive(ctx context.Context) error {
	good, err := filepath.Abs(b.bin)
	if err != nil {
		return fmt.Errorf("survive: %w", err)
	}
	// It waits as the good one does, and finds no configuration when it is let in.
	bad := filepath.Join(b.dir, "bad")
	script := "#!/bin/sh\ncase \"$1\" in switch) exec " + good + " switch -c /nonexistent;; *) exec " + good + " \"$@\";; esac\n"
	if err := os.WriteFile(bad, []byte(script), 0o700); err != nil {
		return fmt.Errorf("survive: %w", err)
	}
	err = b.outlive(ctx, "kills", func(sw *loadtest.Switch, _ int) error { return sw.Kill(ctx) })
	return errors.Join(err, b.outlive(ctx, "upgrades", func(sw *loadtest.Switch, n int) error {
		if n%4 < 3 {
			_, err := sw.Command(ctx, "upgrade")
			return err
		}
		if out, err := sw.Command(ctx, "upgrade", bad); err == nil {
			return fmt.Errorf("a program that dies was taken: %s", out)
		}
		return nil
	}))
}

// outlive lets calls outlive so many deaths of the switch.
func (b *bench) outlive(ctx context.Context, deaths string, die func(sw *loadtest.Switch, n int) error) error {
	calls := 200
	if len(b.calls) == 1 {
		calls = b.calls[0]
	}
	times := max(int(b.window.Seconds()/3), 1)
	what := fmt.Sprintf("%d calls, %d %s", calls, times, deaths)
	say("%s: starting", what)
	s, err := b.open(ctx, loadtest.Setup{Agents: calls * 3 / 4, Record: true, Kept: true, RingFor: 30 * time.Second}, func(p *loadtest.Plan) {
		p.Concurrent, p.Media, p.Seed = calls, true, 1
		// More of them must talk for longer: some fifty begin in a second.
		talk := max(8*time.Second, time.Duration(calls)*time.Second/25)
		p.Talk, p.AnswerAfter = loadtest.Lognormal(talk, 0.7), loadtest.Exponential(time.Second)
		p.AgentHangs, p.Settle = 0.5, 30*time.Second
	})
	if err != nil {
		return err
	}
	// What was read and not acted on before a kill is sent again after T1, half a second.
	s.sw.Tolerance = 700 * time.Millisecond
	if err := s.until(ctx, time.Minute, func(t loadtest.Status) bool { return t.Active >= calls*9/10 }); err != nil {
		return s.abandon(ctx, err)
	}
	rnd := rand.New(rand.NewPCG(1, uint64(times)))
	for n := range times {
		pause(ctx, 2*time.Second+time.Duration(rnd.IntN(2000))*time.Millisecond)
		s.load.Brace()
		if err := die(s.sw, n); err != nil {
			return s.abandon(ctx, err)
		}
	}
	down, took := b.complaints(s.sw, what)
	heard := s.load.Status().Media
	res, err := s.end(ctx, what)
	kept, listErr := s.sw.Recordings(ctx)
	var missing int64
	for _, r := range kept {
		missing += r.LostMS
	}
	t := &b.table
	t.add("", what+": calls lost", fmt.Sprintf("of %d", res.Started), fmt.Sprint(res.Failed))
	t.add("", what+": without a switch, p50 / max", "ms", quantiles(down))
	t.add("", what+": all media taken up after its start, p50 / max", "ms", quantiles(took))
	t.add("", what+fmt.Sprintf(": pause in live audio, %d seen, p50 / p99 / max", heard.Gaps), "ms",
		ms(heard.GapP50)+" / "+ms(heard.GapP99)+" / "+ms(heard.GapMax))
	t.add("", what+": recorded audio that is missing", fmt.Sprintf("ms of %d recordings", len(kept)), fmt.Sprint(missing))
	t.add("", what+": packets lost", fmt.Sprintf("of %d", res.Media.Sent), fmt.Sprint(res.Media.Lost))
	return errors.Join(err, listErr)
}

func quantiles(all []time.Duration) string {
	if len(all) == 0 {
		return "-"
	}
	slices.Sort(all)
	return ms(all[len(all)/2]) + " / " + ms(all[len(all)-1])
}

// complaints tells what the switch has said of what went wrong, other than that it
// died, how long there was none each time, and how long taking up the media took.
func (b *bench) complaints(sw *loadtest.Switch, what string) (down, took []time.Duration) {
	raw, err := os.ReadFile(filepath.Join(sw.Dir, "foyer.log"))
	if err != nil {
		b.fault("%s: %v", what, err)
		return nil, nil
	}
	said := map[string]int{}
	for line := range strings.Lines(string(raw)) {
		var entry struct {
			Level, Logger, Msg, Kind, What, Error, Panic, Stack, Media string

			Without string `json:"without_a_switch"`
		}
		if json.Unmarshal([]byte(line), &entry) != nil {
			continue // the banner, or a line that a kill cut short
		}
		if d, err := time.ParseDuration(entry.Without); err == nil {
			down = append(down, d)
		}
		if d, err := time.ParseDuration(entry.Media); err == nil {
			took = append(took, d)
		}
		if entry.Level == "error" && entry.Logger != "keeper" {
			said[entry.Msg+": "+entry.Kind+entry.What+entry.Error+entry.Panic+entry.Stack]++
		}
	}
	for text, n := range said {
		b.fault("%s: the switch says %d times: %s", what, n, text)
	}
	return down, took
}
