package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"foyer/cmd/foyer/config"
	"foyer/ledger"
	"foyer/recorder"
)

// The commands of this file read what is on disk: they work beside a running
// switch and without one.

type checkCmd struct{}

func (checkCmd) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	if _, err := newPlan(cfg); err != nil {
		fmt.Fprintf(os.Stderr, "%s: error: %v\n", c.Config, err)
		return exitConfig
	}
	cfg.Warnings.WriteTo(os.Stderr)
	return nil
}

type recordingCmd struct {
	List   recordingList   `cmd:"" help:"List recordings, newest first."`
	Get    recordingGet    `cmd:"" help:"Render a recording as a stereo WAV: left the caller, right the agent."`
	Verify recordingVerify `cmd:"" help:"Check that no byte of a recording was changed."`

	Hold    recordingHold    `cmd:"" help:"Put a recording under legal hold: no rule and nobody erases it until it is released."`
	Release recordingRelease `cmd:"" help:"End a legal hold."`
	Erase   recordingErase   `cmd:"" help:"Destroy what was said and the key to it; who did so, when and why stays."`
	Purge   recordingPurge   `cmd:"" help:"Delete what is older than its policy allows, as the switch does once a day."`
}

// days selects by date.
type days struct {
	From string `help:"From this day or moment on (2026-11-23 or RFC 3339)."`
	To   string `help:"Before this day or moment."`
}

func (d days) times(loc *time.Location) (from, to time.Time, err error) {
	if from, err = moment(d.From, loc); err != nil {
		return from, to, fmt.Errorf("--from: %w", err)
	}
	if to, err = moment(d.To, loc); err != nil {
		return from, to, fmt.Errorf("--to: %w", err)
	}
	return from, to, nil
}

func moment(s string, loc *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, s, loc); err == nil {
		return t, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a day (2026-11-23) nor a moment (2026-11-23T09:30:00+01:00)", s)
	}
	return t, nil
}

type recordingList struct {
	days
	Output string `short:"o" help:"table or json." enum:"table,json" default:"table"`
	Call   string `help:"Only this call."`
	Client string `help:"Only this client."`
	Agent  string `help:"Only this agent."`
	Queue  string `help:"Only this queue."`
	Limit  int    `help:"At most so many; 0 all." default:"0"`
}

func (r *recordingList) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	from, to, err := r.times(cfg.Site.Timezone)
	if err != nil {
		return err
	}
	list, err := recorder.List(cfg.Recording.Store.Dir, recorder.Filter{
		From: from, To: to, CallID: r.Call, Client: r.Client, Agent: r.Agent, Queue: r.Queue, Limit: r.Limit,
	})
	if err != nil {
		return err
	}
	if r.Output == "json" {
		if list == nil {
			list = []recorder.Info{}
		}
		return printJSON(os.Stdout, list)
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "STARTED\tID\tCLIENT\tQUEUE\tAGENT\tFROM\tSECONDS\tSTATE")
	for _, i := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%.1f\t%s\n", i.Started.In(cfg.Site.Timezone).Format("2006-01-02 15:04:05"),
			i.ID, i.Client, i.Queue, i.Agent, printable(i.From), i.DurationS, i.State)
	}
	return w.Flush()
}

type recordingGet struct {
	ID       string `arg:"" help:"The recording, as listed."`
	Out      string `help:"File to write; - for standard output." default:"recording.wav"`
	Identity string `help:"File with the age secret key, for an encrypted recording."`
}

func (r *recordingGet) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	identity, err := readIdentity(r.Identity)
	if err != nil {
		return err
	}
	dir := cfg.Recording.Store.Dir
	if _, err := recorder.Find(dir, r.ID); err != nil {
		return recordingError(r.ID, err)
	}
	if err := traceListen(cfg, r.ID); err != nil {
		return err
	}
	if r.Out == "-" {
		return recordingError(r.ID, recorder.Render(os.Stdout, dir, r.ID, identity))
	}
	// Nothing half-written is left under the name asked for.
	tmp, err := os.CreateTemp(filepath.Dir(r.Out), ".foyer-*.wav")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = recorder.Render(tmp, dir, r.ID, identity)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return recordingError(r.ID, err)
	}
	if err := os.Rename(tmp.Name(), r.Out); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, r.Out)
	return nil
}

