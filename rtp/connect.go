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
	fd, err := s.socketFor(l)
	if fd == noSocket && err == nil {
		return // the next visit finds one
	}
	if err == nil {
		err = connectSocket(fd, l.fd, l.local, l.latch.peer)
	}
	if err != nil {
		s.drop(fd)
		s.log.Warn("media leg stays unconnected", zap.Error(err)) // and costs a little more
		l.single = true
		return
	}
	s.part(l, fd)
	s.drain(l, l.open) // came before what the new socket gets
}

// part has a leg read and send by the socket of its peer, and read the other for
// strangers.
func (s *shard) part(l *Leg, fd int32) {
	l.open, l.fd = l.fd, fd
	if l.lazy {
		s.watch(l, unix.EPOLL_CTL_ADD, l.open, readyOpen)
	} else {
		s.watch(l, unix.EPOLL_CTL_MOD, l.open, readyOpen)
		s.watch(l, unix.EPOLL_CTL_ADD, l.fd, readyRTP)
	}
}

// socketFor gives a socket for the peer of a leg. One that is kept comes from the stock,
// which may have none at the moment: noSocket.
func (s *shard) socketFor(l *Leg) (int32, error) {
	if s.stock != nil {
		return s.stock.take(), nil
	}
	return newSocket(l.local.Addr())
}

// drop closes a socket of a leg that goes on.
func (s *shard) drop(fd int32) {
	if s.stock != nil {
		s.unwatch(fd)
		_ = share(fd, 1) // while it is still stored it is in nobody's way
		s.stock.drop(0, fd)
	} else {
		closeSockets(fd)
	}
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
	s.drop(l.fd)
	l.fd, l.open, l.own = l.open, noSocket, false
	if l.lazy {
		s.watch(l, unix.EPOLL_CTL_DEL, l.fd, readyRTP)
	} else {
		s.watch(l, unix.EPOLL_CTL_MOD, l.fd, readyRTP)
	}
}
