package recorder

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"foyer/rtp"

	"golang.org/x/sys/unix"
)

// Recordings in progress go on over any number of kills: all that was taken from a
// tap is in the one file, which verifies, and sounds as if nothing had been.
func TestKilledAndGoesOn(t *testing.T) {
	t.Parallel()
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprint("sealed ", sealed), func(t *testing.T) {
			t.Parallel()
			identity, recipient := "", ""
			if sealed {
				identity, recipient = keys(t)
			}
			h := newHouse(t, recipient)
			deaths := 0
			for deaths < 8 {
				if h.live(time.Duration(rand.Int64N(int64(120 * time.Millisecond)))) {
					break
				}
				deaths++
			}
			h.live(-1)
			if deaths < 3 {
				t.Fatalf("killed only %d times", deaths)
			}
			list, err := List(h.dir, Filter{})
			if err != nil || len(list) != childCalls {
				t.Fatalf("%d recordings, %v", len(list), err)
			}
			for _, i := range list {
				if i.State != stateComplete || i.LostMS != 0 || i.DurationS != 10 || i.Encrypted != sealed {
					t.Errorf("%+v", i)
				}
				v, err := Verify(h.dir, i.ID, identity)
				if err != nil || !v.OK || len(v.Notes) < 2 || len(v.Notes) > deaths {
					t.Errorf("%d deaths: %+v, %v", deaths, v, err)
				}
				if missing := absent(t, h.dir, i.ID, identity); missing > 0 {
					t.Errorf("%s: %d packets were taken and are not there", i.ID, missing)
				}
				w := rendered(t, h.dir, i.ID, identity)
				if l, r := level(w.left, 440), level(w.right, 1000); l < 11500 || r < 11500 || w.length() != 10*time.Second {
					t.Errorf("%v, left %.0f, right %.0f", w.length(), l, r)
				}
			}
			if left, _ := os.ReadDir(h.shelf); len(left) != 0 {
				t.Errorf("%d records left on the shelf", len(left))
			}
			if left, _ := os.ReadDir(filepath.Join(h.dir, ".open")); len(left) != 0 {
				t.Errorf("%d recordings left open", len(left))
			}
			if m, err := newMemory(h.memory); err != nil || len(m.left(func(uint64) bool { return true })) != 0 {
				t.Errorf("chunks left in memory, %v", err)
			}
		})
	}
}

