package sip

import (
	"bytes"
	"strings"
)

const (
	// largestMessage is what anybody may send over a connection, largestHead how
	// much of it before the body, and longestLine the length of one header, folded
	// lines taken together. The longest honest messages stay far below.
	largestMessage = 65535
	largestHead    = 16 << 10
	longestLine    = 8 << 10

	// roomToRead is what a connection holds for what may come.
	roomToRead = 4 << 10
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
// it is nothing. What next returns is good until room or next is called again. Its
// error, after which nothing can be read, is a *refusal if what is returned with it
// can be answered.
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
// an empty line, and Content-Length says how long the body is. The library would
// go by the last of several, and drop a connection without a word when there is none.
type lines struct {
	inflow
	looked int  // in rest no head ends before here
	length int  // of the whole message, 0: not known yet
	half   bool // an empty line came just now: with another one it is a ping
}

var (
	emptyLine = []byte("\r\n")
	endOfHead = []byte("\r\n\r\n")
)

func (f *lines) wrap(msg []byte) []byte { return msg }
func (f *lines) ping() []byte           { return endOfHead }
func (f *lines) trust()                 {}
func (f *lines) partial() bool          { return len(f.rest()) > 0 }

func (f *lines) next() (piece, []byte, error) {
	if f.looked == 0 {
		if p, answer := f.keepAlive(); p != nothing || len(f.rest()) < len(emptyLine) {
			return p, answer, nil
		}
	}
	if f.length == 0 {
		if head, r := f.head(); r != nil {
			return nothing, head, r
		} else if f.length == 0 {
			return nothing, nil, nil
		}
	}
	rest := f.rest()
	if len(rest) < f.length {
		return nothing, nil, nil
	}
	msg := rest[:f.length]
	f.used += f.length
	f.looked, f.length = 0, 0
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
// nobody can know that, it returns the headers and what to answer.
func (f *lines) head() ([]byte, *refusal) {
	rest := f.rest()
	at := bytes.Index(rest[f.looked:], endOfHead)
	if at < 0 {
		f.looked = max(0, len(rest)-len(endOfHead)+1)
		if len(rest) > largestHead {
			return rest, &refusal{code: 400, reason: "Header Too Long"}
		}
		return nil, nil
	}
	end := f.looked + at + len(endOfHead)
	body, r := bodyLength(rest[:end])
	switch {
	case end > largestHead:
		r = &refusal{code: 400, reason: "Header Too Long"}
	case r == nil && end+body > largestMessage:
		r = &refusal{code: 513}
	}
	if r != nil {
		return rest[:end], r
	}
	f.length = end + body
	return nil, nil
}

// bodyLength reads the one Content-Length of a head. Several are refused even if
// they agree (RFC 4475 section 3.3.9).
func bodyLength(head []byte) (n int, bad *refusal) {
	n = -1
	_, lines, _ := strings.Cut(string(head), "\r\n")
	for name, value := range headerLines(lines) {
		if longName(name) != "content-length" {
			continue
		}
		if n >= 0 {
			return 0, &refusal{code: 400, reason: "Repeated Content-Length"}
		}
		length, ok := readNumber(value, 1<<32-1)
		if !ok {
			return 0, &refusal{code: 400, reason: "Bad Content-Length"}
		}
		n = int(length)
	}
	if n < 0 {
		return 0, &refusal{code: 400, reason: "Missing Content-Length"}
	}
	return n, nil
}
