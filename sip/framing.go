package sip

import (
	"bytes"
	"errors"
	"strconv"
)

const (
	// Limits of one message on a connection. The longest honest ones stay far
	// below; on a flow that has proven who it is, headers may fill the message.
	maxMessage = 65535
	maxHead    = 16 << 10
	maxLine    = 8 << 10

	// roomToRead is what a connection holds for what may come.
	roomToRead = 4 << 10
)

var (
	errTooLong  = errors.New("message longer than we take")
	errUnframed = errors.New("message does not say where it ends")
)

// piece is what next found at the front of what has come.
type piece uint8

const (
	nothing piece = iota // more must be read
	message
	ping // asks for an answer, which is what next returns with it
	pong
	closing // the peer says goodbye; what is returned is to be sent first
)

// framing cuts what comes by a connection into messages. It is a pure machine:
// the owner reads into room, says how much came with add, and takes next until
// it is nothing. What next returns is good until room or next is called again.
type framing interface {
	room() []byte
	add(n int)
	next() (piece, []byte, error)
	partial() bool          // a message has begun and not ended
	wrap(msg []byte) []byte // a message as it is written
	ping() []byte           // what asks the peer whether it is there
	trust()                 // the peer has proven who it is
}

// inflow is the bytes of a connection that have come and not been used.
type inflow struct {
	buf  []byte
	used int // of buf; dropped before more is read
}

// room makes place for what comes next.
func (in *inflow) room() []byte {
	in.settle()
	if cap(in.buf)-len(in.buf) < roomToRead/4 {
		bigger := make([]byte, len(in.buf), max(2*cap(in.buf), roomToRead))
		copy(bigger, in.buf)
		in.buf = bigger
	}
	return in.buf[len(in.buf):cap(in.buf)]
}

// settle moves what is left to the front. A buffer that one long message made
// large is let go.
func (in *inflow) settle() {
	if in.used == 0 {
		return
	}
	left := in.buf[in.used:]
	if len(left) == 0 && cap(in.buf) > roomToRead {
		in.buf = nil
	} else {
		in.buf = in.buf[:copy(in.buf, left)]
	}
	in.used = 0
}

func (in *inflow) add(n int) { in.buf = in.buf[:len(in.buf)+n] }

// rest is what has come and not been used.
func (in *inflow) rest() []byte { return in.buf[in.used:] }

// lines is the framing of TCP and TLS (RFC 3261 section 18.3): headers end with
// an empty line, and Content-Length says how long the body is.
type lines struct {
	inflow
	looked int  // how much of rest has been searched for the end of the headers
	line   int  // where in rest the line begins at which that search stands
	length int  // of the whole message, 0: not known yet
	known  bool // trust was called
	half   bool // an empty line came just now: with another one it is a ping
}

var (
	emptyLine = []byte("\r\n")
	headEnd   = []byte("\r\n\r\n")
)

func (f *lines) wrap(msg []byte) []byte { return msg }
func (f *lines) ping() []byte           { return headEnd }
func (f *lines) trust()                 { f.known = true }
func (f *lines) partial() bool          { return len(f.rest()) > 0 }

func (f *lines) next() (piece, []byte, error) {
	if f.looked == 0 {
		if p, answer := f.keepAlive(); p != nothing || len(f.rest()) < len(emptyLine) {
			return p, answer, nil
		}
	}
	if f.length == 0 {
		if head, err := f.head(); err != nil || f.length == 0 {
			return nothing, head, err
		}
	}
	rest := f.rest()
	if len(rest) < f.length {
		return nothing, nil, nil
	}
	msg := rest[:f.length]
	f.used += f.length
	f.looked, f.line, f.length = 0, 0, 0
	return message, msg, nil
}

// keepAlive takes empty lines before a message: two are a ping, one is the pong
// or nothing at all (RFC 5626 section 4.4.1, RFC 3261 section 7.5).
func (f *lines) keepAlive() (piece, []byte) {
	rest := f.rest()
	if len(rest) > 0 && rest[0] != '\r' && rest[0] != '\n' {
		f.half = false
		return nothing, nil
	}
	if len(rest) == 0 || rest[0] == '\r' && len(rest) == 1 {
		return nothing, nil
	}
	if !bytes.HasPrefix(rest, emptyLine) { // one half of a line end is noise
		f.used++
		return pong, nil
	}
	f.used += len(emptyLine)
	if f.half || bytes.HasPrefix(f.rest(), emptyLine) {
		if !f.half {
			f.used += len(emptyLine)
		}
		f.half = false
		return ping, emptyLine
	}
	f.half = true
	return pong, nil
}

// head looks for the end of the headers and reads the length of the message. If
// that cannot be read it returns the headers: they can be answered.
func (f *lines) head() ([]byte, error) {
	rest := f.rest()
	for f.looked < len(rest) {
		i := bytes.IndexByte(rest[f.looked:], '\n')
		if i < 0 {
			f.looked = len(rest)
			break
		}
		end := f.looked + i + 1
		empty := end-f.line == len(emptyLine) && rest[f.line] == '\r' && f.line > 0
		if end-f.line > maxLine {
			return nil, errTooLong
		}
		f.looked, f.line = end, end
		if empty {
			body, ok := bodyLength(rest[:end])
			if !ok {
				return rest[:end], errUnframed
			}
			if end+body > maxMessage || !f.known && end > maxHead {
				return nil, errTooLong
			}
			f.length = end + body
			return nil, nil
		}
	}
	if f.looked-f.line > maxLine || f.looked > maxMessage || !f.known && f.looked > maxHead {
		return nil, errTooLong
	}
	return nil, nil
}

// bodyLength reads Content-Length; a message without one has no body. It is not
// ok if it is no number, or said twice and differently.
func bodyLength(head []byte) (n int, ok bool) {
	said := false
	for value := range headerValues(head, "Content-Length", "l") {
		m, err := strconv.ParseUint(string(value), 10, 31)
		if err != nil || said && int(m) != n {
			return 0, false
		}
		n, said = int(m), true
	}
	return n, true
}
