package sip

import (
	"bytes"
	"strings"
)

const (
	// largestMessage is what anybody may send over a connection, largestHead how
	// much of it before the body, and longestLine the length of one header, folded
	// lines taken together. The longest honest messages stay far below.
	largestMessage = 64 << 10
	largestHead    = 16 << 10
	longestLine    = 8 << 10
)

var (
	endOfHead = []byte("\r\n\r\n")
	ping      = endOfHead
)

// framer cuts the bytes of a connection into messages, wherever the network has
// cut them (RFC 3261 section 18.3). The library would do so by the last of
// several Content-Length, and drop a connection without a word when there is
// none. A framer is a pure machine.
type framer struct {
	buf     []byte
	scanned int // no head ends before here
	size    int // of the message that has begun, 0: its head is not whole
}

// add takes what was read.
func (f *framer) add(b []byte) { f.buf = append(f.buf, b...) }

// begun reports whether a message has begun and is not whole.
func (f *framer) begun() bool { return len(bytes.TrimLeft(f.buf, "\r\n")) > 0 }

// next returns the next message, or ping, which is the keep-alive of RFC 5626
// section 4.4.1; nil if more must be read first. What is returned counts until
// the next call. If nobody can know where the message ends, lost says what to
// answer; nothing that follows can be read.
func (f *framer) next() (msg []byte, lost *refusal) {
	for bytes.HasPrefix(f.buf, []byte("\r\n")) {
		if bytes.HasPrefix(f.buf, ping) {
			return f.take(len(ping)), nil
		}
		if len(f.buf) < len(ping) && bytes.HasPrefix(ping, f.buf) {
			return nil, nil // half a ping, or the empty line before a message
		}
		f.take(2)
	}
	if f.size == 0 {
		if head, lost := f.measure(); lost != nil {
			return head, lost
		}
	}
	if f.size == 0 || len(f.buf) < f.size {
		return nil, nil
	}
	return f.take(f.size), nil
}

// measure finds out how long the message is, once, when its head is whole. head
// is what there is of it.
func (f *framer) measure() (head []byte, lost *refusal) {
	head = f.buf
	end := bytes.Index(f.buf[f.scanned:], endOfHead)
	if end >= 0 {
		head = f.buf[:f.scanned+end+len(endOfHead)]
	}
	if len(head) > largestHead {
		return head, &refusal{code: 400, reason: "Header Too Long"}
	}
	if end < 0 {
		f.scanned = max(0, len(f.buf)-len(endOfHead)+1)
		return nil, nil
	}
	body, lost := bodyLength(head)
	if lost == nil && len(head)+body > largestMessage {
		lost = &refusal{code: 513}
	}
	f.size = len(head) + body
	return head, lost
}

// take removes n bytes and returns them.
func (f *framer) take(n int) []byte {
	msg := f.buf[:n:n]
	f.buf, f.scanned, f.size = f.buf[n:], 0, 0
	if len(f.buf) == 0 {
		f.buf = nil // a phone that is idle holds nothing
	}
	return msg
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
