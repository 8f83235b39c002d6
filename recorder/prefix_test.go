package recorder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// act is one change of the file system.
type act struct {
	what string // mkdir, create, link, put, rename, remove, write, truncate
	path string // below the directory of recordings
	name string // the second one of link and rename
	data []byte
	size int64
}

// stenographer is a disk that writes down what is done to it.
type stenographer struct {
	faulty
	dir string

	mu    sync.Mutex
	acts  []act
	names map[int]string // of open files
}

func (d *stenographer) note(a act, err error) {
	if err != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range []*string{&a.path, &a.name} {
		if *p != "" {
			*p, _ = filepath.Rel(d.dir, *p)
		}
	}
	d.acts = append(d.acts, a)
}

func (d *stenographer) nameOf(fd int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[fd]
}

func (d *stenographer) mkdir(path string) error {
	err := d.faulty.mkdir(path)
	d.note(act{what: "mkdir", path: path}, err)
	return err
}

func (d *stenographer) create(path string) (int, error) {
	fd, err := d.faulty.create(path)
	d.note(act{what: "create", path: path}, err)
	if err == nil {
		d.mu.Lock()
		d.names[fd] = path
		d.mu.Unlock()
	}
	return fd, err
}

func (d *stenographer) link(path, name string) error {
	err := d.faulty.link(path, name)
	d.note(act{what: "link", path: path, name: name}, err)
	return err
}

func (d *stenographer) put(path string, text []byte) error {
	err := d.faulty.put(path, text)
	d.note(act{what: "put", path: path, data: slices.Clone(text)}, err)
	return err
}

func (d *stenographer) rename(path, name string) error {
	err := d.faulty.rename(path, name)
	d.note(act{what: "rename", path: path, name: name}, err)
	if err == nil {
		d.mu.Lock()
		for fd, p := range d.names {
			if p == path {
				d.names[fd] = name
			}
		}
		d.mu.Unlock()
	}
	return err
}

func (d *stenographer) remove(path string) error {
	err := d.faulty.remove(path)
	d.note(act{what: "remove", path: path}, err)
	return err
}

func (d *stenographer) write(fd int, b []byte) (int, error) {
	n, err := d.faulty.write(fd, b)
	if n > 0 {
		d.note(act{what: "write", path: d.nameOf(fd), data: slices.Clone(b[:n])}, nil)
	}
	return n, err
}

func (d *stenographer) truncate(fd int, size int64) error {
	err := d.faulty.truncate(fd, size)
	d.note(act{what: "truncate", path: d.nameOf(fd), size: size}, err)
	return err
}

// TestEveryPrefixOfARun stops the recorder after each write of a run, and within
// writes at every sector: whatever is on the disk then, every recording is readable
// to its last whole chunk, and Verify says so.
func TestEveryPrefixOfARun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	t.Parallel()
	dir := t.TempDir()
	disk := &stenographer{dir: dir, names: map[int]string{}}
	synctest.Test(t, func(t *testing.T) {
		b := running(t, Options{Dir: dir}, func(s *Store) { s.disk = disk })
		const calls = 34
		var all sync.WaitGroup
		records := talk(8*time.Second, caller, agent)
		for n := range calls {
			all.Go(func() {
				time.Sleep(time.Duration(n) * 70 * time.Millisecond)
				handle, _ := b.begin(Meta{CallID: fmt.Sprint("c", n)})
				b.live(handle, records, func(time.Duration) {})
				b.End(handle)
			})
		}
		// Meanwhile the disk is full for a while, and loses what it was given.
		time.Sleep(4 * time.Second)
		disk.full.Store(true)
		time.Sleep(1500 * time.Millisecond)
		disk.full.Store(false)
		time.Sleep(2 * time.Second)
		disk.syncFails.Store(3)
		all.Wait()
		for range calls {
			b.waitEnded()
		}
		b.stop()
	})
	const sector = 512
	p := playback{t: t, dir: t.TempDir(), whole: map[recID]int{}}
	if err := os.MkdirAll(filepath.Join(p.dir, ".open"), 0o750); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]int{}
	for _, a := range disk.acts {
		kinds[a.what]++
		more := 0 // chunks, once all of it is there
		if _, ok := parseFrame(a.data); ok && a.what == "write" && strings.HasSuffix(a.path, ".fyr") {
			more = 1
		}
		for len(a.data) > sector {
			p.do(act{what: a.what, path: a.path, data: a.data[:sector]}, 0)
			a.what, a.data = "write", a.data[sector:]
		}
		p.do(a, more)
	}
	for _, what := range []string{"mkdir", "create", "link", "put", "rename", "remove", "write", "truncate"} {
		if kinds[what] == 0 {
			t.Errorf("the run did without %s", what)
		}
	}
	t.Logf("%d states after %d acts %v, %d of them repaired", p.states, len(disk.acts), kinds, p.repairs)
	if p.states < 10_000 {
		t.Errorf("only %d states", p.states)
	}
	if len(p.whole) != 34 || p.torn == 0 || p.moved == 0 {
		t.Errorf("%d recordings, %d torn writes, %d files moved to", len(p.whole), p.torn, p.moved)
	}
}

