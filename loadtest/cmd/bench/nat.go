package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"foyer/loadtest/lab"
)

// nat plays every case of the laboratory of bad lines in its long form, and prints
// the laboratory's own table. It runs only when it is named.
func (b *bench) nat(ctx context.Context) error {
	talk := time.Minute
	idle, lifetime, probe := 65*time.Second, 30*time.Second, 25*time.Second
	if b.short {
		talk, idle, lifetime, probe = 8*time.Second, 6*time.Second, 2500*time.Millisecond, time.Second
	}
	for _, part := range []struct {
		name  string
		probe time.Duration
		cases []lab.Case
	}{
		{"routers of every kind", probe, lab.Kinds(idle, lifetime)},
		{"mishaps in a call", time.Second, lab.Mishaps(3*time.Second, 8*time.Second, 20*time.Second)},
		{"SIP helpers", time.Second, append(append(lab.Meddlers(), lab.Damagers()...), lab.Turns(20)...)},
		{"bad lines", time.Second, lab.Lines(talk)},
	} {
		b.systems++
		dir := filepath.Join(b.dir, fmt.Sprint(b.systems))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("bench: %w", err)
		}
		say("%s: %d cases", part.name, len(part.cases))
		rows, found, err := lab.Run(ctx, lab.Options{Bin: b.bin, Dir: dir, Seed: 1, Probe: part.probe, Cases: part.cases, AtOnce: 12})
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		lab.Print(os.Stdout, rows)
		for _, r := range rows {
			for _, f := range r.Faults {
				b.fault("%s: %s", r.Name, f)
			}
		}
		for _, f := range found {
			b.fault("%s: %s", part.name, f)
		}
	}
	return nil
}
