package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"text/tabwriter"
)

type backupCmd struct {
	outputFlag
	To string `arg:"" help:"Directory of backups: this one gets a directory of its own in it, named by the time. Or a file whose name ends in .tar." type:"path" placeholder:"DIR|FILE.tar"`
}

func (b *backupCmd) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	ctx, stop := untilStopped()
	defer stop()
	beNice()
	progress := newBar(os.Stderr)
	place := b.To
	var m *manifest
	if isArchive(b.To) {
		m, err = makeArchive(ctx, cfg, b.To, progress)
	} else {
		place, m, err = makeBackup(ctx, cfg, b.To, progress, nil)
	}
	progress.end()
	if err != nil {
		return fmt.Errorf("no backup was made: %w", err)
	}
	if m.Database.Kind == ofPostgres {
		fmt.Fprintf(os.Stderr, "foyer: the call records are in PostgreSQL and not in this backup: back them up with pg_dump\n")
	}
	report := m.report(place)
	return b.write(report, report.table)
}

type restoreCmd struct {
	outputFlag
	From  string `arg:"" help:"A backup, or a directory of backups: then the newest in it." type:"path"`
	Check bool   `help:"Only check that everything is in it and as it was written. Exit 0 or 4. Needs no configuration."`
}

func (r *restoreCmd) Run(c *cli) error {
	ctx, stop := untilStopped()
	defer stop()
	if r.Check {
		beNice()
	}
	dir, done, err := r.open(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "foyer:", err)
		return exitBackup
	}
	defer done()
	m, err := readManifest(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "foyer:", err)
		return exitBackup
	}
	progress := newBar(os.Stderr)
	report, err := m.check(ctx, dir, progress)
	progress.end()
	if err != nil {
		return err
	}
	if isArchive(r.From) {
		report.Backup = r.From
	}
	if err := r.write(report, report.table); err != nil {
		return err
	}
	for _, p := range report.Problems {
		fmt.Fprintln(os.Stderr, "foyer:", p)
	}
	switch {
	case !report.OK:
		return exitBackup
	case r.Check:
		return nil
	}
	cfg, err := loadConfig(c.Config)
	if err != nil {
		fmt.Fprintf(os.Stderr, "foyer: restore goes by the configuration; the one in the backup is %s in %s\n", m.Config.Main, r.From)
		return err
	}
	if err := m.restore(ctx, cfg, dir, progress); err != nil {
		progress.end()
		return fmt.Errorf("nothing was restored: %w", err)
	}
	progress.end()
	fmt.Fprintf(os.Stderr, "restored into %s; calls that were up then get their records at the first start\n", cfg.Site.DataDir)
	return nil
}

// open finds the backup. One in a file is unpacked for as long as it is needed.
func (r *restoreCmd) open(ctx context.Context) (dir string, done func(), err error) {
	if isArchive(r.From) {
		tmp, err := os.MkdirTemp("", "foyer-backup-")
		if err != nil {
			return "", nil, err
		}
		done := func() { os.RemoveAll(tmp) }
		if err := unpack(ctx, r.From, tmp); err != nil {
			done()
			return "", nil, err
		}
		return tmp, done, nil
	}
	if _, err := os.Stat(filepath.Join(r.From, manifestFile)); err != nil {
		if newest, err := newestBackup(r.From); err == nil {
			return newest, func() {}, nil
		}
	}
	return r.From, func() {}, nil
}

// untilStopped is a context that ends with the first signal; a second one ends the
// process at once.
func untilStopped() (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// beNice lowers the weight of every thread of this process, and of those they start,
// against those of the switch.
func beNice() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return // then not
	}
	for _, t := range tasks {
		if id, err := strconv.Atoi(t.Name()); err == nil {
			_ = syscall.Setpriority(syscall.PRIO_PROCESS, id, politeness)
		}
	}
}

// backupReport is what is told of a backup.
type backupReport struct {
	Backup   string       `json:"backup"`
	Made     string       `json:"made"`
	Release  string       `json:"release"`
	OK       bool         `json:"ok"`
	Parts    []partReport `json:"parts"`
	Problems []string     `json:"problems"`
}

type partReport struct {
	Part   string `json:"part"`
	Files  int    `json:"files"`
	Bytes  int64  `json:"bytes"`
	Result string `json:"result"`

	damaged bool
}

// report names the parts and what is in them.
func (m *manifest) report(dir string) *backupReport {
	r := &backupReport{Backup: dir, Made: m.Made.Format("2006-01-02 15:04:05 MST"), Release: m.Release, OK: true, Problems: []string{}}
	calls := fmt.Sprintf("%d calls", m.Database.Calls)
	if m.Database.Kind == ofPostgres {
		calls = "in PostgreSQL, not here: pg_dump"
	}
	for _, p := range []partReport{
		{Part: configDir, Result: "configuration " + m.Config.Sum},
		{Part: "database", Result: calls},
		{Part: journalStream, Result: fmt.Sprintf("%d events in %d pages", m.Journal.Events, m.Journal.Kept)},
		{Part: diaryStream, Result: fmt.Sprintf("%d pages of SIP messages", m.Diary.Kept)},
		{Part: recordingsDir, Result: fmt.Sprintf("%d recordings", m.Recorded)},
	} {
		for path, e := range m.Files {
			if part(path) == p.Part {
				p.Files++
				p.Bytes += e.Bytes
			}
		}
		r.Parts = append(r.Parts, p)
	}
	return r
}

func (r *backupReport) table(w *tabwriter.Writer) {
	fmt.Fprintf(w, "%s, of %s by foyer %s\n\n", r.Backup, r.Made, r.Release)
	fmt.Fprintln(w, "PART\tFILES\tMB\tRESULT")
	for _, p := range r.Parts {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%s\n", p.Part, p.Files, float64(p.Bytes)/1e6, p.Result)
	}
}

// wrong notes that a part is not as it should be.
func (r *backupReport) wrong(part, format string, args ...any) {
	r.OK = false
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
	for i := range r.Parts {
		if r.Parts[i].Part == part && !r.Parts[i].damaged {
			r.Parts[i].damaged, r.Parts[i].Result = true, "DAMAGED, of "+r.Parts[i].Result
		}
	}
}

// right notes what a check of a part has shown.
func (r *backupReport) right(part, result string) {
	for i := range r.Parts {
		if r.Parts[i].Part == part && !r.Parts[i].damaged {
			r.Parts[i].Result = result
		}
	}
}
