package keeper

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// store is the receiving side of systemd's protocol (sd_notify(3),
// sd_pid_notify_with_fds(3)): it keeps the descriptors that the switch sends. It
// never reads what comes in by them.
//
// A message that a switch had sent when it died is still in the socket: take before
// the next one starts, and nothing that was sent is lost.
type store struct {
	conn *net.UnixConn
	log  *zap.Logger

	news chan struct{} // has something when the switch has spoken

	mu       sync.Mutex       // guards what follows
	speaker  int              // the process that may speak, 0 for nobody
	mouth    unix.Sockaddr    // where it speaks from; nil until it does
	held     map[string][]int // descriptors by name
	count    int              // of descriptors
	limit    int              // of count
	names    int              // bytes their names take in LISTEN_FDNAMES
	said     said
	complain time.Time // when a refusal may be told of again

	followers map[*standby]struct{} // they hear of every change
	telling   *time.Timer           // set while they are to hear of some
}

// said is what the switch has told of itself.
type said struct {
	ready, stopping bool
	handOver        bool // to the program it has stored
	status          string
}

const (
	// maxHeld is how many descriptors are kept at most: beyond it what is sent is
	// closed, as systemd does it beyond FileDescriptorStoreMax=.
	maxHeld = 65536
	// spared is how many descriptors are left to the keeper itself, and to a start.
	spared = 64
	// maxNames bounds LISTEN_FDNAMES: Linux starts no program with a longer variable
	// than 128 KiB.
	maxNames = 120 << 10
	// maxMessage is the longest text of a message that is looked at, as in systemd.
	maxMessage = 4096
	// maxRights is how many descriptors Linux passes in one message (SCM_MAX_FD).
	maxRights = 253
	// complainEvery is how often the log tells of what happens again and again.
	complainEvery = 10 * time.Second
)

// openStore listens on a socket that the kernel names (unix(7), "Autobind").
func openStore(log *zap.Logger) (*store, error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("keeper's socket: %w", err)
	}
	s := &store{conn: conn, log: log, held: map[string][]int{}, followers: map[*standby]struct{}{}, limit: descriptorLimit(), news: make(chan struct{}, 1)}
	err = s.control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1) })
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("keeper's socket: %w", err)
	}
	return s, nil
}

// descriptorLimit is how many descriptors we may keep, so that a process can still
// be started with them: while it starts each has two numbers.
func descriptorLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024/2 - spared
	}
	return min(maxHeld, int(min(l.Cur, 1<<30))/2-spared)
}

// address is what the switch is given as NOTIFY_SOCKET.
func (s *store) address() string { return s.conn.LocalAddr().String() }

// listen takes messages until the socket is closed.
func (s *store) listen() {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool { // false waits for the next message
		s.mu.Lock()
		defer s.mu.Unlock()
		s.takeAll(int(fd))
		return false
	})
}

// settle takes every message that a switch had sent before it died.
func (s *store) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.control(func(fd int) error { s.takeAll(fd); return nil })
}

// begin starts a switch with what is kept: descriptors, and the name of each, in the
// order of names. Nobody is listened to meanwhile, so that its first word is not
// taken for a stranger's.
func (s *store) begin(start func(fds []int, names []string) (pid int, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.said, s.mouth = said{}, nil
	var err error
	s.speaker, err = start(s.all())
	return err
}

// all is every descriptor, and the name of each.
func (s *store) all() (fds []int, names []string) {
	for _, name := range slices.Sorted(maps.Keys(s.held)) {
		for _, fd := range s.held[name] {
			fds, names = append(fds, fd), append(names, name)
		}
	}
	return fds, names
}

func (s *store) control(f func(fd int) error) error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// takeAll reads until nothing is there.
func (s *store) takeAll(fd int) {
	text := make([]byte, maxMessage)
	control := make([]byte, unix.CmsgSpace(maxRights*4)+unix.CmsgSpace(unix.SizeofUcred))
	for {
		n, cn, flags, from, err := unix.Recvmsg(fd, text, control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return
		}
		pid, fds := opened(control[:cn])
		switch {
		case pid == 0 || pid != s.speaker:
			closeAll(fds)
			s.grumble("a message was refused: only the switch that we started may speak", zap.Int("pid", pid))
		case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
			closeAll(fds)
			s.grumble("a message was refused: it is not whole", zap.Int("pid", pid))
		default:
			s.mouth = from
			s.hear(string(text[:n]), fds)
		}
	}
}

// opened is what came with a message: who sent it, 0 if that is unknown, and
// descriptors.
func opened(control []byte) (pid int, fds []int) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return 0, nil
	}
	for _, m := range messages {
		if cred, err := unix.ParseUnixCredentials(&m); err == nil {
			pid = int(cred.Pid)
		}
		if rights, err := unix.ParseUnixRights(&m); err == nil {
			fds = append(fds, rights...)
		}
	}
	return pid, fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// grumble logs what somebody could make happen all the time.
