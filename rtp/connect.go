package rtp

import (
	"syscall"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"
)

// Once the peer of a leg is known, its packets get a socket of their own, which
// is connected to it: the kernel need not look up the way for each packet, which
// saves a tenth of its cost, and a flood from elsewhere does not fill the queue
// the peer's packets wait in. The first socket stays on the port for strangers:
// they are counted, and nobody is told by ICMP whether the port is in use.

// Between its binding and its connecting the new socket may get a stranger's
// packet. So whose a packet is is still looked at until the next visit, which
// reads all that has come by then: only afterwards is the socket the peer's own.

// connect splits the leg's port in two. It is done when the leg is visited, not
// at the lock itself, as it reads what still waits in the first socket.
func (s *shard) connect(l *Leg) {
	fd, err := l.spare, error(nil)
	if fd != noSocket {
		err = attach(fd, l.local, l.latch.peer)
	} else {
		fd, err = connectSocket(l.fd, l.local, l.latch.peer)
	}
	if err != nil {
		s.log.Warn("media leg stays unconnected", zap.Error(err)) // and costs a little more
		l.single = true
		return
	}
	l.open, l.fd, l.spare = l.fd, fd, noSocket
	if l.lazy {
		s.watch(l, unix.EPOLL_CTL_ADD, l.open, readyOpen)
	} else {
		s.watch(l, unix.EPOLL_CTL_MOD, l.open, readyOpen)
		s.watch(l, unix.EPOLL_CTL_ADD, l.fd, readyRTP)
	}
	s.drain(l, l.open) // came before what the new socket gets
}

// trust takes the connected socket for the peer's own once it has been read empty.
func (s *shard) trust(l *Leg) {
	for range passMax * batchMax {
		switch s.in.one(l.fd, l.port) {
		case 0:
			if s.arrive(l, s.in, 0); l.open == noSocket {
				return // it has moved the leg
			}
		case syscall.EAGAIN:
			l.own = true
			return
		case syscall.ECONNREFUSED:
			l.unreachable++
		default:
			return // the next visit tries again
		}
	}
}

// unconnected is the socket that sends anywhere.
func (l *Leg) unconnected() int32 {
	if l.open != noSocket {
		return l.open
	}
	return l.fd
}

// disconnect makes the port one again: the peer is somewhere else now.
func (s *shard) disconnect(l *Leg) {
	if l.open == noSocket {
		return
	}
	if l.kept == nil {
		closeSockets(l.fd)
	} else {
		s.unwatch(l.fd)
		if err := detach(l.fd, l.local); err != nil {
			s.log.Warn("media leg keeps its old peer's socket", zap.Error(err))
		}
		l.spare = l.fd
	}
	l.fd, l.open, l.own = l.open, noSocket, false
	if l.lazy {
		s.watch(l, unix.EPOLL_CTL_DEL, l.fd, readyRTP)
	} else {
		s.watch(l, unix.EPOLL_CTL_MOD, l.fd, readyRTP)
	}
}
