package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// startKept starts a switch as an operator does, under its keeper, and returns it
// when it serves.
func startKept(t *testing.T, file, sip, web string) *life {
	t.Helper()
	l := &life{t: t, file: file, sip: sip, http: web, log: &output{}}
	l.cmd = exec.Command(program(t), "serve", "-c", file, "--drain", "1s")
	l.cmd.Stdout, l.cmd.Stderr = l.log, l.log
	l.cmd.WaitDelay = 10 * time.Second // a switch that outlives its keeper has them too
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.kill(syscall.SIGCONT) // waits for a keeper that was stopped and killed
	})
	t.Cleanup(func() {
		if l.cmd.ProcessState == nil {
			_ = l.cmd.Process.Kill()
			for _, s := range l.served() {
				_ = syscall.Kill(s.PID, syscall.SIGKILL)
			}
		}
	})
	l.servesAgain(1)
	return l
}

// serving is the keeper's word that a switch serves.
type serving struct {
	Msg   string
	PID   int
	After string
	Gap   string `json:"without_a_switch"`
}

func (l *life) served() (all []serving) {
	for line := range strings.Lines(l.log.String()) {
		var s serving
		if json.Unmarshal([]byte(line), &s) == nil && s.Msg == "the switch serves" {
			all = append(all, s)
		}
	}
	return all
}

// servesAgain waits until the nth switch serves.
func (l *life) servesAgain(n int) serving {
	l.t.Helper()
	l.until(fmt.Sprintf("switch %d serves", n), func() bool { return len(l.served()) >= n })
	return l.served()[n-1]
}

// dies kills a process and waits until it is dead, though its parent may not know.
func dies(t *testing.T, pid int) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n != 1 {
			t.Fatalf("process %d does not die: %v", pid, err)
		}
		return
	}
}

// carrierAsks sends one OPTIONS from the carrier's address, and never again.
func carrierAsks(t *testing.T, network, server, id string) net.Conn {
	t.Helper()
	var local net.Addr = &net.UDPAddr{IP: net.IPv4(127, 0, 0, 2)}
	if network == "tcp" {
		local = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}
	}
	conn, err := (&net.Dialer{LocalAddr: local, Timeout: 30 * time.Second}).Dial(network, server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	at := conn.LocalAddr().String()
	_, err = fmt.Fprintf(conn, "OPTIONS sip:lo.test SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%[3]s;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:carrier@carrier.test>;tag=p\r\nTo: <sip:lo.test>\r\nCall-ID: %[3]s\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n", strings.ToUpper(network), at, id)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// answered waits for the 200 to it.
func answered(t *testing.T, conn net.Conn, id string) {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	b := make([]byte, 64<<10)
	n, err := conn.Read(b)
	if err != nil || !bytes.HasPrefix(b[:n], []byte("SIP/2.0 200 ")) || !bytes.Contains(b[:n], []byte("\r\nCall-ID: "+id+"\r\n")) {
		t.Fatalf("OPTIONS %s: %v\n%s", id, err, b[:n])
	}
}

// What comes while there is no switch waits for the next one: packets, connections,
// requests to the console. Nobody sends anything twice.
func TestNextLifeAnswersWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	file, sip, web := smallest(t, t.TempDir())
	l := startKept(t, file, sip, web)
	if !strings.Contains(l.log.String(), "number to call") {
		t.Errorf("no banner:\n%s", l.log)
	}
	// What somebody is writing into the file does not matter until it is reloaded.
	if err := os.WriteFile(file, []byte("version: 1\nnonsense: yes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := 1; n <= 3; n++ {
		l.cmd.Process.Signal(syscall.SIGSTOP)
		dies(t, l.servesAgain(n).PID)
		udp, tcp := fmt.Sprint("udp", n), fmt.Sprint("tcp", n)
		packet, connection := carrierAsks(t, "udp", sip, udp), carrierAsks(t, "tcp", sip, tcp)
		page := make(chan error, 1)
		go func() {
			res, err := http.Get("http://" + web + "/readyz")
			if err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					err = errors.New(res.Status)
				}
			}
			page <- err
		}()
		l.cmd.Process.Signal(syscall.SIGCONT)
		answered(t, packet, udp)
		answered(t, connection, tcp)
		if err := <-page; err != nil {
			t.Errorf("/readyz: %v", err)
		}
		s := l.servesAgain(n + 1)
		t.Logf("life %d served %s after its start, %s after the death", n+1, s.After, s.Gap)
	}
	metrics, _ := l.get("/metrics")
	if !strings.Contains(metrics, "\nfoyer_keeper_up 1\n") {
		t.Error("the metrics say that there is no keeper")
	}
	if n := strings.Count(l.log.String(), "the switch died; it is started again"); n != 3 {
		t.Errorf("%d deaths in the log", n)
	}
	pid := l.servesAgain(4).PID
	if code := l.kill(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, l.log)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the last switch: %v", err)
	}
	// A start that is no crash reads the file.
	if _, errs, code := foyer(t, "serve", "-c", file); code != 3 || !strings.Contains(errs, "nonsense") || strings.Contains(errs, "keeper") {
		t.Errorf("started anew: exit %d\n%s", code, errs)
	}
}

