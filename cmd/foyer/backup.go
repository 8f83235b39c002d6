package main

import (
	"cmp"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"foyer/cmd/foyer/config"
	"foyer/ledger"
	"foyer/recorder"
)

// backup is one being made: in a directory without a name, which gets it when all is
// on the disk. Whatever breaks it off leaves no backup.
type backup struct {
	cfg   *config.Config
	dir   string    // being filled
	older string    // the newest whole backup beside it; "" when there is none
	was   *manifest // of older
	m     manifest
	bar   *bar
	seen  func(part string) // tests: a part has been copied
}

// unfinished begins the name of a backup that is being made.
const unfinished = ".unfinished-"

// backupName is the name of a backup made at a moment; names sort by time.
func backupName(at time.Time) string { return at.UTC().Format("2006-01-02T15-04-05.000Z") }

// makeBackup makes a backup in store, a directory of backups, and returns its path.
func makeBackup(ctx context.Context, cfg *config.Config, store string, b *bar, seen func(string)) (string, *manifest, error) {
	if err := os.MkdirAll(store, 0o750); err != nil {
		return "", nil, err
	}
	turn, err := takeTurn(store)
	if err != nil {
		return "", nil, err
	}
	defer turn.Close()
	if err := sweepUnfinished(store); err != nil {
		return "", nil, err
	}
	k := &backup{cfg: cfg, bar: b, seen: seen}
	if older, err := newestBackup(store); err == nil {
		// One that cannot be read spares us nothing; the check will say what it has.
		if k.was, err = readManifest(older); err == nil {
			k.older = older
		}
	}
	if k.dir, err = os.MkdirTemp(store, unfinished); err != nil {
		return "", nil, err
	}
	defer os.RemoveAll(k.dir)
	if err := os.Chmod(k.dir, 0o750); err != nil {
		return "", nil, err
	}
	k.m = manifest{Format: manifestFormat, Release: version, Made: time.Now().UTC().Truncate(time.Millisecond), Site: cfg.Site.Name}
	if err := k.fill(ctx); err != nil {
		return "", nil, err
	}
	final := filepath.Join(store, backupName(k.m.Made))
	if err := k.seal(final); err != nil {
		return "", nil, err
	}
	return final, &k.m, nil
}

// takeTurn makes sure that one backup alone is made in a directory.
func takeTurn(store string) (*os.File, error) {
	f, err := os.Open(store)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: another backup is being made there", store)
	}
	return f, nil
}

