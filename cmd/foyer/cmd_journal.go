package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

type journalCmd struct {
	Verify journalVerify `cmd:"" help:"Replay the journal through the floor and check that it decides the same again."`
	Export journalExport `cmd:"" help:"Write the journal to a file, a page a line, to be replayed elsewhere."`
}

type journalVerify struct{}

func (journalVerify) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	return withJournal(cfg, func(d *desk) error {
		r, err := d.ex.journal.verify(context.Background())
		if err != nil {
			return err
		}
		fmt.Printf("%d events in %d lives replayed, %d decisions: the same again (hash %016x)\n", r.events, r.lives, r.decisions, r.hash)
		return nil
	})
}

type journalExport struct {
	days
	File string `arg:"" help:"File to write; compressed if its name ends in .gz; - for standard output."`
}

func (e *journalExport) Run(c *cli) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	from, to, err := e.times(cfg.Site.Timezone)
	if err != nil {
		return err
	}
	return writeFile(e.File, func(w io.Writer) error {
		ask := url.Values{}
		for name, t := range map[string]time.Time{"from": from, "to": to} {
			if !t.IsZero() {
				ask.Set(name, t.Format(time.RFC3339Nano))
			}
		}
		err := newOperator(cfg).get("/journal.ndjson?"+ask.Encode(), w)
		if errors.Is(err, errNotRunning) {
			err = withJournal(cfg, func(d *desk) error { return d.Journal(context.Background(), w, from, to) })
		}
		return err
	})
}

// writeFile leaves nothing half-written under a name.
func writeFile(name string, write func(io.Writer) error) error {
	if name == "-" {
		return write(os.Stdout)
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), ".foyer-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if strings.HasSuffix(name, ".gz") {
		z := gzip.NewWriter(tmp)
		err = errors.Join(write(z), z.Close())
	} else {
		err = write(tmp)
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), name)
}
