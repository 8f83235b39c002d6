package rtp

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/cmd/foyer/keeper"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// memory is the memory of calls as Options want it.
type memory struct{ *keeper.Memory }

func (m memory) NewCell() (int, *[8]uint64, error) {
	n, c, err := m.Memory.NewCell()
	return n, (*[8]uint64)(c), err
}

func (m memory) OldCell(n int) (*[8]uint64, error) {
	c, err := m.Memory.OldCell(n)
	return (*[8]uint64)(c), err
}

// holder is a small keeper: it has the memory, the tap and copies of the sockets of
// lives of Media, in this process or in others.
type holder struct {
	t      testing.TB
	calls  *keeper.Memory // its own view; lives open it anew
	tap    int
	ours   int // end of the line by which other processes store
	theirs int
	run    sync.WaitGroup

	mu     sync.Mutex
	held   map[string][]int
	synced chan struct{}
}

func newHolder(t testing.TB) *holder {
	t.Helper()
	h := &holder{t: t, held: map[string][]int{}, synced: make(chan struct{})}
	var err error
	if h.calls, err = keeper.NewMemory(); err != nil {
		t.Fatal(err)
	}
	if h.tap, err = unix.MemfdCreate("tap", unix.MFD_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err = unix.Ftruncate(h.tap, TapMemory); err != nil {
		t.Fatal(err)
	}
	line, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.ours, h.theirs = line[0], line[1]
	h.run.Go(h.serve)
	t.Cleanup(func() {
		_ = unix.Shutdown(h.ours, unix.SHUT_RDWR)
		h.run.Wait()
		for _, fds := range h.held {
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
		for _, fd := range [...]int{h.ours, h.theirs, h.tap} {
			_ = unix.Close(fd)
		}
		_ = h.calls.Close()
	})
	return h
}

// serve hears what other processes store ("+name"), remove ("-name"), and when they
// are asked for all of it ("=").
func (h *holder) serve() {
	text, rights := make([]byte, 300), make([]byte, unix.CmsgSpace(16*4))
	for {
		n, r, _, _, err := unix.Recvmsg(h.ours, text, rights, unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		switch name := string(text[1:n]); text[0] {
		case '+':
			messages, err := unix.ParseSocketControlMessage(rights[:r])
			if err != nil || len(messages) != 1 {
				h.t.Errorf("store %s: %v", name, err)
				return
			}
			fds, err := unix.ParseUnixRights(&messages[0])
			if err != nil {
				h.t.Error(err)
			}
			h.keep(name, fds)
		case '-':
			_ = h.Remove(name)
		case '=':
			h.synced <- struct{}{}
		}
	}
}

func (h *holder) keep(name string, fds []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[name] = append(h.held[name], fds...)
}

func (h *holder) Remove(names ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, name := range names {
		for _, fd := range h.held[name] {
			_ = unix.Close(fd)
		}
		delete(h.held, name)
	}
	return nil
}

// sockets are those held that are bound to the ports of a leg.
func (h *holder) sockets(l *Leg) (fds []int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.held {
		for _, fd := range held {
			if at, _ := plainAddr(unix.Getsockname(fd)); at.Port()&^1 == l.port {
				fds = append(fds, int32(fd))
			}
		}
	}
	return fds
}

// ofPeer is the one of them that is connected to the leg's peer.
func (h *holder) ofPeer(l *Leg) int32 {
	h.t.Helper()
	k, ok := sortSockets(l.port, h.sockets(l))
	if !ok || len(k.seconds) != 1 {
		h.t.Fatalf("%s has %d sockets of its peer's that are stored", l.local, len(k.seconds))
	}
	return k.seconds[0]
}

// count is how many descriptors it holds.
func (h *holder) count() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, held := range h.held {
		n += len(held)
	}
	return n
}

// sync waits until what other processes have said is done.
func (h *holder) sync() {
	h.t.Helper()
	if _, err := unix.Write(h.theirs, []byte("=")); err != nil {
		h.t.Fatal(err)
	}
	<-h.synced
}

func duplicate(fds []int) (copies []int) {
	for _, fd := range fds {
		if c, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			copies = append(copies, c)
		}
	}
	return copies
}

// inherited is what one life has got; it stores by line or, in this process, itself.
type inherited struct {
	holder *holder
	line   int

	mu  sync.Mutex
	fds map[string][]int
}

func (s *inherited) StoreEach(names []string, fds []int) (err error) {
	for i, name := range names {
		if s.holder != nil {
			s.holder.keep(name, duplicate(fds[i:i+1]))
		} else {
			err = errors.Join(err, unix.Sendmsg(s.line, []byte("+"+name), unix.UnixRights(fds[i]), nil, 0))
		}
	}
	return err
}

func (s *inherited) Remove(names ...string) (err error) {
	if s.holder != nil {
		return s.holder.Remove(names...)
	}
	for _, name := range names {
		err = errors.Join(err, unix.Sendmsg(s.line, []byte("-"+name), nil, nil, 0))
	}
	return err
}

func (s *inherited) Inherited(name string) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	fds := s.fds[name]
	delete(s.fds, name)
	return fds
}

