package keeper

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// A switch is started ahead of its time, and waits: when the one that serves dies, the
// next has been loaded, has read the configuration, and needs only to be let in. It has
// what is kept from its start on, and hears of every change: at once, but for those that
// come many at a time, as sockets of media do with every call. Of these most are past
// before anybody needs to know, so it hears of what is left a second later, or when it is
// let in.

// standby is such a switch.
type standby struct {
	pid  int
	line *net.UnixConn   // ours to it: it ends itself when this is closed
	owed map[string]bool // names of what has changed; true: it has something else under it
}

const (
	// standbyName is what its end of the line comes under, among what it inherits.
	standbyName = "standby"
	// standbyPause is how long after a switch has begun to serve the next one is
	// started: calls that were taken up come first.
	standbyPause = time.Second
	// standbyAgain is the same after one that died while it waited.
	standbyAgain = 10 * time.Second
	// tellAfter is how long it does not hear of what changes all the time.
	tellAfter = time.Second
)

// The words that pass between a switch and its keeper beside those of sd_notify(3).
const (
	wordGo       = "FOYER_GO=1"       // to a standby: it is let in
	wordPrepared = "FOYER_PREPARED=1" // of a standby: it may be; to a switch: the program it stored may be
	wordRefused  = "FOYER_REFUSED="   // to a switch: why that program is no use
	keyHandOver  = "FOYER_HAND_OVER"  // of a switch: that program may take over
)

// ahead starts a standby, and listens to it.
func (k *keeper) ahead(program string) (*standby, error) {
	ours, theirs, err := line()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	s := &standby{line: ours, owed: map[string]bool{}}
	err = k.store.follow(s, func(fds []int, names []string) (int, error) {
		pid, err := k.spawn(program, append(fds, int(theirs.Fd())), append(names, standbyName))
		s.pid = pid
		return pid, err
	})
	if err != nil {
		_ = ours.Close()
		return nil, err
	}
	go func() {
		b := make([]byte, len(wordPrepared))
		if n, err := ours.Read(b); err == nil && string(b[:n]) == wordPrepared {
			k.prepared <- s
		}
	}()
	return s, nil
}

// line is a pair of connected sockets, the second for another process.
func line() (ours *net.UnixConn, theirs *os.File, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("line to a standby: %w", err)
	}
	f := os.NewFile(uintptr(pair[0]), standbyName)
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		_ = unix.Close(pair[1])
		return nil, nil, fmt.Errorf("line to a standby: %w", err)
	}
	return c.(*net.UnixConn), os.NewFile(uintptr(pair[1]), standbyName), nil
}

// spare starts the standby of the program that serves.
func (k *keeper) spare() {
	if !k.told.ready || k.pid == 0 || k.standby != nil || k.asked > 0 {
		return
	}
	var err error
	if k.standby, err = k.ahead(k.path()); err != nil {
		k.Log.Warn("no switch waits for the death of this one: the next will take longer to start", zap.Error(err))
		k.sparing.Reset(standbyAgain)
	}
}

// dismiss lets a standby go.
func (k *keeper) dismiss(s *standby) {
	if s != nil {
		k.store.unfollow(s)
	}
}

// follow starts a standby with what is kept, and lets it hear of every change.
func (s *store) follow(f *standby, start func(fds []int, names []string) (pid int, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fds, names := s.all()
	if _, err := start(fds, names); err != nil {
		return err
	}
	s.followers[f] = struct{}{}
	return nil
}

func (s *store) unfollow(f *standby) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(f)
}

func (s *store) drop(f *standby) {
	delete(s.followers, f)
	_ = f.line.Close()
}

// owe notes for all standbys that something under a name is about to change.
func (s *store) owe(name string, removed bool) {
	for f := range s.followers {
		has, owed := f.owed[name]
		switch {
		case !owed:
			f.owed[name] = len(s.held[name]) > 0
		case removed && !has:
			delete(f.owed, name) // it came and went
		}
	}
}

// tellFollowers tells all standbys what they are owed, in a while if there will be more
// by then. One that does not listen is let go.
func (s *store) tellFollowers(later bool) {
	if later {
		if s.telling == nil && len(s.followers) > 0 {
			s.telling = time.AfterFunc(tellAfter, s.tellNow)
		}
		return
	}
	if s.telling != nil {
		s.telling.Stop()
		s.telling = nil
	}
	for f := range s.followers {
		if err := s.pay(f); err != nil {
			s.log.Warn("a switch that waits does not listen: it is let go", zap.Int("pid", f.pid), zap.Error(err))
			s.drop(f)
		}
	}
}

func (s *store) tellNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tellFollowers(false)
}

// pay tells a standby all that it is owed.
func (s *store) pay(f *standby) error {
	var gone, names []string
	var fds []int
	for name, has := range f.owed {
		if has {
			gone = append(gone, name)
		}
		for _, fd := range s.held[name] {
			names, fds = append(names, name), append(fds, fd)
		}
	}
	clear(f.owed)
	for n := 0; len(gone) > 0; gone = gone[n:] {
		n = few(gone)
		if err := f.tell(removeText(gone[:n]...)); err != nil {
			return err
		}
	}
	for n := 0; len(fds) > 0; names, fds = names[n:], fds[n:] {
		n = few(names)
		if err := f.tell(keepText(names[:n]...), fds[:n]...); err != nil {
			return err
		}
	}
	return nil
}

func (f *standby) tell(text string, fds ...int) error {
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	return send(f.line, text, rights, nil, 0)
}

// admit lets a standby in: it is the switch from now on.
func (s *store) admit(f *standby) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, follows := s.followers[f]; !follows {
		return ErrGone
	}
	err := s.pay(f)
	if err == nil {
		err = f.tell(wordGo)
	}
	s.drop(f) // what it was told it can still read
	if err == nil {
		s.said, s.speaker, s.mouth = said{}, f.pid, nil
	}
	return err
}

// answer tells the switch that runs something; nobody hears it if it has never spoken.
func (s *store) answer(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mouth == nil {
		return
	}
	if err := send(s.conn, text, nil, s.mouth, 0); err != nil {
		s.log.Warn("the switch does not hear its keeper", zap.Error(err))
	}
}

// send sends one message, to the other end or to whom it says, and waits so long at
// most for room.
func send(c *net.UnixConn, text string, rights []byte, to unix.Sockaddr, wait time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var fault error
	once := func(fd uintptr) {
		for fault = unix.EINTR; fault == unix.EINTR; {
			fault = unix.Sendmsg(int(fd), []byte(text), rights, to, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
	}
	if wait == 0 {
		err = raw.Control(once)
	} else {
		_ = c.SetWriteDeadline(time.Now().Add(wait))
		err = raw.Write(func(fd uintptr) bool { once(fd); return fault != unix.EAGAIN }) // false waits until there is room
	}
	if errors.Is(fault, unix.ECONNREFUSED) || errors.Is(fault, unix.ENOTCONN) || errors.Is(fault, syscall.EPIPE) {
		return ErrGone
	}
	return errors.Join(err, fault)
}
