package keeper

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// newStore is a store that nobody listens to yet, so that messages stay in its
// socket until settle; this process may speak to it.
func newStore(t testing.TB) *store {
	t.Helper()
	s, err := openStore(zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	s.speaker = os.Getpid()
	return s
}

// speaker is a client of a store, as a switch has one.
func speaker(t testing.TB, s *store) *Client {
	t.Helper()
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.address(), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Client{conn: conn}
}

// descriptors are n different ones, which are closed at the end.
func descriptors(t testing.TB, n int) []int {
	t.Helper()
	var fds []int
	for range n {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	t.Cleanup(func() { closeAll(fds) })
	return fds
}

// inode says which file is behind a descriptor.
func inode(t testing.TB, fd int) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

// handedOver is what the next switch would get: inodes by name.
func handedOver(t testing.TB, s *store) map[string][]uint64 {
	t.Helper()
	got := map[string][]uint64{}
	err := s.begin(func(fds []int, names []string) (int, error) {
		if len(fds) != len(names) || !slices.IsSorted(names) {
			t.Errorf("%d descriptors, names %q", len(fds), names)
		}
		for i, fd := range fds {
			got[names[i]] = append(got[names[i]], inode(t, fd))
		}
		return os.Getpid(), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestStoreKeepsWhatItWasGiven(t *testing.T) {
	fds := descriptors(t, 12)
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(t)
		defer s.close()
		c := speaker(t, s)
		want := map[string][]uint64{}
		name := rapid.SampledFrom([]string{"sip_udp", "m1", "m2", "calls"})
		names := rapid.SliceOfNDistinct(name, 1, 4, rapid.ID)
		rt.Repeat(map[string]func(*rapid.T){
			"to systemd or to us": func(rt *rapid.T) { c.keeper = rapid.IntRange(0, 1).Draw(rt, "keeper") },
			"store each": func(rt *rapid.T) {
				under := names.Draw(rt, "names")
				some := rapid.SliceOfN(rapid.SampledFrom(fds), len(under), len(under)).Draw(rt, "descriptors")
				if err := c.StoreEach(under, some); err != nil {
					rt.Fatal(err)
				}
				for k, fd := range some {
					if i := inode(t, fd); !slices.Contains(want[under[k]], i) {
						want[under[k]] = append(want[under[k]], i)
					}
				}
			},
			"remove many": func(rt *rapid.T) {
				under := names.Draw(rt, "names")
				if err := c.Remove(under...); err != nil {
					rt.Fatal(err)
				}
				for _, n := range under {
					delete(want, n)
				}
			},
			"store": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				some := rapid.SliceOfN(rapid.SampledFrom(fds), 1, 4).Draw(rt, "descriptors")
				if err := c.Store(n, some...); err != nil {
					rt.Fatal(err)
				}
				for _, fd := range some {
					if i := inode(t, fd); !slices.Contains(want[n], i) { // once is enough
						want[n] = append(want[n], i)
					}
				}
			},
			"remove": func(rt *rapid.T) {
				n := name.Draw(rt, "name")
				if err := c.Remove(n); err != nil {
					rt.Fatal(err)
				}
				delete(want, n)
			},
			"": func(rt *rapid.T) {
				s.settle()
				if got := handedOver(t, s); !maps.EqualFunc(got, want, slices.Equal) {
					rt.Fatalf("there is %v, want %v", got, want)
				}
				count, names := 0, 0
				for n, of := range want {
					count, names = count+len(of), names+len(of)*(len(n)+1)
				}
				if s.count != count || s.names != names {
					rt.Fatalf("%d descriptors and %d bytes of names, want %d and %d", s.count, s.names, count, names)
				}
			},
		})
	})
}

// Linux passes 253 descriptors in one message, and a store that is full closes what
// comes, as one does whose names no program could be started with.
func TestStoreIsBounded(t *testing.T) {
	s := newStore(t)
	c := speaker(t, s)
	fds := descriptors(t, 2*maxRights+7)
	if err := c.Store("many", fds...); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if got := handedOver(t, s)["many"]; len(got) != len(fds) || got[len(fds)-1] != inode(t, fds[len(fds)-1]) {
		t.Fatalf("%d of %d descriptors", len(got), len(fds))
	}
	if err := c.Remove("many"); err != nil {
		t.Fatal(err)
	}
	s.limit = 3
	open := openDescriptors(t)
	if err := c.Store("few", fds[:5]...); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if got := handedOver(t, s); len(got["few"]) != 3 || len(got) != 1 {
		t.Errorf("a store of three keeps %v", got)
	}
	if n := openDescriptors(t) - open; n != 3-len(fds) { // it let go of many as well
		t.Errorf("%d more descriptors are open", n)
	}
	s.limit = maxHeld
	long := strings.Repeat("x", 255)
	s.names = maxNames - 300
	for _, fd := range fds[:3] {
		if err := c.Store(long, fd); err != nil {
			t.Fatal(err)
		}
	}
	s.settle()
	if got := handedOver(t, s)[long]; len(got) != 1 {
		t.Errorf("%d descriptors under names too long for a variable", len(got))
	}
}

// Many names go by as many messages as it takes.
func TestManyNamesAreToldTogether(t *testing.T) {
	s := newStore(t)
	c := speaker(t, s)
	c.keeper = os.Getpid()
	fds := descriptors(t, maxRights+50)
	names := make([]string, len(fds))
	for i := range names {
		names[i] = fmt.Sprint(strings.Repeat("m", i%100), i)
	}
	if err := c.StoreEach(names, fds); err != nil {
		t.Fatal(err)
	}
	s.settle()
	got := handedOver(t, s)
	for i, name := range names {
		if len(got[name]) != 1 || got[name][0] != inode(t, fds[i]) {
			t.Fatalf("under %s there is %v", name, got[name])
		}
	}
	if err := c.tell("FDSTORE=1\nFDNAMES=a:b", unix.UnixRights(fds[0])); err != nil { // one is missing
		t.Fatal(err)
	}
	if err := c.Remove(names[1:]...); err != nil {
		t.Fatal(err)
	}
	s.settle()
	if got := handedOver(t, s); len(got) != 1 || len(got[names[0]]) != 1 {
		t.Errorf("there is %v", got)
	}
}

func openDescriptors(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func TestStoreRefusesWhatHasNoName(t *testing.T) {
	s := newStore(t)
	c := speaker(t, s)
	fd := descriptors(t, 1)[0]
	for _, name := range []string{"", "a:b", "a b", "a\nREADY=1", "\x7f", "é", strings.Repeat("x", 256)} {
		if err := c.Store(name, fd); err == nil {
			t.Errorf("%q was sent", name)
		}
		if err := c.tell("FDSTORE=1\nFDNAME="+name, unix.UnixRights(fd)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.tell(strings.Repeat("X=1\n", maxMessage)+"FDSTORE=1\nFDNAME=x", unix.UnixRights(fd)); err != nil {
		t.Fatal(err)
	}
	open := openDescriptors(t)
	s.settle()
	// With a line end in it a name ends there: that one is called a.
	if got := handedOver(t, s); len(got) != 1 || len(got["a"]) != 1 {
		t.Errorf("there is %v", got)
	}
	if n := openDescriptors(t) - open; n != 1 {
		t.Errorf("%d more descriptors are open", n)
	}
}

func TestStoreHearsHowTheSwitchIs(t *testing.T) {
	s := newStore(t)
	c := speaker(t, s)
	for _, step := range []struct {
		tell func() error
		want said
	}{
		{func() error { return c.Status("starting") }, said{status: "starting"}},
		{c.Ready, said{ready: true, status: "starting"}},
		{func() error { return c.tell("WATCHDOG=1\nX_OTHER=1\nnonsense", nil) }, said{ready: true, status: "starting"}},
		{func() error { return c.tell("RELOADING=1\nMONOTONIC_USEC=1", nil) }, said{status: "starting"}},
		{func() error { return c.tell("READY=1\nSTATUS=two\n", nil) }, said{ready: true, status: "two"}},
		{c.Stopping, said{ready: true, stopping: true, status: "two"}},
	} {
		if err := step.tell(); err != nil {
			t.Fatal(err)
		}
		s.settle()
		if got := s.heard(); got != step.want {
			t.Errorf("%+v, want %+v", got, step.want)
		}
	}
	handedOver(t, s)
	if got := s.heard(); got != (said{}) {
		t.Errorf("the next switch begins with %+v", got)
	}
}

// What another process sends is not kept, even one of the same user.
func TestStoreHearsItsOwnSwitchAlone(t *testing.T) {
	s := newStore(t)
	if err := speaker(t, s).Store("ours", descriptors(t, 1)...); err != nil {
		t.Fatal(err)
	}
	stranger := exec.Command(os.Args[0])
	stranger.Env = append(os.Environ(), roleVariable+"=stranger", "NOTIFY_SOCKET="+s.address())
	if out, err := stranger.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	open := openDescriptors(t)
	s.settle()
	if got := handedOver(t, s); len(got) != 1 || len(got["ours"]) != 1 {
		t.Errorf("there is %v", got)
	}
	if s.heard().ready {
		t.Error("a stranger said that the switch is ready")
	}
	if n := openDescriptors(t) - open; n != 1 {
		t.Errorf("%d more descriptors are open", n)
	}
}

// stranger tries to have a descriptor kept and another removed. That it succeeds in
// sending is as it should be.
func stranger() error {
	c, err := FromEnvironment()
	if err != nil {
		return err
	}
	return errors.Join(c.Store("theirs", 0), c.Remove("ours"), c.Ready())
}

// A keeper that does not listen costs the switch a second a message, no more; once
// it listens again, messages arrive.
func TestClientDoesNotWaitForEver(t *testing.T) {
	s := newStore(t)
	c := speaker(t, s)
	began, sent := time.Now(), 0
	for ; ; sent++ {
		if err := c.Store(fmt.Sprint("m", sent), 0); errors.Is(err, os.ErrDeadlineExceeded) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); sent == 0 || took > 5*patience {
		t.Errorf("%d messages in %s", sent, took)
	}
	waited := make(chan error)
	go func() { waited <- c.Ready() }()
	go s.listen()
	if err := <-waited; err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); !s.heard().ready; {
		select {
		case <-s.news:
		case <-time.After(time.Until(end)):
			t.Fatal("READY=1 never came")
		}
	}
	if got := handedOver(t, s); len(got) != sent {
		t.Errorf("%d names of %d", len(got), sent)
	}
	s.close()
	if err := c.Ready(); !errors.Is(err, ErrGone) {
		t.Errorf("to nobody: %v", err)
	}
}

func TestClientOfNobody(t *testing.T) {
	for _, c := range []*Client{nil, {}} {
		if err := errors.Join(c.Store("x", 0), c.Remove("x"), c.Ready(), c.Stopping(), c.Status("x"), c.Close()); err != nil {
			t.Error(err)
		}
		if c.Kept() || len(c.Inherited("x")) != 0 || len(c.Unclaimed()) != 0 {
			t.Error("somebody keeps something")
		}
	}
}

func TestDescriptorsOfAnotherProcessAreLeftAlone(t *testing.T) {
	t.Setenv("LISTEN_PID", "1")
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_FDNAMES", "theirs")
	c, err := FromEnvironment()
	if err != nil || len(c.Unclaimed()) != 0 {
		t.Errorf("took %v, %v", c.Unclaimed(), err)
	}
	if left := os.Getenv("LISTEN_FDS"); left != "" {
		t.Errorf("a child of ours would believe in %s descriptors", left)
	}
}

func BenchmarkStore(b *testing.B) {
	s := newStore(b)
	go s.listen()
	c := speaker(b, s)
	fd := descriptors(b, 1)[0]
	for b.Loop() {
		if err := errors.Join(c.Store("m1", fd), c.Remove("m1")); err != nil {
			b.Fatal(err)
		}
	}
}

// A switch that waits knows in the end what is kept, whatever came and went, and is told
// of nothing twice.
func TestAStandbyKnowsWhatIsKept(t *testing.T) {
	fds := descriptors(t, 12)
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(t)
		defer s.close()
		c := speaker(t, s)
		c.keeper = os.Getpid()
		ours, theirs, err := line()
		if err != nil {
			rt.Fatal(err)
		}
		defer theirs.Close()
		if err := c.Store("calls", fds[0]); err != nil {
			rt.Fatal(err)
		}
		s.settle()
		waits := &Client{inherited: map[string][]int{}}
		defer func() {
			for name := range waits.inherited {
				closeAll(waits.Inherited(name))
			}
		}()
		f := &standby{line: ours, owed: map[string]bool{}}
		err = s.follow(f, func(fds []int, names []string) (int, error) {
			for i, name := range names {
				fd, err := unix.FcntlInt(uintptr(fds[i]), unix.F_DUPFD_CLOEXEC, 0)
				if err != nil {
					return 0, err
				}
				waits.inherited[name] = append(waits.inherited[name], fd)
			}
			return 1, nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"calls", "m1", "m2", "m3", "m4"}), 1, 4, rapid.ID)
		rt.Repeat(map[string]func(*rapid.T){
			"store": func(rt *rapid.T) {
				under := names.Draw(rt, "names")
				if err := c.StoreEach(under, rapid.SliceOfN(rapid.SampledFrom(fds), len(under), len(under)).Draw(rt, "descriptors")); err != nil {
					rt.Fatal(err)
				}
				s.settle()
			},
			"remove": func(rt *rapid.T) {
				if err := c.Remove(names.Draw(rt, "names")...); err != nil {
					rt.Fatal(err)
				}
				s.settle()
			},
			"": func(rt *rapid.T) {
				if rapid.Bool().Draw(rt, "more will come") {
					return
				}
				s.tellNow()
				text, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(maxRights*4))
				for more(int(theirs.Fd())) {
					n, cn, _, _, err := unix.Recvmsg(int(theirs.Fd()), text, control, unix.MSG_CMSG_CLOEXEC)
					if err != nil {
						rt.Fatal(err)
					}
					_, rights := opened(control[:cn])
					waits.changed(string(text[:n]), rights)
				}
				got := map[string][]uint64{}
				for name, held := range waits.inherited {
					for _, fd := range held {
						got[name] = append(got[name], inode(t, fd))
					}
				}
				if want := handedOver(t, s); !maps.EqualFunc(got, want, slices.Equal) {
					rt.Fatalf("it knows %v, kept is %v", got, want)
				}
			},
		})
	})
}

