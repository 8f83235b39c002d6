package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// manifest is what a backup says of itself. It is written last, into a directory that
// gets its name last of all.
type manifest struct {
	Format  int       `json:"format"`
	Release string    `json:"release"`
	Made    time.Time `json:"made"`
	Site    string    `json:"site"`

	Config   configKept           `json:"config"`
	Database databaseKept         `json:"database"`
	Journal  streamKept           `json:"journal"`
	Diary    streamKept           `json:"diary"`
	Recorded int                  `json:"recordings"`
	Files    map[string]fileEntry `json:"files"` // by path in the backup, with slashes
}

type configKept struct {
	Main  string            `json:"main"`  // path in the backup of the file that includes the others
	Sum   string            `json:"sum"`   // as in foyer_config_info{hash}
	Files map[string]string `json:"files"` // where each stood, by path in the backup
}

type databaseKept struct {
	Kind  string `json:"kind"`  // sqlite, or postgres: then it is not in the backup
	Calls int    `json:"calls"` // CDRs in it
}

type streamKept struct {
	streamHead
	Kept   int `json:"kept"`             // messages; fewer than in the head when the oldest grew too old meanwhile
	Events int `json:"events,omitempty"` // of the journal
}

type fileEntry struct {
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// manifestFormat is the version of what a backup looks like.
const manifestFormat = 1

// Places in a backup.
const (
	manifestFile  = "manifest.json"
	configDir     = "config"
	databaseFile  = "foyer.db"
	recordingsDir = "recordings"

	ofSQLite   = "sqlite"
	ofPostgres = "postgres"
)

func streamFile(name string) string { return name + ".ndjson.gz" }

// part is which of its parts a file of a backup belongs to.
func part(path string) string {
	switch first, _, _ := cutPath(path); first {
	case databaseFile:
		return "database"
	case streamFile(journalStream):
		return journalStream
	case streamFile(diaryStream):
		return diaryStream
	default:
		return first
	}
}

func cutPath(path string) (first, rest string, deeper bool) {
	for i := range len(path) {
		if path[i] == '/' {
			return path[:i], path[i+1:], true
		}
	}
	return path, "", false
}

// errNoBackup: a directory holds no backup that was brought to its end.
var errNoBackup = errors.New("no whole backup")

func readManifest(dir string) (*manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, errNoBackup)
	}
	if err != nil {
		return nil, err
	}
	m := &manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, manifestFile), err)
	}
	if m.Format != manifestFormat {
		return nil, fmt.Errorf("%s is a backup of format %d, by release %s; this release reads format %d", dir, m.Format, m.Release, manifestFormat)
	}
	return m, nil
}

// sum hashes every file of a backup that is being made. What is linked to the same
// file of an older backup has been hashed then.
func (m *manifest) sum(dir, older string, was *manifest, progress func(done, of int64)) error {
	m.Files = map[string]fileEntry{}
	sizes, err := filesIn(dir)
	if err != nil {
		return err
	}
	var done, of int64
	for _, size := range sizes {
		of += size
	}
	for _, path := range slices.Sorted(maps.Keys(sizes)) {
		e, linked := fileEntry{}, false
		if was != nil {
			if e, linked = was.Files[path]; linked {
				linked = sameFile(filepath.Join(dir, path), filepath.Join(older, path))
			}
		}
		if !linked {
			if e, err = sumFile(filepath.Join(dir, path)); err != nil {
				return err
			}
		}
		m.Files[path] = e
		done += e.Bytes
		progress(done, of)
	}
	return nil
}

// filesIn is every file below dir but a manifest, by its path with slashes, and its size.
func filesIn(dir string) (map[string]int64, error) {
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || rel == manifestFile {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s is no file", path)
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		sizes[filepath.ToSlash(rel)] = info.Size()
		return nil
	})
	return sizes, err
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

func sumFile(path string) (e fileEntry, err error) {
	f, err := os.Open(path)
	if err != nil {
		return e, err
	}
	defer f.Close()
	h := sha256.New()
	if e.Bytes, err = io.Copy(h, f); err != nil {
		return e, fmt.Errorf("%s: %w", path, err)
	}
	e.SHA256 = hex.EncodeToString(h.Sum(nil))
	return e, nil
}
