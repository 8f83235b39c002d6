package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"foyer/cmd/foyer/config"
)

// restoring is the directory in which what is restored is put together; what is in it
// gets its place in the end, by renaming.
const restoring = ".unfinished-restore"

// errNotEmpty: something is where a backup should go.
var errNotEmpty = errors.New("restore writes only where nothing is")

// restore puts a backup that has been checked where a configuration wants it: into a
// data directory and a directory of recordings that hold nothing yet.
func (m *manifest) restore(ctx context.Context, cfg *config.Config, dir string, b *bar) error {
	data, shelf := cfg.Site.DataDir, cfg.Recording.Store.Dir
	if err := m.suits(cfg); err != nil {
		return err
	}
	for _, d := range []string{data, shelf} {
		if err := os.MkdirAll(d, 0o750); err != nil {
			return err
		}
	}
	lock, err := lockDir(data, 0)
	if err != nil {
		return err
	}
	defer lock.Close()
	ours := []string{"lock", restoring}
	if filepath.Dir(shelf) == filepath.Clean(data) {
		ours = append(ours, filepath.Base(shelf))
	}
	if err := wantEmpty(data, ours...); err != nil {
		return err
	}
	if err := wantEmpty(shelf, restoring, "lost+found"); err != nil {
		return err
	}
	if err := wantOwner(data); err != nil {
		return err
	}
	for _, d := range []string{data, shelf} {
		tmp := filepath.Join(d, restoring)
		if err := os.RemoveAll(tmp); err != nil { // of a restore that was broken off
			return err
		}
		if err := os.MkdirAll(tmp, 0o750); err != nil {
			return err
		}
		defer os.RemoveAll(tmp)
	}
	if err := m.restoreRecordings(ctx, dir, filepath.Join(shelf, restoring), b); err != nil {
		return err
	}
	if err := m.restoreData(ctx, cfg, dir, filepath.Join(data, restoring), b); err != nil {
		return err
	}
	// The database last: a data directory without one is no restored one.
	for _, d := range []string{shelf, data} {
		if err := settleIn(d); err != nil {
			return err
		}
	}
	return nil
}

// suits says whether a configuration keeps its books where the backup has them.
func (m *manifest) suits(cfg *config.Config) error {
	switch there := books(cfg).Postgres != ""; {
	case there && m.Database.Kind == ofSQLite:
		return fmt.Errorf("the backup has its call records in %s, and the configuration wants PostgreSQL: nothing is moved between them", databaseFile)
	case !there && m.Database.Kind == ofPostgres:
		return errors.New("the call records are not in the backup: they were in PostgreSQL, and the configuration has no database.postgres")
	}
	return nil
}

// wantEmpty refuses a directory that holds anything but what is named.
func wantEmpty(dir string, but ...string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !slices.Contains(but, e.Name()) {
			return fmt.Errorf("%s is there: %w; name an empty directory, or move it away", filepath.Join(dir, e.Name()), errNotEmpty)
		}
	}
	return nil
}

// wantOwner refuses to leave files of root's where another user's switch must write.
func wantOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d: restore as that user, or the switch cannot write there", dir, st.Uid)
	}
	return nil
}

func (m *manifest) restoreRecordings(ctx context.Context, from, to string, b *bar) error {
	var done, of int64
	for path, e := range m.Files {
		if part(path) == recordingsDir {
			of += e.Bytes
		}
	}
	for path, e := range m.Files {
		_, rel, deeper := cutPath(path)
		if part(path) != recordingsDir || !deeper {
			continue
		}
		if err := copyOut(filepath.Join(from, path), filepath.Join(to, rel)); err != nil {
			return err
		}
		done += e.Bytes
		b.show("recordings", done, of)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

func copyOut(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return unpackFile(in, to)
}

// restoreData builds the database and the streams anew. Messages keep their order,
// their text and, in a header, the time they were written; their places too, as long
// as none is missing between two of them.
func (m *manifest) restoreData(ctx context.Context, cfg *config.Config, from, to string, b *bar) error {
	if m.Database.Kind == ofSQLite {
		if err := copyOut(filepath.Join(from, databaseFile), filepath.Join(to, databaseFile)); err != nil {
			return err
		}
	}
	first := map[string]uint64{journalStream: m.Journal.First, diaryStream: m.Diary.First}
	j, err := openStreams(to, cfg.Observability.SIPTrace.RingBuffer, first)
	if err != nil {
		return err
	}
	defer j.close()
	for _, name := range []string{journalStream, diaryStream} {
		if err := j.restoreStream(ctx, from, name, b); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) restoreStream(ctx context.Context, from, name string, b *bar) error {
	in, f, err := openStream(from, name)
	if err != nil {
		return err
	}
	defer f.Close()
	var last uint64
	return readStream(in, name, func(h streamHead) error { last = h.Last; return nil }, func(l *streamLine, _ []byte) error {
		b.show(name, int64(l.Seq), int64(last))
		return j.restore(ctx, name, l) // which fails when ctx has ended
	})
}

// settleIn gives what was put together in a directory its place there.
func settleIn(dir string) error {
	tmp := filepath.Join(dir, restoring)
	if err := syncAll(tmp); err != nil {
		return err
	}
	entries, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(entries) { // foyer.db after journal
		name := e.Name()
		if err := os.Rename(filepath.Join(tmp, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(tmp); err != nil {
		return err
	}
	return syncDir(dir)
}