// Whoever is let in before it has said that it waits has been let in, whether its word
// was read or came too late.
func TestLetInBeforeItsWord(t *testing.T) {
	for _, late := range []bool{true, false} {
		ours, theirs, err := line()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := ours.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		letIn := func() {
			if err := send(ours, wordGo, nil, nil, 0); err != nil {
				t.Error(err)
			}
			_ = ours.Close()
		}
		fd, err := unix.Dup(int(theirs.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		_ = theirs.Close()
		c := &Client{inherited: map[string][]int{standbyName: {fd}}}
		done := make(chan error)
		if late {
			letIn()
		}
		go func() { done <- c.Await(func() {}) }()
		if !late {
			_ = raw.Control(func(fd uintptr) {
				for !more(int(fd)) { // until its word is there, which nobody reads
					time.Sleep(time.Millisecond)
				}
			})
			letIn()
		}
		if err := <-done; err != nil || !c.LetIn() {
			t.Errorf("its word late: %v: %v, let in: %v", late, err, c.LetIn())
		}
	}
}

// What the keeper said of one program is not taken for its word on the next.
func TestAnswersBelongToTheirProgram(t *testing.T) {
	s := newStore(t)
	conn, err := dial(s.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &Client{conn: conn, keeper: os.Getpid()}
	if err := c.Ready(); err != nil {
		t.Fatal(err)
	}
	s.settle()
	s.answer(wordRefused + "the one before")
	prepared, program := make(chan error), descriptors(t, 1)[0]
	go func() { prepared <- c.Prepare(program) }()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		s.settle()
		if _, there := s.take(ProgramName); there {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no program came")
		}
	}
	s.answer(wordPrepared)
	if err := <-prepared; err != nil {
		t.Error(err)
	}
}
