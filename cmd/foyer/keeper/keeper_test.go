package keeper

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// The tests of this file run keepers and switches as processes: this program, in a
// role.
const roleVariable = "KEEPER_TEST_ROLE"

func init() {
	if os.Getenv(roleVariable) == "switch" {
		runtime.LockOSThread() // as a switch does it (ShowLife)
	}
}

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "stranger":
		exitWith(0, stranger())
	case "keeper":
		_ = os.Setenv(roleVariable, "switch")
		code, err := Run(Options{Program: os.Getenv("KEEPER_TEST_PROGRAM"), Args: os.Args, Log: zap.Must(zap.NewProduction(zap.AddStacktrace(zap.FatalLevel)))})
		exitWith(code, err)
	case "switch":
		code, err := pretend(os.Getenv("KEEPER_TEST_SWITCH"))
		exitWith(code, err)
	}
}

func exitWith(code int, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(max(code, 1))
	}
	os.Exit(code)
}

// pretend is a switch that has one socket, and answers what comes in with its process
// number. How it lives is its manner.
func pretend(manner string) (code int, err error) {
	orders := make(chan os.Signal, 4)
	c, err := FromEnvironment()
	if err != nil {
		return 1, err
	}
	if manner == "unfit" {
		return 5, nil
	}
	waited := false
	err = c.Await(func() {
		if !waited {
			fmt.Println("waits", os.Getpid())
		}
		waited = true
	})
	if err != nil {
		return 0, nil // nobody needs it
	}
	if err := c.ShowLife(); err != nil {
		return 1, err
	}
	fmt.Println("life", os.Getpid(), time.Now().UnixNano())
	if manner == "collapse" {
		return 7, nil
	}
	fmt.Println("news", len(c.Inherited("news")), c.LetIn())
	fds := c.Inherited("socket")
	switch {
	case manner == "refuse":
		fmt.Fprintln(os.Stderr, "no such key")
		return 3, nil
	case manner == "fall" && len(fds) > 0: // every life but the first dies at once
		return 7, nil
	case manner != "slow":
		signal.Notify(orders, syscall.SIGTERM, syscall.SIGHUP)
	}
	var socket *net.UDPConn
	if len(fds) == 1 {
		f := os.NewFile(uintptr(fds[0]), "socket")
		p, err := net.FilePacketConn(f)
		if err != nil {
			return 1, err
		}
		_ = f.Close()
		socket = p.(*net.UDPConn)
	} else {
		if socket, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}); err != nil {
			return 1, err
		}
		raw, err := socket.SyscallConn()
		if err != nil {
			return 1, err
		}
		if err := errors.Join(raw.Control(func(fd uintptr) { err = c.Store("socket", int(fd)) }), err); err != nil {
			return 1, err
		}
	}
	go func() {
		b := make([]byte, 100)
		for {
			_, from, err := socket.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			_, _ = socket.WriteToUDPAddrPort([]byte(strconv.Itoa(os.Getpid())), from)
		}
	}()
	go func() {
		if c.Gone(context.Background()) {
			fmt.Println("alone", c.Ready())
		}
	}()
	if manner == "slow" { // nobody may send it a signal before it is ready
		b := make([]byte, 1)
		_, _ = os.Stdin.Read(b)
		signal.Notify(orders, syscall.SIGTERM, syscall.SIGHUP)
	}
	if err := c.Ready(); err != nil {
		return 1, err
	}
	fmt.Println("ready", socket.LocalAddr())
	if manner == "fall" {
		return 7, nil
	}
	for s := range orders {
		if s == syscall.SIGHUP {
			fmt.Println("reload")
			fmt.Println("stored", errors.Join(c.Store("old", 0), c.Store("news", 1), c.Remove("old")))
			if next := os.Getenv("KEEPER_TEST_NEXT"); next != "" {
				fmt.Println("stays", becomes(c, next))
			}
			continue
		}
		c.Leave()
		fmt.Println("draining", c.Stopping())
		if manner != "deaf" {
			return 0, nil
		}
	}
	return 0, nil
}

// becomes hands over to another program.
func becomes(c *Client, program string) error {
	f, err := os.Open(program)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.Prepare(int(f.Fd())); err != nil {
		return err
	}
	return c.HandOver()
}

// house is a keeper that runs, and what it and its switches say.
type house struct {
	*testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser // of the keeper, and so of its switches

	mu    sync.Mutex
	lines []string // guarded by mu
	more  chan struct{}
}