// playback does a run again, and looks after each act.
type playback struct {
	t       *testing.T
	dir     string
	whole   map[recID]int // chunks that must be readable
	states  int
	repairs int
	torn    int
	moved   int
}

func (p *playback) do(a act, more int) {
	p.t.Helper()
	path, name := filepath.Join(p.dir, a.path), filepath.Join(p.dir, a.name)
	var err error
	switch a.what {
	case "mkdir":
		err = os.MkdirAll(path, 0o750)
	case "create":
		err = os.WriteFile(path, nil, 0o600)
	case "link":
		err = os.Link(path, name)
	case "put":
		err = os.WriteFile(path, a.data, 0o600)
	case "rename":
		err = os.Rename(path, name)
		if strings.HasSuffix(name, ".fyr") {
			p.moved++
		}
	case "remove":
		err = os.Remove(path)
	case "truncate":
		err = os.Truncate(path, a.size)
	case "write":
		var f *os.File
		if f, err = os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, err = f.Write(a.data)
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		p.t.Fatalf("%s %s: %v", a.what, a.path, err)
	}
	p.states++
	id, ok := parseID(filepath.Base(filepath.Dir(path)))
	if !ok {
		if id, ok = parseID(filepath.Base(path)); !ok {
			return // the probe of the disk
		}
	}
	p.look(id, a, more)
	if p.states%500 == 0 {
		p.repair()
	}
}

// look checks the recording that an act was about, of which so many chunks more are
// whole.
func (p *playback) look(id recID, a act, more int) {
	p.t.Helper()
	v, err := Verify(p.dir, id.String(), "")
	if errors.Is(err, ErrNotFound) && p.whole[id] == 0 {
		return
	}
	p.whole[id] += more
	empty := p.whole[id] == 0 // killed before its head was written
	if err != nil || !v.OK && !empty || v.Chunks != p.whole[id] {
		p.t.Fatalf("state %d, after %s %s: %+v, %v, want %d chunks", p.states, a.what, a.path, v, err, p.whole[id])
	}
	if strings.Contains(fmt.Sprint(v.Notes), "unfinished chunk") {
		p.torn++
	} else if more == 0 && a.what == "write" && strings.HasSuffix(a.path, ".fyr") && !empty {
		p.t.Fatalf("state %d: half a chunk is not spoken of: %+v", p.states, v)
	}
	if _, err := Find(p.dir, id.String()); err != nil {
		p.t.Fatalf("state %d: %v", p.states, err)
	}
}

// repair starts a switch on a copy of what is there.
func (p *playback) repair() {
	p.t.Helper()
	p.repairs++
	copied := p.t.TempDir()
	defer os.RemoveAll(copied)
	if err := os.CopyFS(copied, os.DirFS(p.dir)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := Open(Options{Dir: copied}); err != nil {
		p.t.Fatal(err)
	}
	list, err := List(copied, Filter{})
	if err != nil {
		p.t.Fatal(err)
	}
	for _, i := range list {
		v, err := Verify(copied, i.ID, "")
		if err != nil || !v.OK && v.Chunks > 0 || i.State == stateRecording {
			p.t.Fatalf("state %d, repaired: %+v, %+v, %v", p.states, i, v, err)
		}
	}
	left, err := os.ReadDir(filepath.Join(copied, ".open"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) || len(left) > 0 {
		p.t.Fatalf("state %d: %d still open, %v", p.states, len(left), err)
	}
}