func recordingError(id string, err error) error {
	switch {
	case errors.Is(err, recorder.ErrNotFound):
		return fmt.Errorf("no recording %s (see `foyer recording list`)", id)
	case errors.Is(err, recorder.ErrErased):
		return fmt.Errorf("recording %s was erased (see `foyer recording list -o json`)", id)
	case errors.Is(err, recorder.ErrSealed):
		return fmt.Errorf("recording %s is encrypted; give the key with --identity FILE: %w", id, err)
	}
	return err
}

func readIdentity(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("--identity: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "AGE-SECRET-KEY-") {
			return line, nil
		}
	}
	return "", fmt.Errorf("--identity: %s holds no AGE-SECRET-KEY line", path)
}

type recordingVerify struct {
	IDs      []string `arg:"" optional:"" help:"Recordings; none: all."`
	Identity string   `help:"File with the age secret key: also checks that the audio decrypts."`
	Output   string   `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

func (r *recordingVerify) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	identity, err := readIdentity(r.Identity)
	if err != nil {
		return err
	}
	dir := cfg.Recording.Store.Dir
	ids := r.IDs
	if len(ids) == 0 {
		list, err := recorder.List(dir, recorder.Filter{})
		if err != nil {
			return err
		}
		for _, i := range list {
			ids = append(ids, i.ID)
		}
	}
	verdicts := []recorder.Verdict{}
	bad := 0
	for _, id := range ids {
		v, err := recorder.Verify(dir, id, identity)
		if err != nil {
			return recordingError(id, err)
		}
		if !v.OK {
			bad++
		}
		verdicts = append(verdicts, v)
	}
	if r.Output == "json" {
		if err := printJSON(os.Stdout, verdicts); err != nil {
			return err
		}
	} else {
		for _, v := range verdicts {
			word := "whole"
			if !v.OK {
				word = "DAMAGED: " + strings.Join(v.Problems, "; ")
			}
			if len(v.Notes) > 0 {
				word += " (" + strings.Join(v.Notes, "; ") + ")"
			}
			fmt.Printf("%s  %d chunks  %s\n", v.ID, v.Chunks, word)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d recordings are damaged", bad, len(ids))
	}
	return nil
}

type cdrCmd struct {
	Export cdrExport `cmd:"" help:"Write one row a customer call."`
}

type cdrExport struct {
	days
	Format string `help:"ndjson or csv." enum:"ndjson,csv" default:"ndjson"`
	Client string `help:"Only this client."`
	Queue  string `help:"Only this queue."`
	Agent  string `help:"Only this agent."`
	Out    string `help:"File to write; - for standard output." default:"-"`
	Excel  bool   `help:"CSV as a French Excel opens it: semicolons and a byte-order mark."`
}

func (e *cdrExport) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	q := ledger.Query{Client: e.Client, Queue: e.Queue, Agent: e.Agent}
	if q.From, q.To, err = e.times(cfg.Site.Timezone); err != nil {
		return err
	}
	store, err := ledger.ReadOnly(context.Background(), books(cfg))
	if err != nil {
		return fmt.Errorf("call records: %w", err)
	}
	defer store.Close()
	out := io.Writer(os.Stdout)
	if e.Out != "-" {
		f, err := os.Create(e.Out)
		if err != nil {
			return err
		}
		defer f.Close()
		out = f
	}
	if e.Format == "csv" {
		var o ledger.CSVOptions
		if e.Excel {
			o = ledger.CSVFor("fr")
		}
		return store.ExportCSV(context.Background(), out, q, o)
	}
	return store.ExportNDJSON(context.Background(), out, q)
}

// books is where call records, counts, tokens and the audit trail are kept.
func books(cfg *config.Config) ledger.Database {
	return ledger.Database{File: filepath.Join(cfg.Site.DataDir, "foyer.db"), Postgres: cfg.Database.Postgres.Reveal()}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printable keeps what a stranger wrote in a SIP message from steering a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