// The next life serves by what was reloaded last, not by what the first one read.
func TestNextLifeHasTheReloadedConfiguration(t *testing.T) {
	t.Parallel()
	file, sip, web := smallest(t, t.TempDir())
	l := startKept(t, file, sip, web)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ agent, then string }{{"cy", "configuration reloaded"}, {"di", ""}} {
		if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte("id: bo,"), []byte("id: "+c.agent+",")), 0o600); err != nil {
			t.Fatal(err)
		}
		if c.then != "" {
			l.cmd.Process.Signal(syscall.SIGHUP)
			l.until(c.then, func() bool { return strings.Contains(l.log.String(), c.then) })
		}
	}
	dies(t, l.servesAgain(1).PID)
	l.servesAgain(2)
	if agents, code := l.get("/api/v1/agents"); code != http.StatusOK || !strings.Contains(agents, `"cy"`) {
		t.Errorf("agents after the crash: %d %s", code, agents)
	}
	if code := l.kill(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, l.log)
	}
}

// A keeper that is killed leaves a switch that serves and says so, and whose data
// nobody else may take.
func TestSwitchServesOnWithoutItsKeeper(t *testing.T) {
	t.Parallel()
	file, sip, web := smallest(t, t.TempDir())
	l := startKept(t, file, sip, web)
	pid := l.servesAgain(1).PID
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	_ = l.cmd.Process.Kill()
	l.until("the loss is told", func() bool { return strings.Contains(l.log.String(), "the keeper is gone") })
	answered(t, carrierAsks(t, "udp", sip, "alone"), "alone")
	if metrics, _ := l.get("/metrics"); !strings.Contains(metrics, "\nfoyer_keeper_up 0\n") {
		t.Error("the metrics say that there is a keeper")
	}
	if _, errs, code := foyer(t, "serve", "-c", file); code != 1 || !strings.Contains(errs, "in use by another foyer") {
		t.Errorf("a second one: exit %d\n%s", code, errs)
	}
	_ = syscall.Kill(pid, syscall.SIGTERM)
	l.until("the switch ends", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || zombie(pid) })
}

// zombie says whether a process is dead and nobody has asked for its end.
func zombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && bytes.Contains(stat, []byte(") Z "))
}

// manager is systemd as a service sees it: it starts the switch alone, keeps what is
// sent to it, and hands it to the next. It shares no code with the keeper.
type manager struct {
	t      *testing.T
	socket *net.UnixConn
	held   map[string][]*os.File
	log    *output
}

func newManager(t *testing.T) *manager {
	dir, err := os.MkdirTemp("", "foyer-notify-") // its name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	m := &manager{t: t, held: map[string][]*os.File{}, log: &output{}}
	m.socket, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.socket.Close()
		for name := range m.held {
			m.remove(name)
		}
	})
	return m
}

func (m *manager) remove(name string) {
	for _, f := range m.held[name] {
		f.Close()
	}
	delete(m.held, name)
}

// until takes messages up to one that has a line.
func (m *manager) until(line string) {
	m.t.Helper()
	for {
		text, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(253*4))
		_ = m.socket.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, rn, _, _, err := m.socket.ReadMsgUnix(text, rights)
		if err != nil {
			m.t.Fatalf("no %s: %v\n%s", line, err, m.log)
		}
		lines := strings.Split(string(text[:n]), "\n")
		name := ""
		for _, l := range lines {
			if after, ok := strings.CutPrefix(l, "FDNAME="); ok {
				name = after
			}
		}
		if messages, err := unix.ParseSocketControlMessage(rights[:rn]); err == nil && len(messages) == 1 && slices.Contains(lines, "FDSTORE=1") && slices.Contains(lines, "FDPOLL=0") {
			fds, err := unix.ParseUnixRights(&messages[0])
			if err != nil {
				m.t.Fatal(err)
			}
			for _, fd := range fds {
				m.held[name] = append(m.held[name], os.NewFile(uintptr(fd), name))
			}
		}
		if slices.Contains(lines, "FDSTOREREMOVE=1") {
			m.remove(name)
		}
		if slices.Contains(lines, line) {
			return
		}
	}
}

// start starts the switch with what is kept, and LISTEN_PID as systemd sets it.
func (m *manager) start(file string) *exec.Cmd {
	m.t.Helper()
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, program(m.t), "serve", "-c", file, "--drain", "1s")
	cmd.Stdout, cmd.Stderr = m.log, m.log
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.held)) {
		for _, f := range m.held[name] {
			cmd.ExtraFiles, names = append(cmd.ExtraFiles, f), append(names, name)
		}
	}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.socket.LocalAddr().String(), "FDSTORE=64",
		fmt.Sprint("LISTEN_FDS=", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd
}