func keep(t *testing.T, manner string, env ...string) *house {
	t.Helper()
	h := &house{T: t, more: make(chan struct{}, 1)}
	h.cmd = exec.Command(os.Args[0])
	h.cmd.Env = append(append(os.Environ(), roleVariable+"=keeper", "KEEPER_TEST_PROGRAM="+os.Args[0], "KEEPER_TEST_SWITCH="+manner), env...)
	var err error
	if h.stdin, err = h.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	h.cmd.Stdout, h.cmd.Stderr = w, w
	if err := h.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	read := make(chan struct{})
	go func() { // ends when neither the keeper nor a switch is left
		defer close(read)
		defer r.Close()
		for s := bufio.NewScanner(r); s.Scan(); {
			h.mu.Lock()
			h.lines = append(h.lines, s.Text())
			h.mu.Unlock()
			select {
			case h.more <- struct{}{}:
			default:
			}
		}
	}()
	t.Cleanup(func() {
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
		for _, l := range h.said("life ") {
			if pid, err := strconv.Atoi(strings.Fields(l)[0]); err == nil {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		_ = h.stdin.Close()
		<-read
		if t.Failed() {
			t.Log(strings.Join(h.lines, "\n"))
		}
	})
	return h
}

// said is what follows a word at the beginning of lines.
func (h *house) said(word string) (rest []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range h.lines {
		if after, ok := strings.CutPrefix(l, word); ok {
			rest = append(rest, after)
		}
	}
	return rest
}

// hear waits until so many lines begin with a word, and returns the last of them.
func (h *house) hear(word string, times int) string {
	h.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		if all := h.said(word); len(all) >= times {
			return all[times-1]
		}
		select {
		case <-h.more:
		case <-time.After(time.Until(end)):
			h.Fatalf("%q was not said %d times", word, times)
		}
	}
}

// life is the process of the nth switch, once it has begun.
func (h *house) life(n int) int {
	h.Helper()
	pid, err := strconv.Atoi(strings.Fields(h.hear("life ", n))[0])
	if err != nil {
		h.Fatal(err)
	}
	return pid
}

func (h *house) signal(s syscall.Signal) {
	h.Helper()
	if err := h.cmd.Process.Signal(s); err != nil {
		h.Fatal(err)
	}
}

// ends waits for the keeper's end and returns its exit status.
func (h *house) ends() int {
	h.Helper()
	t := time.AfterFunc(30*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer t.Stop()
	_ = h.cmd.Wait()
	return h.cmd.ProcessState.ExitCode()
}

// ask sends a packet to the switch, and waits for who answers once until has run.
func (h *house) ask(addr string, until func()) string {
	h.Helper()
	c, err := net.Dial("udp", addr)
	if err != nil {
		h.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("who?")); err != nil {
		h.Fatal(err)
	}
	until()
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 100)
	n, err := c.Read(b)
	if err != nil {
		h.Fatal(err)
	}
	return string(b[:n])
}

// dies kills a process and waits until it is dead, though its parent may not know.
func (h *house) dies(pid int) {
	h.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		h.Fatal(err)
	}
	defer unix.Close(fd)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		if err == unix.EINTR {
			continue
		}
		if n != 1 {
			h.Fatalf("process %d does not die: %v", pid, err)
		}
		return
	}
}

func TestSwitchIsStartedAgainWithItsSocket(t *testing.T) {
	h := keep(t, "serve")
	addr := h.hear("ready ", 1)
	for n := 1; n <= 3; n++ {
		pid := h.life(n)
		if got := h.ask(addr, func() {}); got != fmt.Sprint(pid) {
			t.Fatalf("process %s answers, not %d", got, pid)
		}
		h.signal(syscall.SIGSTOP) // so that nobody is there when the packet comes
		h.dies(pid)
		got := h.ask(addr, func() { h.signal(syscall.SIGCONT) })
		if next := h.life(n + 1); got != fmt.Sprint(next) {
			t.Errorf("process %s answers, not %d", got, next)
		}
	}
	for _, want := range []string{`"signal: killed"`, `"serving":true`, `"peak_kb":`, `"without_a_switch":`} {
		if !strings.Contains(strings.Join(h.said("{"), "\n"), want) {
			t.Errorf("the log has no %s", want)
		}
	}
	h.signal(syscall.SIGTERM)
	h.hear("draining <nil>", 1)
	if code := h.ends(); code != 0 {
		t.Errorf("SIGTERM: exit %d", code)
	}
}

