package rtp

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

var errClosed = errors.New("media is closed")

// stock is the sockets of media that is kept which no leg has yet. They are stored
// before they are bound, many by one message, for what costs is less the socket than
// telling the keeper of it. A leg takes two for its ports, and its shard a third once
// there is a peer (connect.go), which must not wait: so nothing that a peer sends comes
// to a socket that is not stored. Each has a name of its own, because nobody knows yet
// which port it will have; the next process asks the sockets.
//
// A socket that a leg has used is closed, not used again: the kernel does not unbind
// it. Its port belongs to nobody else until whoever stores it has let go too.
//
// Any goroutine may call it, and shards do: only fill waits.
type stock struct {
	store Store
	addr  netip.Addr // what they will be bound to
	log   *zap.Logger
	ports *portPool

	filling sync.Mutex     // held by the one who opens sockets
	telling sync.Mutex     // held by the one who lets go of them
	beside  sync.WaitGroup // who fills it in the background

	mu      sync.Mutex
	ready   []int32
	names   map[int32]string // of all that are stored, in the stock or a leg's
	last    uint64           // number in a name
	ordered bool             // somebody is about to fill it
	gone    []string         // names of those closed and still stored
	vacated []uint16         // their ports
	due     *time.Timer      // for letGo; nil while nothing is gone
	closed  bool
}

const (
	stockFull = 64
	stockLow  = 32

	// letGoAfter is how long a socket that was closed may stay stored, so that those of
	// many legs go by one message; letGoMany are as many as wait for nothing.
	letGoAfter = 100 * time.Millisecond
	letGoMany  = 64

	// stockPrefix begins the names of sockets.
	stockPrefix = "m"
)

func newStock(o *Options, ports *portPool) *stock {
	return &stock{store: o.Sockets, addr: o.Addr, log: o.Log, ports: ports, names: map[int32]string{}}
}

// inherit takes over what the last process had stored: those that it had not bound into
// the stock, and gives the others by the even one of their ports.
func (s *stock) inherit() map[uint16][]int32 {
	found := map[uint16][]int32{}
	for _, name := range s.store.Unclaimed() {
		number, ok := strings.CutPrefix(name, stockPrefix)
		serial, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil {
			continue
		}
		s.last = max(s.last, serial)
		for _, fd := range s.store.Inherited(name) {
			s.names[int32(fd)] = name
			local, err := plainAddr(unix.Getsockname(fd))
			switch {
			case !err:
				s.drop(0, int32(fd))
			case local.Port() != 0:
				found[local.Port()&^1] = append(found[local.Port()&^1], int32(fd))
			case local.Addr().Is4() == s.addr.Is4():
				s.ready = append(s.ready, int32(fd))
			default:
				s.drop(0, int32(fd))
			}
		}
	}
	return found
}

// take gives a socket that is stored and not bound, or noSocket if there is none at the
// moment; then somebody is about to open some.
func (s *stock) take() int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.ready)
	if n <= stockLow && !s.ordered && !s.closed {
		s.ordered = true
		s.beside.Go(s.refill)
	}
	if n == 0 {
		return noSocket
	}
	fd := s.ready[n-1]
	s.ready = s.ready[:n-1]
	return fd
}

// takeWaiting is take for who may wait.
func (s *stock) takeWaiting() (int32, error) {
	for {
		if fd := s.take(); fd != noSocket {
			return fd, nil
		}
		if err := s.fill(); err != nil {
			return noSocket, err
		}
	}
}

func (s *stock) refill() {
	if err := s.fill(); err != nil {
		s.log.Warn("media sockets", zap.Error(err)) // a call that needs one will say so
	}
	s.mu.Lock()
	s.ordered = false
	s.mu.Unlock()
}

// fill opens and stores as many as there should be.
func (s *stock) fill() error {
	s.filling.Lock()
	defer s.filling.Unlock()
	s.mu.Lock()
	missing, last, closed := stockFull-len(s.ready), s.last, s.closed
	s.mu.Unlock()
	if closed {
		return errClosed
	}
	var opened []int32
	var fds []int
	var names []string
	var fault error
	for range missing {
		fd, err := newSocket(s.addr)
		if err != nil {
			fault = err
			break
		}
		last++
		opened, fds, names = append(opened, fd), append(fds, int(fd)), append(names, stockPrefix+strconv.FormatUint(last, 10))
	}
	if len(opened) == 0 {
		return fault
	}
	if err := s.store.StoreEach(names, fds); err != nil {
		// Without a keeper calls go on, and those that come too.
		s.log.Warn("media sockets will not outlive the process", zap.Error(err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = last
	for i, fd := range opened {
		s.names[fd] = names[i]
	}
	s.ready = append(s.ready, opened...)
	return nil
}

// drop closes sockets of a port, and has them stored no longer. The port, if it is not
// 0, goes back to the pool afterwards.
func (s *stock) drop(port uint16, fds ...int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, fd := range fds {
		if name, stored := s.names[fd]; stored {
			s.gone = append(s.gone, name)
			delete(s.names, fd)
		}
	}
	closeSockets(fds...)
	if port != 0 {
		s.vacated = append(s.vacated, port)
	}
	if s.due == nil {
		s.due = time.AfterFunc(letGoAfter, s.letGo)
	} else if len(s.gone) >= letGoMany {
		s.due.Reset(0)
	}
}

// letGo has what was dropped stored no longer.
func (s *stock) letGo() {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	gone, vacated := s.gone, s.vacated
	s.gone, s.vacated, s.due = nil, nil, nil
	s.mu.Unlock()
	if err := s.store.Remove(gone...); err != nil {
		s.log.Warn("media sockets stay stored", zap.Int("sockets", len(gone)), zap.Error(err))
	}
	now := time.Now()
	for _, port := range vacated {
		s.ports.release(port, now)
	}
}

// close ends the stock once no leg takes anything from it: what is in it is left to the
// next process, or let go.
func (s *stock) close(leave bool) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.beside.Wait()
	s.filling.Lock() // whoever fills it is done
	defer s.filling.Unlock()
	s.mu.Lock()
	ready := s.ready
	s.ready = nil
	s.mu.Unlock()
	if leave {
		closeSockets(ready...)
	} else {
		s.drop(0, ready...)
	}
	s.letGo()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.due != nil {
		s.due.Stop()
	}
}
