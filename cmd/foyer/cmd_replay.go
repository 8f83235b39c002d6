package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"foyer/acd"
	"foyer/acd/whatif"
	"foyer/cmd/foyer/config"
)

type replayCmd struct {
	days
	Journal      string         `arg:"" optional:"" help:"A data directory, or a file of foyer journal export. The journal of the configured switch when not given."`
	AddAgents    int            `help:"Play with so many agents more." placeholder:"N"`
	Skill        map[string]int `help:"Skills of the added agents." placeholder:"fr=4" mapsep:","`
	Queues       []string       `help:"Queues of the added agents; all they qualify for when not given." placeholder:"A,B"`
	RemoveAgents []string       `help:"Play without these agents." placeholder:"ANA,BO"`
	Strategy     []string       `help:"Play with another strategy: QUEUE=round_robin, or one for all queues." placeholder:"S"`
	With         string         `help:"Play with another configuration. After a JOURNAL, --config is the same." type:"path" placeholder:"FILE"`
	Rate         string         `help:"What an agent costs: 0.42/min of each minute handled, or 24/h of each hour logged in." placeholder:"R"`
	Output       string         `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

func (r *replayCmd) Run(k *kong.Context, c *cli) error {
	with := r.With
	var cfg *config.Config
	switch {
	case r.Journal == "":
		var err error
		if cfg, err = loadConfig(c.Config); err != nil {
			return err
		}
	case given(k, "config") && with == "":
		with = c.Config
	}
	change, err := r.change(with)
	if err != nil {
		return err
	}
	cost, err := readRate(r.Rate)
	if err != nil {
		return fmt.Errorf("--rate: %w", err)
	}
	zone := time.Local
	if cfg != nil {
		zone = cfg.Site.Timezone
	}
	from, to, err := r.times(zone)
	if err != nil {
		return err
	}
	// Pages are decoded and thrown away by the million, and little is kept.
	debug.SetGCPercent(400)
	ctx := context.Background()
	all, done, err := r.open(ctx, cfg)
	if err != nil {
		return err
	}
	defer done()
	p := replaying{pages: all, change: change, from: from, to: to, bar: newBar(os.Stderr)}
	report, err := p.run(ctx)
	p.bar.end()
	if err != nil {
		return err
	}
	report.Cost = cost
	if r.Output == "json" {
		return printJSON(os.Stdout, report)
	}
	return report.print(os.Stdout, zone)
}

// given says whether a flag stands on the command line.
func given(k *kong.Context, flag string) bool {
	return slices.ContainsFunc(k.Path, func(p *kong.Path) bool { return p.Flag != nil && p.Flag.Name == flag })
}

// change is what the flags ask to be otherwise.
func (r *replayCmd) change(with string) (whatif.Change, error) {
	c := whatif.Change{Add: r.AddAgents, Skills: r.Skill, Strategy: map[acd.QueueID]acd.Strategy{}}
	if r.AddAgents < 0 {
		return c, errors.New("--add-agents: to play with fewer, name them with --remove-agents")
	}
	if r.AddAgents == 0 && len(r.Skill)+len(r.Queues) > 0 {
		return c, errors.New("--skill and --queues are those of added agents; say how many with --add-agents")
	}
	for skill, level := range r.Skill {
		if level < 1 || level > 5 {
			return c, fmt.Errorf("--skill %s=%d: a level is 1 to 5", skill, level)
		}
	}
	for _, q := range r.Queues {
		c.Queues = append(c.Queues, acd.QueueID(q))
	}
	for _, a := range r.RemoveAgents {
		c.Remove = append(c.Remove, acd.AgentID(a))
	}
	for _, s := range r.Strategy {
		queue, word, named := strings.Cut(s, "=")
		if !named {
			queue, word = "", s
		}
		strategy, err := strategyOf(word)
		if err != nil {
			return c, fmt.Errorf("--strategy %s: %w", s, err)
		}
		c.Strategy[acd.QueueID(queue)] = strategy
	}
	if with != "" {
		cfg, err := loadConfig(with)
		if err != nil {
			return c, err
		}
		c.Config = floorOf(cfg)
	}
	return c, nil
}

func strategyOf(word string) (acd.Strategy, error) {
	var words []string
	for s := acd.LongestIdle; s <= acd.RingProgressively; s++ {
		if words = append(words, s.String()); s.String() == word {
			return s, nil
		}
	}
	return 0, fmt.Errorf("no such strategy; there are %s", strings.Join(words, ", "))
}

// floorOf is what the floor must know of a configuration.
func floorOf(cfg *config.Config) *acd.Config {
	p := &plan{cfg: cfg, queues: map[acd.QueueID]queue{}, agents: map[acd.AgentID]agent{}}
	p.addQueues()
	p.addAgents()
	return &p.floor
}

// open finds the pages. A running switch gives its own over the admin socket, by
// way of a file, so that they can be read twice.
func (r *replayCmd) open(ctx context.Context, cfg *config.Config) (pages, func(), error) {
	dir := r.Journal
	if dir == "" {
		dir = cfg.Site.DataDir
		file, err := fetched(cfg)
		if err == nil {
			all, err := filedPages(file)
			return all, func() { os.Remove(file) }, err
		}
		if !errors.Is(err, errNotRunning) {
			return pages{}, nil, err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return pages{}, nil, err
	}
	if !info.IsDir() {
		all, err := filedPages(dir)
		return all, func() {}, err
	}
	lock, err := lockDir(dir, 0)
	if err != nil {
		return pages{}, nil, fmt.Errorf("%w; stop it first, or leave JOURNAL out to ask it over its admin socket", err)
	}
	j, err := openJournal(dir, 24*time.Hour)
	if err != nil {
		lock.Close()
		return pages{}, nil, err
	}
	all, err := storedPages(ctx, j, dir)
	return all, func() { j.close(); lock.Close() }, err
}

// fetched is the journal of the running switch in a file of its own.
func fetched(cfg *config.Config) (string, error) {
	f, err := os.CreateTemp("", "foyer-journal-*.ndjson")
	if err != nil {
		return "", err
	}
	err = newOperator(cfg).get("/journal.ndjson", io.Writer(f))
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(f.Name())
		return "", err
	}
	return f.Name(), nil
}

// rate is what an agent costs: a minute handled, or an hour logged in.
type rate struct {
	Minute float64 `json:"per_minute_handled,omitempty"`
	Hour   float64 `json:"per_hour_logged_in,omitempty"`
}

func readRate(s string) (rate, error) {
	if s == "" {
		return rate{}, nil
	}
	amount, unit, _ := strings.Cut(s, "/")
	n, err := strconv.ParseFloat(amount, 64)
	switch {
	case err != nil || !(n > 0) || n > 1e6:
		return rate{}, fmt.Errorf("%q is no amount; write 0.42/min or 24/h", s)
	case unit == "min":
		return rate{Minute: n}, nil
	case unit == "h":
		return rate{Hour: n}, nil
	}
	return rate{}, fmt.Errorf("%q: a rate is a minute handled (0.42/min) or an hour logged in (24/h)", s)
}

func (r rate) of(q *whatif.QueueFigures, total bool) (float64, bool) {
	switch {
	case r.Minute > 0:
		return r.Minute * q.Handling.Minutes(), true
	case r.Hour > 0 && total: // an hour is not divided among the queues of an agent
		return r.Hour * q.LoggedIn.Hours(), true
	}
	return 0, false
}