// A number that a life may have used is left out by the next, whatever it was used
// for; what was removed before a resumption is found all the same.
func TestResumptionLeavesOutNumbers(t *testing.T) {
	t.Parallel()
	identity, recipient := keys(t)
	dir, shelf, memory := t.TempDir(), shelfOf(t.TempDir()), make([]byte, MemorySize)
	disk := &faulty{}
	life := func() *Store {
		s, err := Open(Options{Dir: dir, Recipient: recipient, Keep: shelf, Kept: shelf.all(), Memory: memory, disk: disk})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := life()
	handle, id, err := s.Begin(Meta{CallID: "c1"})
	if err != nil {
		t.Fatal(err)
	}
	records := talk(2*time.Second, caller, agent)
	const lives = 4
	for n := range lives {
		r, ok := s.recordings.Load(handle)
		if !ok {
			t.Fatalf("life %d does not have the recording", n)
		}
		part := records[n*len(records)/lives : (n+1)*len(records)/lives]
		for i, p := range part {
			if i == len(part)*2/3 {
				if err := s.bring(r, time.Now().Add(time.Second), false); err != nil {
					t.Fatal(err)
				}
			}
			p.Recording = handle
			s.take(p)
		}
		if n == lives-1 {
			break
		}
		// It dies while it writes: half of a frame is on the disk, and more in memory.
		disk.full.Store(true)
		disk.stuck.Store(true)
		if err := s.bring(r, time.Now().Add(time.Second), false); err == nil {
			t.Fatal("the disk was not full")
		}
		disk.full.Store(false)
		disk.stuck.Store(false)
		if err := s.disk.close(r.fd); err != nil {
			t.Fatal(err)
		}
		s = life()
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan Info, 1)
	s.ended = func(i Info) { ended <- i }
	s.End(handle)
	var run sync.WaitGroup
	run.Go(func() { _ = s.Run(ctx, nil) })
	info := <-ended
	stop()
	run.Wait()
	v, err := Verify(dir, id, identity)
	if err != nil || !v.OK || len(v.Notes) != lives-1 || info.State != stateComplete || info.LostMS != 0 {
		t.Fatalf("%+v, %v, %+v", v, err, info)
	}
	rec, _ := parseID(id)
	chunks := split(t, dir, rec)
	if last, _ := parseFrame(chunks[len(chunks)-1]); int(last.number) != len(chunks)-1+lives-1 {
		t.Errorf("the last of %d chunks has number %d", len(chunks), last.number)
	}
	for i, c := range chunks {
		if f, _ := parseFrame(c); f.kind == endChunk {
			continue
		}
		plant(t, dir, rec, slices.Concat(slices.Delete(slices.Clone(chunks), i, i+1)...))
		if v, err := Verify(dir, id, ""); err != nil || v.OK {
			t.Errorf("chunk %d removed, and nobody noticed: %v", i, err)
		}
	}
}

// A recording whose call did not come back ends where the kill cut it, and not when
// somebody noticed.
func TestResumedWithoutItsCall(t *testing.T) {
	dir, shelf := t.TempDir(), shelfOf(t.TempDir())
	memory := make([]byte, MemorySize)
	o := Options{Dir: dir, Keep: shelf, Memory: memory}
	b := opened(t, o, nil)
	handle, id := b.begin(Meta{CallID: "c1"})
	for _, p := range talk(3*time.Second, caller, agent)[:200] { // 2 s
		p.Recording = handle
		b.take(p)
	}
	r, _ := b.recordings.Load(handle)
	if err := b.bring(r, time.Now(), false); err != nil { // then it is killed
		t.Fatal(err)
	}
	if err := b.disk.close(r.fd); err != nil {
		t.Fatal(err)
	}
	o.Kept = shelf.all()
	synctest.Test(t, func(t *testing.T) {
		b := running(t, o, nil)
		if got := b.Resumed(); len(got) != 1 || got[0] != (Resumed{handle, id, "c1"}) {
			t.Fatalf("%+v", got)
		}
		if other, _ := b.begin(Meta{CallID: "c2"}); other <= handle {
			t.Errorf("handle %d after %d", other, handle)
		} else {
			b.End(other)
			b.waitEnded()
		}
		time.Sleep(20 * time.Second)
		b.End(handle)
		if info := b.waitEnded(); info.State != stateInterrupted || info.DurationS < 1.9 || info.DurationS > 2 || info.LostMS != 0 {
			t.Errorf("%+v", info)
		}
		b.stop()
		if v, err := Verify(dir, id, ""); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
	})
}

// What the shelf or the memory holds of no use is dropped, and the recordings closed
// as they always were.
func TestResumeOfWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(dir string, shelf shelfOf, memory []byte){
		"no memory":     func(_ string, _ shelfOf, memory []byte) { clear(memory) },
		"no shelf":      func(_ string, shelf shelfOf, _ []byte) { _ = os.RemoveAll(string(shelf)) },
		"bad record":    func(_ string, shelf shelfOf, _ []byte) { _ = shelf.Put("recording/x", []byte("{")) },
		"file cut off":  func(dir string, _ shelfOf, _ []byte) { cutFiles(dir, 100) },
		"file is empty": func(dir string, _ shelfOf, _ []byte) { cutFiles(dir, 0) },
	} {
		dir, shelf, memory := t.TempDir(), shelfOf(t.TempDir()), make([]byte, MemorySize)
		b := opened(t, Options{Dir: dir, Keep: shelf, Memory: memory}, nil)
		handle, id := b.begin(Meta{CallID: "c1"})
		for _, p := range talk(2*time.Second, caller, agent)[:100] {
			p.Recording = handle
			b.take(p)
		}
		r, _ := b.recordings.Load(handle)
		if err := b.bring(r, time.Now().Add(time.Second), false); err != nil {
			t.Fatal(err)
		}
		if err := b.disk.close(r.fd); err != nil {
			t.Fatal(err)
		}
		spoil(dir, shelf, memory)
		next, err := Open(Options{Dir: dir, Keep: shelf, Kept: shelf.all(), Memory: memory})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		want := 0
		if name == "bad record" {
			want = 1
		}
		if got := next.Resumed(); len(got) != want {
			t.Errorf("%s: resumed %+v", name, got)
		}
		if info, err := Find(dir, id); want == 0 && (err != nil || info.State != stateInterrupted) {
			t.Errorf("%s: %+v, %v", name, info, err)
		}
		if n := next.inMemory.Load(); want == 0 && n != 0 {
			t.Errorf("%s: %d chunks kept", name, n)
		}
		if r, ok := next.recordings.Load(handle); ok {
			_ = next.disk.close(r.fd)
		}
	}
}

