package sip

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// cutUp feeds a framing in pieces and says what it found.
func cutUp(f framing, data []byte, pieces func(left int) int) (found []string, err error) {
	for len(data) > 0 {
		n := copy(f.room(), data[:min(pieces(len(data)), len(data))])
		f.add(n)
		data = data[n:]
		for {
			what, text, err := f.next()
			if err != nil {
				return append(found, fmt.Sprintf("%v %d", err, len(text))), err
			}
			if what == nothing {
				break
			}
			if what != pong { // half a ping is one
				found = append(found, fmt.Sprintf("%d %s", what, text))
			}
		}
	}
	return found, nil
}

// What is found does not depend on how it comes.
func TestFramingInAnyPieces(t *testing.T) {
	body := "INVITE sip:a SIP/2.0\r\nContent-Length: 4\r\n\r\nv=0\n"
	want := []string{"1 " + rawOptions("a"), "2 \r\n", "1 " + body, "1 " + rawOptions("b")}
	text := rawOptions("a") + "\r\n\r\n" + body + "\r\n" + rawOptions("b")
	masked := func(f ws.Frame) string { return string(frame(ws.MaskFrameWith(f, [4]byte{1, 2, 3, 4}))) }
	framed := masked(ws.NewTextFrame([]byte(rawOptions("a")))) + masked(ws.NewTextFrame(endOfHead)) +
		masked(ws.NewFrame(ws.OpText, false, []byte(body[:9]))) + masked(ws.NewFrame(ws.OpContinuation, true, []byte(body[9:]))) +
		masked(ws.NewPongFrame(nil)) + masked(ws.NewBinaryFrame([]byte(rawOptions("b"))))
	for n := 1; n < 300; n++ {
		got, err := cutUp(&lines{}, []byte(text), func(int) int { return n })
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("lines in pieces of %d: %q, %v", n, got, err)
		}
		got, err = cutUp(newFrames(), []byte(framed), func(int) int { return n })
		got[1] = "2 \r\n" // which is in a frame itself
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("frames in pieces of %d: %q, %v", n, got, err)
		}
	}
}

// One long message does not cost its buffer for ever.
func TestFramingLetsGo(t *testing.T) {
	f := &lines{}
	text := "X y SIP/2.0\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("b", 60000)
	if got, err := cutUp(f, []byte(text), func(n int) int { return n }); err != nil || len(got) != 1 {
		t.Fatalf("%d found, %v", len(got), err)
	}
	f.room()
	if cap(f.buf) > roomToRead {
		t.Errorf("%d bytes held", cap(f.buf))
	}
}

// FuzzFraming: no input makes a connection hold more than one message and what
// was read with it, and whatever is found is a piece of the input.
func FuzzFraming(f *testing.F) {
	f.Add([]byte(rawOptions("a")), 7, false)
	f.Add([]byte("\r\n\r\n\r\nX"), 1, false)
	f.Add([]byte("a\r\nl: 5\r\n\r\n12345"), 3, false)
	f.Add(frame(ws.MaskFrameWith(ws.NewTextFrame([]byte("hello")), [4]byte{9, 9, 9, 9})), 2, true)
	f.Fuzz(func(t *testing.T, data []byte, n int, web bool) {
		var cut framing
		var in *inflow
		if web {
			w := newFrames()
			cut, in = w, &w.inflow
		} else {
			l := &lines{}
			cut, in = l, &l.inflow
		}
		all := data
		for len(data) > 0 {
			room := cut.room()
			if len(room) == 0 {
				t.Fatal("no room")
			}
			got := copy(room, data[:min(max(n, 1)%8192+1, len(data))])
			cut.add(got)
			data = data[got:]
			for {
				what, text, err := cut.next()
				if err != nil {
					return
				}
				if what == nothing {
					break
				}
				if what == message && !web && !bytes.Contains(all, text) {
					t.Fatalf("%q is not of the input", text)
				}
				if what == message && len(text) > largestMessage {
					t.Fatalf("a message of %d bytes", len(text))
				}
			}
			if cap(in.buf) > 4*largestMessage {
				t.Fatalf("%d bytes held", cap(in.buf))
			}
		}
	})
}

// How long a connection may be silent. Each row is what happens at a second, and
// what is decided when the deadline passes.
func TestPatience(t *testing.T) {
	type at struct {
		second int
		what   string // "bytes", "message", "ping", "pong"
	}
	for _, x := range []struct {
		name   string
		shaken bool
		kept   bool
		events []at
		ends   int    // the second at which it is left; 0: not within two minutes
		asks   string // the seconds at which we ping
	}{
		{"a stranger who says nothing", false, false, nil, 2, ""},
		{"one who has shaken hands", true, false, nil, 30, ""},
		{"a stranger's message", false, false, []at{{1, "message"}}, 31, ""},
		{"and another", false, false, []at{{1, "message"}, {20, "message"}}, 50, ""},
		{"a stranger's keep-alives", false, false, []at{{1, "message"}, {20, "ping"}, {29, "ping"}}, 31, ""},
		{"only keep-alives", false, false, []at{{1, "ping"}, {20, "ping"}}, 30, ""},
		{"a message that begins and does not end", false, false, []at{{1, "bytes"}, {5, "bytes"}, {9, "bytes"}}, 11, ""},
		{"the same of one we know", true, true, []at{{1, "message"}, {40, "bytes"}}, 50, "31"},
		{"a carrier who says nothing", false, true, nil, 0, "30 70 110"},
		{"a phone that answers no ping", true, true, []at{{0, "message"}}, 0, "30 70 110"},
		{"a phone that answers", true, true, []at{{0, "message"}, {31, "pong"}, {62, "pong"}, {93, "pong"}}, 0, "30 61 92"},
		{"and then no more", true, true, []at{{0, "message"}, {31, "pong"}}, 71, "30 61"},
		{"a phone that talks", true, true, []at{{0, "message"}, {20, "message"}, {40, "message"}, {60, "message"}, {80, "message"}, {100, "message"}}, 0, ""},
		{"a phone that pings", true, true, []at{{0, "message"}, {35, "ping"}, {60, "ping"}, {85, "ping"}, {110, "ping"}}, 0, "30"},
	} {
		t.Run(x.name, func(t *testing.T) {
			begun := time.Unix(1000, 0)
			var p patience
			p.begin(begun, 30*time.Second, wholeMessage)
			p.silent = !x.shaken
			var asks []string
			for second := 0; second <= 120; second++ {
				now := begun.Add(time.Duration(second) * time.Second)
				for _, e := range x.events {
					if e.second != second {
						continue
					}
					switch e.what {
					case "bytes":
						p.spoke(now, true)
					case "message":
						p.heard(now)
					default:
						p.keptAlive(now, e.what == "pong")
					}
				}
				if now.Before(p.deadline()) {
					continue
				}
				switch p.expired(now, x.kept) {
				case leave:
					if second != x.ends {
						t.Errorf("left after %d s, not %d", second, x.ends)
					}
					return
				case ask:
					asks = append(asks, fmt.Sprint(second))
				}
			}
			if x.ends != 0 {
				t.Errorf("not left at %d", x.ends)
			}
			if got := strings.Join(asks, " "); got != x.asks {
				t.Errorf("asked at %q, not %q", got, x.asks)
			}
		})
	}
}
