package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"foyer/acd"
	"foyer/acd/whatif"
	"foyer/cmd/foyer/config"
)

// replayCmd plays a recorded day again; what its figures mean stands in docs/replay.md.
type replayCmd struct {
	Journal string `arg:"" optional:"" help:"A data directory, or a file of 'foyer journal export'; the configured switch's own when not given."`
	days
	AddAgents    int      `placeholder:"N" help:"So many agents more."`
	Skill        []string `placeholder:"fr=4,…" help:"Skills of the added agents."`
	Queues       []string `placeholder:"ID,…" help:"Queues of the added agents; all they qualify for when not given."`
	RemoveAgents []string `placeholder:"ID,…" help:"Agents who stay at home."`
	Strategy     []string `placeholder:"[QUEUE=]NAME,…" help:"Another strategy, of all queues or of one."`
	With         string   `placeholder:"FILE" help:"Another configuration file." type:"path"`
	Rate         string   `placeholder:"0.42/min" help:"What a minute (min) or hour (h) of an agent costs."`
	Output       string   `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

func (r *replayCmd) Run(c *cli) error {
	change, err := r.change()
	if err != nil {
		return err
	}
	p := &replaying{change: change}
	if p.PerHour, err = readRate(r.Rate); err != nil {
		return fmt.Errorf("--rate %s: %w", r.Rate, err)
	}
	cfg, err := r.config(c.Config)
	if err != nil {
		return err
	}
	p.zone = time.UTC
	if cfg != nil {
		p.zone = cfg.Site.Timezone
	}
	if p.from, p.to, err = r.times(p.zone); err != nil {
		return err
	}
	if !p.to.IsZero() && !p.from.Before(p.to) {
		return fmt.Errorf("--from %s is not before --to %s", r.From, r.To)
	}
	if isTerminal(os.Stderr) {
		p.bar.out = os.Stderr
	}
	debug.SetGCPercent(400) // a short life: memory for time
	err = r.open(cfg, p.run)
	p.bar.clear()
	switch {
	case err != nil:
		return err
	case r.Output == "json":
		return printJSON(os.Stdout, p)
	}
	return p.print(os.Stdout)
}

// config reads the configuration, which a named journal can do without: its days
// are those of UTC then.
func (r *replayCmd) config(path string) (*config.Config, error) {
	if _, err := os.Stat(path); r.Journal != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return loadConfig(path)
}

// open gives the pages of the journal that is meant.
func (r *replayCmd) open(cfg *config.Config, use func(context.Context, pages) error) error {
	ctx := context.Background()
	if r.Journal == "" {
		return ownPages(ctx, cfg, use)
	}
	info, err := os.Stat(r.Journal)
	if err != nil {
		return fmt.Errorf("journal %s: %w", r.Journal, errors.Unwrap(err))
	}
	if info.IsDir() {
		if _, err := os.Stat(filepath.Join(r.Journal, "journal")); err != nil {
			return fmt.Errorf("%s holds no journal: name the data directory of a switch, or a file of `foyer journal export`", r.Journal)
		}
		return storedIn(r.Journal, 0, func(j *journal) error { return usePages(ctx, j, r.Journal, use) })
	}
	all, err := filedPages(r.Journal)
	if err != nil {
		return err
	}
	return use(ctx, all)
}

// ownPages are those of the configured switch: exported by itself while it runs.
func ownPages(ctx context.Context, cfg *config.Config, use func(context.Context, pages) error) error {
	tmp, err := os.CreateTemp("", "foyer-replay-")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	err = newOperator(cfg).get("/journal.ndjson", tmp)
	switch {
	case errors.Is(err, errNotRunning):
		return withJournal(cfg, func(d *desk) error { return usePages(ctx, d.ex.journal, cfg.Site.DataDir, use) })
	case err != nil:
		return err
	}
	all, err := filedPages(tmp.Name())
	if err != nil {
		return err
	}
	all.name = "the running switch"
	return use(ctx, all)
}

func usePages(ctx context.Context, j *journal, name string, use func(context.Context, pages) error) error {
	all, err := storedPages(ctx, j, name)
	if err != nil {
		return err
	}
	return use(ctx, all)
}

// change is what the flags ask to be otherwise.
func (r *replayCmd) change() (whatif.Change, error) {
	c := whatif.Change{Add: r.AddAgents, Skills: map[string]int{}}
	if r.AddAgents < 0 || r.AddAgents > mostAdded {
		return c, fmt.Errorf("--add-agents %d: must be 1 to %d", r.AddAgents, mostAdded)
	}
	if r.AddAgents == 0 && len(r.Skill)+len(r.Queues) > 0 {
		return c, errors.New("--skill and --queues are those of added agents; say how many with --add-agents")
	}
	for _, s := range r.Skill {
		name, text, ok := strings.Cut(s, "=")
		level, err := strconv.Atoi(text)
		if !ok || name == "" || err != nil || level < 1 || level > 10 {
			return c, fmt.Errorf("--skill %s: must be a skill and its level from 1 to 10, such as fr=4", s)
		}
		c.Skills[name] = level
	}
	for _, q := range r.Queues {
		c.Queues = append(c.Queues, acd.QueueID(q))
	}
	for _, a := range r.RemoveAgents {
		c.Remove = append(c.Remove, acd.AgentID(a))
	}
	var err error
	if c.Strategy, err = readStrategies(r.Strategy); err != nil || r.With == "" {
		return c, err
	}
	other, err := loadConfig(r.With)
	if err != nil {
		return c, err
	}
	made, err := newPlan(other)
	if err != nil {
		return c, fmt.Errorf("--with %s: %w", r.With, err)
	}
	c.Config = &made.floor
	return c, nil
}

// mostAdded bounds --add-agents.
const mostAdded = 10_000

// readStrategies reads NAME and QUEUE=NAME; the queue of a bare name is "".
func readStrategies(list []string) (map[acd.QueueID]acd.Strategy, error) {
	known := map[acd.QueueID]acd.Strategy{}
	for _, text := range list {
		queue, name, ok := strings.Cut(text, "=")
		if !ok {
			queue, name = "", text
		} else if queue == "" {
			return nil, fmt.Errorf("--strategy %s: lacks the queue before the =", text)
		}
		var s acd.Strategy
		if err := s.UnmarshalText([]byte(name)); err != nil {
			return nil, fmt.Errorf("--strategy %s: no strategy is called %q; it is one of %s", text, name, strings.Join(strategyNames(), ", "))
		}
		id := acd.QueueID(queue)
		if _, twice := known[id]; twice {
			return nil, fmt.Errorf("--strategy %s: is the second for the same queue", text)
		}
		known[id] = s
	}
	return known, nil
}

func strategyNames() []string {
	var names []string
	for s := acd.LongestIdle; s <= acd.RingProgressively; s++ {
		names = append(names, s.String())
	}
	return names
}

// readRate is what an hour costs.
func readRate(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	number, per, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !(n > 0) || math.IsInf(n, 1) || !slices.Contains([]string{"min", "h"}, per) {
		return 0, errors.New("must be an amount per minute or hour, such as 0.42/min or 25/h")
	}
	if per == "min" {
		n *= 60
	}
	return n, nil
}