func (s *store) grumble(what string, fields ...zap.Field) {
	if now := time.Now(); now.After(s.complain) {
		s.complain = now.Add(complainEvery)
		s.log.Warn(what, fields...)
	}
}

// message is what a message asks to be done with the descriptors that came with it,
// and says of the switch.
type message struct {
	keep, remove bool
	names        []string
	each         bool        // a name for each descriptor, not one for all
	status       [][2]string // the rest, in order
}

func parse(text string) message {
	m := message{names: []string{"stored"}} // as systemd calls what has no name
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		switch key {
		case "FDSTORE":
			m.keep = value == "1"
		case "FDSTOREREMOVE":
			m.remove = value == "1"
		case "FDNAME":
			m.names, m.each = []string{value}, false
		case namesWord:
			m.names, m.each = strings.Split(value, ":"), true
		default:
			m.status = append(m.status, [2]string{key, value})
		}
	}
	return m
}

// hear acts on a message of the switch. What it does not know it ignores, as
// WATCHDOG=1, and FDPOLL=0 too: nothing is ever polled here.
func (s *store) hear(text string, fds []int) {
	m := parse(text)
	for _, word := range m.status {
		switch value := word[1]; word[0] {
		case "READY":
			s.said.ready = value == "1"
		case "STOPPING":
			s.said.stopping = value == "1"
		case "RELOADING":
			s.said.ready = s.said.ready && value != "1"
		case "STATUS":
			s.said.status = value
		case keyHandOver:
			s.said.handOver = value == "1"
		}
	}
	switch {
	case m.remove:
		closeAll(fds)
		s.remove(m.names...)
	case m.keep && (!m.each || len(m.names) == len(fds)):
		s.keep(&m, fds)
	default:
		closeAll(fds)
	}
	select {
	case s.news <- struct{}{}:
	default: // there is news already
	}
}

// under is the name of a descriptor by its place.
func (m *message) under(i int) string {
	if m.each {
		return m.names[i]
	}
	return m.names[0]
}

// keep takes descriptors, but for those that it has under the same name.
func (s *store) keep(m *message, fds []int) {
	for i, fd := range fds {
		name := m.under(i)
		if !s.fits(name, fd) {
			_ = unix.Close(fd)
			continue
		}
		s.owe(name, false)
		s.held[name] = append(s.held[name], fd)
		s.count++
		s.names += len(name) + 1
	}
	s.tellFollowers(m.each)
}

// fits says whether a descriptor can be kept, and is not already.
func (s *store) fits(name string, fd int) bool {
	switch {
	case !validName(name):
		s.grumble("a descriptor was refused: no valid name", zap.String("name", name))
	case slices.ContainsFunc(s.held[name], func(had int) bool { return same(had, fd) }):
	case s.count >= s.limit || s.names+len(name)+1 > maxNames:
		s.grumble("a descriptor was refused: too many are kept", zap.String("name", name), zap.Int("kept", s.count), zap.Int("limit", s.limit))
	default:
		return true
	}
	return false
}

func (s *store) remove(names ...string) {
	for _, name := range names {
		s.owe(name, true)
		closeAll(s.held[name])
		s.count -= len(s.held[name])
		s.names -= len(s.held[name]) * (len(name) + 1)
		delete(s.held, name)
	}
	s.tellFollowers(len(names) > 1)
}

// validName is systemd's rule for FDNAME=.
func validName(name string) bool {
	return name != "" && len(name) <= 255 && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 127 || r == ':' })
}

// same says whether two descriptors are of one socket or file.
func same(a, b int) bool {
	var x, y unix.Stat_t
	return unix.Fstat(a, &x) == nil && unix.Fstat(b, &y) == nil && x.Dev == y.Dev && x.Ino == y.Ino
}

// heard is what the switch has said of itself.
func (s *store) heard() said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said
}

// close lets go of everything.
func (s *store) close() {
	_ = s.conn.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.followers {
		s.drop(f)
	}
	for name := range s.held {
		s.remove(name)
	}
}

// take gives away the one descriptor under a name.
func (s *store) take(name string) (fd int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fds := s.held[name]
	if len(fds) == 0 {
		return 0, false
	}
	last := fds[len(fds)-1]
	s.held[name] = fds[:len(fds)-1]
	s.count--
	s.names -= len(name) + 1
	s.remove(name)
	return last, true
}