func TestSwitchUnderSystemd(t *testing.T) {
	t.Parallel()
	file, sip, _ := smallest(t, t.TempDir())
	m := newManager(t)
	first := m.start(file)
	m.until("READY=1")
	answered(t, carrierAsks(t, "udp", sip, "first"), "first")
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	for _, name := range []string{"sip_udp", "sip_tcp", "http"} {
		if len(m.held[name]) != 1 {
			t.Errorf("systemd has %d of %s", len(m.held[name]), name)
		}
	}
	packet := carrierAsks(t, "udp", sip, "meanwhile")
	second := m.start(file)
	answered(t, packet, "meanwhile")
	m.until("READY=1")
	if len(m.held["sip_udp"]) != 1 {
		t.Errorf("systemd has %d of sip_udp", len(m.held["sip_udp"]))
	}
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.until("STOPPING=1")
	if err := second.Wait(); err != nil {
		t.Error(err)
	}
	// A restart that moves SIP to another port leaves nothing at the old one.
	other := fmt.Sprintf("127.0.0.1:%d", freePort(t, "127.0.0.1"))
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.ReplaceAll(text, []byte(sip), []byte(other)), 0o600); err != nil {
		t.Fatal(err)
	}
	third := m.start(file)
	m.until("READY=1")
	answered(t, carrierAsks(t, "udp", other, "moved"), "moved")
	if at, err := unix.Getsockname(int(m.held["sip_udp"][0].Fd())); err != nil || fmt.Sprint(at.(*unix.SockaddrInet4).Port) != other[len("127.0.0.1:"):] {
		t.Errorf("systemd keeps %v %v, not %s", at, err, other)
	}
	if old, err := net.ListenPacket("udp", sip); err != nil {
		t.Errorf("the old port: %v", err)
	} else {
		old.Close()
	}
	if err := third.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := third.Wait(); err != nil {
		t.Error(err)
	}
	if strings.Contains(m.log.String(), "keeper") {
		t.Errorf("there is a keeper beside systemd:\n%s", m.log)
	}
}

// A socket is taken over by the words that would open it, and by no others.
func TestSocketIsTakenOverOnlyAsItWouldBeOpened(t *testing.T) {
	words := []struct{ network, addr, means string }{
		{"udp", "127.0.0.1", "this machine"}, {"udp", "127.0.0.2", "its second"}, {"udp", "::1", "itself by IPv6"},
		{"udp", "0.0.0.0", "all"}, {"udp", "::", "all"}, {"udp6", "::", "all of IPv6"},
		{"tcp", "127.0.0.1", "this machine, TCP"}, {"tcp", "::1", "itself by IPv6, TCP"}, {"tcp", "0.0.0.0", "all, TCP"}, {"tcp6", "::", "all of IPv6, TCP"},
	}
	kind := func(network string) int {
		if strings.HasPrefix(network, "udp") {
			return unix.SOCK_DGRAM
		}
		return unix.SOCK_STREAM
	}
	for _, opened := range words {
		var socket syscall.Conn
		var at netip.AddrPort
		addr := whole(netip.AddrPortFrom(netip.MustParseAddr(opened.addr), 0))
		if kind(opened.network) == unix.SOCK_DGRAM {
			c, err := net.ListenUDP(opened.network, net.UDPAddrFromAddrPort(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			socket, at = c, c.LocalAddr().(*net.UDPAddr).AddrPort()
		} else {
			c, err := net.ListenTCP(opened.network, net.TCPAddrFromAddrPort(addr))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			socket, at = c, c.Addr().(*net.TCPAddr).AddrPort()
		}
		raw, err := socket.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range words {
			for _, port := range []uint16{at.Port(), at.Port() - 1} {
				var is bool
				_ = raw.Control(func(fd uintptr) {
					is = bound(int(fd), w.network, netip.AddrPortFrom(netip.MustParseAddr(w.addr), port), kind(w.network))
				})
				if want := w.means == opened.means && port == at.Port(); is != want {
					t.Errorf("a socket of %s %s, asked for as %s %s:%d: %v", opened.network, at, w.network, w.addr, port, is)
				}
			}
		}
	}
}

// A data directory belongs to one switch; the next waits for it as long as it may.
func TestLockOfTheDataDirectory(t *testing.T) {
	dir := t.TempDir()
	first, err := lockDir(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockDir(dir, 20*time.Millisecond); err == nil || !strings.Contains(err.Error(), "in use by another foyer") {
		t.Errorf("a second one: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = first.Close() })
	second, err := lockDir(dir, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
}