// cutFiles leaves so many bytes of every recording.
func cutFiles(dir string, size int64) {
	_ = filepath.WalkDir(dir, func(path string, _ os.DirEntry, _ error) error {
		if filepath.Base(path) == audioFile {
			_ = os.Truncate(path, size)
		}
		return nil
	})
}

// What lies in memory is read by other releases too.
func TestMemoryLayout(t *testing.T) {
	t.Parallel()
	for of, want := range map[reflect.Type]string{
		reflect.TypeFor[live](): "handle 0 open 8 begun 24 forced 26 ended 27 done 28 overflowed 29 which 30 sealing 32 startAt 40 " +
			"stopAt 48 lastAt 56 starts 64 stops 80 order 96 lost 104 missing 120 gap 184 places 208 ",
		reflect.TypeFor[sequence]():   "known 0 ssrc 4 next 8 samples 16 missing 24 ",
		reflect.TypeFor[gap]():        "from 0 to 8 packets 16 ",
		reflect.TypeFor[place]():      "size 0 order 8 number 16 chain 20 ",
		reflect.TypeFor[slot]():       "handle 0 order 8 first 16 last 24 length 32 ",
		reflect.TypeFor[memoryHead](): "magic 0 handles 8 chunks 16 lives 20 ",
	} {
		got := ""
		for i := range of.NumField() {
			got += fmt.Sprint(of.Field(i).Name, " ", of.Field(i).Offset, " ")
		}
		if got != want {
			t.Errorf("%s is laid out as\n%s, want\n%s", of.Name(), got, want)
		}
	}
	if MemorySize != 4096+1<<14*512+58254*4608 {
		t.Errorf("size %d", MemorySize)
	}
}