// sweepUnfinished removes what backups left that were broken off.
func sweepUnfinished(store string) error {
	entries, err := os.ReadDir(store)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), unfinished) {
			if err := os.RemoveAll(filepath.Join(store, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// newestBackup is the path of the newest backup in a directory of backups.
func newestBackup(store string) (string, error) {
	entries, err := os.ReadDir(store)
	if err != nil {
		return "", err
	}
	for _, e := range slices.Backward(entries) {
		dir := filepath.Join(store, e.Name())
		if strings.HasPrefix(e.Name(), unfinished) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, manifestFile)); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("%s: %w", store, errNoBackup)
}

// fill copies every part. The order matters: the journal is read after the database,
// so that what the database lacks is folded again from it at the first start, and the
// recordings last, so that none is missing that a call record names.
func (k *backup) fill(ctx context.Context) error {
	for _, p := range []struct {
		name string
		copy func(context.Context) error
	}{
		{"configuration", k.configuration},
		{"database", k.database},
		{"journal", func(ctx context.Context) error { return k.stream(ctx, journalStream, &k.m.Journal) }},
		{"diary", func(ctx context.Context) error { return k.stream(ctx, diaryStream, &k.m.Diary) }},
		{"recordings", k.recordings},
	} {
		if err := p.copy(ctx); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		if k.seen != nil {
			k.seen(p.name)
		}
	}
	return nil
}

// configuration copies the files as they were read. The names below config are those
// they have beside the main file; others go by their whole path.
func (k *backup) configuration(context.Context) error {
	home := filepath.Dir(k.cfg.Files[0])
	k.m.Config = configKept{Sum: k.cfg.Sum, Files: map[string]string{}}
	sum := sha256.New()
	for i, from := range k.cfg.Files {
		rel, err := filepath.Rel(home, from)
		if err != nil || !filepath.IsLocal(rel) {
			rel = filepath.Join("elsewhere", strconv.Itoa(i), filepath.Base(from))
		}
		text, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		sum.Write(text)
		to := filepath.Join(k.dir, configDir, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			return err
		}
		if err := os.WriteFile(to, text, 0o640); err != nil {
			return err
		}
		path := filepath.ToSlash(filepath.Join(configDir, rel))
		k.m.Config.Files[path] = from
		k.m.Config.Main = cmp.Or(k.m.Config.Main, path)
	}
	if hex.EncodeToString(sum.Sum(nil))[:len(k.cfg.Sum)] != k.cfg.Sum {
		return errors.New("it was changed while it was being copied")
	}
	return nil
}

func (k *backup) database(ctx context.Context) error {
	d := books(k.cfg)
	k.m.Database.Kind = ofSQLite
	if d.Postgres != "" {
		k.m.Database.Kind = ofPostgres
		return nil
	}
	to := filepath.Join(k.dir, databaseFile)
	if err := ledger.Copy(ctx, d, to); err != nil {
		return err
	}
	var err error
	k.m.Database.Calls, err = ledger.Check(ctx, to)
	return err
}

// stream copies a stream from the running switch; without one, from its store.
func (k *backup) stream(ctx context.Context, name string, kept *streamKept) error {
	f, err := os.OpenFile(filepath.Join(k.dir, streamFile(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	// What is written is read on its way, so that a stream cut short is noticed now.
	r, w := io.Pipe()
	read := make(chan error, 1)
	go func() {
		err := readStream(r, name, func(h streamHead) error { kept.streamHead = h; return nil }, func(l *streamLine, _ []byte) error {
			k.bar.show(name, int64(l.Seq-kept.First), int64(kept.Last-kept.First))
			return cmp.Or(ctx.Err(), kept.count(l))
		})
		r.CloseWithError(err)
		read <- err
	}()
	sent := sendStream(ctx, k.cfg, name, io.MultiWriter(z, w))
	w.CloseWithError(sent)
	if err := <-read; err != nil {
		return err // of sent too, if that was first
	}
	return errors.Join(sent, z.Close(), f.Close())
}

// count counts the messages that there really are, and the events in them.
func (s *streamKept) count(l *streamLine) error {
	s.Kept++
	if len(l.Records) == 0 {
		return nil
	}
	var events []struct{}
	if err := json.Unmarshal(l.Records, &events); err != nil {
		return fmt.Errorf("message %d: %w", l.Seq, err)
	}
	s.Events += len(events)
	return nil
}

func sendStream(ctx context.Context, cfg *config.Config, name string, w io.Writer) error {
	err := newOperator(cfg).get("/streams/"+name, w)
	if errors.Is(err, errNotRunning) {
		err = withJournal(cfg, func(d *desk) error { return d.Stream(ctx, w, name) })
	}
	return err
}

func (k *backup) recordings(ctx context.Context) error {
	from, to := k.cfg.Recording.Store.Dir, filepath.Join(k.dir, recordingsDir)
	list, err := recorder.List(from, recorder.Filter{})
	if err != nil {
		return err
	}
	older := ""
	if k.older != "" {
		older = filepath.Join(k.older, recordingsDir)
	}
	for i, r := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		k.bar.show("recordings", int64(i), int64(len(list)))
		err := recorder.Copy(from, to, older, r.ID)
		if errors.Is(err, recorder.ErrNotFound) {
			continue // deleted meanwhile, or begun at this moment
		}
		if err != nil {
			return err
		}
		k.m.Recorded++
	}
	return nil
}

// seal hashes everything, writes the manifest, brings all of it to the disk and gives
// the backup its name.
func (k *backup) seal(final string) error {
	if err := k.m.sum(k.dir, k.older, k.was, func(done, of int64) { k.bar.show("hashing", done, of) }); err != nil {
		return err
	}
	text, err := json.MarshalIndent(k.m, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(k.dir, manifestFile), append(text, '\n'), 0o640); err != nil {
		return err
	}
	if err := syncAll(k.dir); err != nil {
		return err
	}
	if _, err := os.Stat(final); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", final)
	}
	if err := os.Rename(k.dir, final); err != nil {
		return err
	}
	return syncDir(filepath.Dir(final))
}

// syncAll brings the file system that dir is on to the disk: of thousands of files
// that is much cheaper than one after another.
func syncAll(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
