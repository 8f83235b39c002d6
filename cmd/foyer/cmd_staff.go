package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"foyer/ledger"
)

// staffCmd says how many agents some work needs. It asks nobody and reads no
// configuration; what the answer means stands in docs/staffing.md.
type staffCmd struct {
	Calls        string `required:"" placeholder:"360/30m" help:"Calls that arrive, and in what time."`
	Aht          string `required:"" placeholder:"240s" help:"Mean time of an agent for a call, wrap-up included."`
	Target       string `default:"80/20" help:"Service level: percent of the offered calls answered, and within how many seconds."`
	Patience     string `placeholder:"120s" help:"Mean time after which a waiting caller leaves. Without it nobody does."`
	Shrinkage    string `placeholder:"30%" help:"Share of the paid time in which an agent is not there for calls."`
	MaxOccupancy string `placeholder:"85%" help:"Share of the time that an agent may spend on calls at most."`
	Agents       int    `placeholder:"N" help:"Say how this many do."`
	Output       string `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

func (s *staffCmd) Run() error {
	p := &staffing{Given: s.Agents}
	if err := s.read(p); err != nil {
		return err
	}
	if err := p.solve(); err != nil {
		return err
	}
	if s.Output == "json" {
		return printJSON(os.Stdout, p)
	}
	return p.print(os.Stdout)
}

// read takes the command line into p, with one sentence for what is wrong.
func (s *staffCmd) read(p *staffing) error {
	var err error
	if p.work.Calls, p.work.Per, err = readCalls(s.Calls); err != nil {
		return fmt.Errorf("--calls %s: %w", s.Calls, err)
	}
	if p.work.Handle, err = readTime(s.Aht); err != nil {
		return fmt.Errorf("--aht %s: %w", s.Aht, err)
	}
	if p.goal.Share, p.goal.Within, err = readTarget(s.Target); err != nil {
		return fmt.Errorf("--target %s: %w", s.Target, err)
	}
	if s.Patience != "" {
		if p.work.Patience, err = readTime(s.Patience); err != nil {
			return fmt.Errorf("--patience %s: %w", s.Patience, err)
		}
	}
	if s.Shrinkage != "" {
		if p.goal.Shrinkage, err = readPercent(s.Shrinkage, 0, 99); err != nil {
			return fmt.Errorf("--shrinkage %s: %w", s.Shrinkage, err)
		}
	}
	if s.MaxOccupancy != "" {
		if p.goal.Occupancy, err = readPercent(s.MaxOccupancy, 1, 100); err != nil {
			return fmt.Errorf("--max-occupancy %s: %w", s.MaxOccupancy, err)
		}
	}
	if s.Agents < 0 || s.Agents > ledger.MostAgents {
		return fmt.Errorf("--agents %d: must be 1 to %d", s.Agents, ledger.MostAgents)
	}
	return nil
}

func readCalls(text string) (float64, time.Duration, error) {
	count, per, ok := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(count, 64)
	switch {
	case err != nil || !(n > 0) || math.IsInf(n, 1):
		return 0, 0, errors.New("must be a number of calls and a period, such as 360/30m")
	case !ok:
		return 0, 0, fmt.Errorf("lacks a period; write %s/30m", text)
	}
	d, err := readTime(per)
	if err != nil {
		return 0, 0, fmt.Errorf("the period %w", err)
	}
	return n, d, nil
}

func readTime(text string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(text, 64); err == nil && n > 0 {
		return 0, fmt.Errorf("lacks a unit; write %ss for seconds or %sm for minutes", text, text)
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, errors.New("must be a time above zero, such as 240s, 4m or 1h")
	}
	return d, nil
}

func readTarget(text string) (float64, time.Duration, error) {
	wrong := errors.New("must be a percentage between 0 and 100 and a number of seconds, such as 80/20")
	share, within, ok := strings.Cut(text, "/")
	percent, err := strconv.ParseFloat(share, 64)
	if !ok || err != nil || !(percent > 0 && percent < 100) {
		return 0, 0, wrong
	}
	if _, err := strconv.ParseFloat(within, 64); err == nil {
		within += "s"
	}
	d, err := time.ParseDuration(within)
	if err != nil || d < 0 {
		return 0, 0, wrong
	}
	return percent / 100, d, nil
}

func readPercent(text string, least, most float64) (float64, error) {
	number, ok := strings.CutSuffix(text, "%")
	n, err := strconv.ParseFloat(number, 64)
	if !ok || err != nil || !(n >= least && n <= most) {
		return 0, fmt.Errorf("must be a percentage from %v%% to %v%%, such as 30%%", least, most)
	}
	return n / 100, nil
}