// Memory that a stalled disk has made grow is given back.
func TestMemoryShrinks(t *testing.T) {
	h := newHouse(t, "")
	m, err := newMemory(h.memory)
	if err != nil {
		t.Fatal(err)
	}
	resident := func() int64 {
		var st unix.Stat_t
		if err := unix.Fstat(int(h.file.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		return st.Blocks * 512
	}
	var all []*chunk
	for i := range 10_000 {
		c, err := m.newChunk(1, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		c.b = append(c.b, make([]byte, 4000)...)
		all = append(all, c)
	}
	before := resident()
	for _, c := range all[10:] {
		m.freeChunk(c)
	}
	m.trim()
	if after := resident(); before < 40<<20 || after > 1<<20 {
		t.Errorf("%d bytes, then %d", before, after)
	}
	if c, err := m.newChunk(2, 0); err != nil || c.place != 10 {
		t.Errorf("%+v, %v", c, err)
	}
	if left := m.left(func(handle uint64) bool { return handle == 1 }); len(left[1]) != 10 {
		t.Errorf("%d of 10 are left", len(left[1]))
	}
}

// absent counts the packets of a child's call that a recording does not hold.
func absent(t *testing.T, dir, id, identity string) int {
	t.Helper()
	rec, _ := parseID(id)
	v, err := look(dir, rec)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := v.keyOf(identity)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(audioPath(dir, rec))
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for in := newFrames(bytes.NewReader(file)); ; {
		f, err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if f.kind != audioChunk {
			continue
		}
		plain, err := unseal(aead, &f)
		if err == nil {
			err = packets(plain, f.first, func(r *rtp.TapRecord) { there[fmt.Sprint(r.Channel, r.Seq, r.Payload)] = true })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	missing := 0
	for _, r := range talk(10*time.Second, caller, agent) {
		if r.Kind == rtp.TapPacket && !there[fmt.Sprint(r.Channel, r.Seq, r.Payload)] {
			missing++
		}
	}
	return missing
}

// house is what outlives the child: its directory, its shelf, its memory.
type house struct {
	t         testing.TB
	dir       string
	shelf     string
	recipient string
	file      *os.File
	memory    []byte
}

const progress = 4096 // bytes after the memory: how far each call is

func newHouse(t testing.TB, recipient string) *house {
	t.Helper()
	fd, err := unix.MemfdCreate("recordings", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, dir: t.TempDir(), shelf: t.TempDir(), recipient: recipient, file: os.NewFile(uintptr(fd), "memory")}
	t.Cleanup(func() { h.file.Close() })
	if err := h.file.Truncate(MemorySize + progress); err != nil {
		t.Fatal(err)
	}
	b, err := unix.Mmap(fd, 0, MemorySize+progress, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	h.memory = b[:MemorySize]
	return h
}

// live runs a life of the child, until it is killed after that time (unless it is
// negative), and says whether it had nothing more to do.
func (h *house) live(long time.Duration) bool {
	h.t.Helper()
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), childEnv+"="+h.dir, childEnv+"_TO="+h.recipient, childEnv+"_SHELF="+h.shelf)
	child.ExtraFiles = []*os.File{h.file}
	var said bytes.Buffer
	child.Stderr = &said
	ready, err := child.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		h.t.Fatal(err)
	}
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		h.t.Fatalf("the child never began: %v\n%s", err, said.String())
	}
	if long >= 0 {
		time.Sleep(long) // the moment of its death is by chance
		_ = child.Process.Kill()
	}
	err = child.Wait()
	if err != nil && !strings.Contains(err.Error(), "killed") {
		h.t.Fatalf("%v\n%s", err, said.String())
	}
	return err == nil
}

// resumingChild records calls of 10 s, ten times faster than life, from wherever
// the life before was killed, and ends when they do.
func resumingChild(dir, shelf string) {
	b, err := unix.Mmap(3, 0, MemorySize+progress, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	var s *Store
	if err == nil {
		s, err = Open(Options{
			Dir: dir, Recipient: os.Getenv(childEnv + "_TO"),
			Keep: shelfOf(shelf), Kept: shelfOf(shelf).all(), Memory: b[:MemorySize],
		})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	handles := map[string]uint64{}
	for _, r := range s.Resumed() {
		handles[r.CallID] = r.Handle
	}
	ctx, stop := context.WithCancel(context.Background())
	var run, calls sync.WaitGroup
	run.Go(func() { _ = s.Run(ctx, nil) })
	records := talk(10*time.Second, caller, agent)
	fmt.Print("!")
	for n := range childCalls {
		calls.Go(func() {
			// Where a call is stands in memory too, like what waits in its socket.
			at := (*atomic.Uint64)(unsafe.Pointer(&b[MemorySize+8*n]))
			name := fmt.Sprint("c", n)
			handle, ok := handles[name]
			if !ok && at.Load() == 0 {
				var err error
				if handle, _, err = s.Begin(Meta{CallID: name}); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
			} else if !ok && at.Load() < uint64(len(records)) {
				fmt.Fprintln(os.Stderr, name, "was not resumed")
				os.Exit(1)
			}
			for i := at.Load(); i < uint64(len(records)); i++ {
				p := records[i]
				p.Recording = handle
				s.take(p)
				at.Store(i + 1)
				time.Sleep(500 * time.Microsecond)
			}
			s.End(handle)
		})
	}
	calls.Wait()
	stop()
	run.Wait()
	os.Exit(0)
}

// shelfOf is a shelf made of files.
type shelfOf string

func (d shelfOf) path(key string) string {
	return filepath.Join(string(d), strings.ReplaceAll(key, "/", "-"))
}

func (d shelfOf) Put(key string, value []byte) error {
	tmp := filepath.Join(string(d), fmt.Sprintf(".%d", rand.Uint64()))
	if err := os.WriteFile(tmp, append([]byte(key+"\n"), value...), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.path(key))
}

func (d shelfOf) Delete(key string) { _ = os.Remove(d.path(key)) }

func (d shelfOf) all() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		entries, _ := os.ReadDir(string(d))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") {
				_ = os.Remove(filepath.Join(string(d), e.Name()))
				continue
			}
			text, _ := os.ReadFile(filepath.Join(string(d), e.Name()))
			key, value, _ := bytes.Cut(text, []byte("\n"))
			if !yield(string(key), slices.Clone(value)) {
				return
			}
		}
	}
}
