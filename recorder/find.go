package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Filter selects recordings. Zero fields select all.
type Filter struct {
	From, To                     time.Time // started at or after From and before To
	CallID, Client, Agent, Queue string
	Limit                        int // 0: all
}

func (f *Filter) match(i *Info) bool {
	return (f.From.IsZero() || !i.Started.Before(f.From)) &&
		(f.To.IsZero() || i.Started.Before(f.To)) &&
		(f.CallID == "" || f.CallID == i.CallID) &&
		(f.Client == "" || f.Client == i.Client) &&
		(f.Queue == "" || f.Queue == i.Queue) &&
		(f.Agent == "" || f.Agent == i.Agent || slices.Contains(i.Agents, f.Agent))
}

// List gives the recordings in dir, newest first. It reads only, and works beside
// a running switch; a directory that does not exist yet is empty.
func List(dir string, f Filter) ([]Info, error) {
	var list []Info
	err := eachDay(dir, f.From, f.To, func(day string) error {
		entries, err := os.ReadDir(day)
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(entries) {
			id, ok := parseID(e.Name())
			if !ok {
				continue
			}
			info, err := load(dir, id)
			if errors.Is(err, ErrNotFound) {
				continue // begun or deleted at this moment
			}
			if err != nil {
				return err
			}
			if !f.match(&info) {
				continue
			}
			if list = append(list, info); len(list) == f.Limit {
				return fs.SkipAll
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.SkipAll) {
		return nil, fmt.Errorf("list recordings: %w", err)
	}
	return list, nil
}

// Find gives one recording, or ErrNotFound.
func Find(dir, id string) (Info, error) {
	rec, ok := parseID(id)
	if !ok {
		return Info{}, fmt.Errorf("recording %.40q: %w", id, ErrNotFound)
	}
	return load(dir, rec)
}

// eachDay calls f with the directories of days in [from, to], newest first.
func eachDay(dir string, from, to time.Time, f func(day string) error) error {
	for _, year := range numbered(dir) {
		for _, month := range numbered(dir, year) {
			for _, day := range numbered(dir, year, month) {
				at, err := time.Parse("2006/01/02", year+"/"+month+"/"+day)
				if err != nil || !from.IsZero() && !at.AddDate(0, 0, 1).After(from) || !to.IsZero() && !at.Before(to) {
					continue
				}
				if err := f(filepath.Join(dir, year, month, day)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// numbered lists the entries of a directory whose name is a number, highest first.
func numbered(path ...string) (names []string) {
	entries, _ := os.ReadDir(filepath.Join(path...)) // gone or not there: nothing to list
	for _, e := range slices.Backward(entries) {
		if _, err := strconv.ParseUint(e.Name(), 10, 16); err == nil {
			names = append(names, e.Name())
		}
	}
	return names
}

// load reads what is known of one recording.
func load(dir string, id recID) (Info, error) {
	info, err := loadSheet(dir, id)
	if err == nil && info.Erased == nil {
		info.Held = heldBy(recordingDir(dir, id))
	}
	return info, err
}

// loadSheet reads meta.json. When it is missing or damaged, the chunks tell.
func loadSheet(dir string, id recID) (Info, error) {
	own := recordingDir(dir, id)
	sh, err := readSheet(own)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if !hasTape(dir, id) {
			return Info{}, fmt.Errorf("recording %s: %w", id, ErrNotFound)
		}
		return restore(dir, id)
	case err != nil:
		return restore(dir, id)
	case sh.State != stateRecording:
		return sh.Info, nil
	case written(audioPath(dir, id)):
		if t, err := openTape(dir, id); err == nil {
			sh.Bytes = t.size
			sh.DurationS = max(0, t.last.Sub(sh.Started).Round(time.Millisecond).Seconds())
			_ = t.Close()
		}
		return sh.Info, nil
	}
	// Nobody writes it: it has ended since we read, or its switch has died.
	if sh, err := readSheet(own); err == nil && sh.State != stateRecording {
		return sh.Info, nil
	}
	return restore(dir, id)
}

// restore tells from the chunks what meta.json does not.
func restore(dir string, id recID) (Info, error) {
	v, err := look(dir, id)
	if errors.Is(err, fs.ErrNotExist) {
		return Info{}, fmt.Errorf("recording %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return Info{}, fmt.Errorf("recording %s: %w", id, err)
	}
	return v.sheet(id, written(audioPath(dir, id))).Info, nil
}

// sheet is meta.json as the chunks tell it.
func (v *survey) sheet(id recID, written bool) sheet {
	sh := sheet{Info: v.heading.Meta.info(id), Chunks: v.chunks}
	if !v.found {
		sh.Started = id.time()
	}
	sh.DurationS = seconds(v.first, v.last)
	sh.Bytes = v.bytes
	sh.LostMS = int64(v.lost)
	sh.Encrypted = len(v.heading.Key) > 0
	switch {
	case v.end && !v.cut:
		sh.State = stateComplete
	case written:
		sh.State = stateRecording
	default:
		sh.State = stateInterrupted
	}
	if v.chunks > 0 {
		sh.Chain = fmt.Sprintf("%x", v.chain)
	}
	return sh
}

// written tells whether a living process has the file open for recording.
func written(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil
}