func TestEndOfASwitch(t *testing.T) {
	for _, c := range []struct {
		name, manner string
		signals      []syscall.Signal
		direct       bool // to the switch, not to the keeper
		code         int
		says         string
	}{
		{"asked to end", "serve", []syscall.Signal{syscall.SIGTERM}, false, 0, "draining"},
		{"interrupted", "serve", []syscall.Signal{syscall.SIGINT}, false, 128 + int(syscall.SIGINT), "ready"}, // it knows SIGTERM alone
		{"of its own will", "serve", []syscall.Signal{syscall.SIGTERM}, true, 0, "draining"},
		{"asked twice", "deaf", []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM}, false, 128 + int(syscall.SIGKILL), "draining"},
		{"refuses to start", "refuse", nil, false, 3, "no such key"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := keep(t, c.manner)
			for i, s := range c.signals {
				h.hear([...]string{"ready ", "draining "}[i], 1)
				if c.direct {
					_ = syscall.Kill(h.life(1), s)
				} else {
					h.signal(s)
				}
			}
			if code := h.ends(); code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			h.hear(c.says, 1)
			if n := len(h.said("life ")); n != 1 {
				t.Errorf("%d lives", n)
			}
		})
	}
}

func TestProgramThatIsNotThere(t *testing.T) {
	h := keep(t, "serve", "KEEPER_TEST_PROGRAM=/nonexistent/foyer")
	if code := h.ends(); code != 1 {
		t.Errorf("exit %d", code)
	}
	h.hear("start /nonexistent/foyer: no such file", 1)
}