func (s *inherited) Unclaimed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.fds))
}

// life opens media that is kept, in this process. It has taken up nothing yet, unless
// there is nothing.
func (h *holder) life(change func(*Options)) *Media {
	h.t.Helper()
	calls, err := keeper.OpenMemory(duplicate([]int{h.calls.FD()})[0])
	if err != nil {
		h.t.Fatal(err)
	}
	h.mu.Lock()
	fds := map[string][]int{}
	for name, held := range h.held {
		fds[name] = duplicate(held)
	}
	first := len(fds) == 0
	h.mu.Unlock()
	m := open(h.t, func(o *Options) {
		o.Memory, o.Sockets = memory{calls}, &inherited{holder: h, fds: fds}
		o.TapMemory = func(int) ([]byte, error) { return mapped(h.t, h.tap, TapMemory), nil }
		if change != nil {
			change(o)
		}
	})
	h.t.Cleanup(func() {
		_ = m.Close()
		_ = calls.Close()
	})
	if first {
		m.Resumed()
	}
	return m
}

// record is what is kept of a leg.
func (h *holder) record(l *Leg) *record {
	h.t.Helper()
	calls, err := keeper.OpenMemory(duplicate([]int{h.calls.FD()})[0])
	if err != nil {
		h.t.Fatal(err)
	}
	defer calls.Close()
	b, ok := calls.Get(l.Key())
	if !ok {
		h.t.Fatalf("nothing is kept under %s", l.Key())
	}
	r, err := readRecord(b)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// again resumes the leg of a peer in another life.
func (p *peer) again(m *Media, list *Playlist) {
	p.t.Helper()
	l, err := m.Resume(p.leg.Key(), LegOptions{
		Sink: func(e MediaEvent) {
			select {
			case p.told <- e:
			default:
			}
		},
		Playlist: func(name string) *Playlist {
			if list != nil && name == list.Name {
				return list
			}
			return nil
		},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.leg = l
}

// lifeAddress makes the test binary a process that takes up the legs of the last one,
// and carries them until it is killed. It holds the address of the legs.
const lifeAddress = "FOYER_RTP_LIFE"

// Descriptors a life is started with; behind them come the sockets.
const (
	lifeMemory = 3 + iota
	lifeTap
	lifeLine
	lifeSockets
)

// music is what the lives play.
func music() *Playlist {
	return &Playlist{Name: "music", Loop: true, Sounds: []*Sound{NewSound("music", ramp(24000, 0))}}
}

// liveUntilKilled is a life of its own. It says on standard output when it has taken
// up the legs, and which events came.
func liveUntilKilled() {
	fail := func(err error) {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	calls, err := keeper.OpenMemory(lifeMemory)
	if err != nil {
		fail(err)
	}
	tap, err := unix.Mmap(lifeTap, 0, TapMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		fail(err)
	}
	fds := map[string][]int{}
	for i, name := range strings.Fields(os.Getenv(lifeAddress + "_NAMES")) {
		unix.CloseOnExec(lifeSockets + i)
		fds[name] = append(fds[name], lifeSockets+i)
	}
	log, _ := zap.NewDevelopment()
	m, err := Open(Options{
		Addr: netip.MustParseAddr(os.Getenv(lifeAddress)), MinPort: 20000, MaxPort: 60000, Shards: 1, Log: log,
		Memory: memory{calls}, Sockets: &inherited{line: lifeLine, fds: fds}, MediaTimeout: time.Minute,
		TapMemory: func(int) ([]byte, error) { return tap, nil },
	})
	if err != nil {
		fail(err)
	}
	var legs []*Leg
	for key := range calls.Under("") {
		if key == identityKey {
			continue
		}
		sink := func(e MediaEvent) { fmt.Printf("%s: %T\n", key, e) }
		list := func(string) *Playlist { return music() }
		l, err := m.Resume(key, LegOptions{Sink: sink, Playlist: list})
		if err != nil {
			fail(err)
		}
		legs = append(legs, l)
	}
	m.Resumed()
	fmt.Println("resumed")
	for { // reports are due much more often than they are, so that their numbers are tried too
		time.Sleep(30 * time.Millisecond)
		for _, l := range legs {
			l.post(func(*shard) { l.control.due = 0 })
		}
	}
}

// process starts a life in a process of its own, and gives what it says.
func (h *holder) process(address netip.Addr) (*exec.Cmd, io.Reader) {
	h.t.Helper()
	var names []string
	var files []*os.File
	h.mu.Lock()
	fds := duplicate([]int{h.calls.FD(), h.tap, h.theirs})
	for name, held := range h.held {
		for _, fd := range duplicate(held) {
			names, fds = append(names, name), append(fds, fd)
		}
	}
	h.mu.Unlock()
	for _, fd := range fds {
		files = append(files, os.NewFile(uintptr(fd), ""))
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), lifeAddress+"="+address.String(), lifeAddress+"_NAMES="+strings.Join(names, " "))
	c.ExtraFiles, c.Stderr = files, os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	for _, f := range files {
		_ = f.Close()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return c, out
}
