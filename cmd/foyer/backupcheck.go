package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"foyer/ledger"
	"foyer/recorder"
)

// check reads every byte of a backup and tells whether all is there and as it was
// written. It never writes. Its error is about not being able to look.
func (m *manifest) check(ctx context.Context, dir string, b *bar) (*backupReport, error) {
	r := m.report(dir)
	if err := m.checkFiles(ctx, dir, r, b); err != nil {
		return nil, err
	}
	r.right(configDir, "whole: configuration "+m.Config.Sum)
	m.checkDatabase(ctx, dir, r)
	m.checkJournal(ctx, dir, r, b)
	m.checkDiary(dir, r)
	if err := m.checkRecordings(ctx, dir, r, b); err != nil {
		return nil, err
	}
	return r, ctx.Err()
}

// checkFiles compares every file with its hash.
func (m *manifest) checkFiles(ctx context.Context, dir string, r *backupReport, b *bar) error {
	there, err := filesIn(dir)
	if err != nil {
		return err
	}
	var done, of int64
	for _, e := range m.Files {
		of += e.Bytes
	}
	for _, path := range slices.Sorted(maps.Keys(m.Files)) {
		want := m.Files[path]
		if _, ok := there[path]; !ok || !filepath.IsLocal(path) {
			r.wrong(part(path), "%s is missing", path)
			continue
		}
		got, err := sumFile(filepath.Join(dir, path))
		switch {
		case err != nil:
			r.wrong(part(path), "%s cannot be read: %v", path, err)
		case got != want:
			r.wrong(part(path), "%s is not as it was written: %d bytes of SHA-256 %s, were %d of %s", path, got.Bytes, got.SHA256, want.Bytes, want.SHA256)
		}
		done += want.Bytes
		b.show("hashes", done, of)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, path := range slices.Sorted(maps.Keys(there)) {
		if _, ok := m.Files[path]; !ok {
			r.wrong(part(path), "%s is not of this backup", path)
		}
	}
	return nil
}

func (m *manifest) checkDatabase(ctx context.Context, dir string, r *backupReport) {
	if m.Database.Kind == ofPostgres {
		return
	}
	calls, err := ledger.Check(ctx, filepath.Join(dir, databaseFile))
	switch {
	case err != nil:
		r.wrong("database", "the database cannot be used: %v", err)
	case calls != m.Database.Calls:
		r.wrong("database", "the database has %d calls and should have %d", calls, m.Database.Calls)
	default:
		r.right("database", fmt.Sprintf("whole: %d calls", calls))
	}
}

// openStream gives the text of a stream in a backup.
func openStream(dir, name string) (io.Reader, io.Closer, error) {
	f, err := os.Open(filepath.Join(dir, streamFile(name)))
	if err != nil {
		return nil, nil, err
	}
	z, err := gzip.NewReader(bufio.NewReaderSize(f, 1<<16))
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return z, f, nil
}

// checkJournal replays the journal: every decision must be made again.
func (m *manifest) checkJournal(ctx context.Context, dir string, r *backupReport, b *bar) {
	kept, checkpoints := streamKept{}, 0
	all := pages{name: streamFile(journalStream), size: int64(m.Journal.Last), read: func(_ context.Context, each func([]byte, int64) error) error {
		in, f, err := openStream(dir, journalStream)
		if err != nil {
			return err
		}
		defer f.Close()
		return readStream(in, journalStream, func(h streamHead) error { kept.streamHead = h; return nil }, func(l *streamLine, text []byte) error {
			if err := kept.count(l); err != nil {
				return err
			}
			if len(l.Checkpoint) > 0 {
				if checkpoints++; checkpoints > mostShown {
					return nil
				}
			}
			return each(text, int64(l.Seq))
		})
	}}
	j := judge{}
	err := all.each(ctx, func(p page, done int64) error {
		b.show("replaying", done, all.size)
		return j.page(p)
	})
	switch {
	case err != nil:
		r.wrong(journalStream, "the journal cannot be replayed: %v", err)
	case kept != m.Journal:
		r.wrong(journalStream, "the journal has %d events in %d pages and should have %d in %d", kept.Events, kept.Kept, m.Journal.Events, m.Journal.Kept)
	case j.lives == 0 && kept.Events > 0:
		r.right(journalStream, fmt.Sprintf("whole: %d events, not replayed: none is the start of a switch", kept.Events))
	default:
		r.right(journalStream, fmt.Sprintf("whole: %d events in %d lives, %d decisions the same again", kept.Events, j.lives, j.decisions))
	}
}

func (m *manifest) checkDiary(dir string, r *backupReport) {
	kept := streamKept{}
	err := func() error {
		in, f, err := openStream(dir, diaryStream)
		if err != nil {
			return err
		}
		defer f.Close()
		return readStream(in, diaryStream, func(h streamHead) error { kept.streamHead = h; return nil }, func(l *streamLine, _ []byte) error {
			if _, err := unpackPage(l.Page); err != nil {
				return err
			}
			return kept.count(l)
		})
	}()
	switch {
	case err != nil:
		r.wrong(diaryStream, "the diary cannot be read: %v", err)
	case kept != m.Diary:
		r.wrong(diaryStream, "the diary has %d pages and should have %d", kept.Kept, m.Diary.Kept)
	default:
		r.right(diaryStream, fmt.Sprintf("whole: %d pages of SIP messages", kept.Kept))
	}
}

// checkRecordings verifies every recording as `foyer recording verify` does.
func (m *manifest) checkRecordings(ctx context.Context, dir string, r *backupReport, b *bar) error {
	dir = filepath.Join(dir, recordingsDir)
	list, err := recorder.List(dir, recorder.Filter{})
	if err != nil {
		return err
	}
	for i, info := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		b.show("recordings", int64(i), int64(len(list)))
		v, err := recorder.Verify(dir, info.ID, "")
		switch {
		case err != nil:
			r.wrong(recordingsDir, "%v", err)
		case !v.OK:
			r.wrong(recordingsDir, "recording %s is damaged: %s", v.ID, strings.Join(v.Problems, "; "))
		}
	}
	if len(list) != m.Recorded {
		r.wrong(recordingsDir, "there are %d recordings and should be %d", len(list), m.Recorded)
	}
	r.right(recordingsDir, fmt.Sprintf("whole: %d recordings", len(list)))
	return nil
}