// A switch that dies as soon as it lives is started more and more slowly, and the
// keeper can still be ended.
func TestSwitchThatDiesAtOnce(t *testing.T) {
	h := keep(t, "fall")
	h.hear("life ", 4)
	var began []time.Time
	for _, l := range h.said("life ") {
		ns, err := strconv.ParseInt(strings.Fields(l)[1], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		began = append(began, time.Unix(0, ns))
	}
	for i, want := range pauses[:3] {
		if got := began[i+1].Sub(began[i]); got < want {
			t.Errorf("start %d came after %s, want %s at least", i+2, got, want)
		}
	}
	last := h.hear(`{"level":"error"`, 4)
	if !strings.Contains(last, `"exit status 7"`) || !strings.Contains(last, `"in":5`) {
		t.Errorf("the log does not say why, or when the next comes: %s", last)
	}
	h.signal(syscall.SIGTERM) // in the pause of five seconds
	if code := h.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

func TestPauses(t *testing.T) {
	k := &keeper{}
	for i, step := range []struct{ lived, want time.Duration }{
		{time.Hour, 0}, {0, 10 * time.Millisecond}, {0, 100 * time.Millisecond}, {999 * time.Millisecond, time.Second},
		{0, 5 * time.Second}, {0, 5 * time.Second}, {soonAfter, 0}, {0, 10 * time.Millisecond},
	} {
		if got := k.pause(step.lived); got != step.want {
			t.Errorf("death %d: a pause of %s, want %s", i, got, step.want)
		}
	}
}

// SIGHUP would kill a switch that does not expect it yet.
func TestReloadWaitsUntilTheSwitchIsReady(t *testing.T) {
	h := keep(t, "slow")
	h.life(1)
	h.signal(syscall.SIGHUP)
	h.signal(syscall.SIGUSR1) // nobody's business, and no reason to die
	if _, err := h.stdin.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	h.hear("reload", 1)
	if n := len(h.said("life ")); n != 1 {
		t.Errorf("%d lives", n)
	}
}

// Under a manager of services the keeper passes on how the switch is, and nothing else.
func TestKeeperTellsWhoStartedIt(t *testing.T) {
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()
	h := keep(t, "serve", "NOTIFY_SOCKET="+manager.LocalAddr().String())
	for i, want := range []string{"READY=1", "READY=1", "STOPPING=1"} {
		_ = manager.SetReadDeadline(time.Now().Add(30 * time.Second))
		b := make([]byte, 4096)
		n, err := manager.Read(b)
		if got := string(b[:n]); err != nil || got != want {
			t.Fatalf("%q %v, want %s", got, err, want)
		}
		switch i {
		case 0:
			h.hear("ready ", 1) // it says so after it has told
			h.dies(h.life(1))
		case 1:
			h.hear("ready ", 2)
			h.signal(syscall.SIGTERM)
		}
	}
}

func TestKeeperWhoseManagerIsGone(t *testing.T) {
	h := keep(t, "serve", "NOTIFY_SOCKET=/nonexistent/notify")
	h.hear("ready ", 1)
	h.signal(syscall.SIGTERM)
	if code := h.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// A keeper that is killed takes no call with it.
func TestSwitchOutlivesItsKeeper(t *testing.T) {
	h := keep(t, "serve")
	addr := h.hear("ready ", 1)
	h.signal(syscall.SIGKILL)
	h.ends()
	h.hear("alone "+ErrGone.Error(), 1)
	pid := h.life(1)
	if got := h.ask(addr, func() {}); got != fmt.Sprint(pid) {
		t.Errorf("process %s answers, not %d", got, pid)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	h.hear("draining "+ErrGone.Error(), 1)
}

// The next switch has been started when one dies, and knows what was kept since.
func TestStandbyIsLetIn(t *testing.T) {
	h := keep(t, "serve")
	addr := h.hear("ready ", 1)
	waits := h.hear("waits ", 1)
	h.signal(syscall.SIGHUP)
	h.hear("stored <nil>", 1)
	h.dies(h.life(1))
	if pid := h.life(2); fmt.Sprint(pid) != waits {
		t.Errorf("process %d lives, and %s has waited", pid, waits)
	}
	if got := h.hear("news ", 2); got != "1 true" {
		t.Errorf("it knows of, and was let in: %s", got)
	}
	h.hear("ready ", 2)
	if got := h.ask(addr, func() {}); got != waits {
		t.Errorf("process %s answers, not %s", got, waits)
	}
	h.hear("waits ", 2)
	h.signal(syscall.SIGTERM)
	if code := h.ends(); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// A standby that dies is no loss, and another one comes.
func TestStandbyThatDies(t *testing.T) {
	h := keep(t, "serve")
	h.hear("ready ", 1)
	waits, err := strconv.Atoi(h.hear("waits ", 1))
	if err != nil {
		t.Fatal(err)
	}
	h.dies(waits)
	h.hear(`{"level":"warn"`, 1)
	h.dies(h.life(1))
	if pid := h.life(2); pid == waits {
		t.Error("the dead live")
	}
	h.hear("ready ", 2)
	h.hear("waits ", 2)
}

// script is a program that is this one with another manner.
func script(t *testing.T, manner string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), manner)
	text := "#!/bin/sh\nKEEPER_TEST_NEXT= KEEPER_TEST_SWITCH=" + manner + " exec " + os.Args[0] + "\n"
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUpgrade(t *testing.T) {
	for _, c := range []struct {
		manner, says, log string
		lives             int
	}{
		{"serve", "ready ", "hands over", 2},
		{"collapse", "ready ", "the one before goes on", 3}, // dies as soon as it is let in
		{"unfit", "stays it cannot be used: it died: exit status 5", "nothing has changed", 1},
	} {
		t.Run(c.manner, func(t *testing.T) {
			h := keep(t, "serve", "KEEPER_TEST_NEXT="+script(t, c.manner))
			addr := h.hear("ready ", 1)
			h.hear("waits ", 1)
			h.signal(syscall.SIGHUP)
			last := h.life(c.lives)
			h.hear(c.says, min(c.lives, 2))
			if got := h.ask(addr, func() {}); got != fmt.Sprint(last) {
				t.Errorf("process %s answers, not %d", got, last)
			}
			if !strings.Contains(strings.Join(h.said("{"), "\n"), c.log) {
				t.Errorf("the log has no %q", c.log)
			}
		})
	}
}

// Who stops the switch does not end it.
func TestSwitchThatIsStopped(t *testing.T) {
	h := keep(t, "serve")
	addr := h.hear("ready ", 1)
	pid := h.life(1)
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	got := h.ask(addr, func() {
		time.Sleep(100 * time.Millisecond)
		_ = syscall.Kill(pid, syscall.SIGCONT)
	})
	if got != fmt.Sprint(pid) || len(h.said("life ")) != 1 {
		t.Errorf("process %s answers, not %d; %d lives", got, pid, len(h.said("life ")))
	}
}

// A switch that is dead is noticed before the kernel is done with it.
func TestDeathIsSeenBeforeTheEnd(t *testing.T) {
	s := newStore(t)
	alive, err := newAlive(s)
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{store: s, alive: alive, dying: make(chan int)}
	said, err := os.CreateTemp(t.TempDir(), "said")
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	var pid int
	err = s.begin(func(fds []int, names []string) (int, error) {
		files := []uintptr{0, said.Fd(), 2}
		for _, fd := range fds {
			files = append(files, uintptr(fd))
		}
		env := append(os.Environ(), roleVariable+"=switch", "KEEPER_TEST_SWITCH=serve",
			"LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
		pid, _, err = syscall.StartProcess(os.Args[0], os.Args[:1], &syscall.ProcAttr{Env: env, Files: files})
		return pid, err
	})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		if text, _ := os.ReadFile(said.Name()); strings.Contains(string(text), "ready ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is never ready")
		}
	}
	go k.attend(pid)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	if got := <-k.dying; got != pid {
		t.Errorf("process %d died, not %d", got, pid)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &status, 0, nil); err != nil || status.Signal() != syscall.SIGKILL {
		t.Errorf("%v %v", status, err)
	}
}
