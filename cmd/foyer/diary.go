package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go/jetstream"
)

// The diary is what is told of calls afterwards and decides nothing: the SIP
// messages of their legs and which legs were whose. It is written in passing:
// entries gather for diaryPause and go to the store together, because one message
// each would cost more than the call itself. What gathers is lost with the
// process; what was written is not.
//
// A page is packed: the messages of a call say the same things again and again,
// and the store keeps the last megabytes it was given in memory.
type diary struct {
	mu   sync.Mutex
	page []byte // entries of the page being written; guarded by mu

	pages  atomic.Uint64 // written
	faults atomic.Uint64 // pages over which the writing broke
	write  func([]byte)
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}
}

const (
	diaryPause = 200 * time.Millisecond
	diaryPage  = 512 << 10 // bytes that do not wait for the pause
)

// entryKind says what an entry holds.
type entryKind byte

const (
	wireEntry   entryKind = 'w' // a SIP message, by SIP Call-ID
	threadEntry entryKind = 't' // a leg of a call, by call
	endEntry    entryKind = 'e' // the call's last word was said, by call
)

// packed stands before a page that was packed, where an entry's kind stands in
// one that was not: those written by older versions are read too.
const packed = 'p'

func packPage(page []byte) []byte {
	b := make([]byte, 1+s2.MaxEncodedLen(len(page)))
	b[0] = packed
	return b[:1+len(s2.Encode(b[1:], page))]
}

func unpackPage(page []byte) ([]byte, error) {
	if len(page) == 0 || page[0] != packed {
		return page, nil
	}
	page, err := s2.Decode(nil, page[1:])
	if err != nil {
		return nil, fmt.Errorf("diary page: %w", err)
	}
	return page, nil
}

func newDiary(write func([]byte)) *diary {
	d := &diary{write: write, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go d.run()
	return d
}

// note adds an entry: kind, key, and the parts of its text one after another.
// It never waits for the store.
func (d *diary) note(kind entryKind, key string, parts ...[]byte) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	d.mu.Lock()
	d.page = append(d.page, byte(kind))
	d.page = binary.AppendUvarint(d.page, uint64(len(key)))
	d.page = append(d.page, key...)
	d.page = binary.AppendUvarint(d.page, uint64(size))
	for _, p := range parts {
		d.page = append(d.page, p...)
	}
	full := len(d.page) >= diaryPage
	d.mu.Unlock()
	if full {
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
}

// run writes a page each pause, when there is anything to write.
func (d *diary) run() {
	defer close(d.done)
	tick := time.NewTicker(diaryPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-d.wake:
		case <-d.stop:
			d.flush()
			return
		}
		d.flush()
	}
}

// flush writes what has gathered. A page over which that breaks is lost; nothing hangs
// on it but what is told of its calls.
func (d *diary) flush() {
	defer func() {
		if p := recover(); p != nil {
			d.faults.Add(1)
		}
	}()
	d.mu.Lock()
	page := d.page
	d.page = nil
	d.mu.Unlock()
	if len(page) > 0 {
		d.write(packPage(page))
		d.pages.Add(1)
	}
}

func (d *diary) close() {
	close(d.stop)
	<-d.done
}

// errStop ends a reading that has found all it wanted.
var errStop = errors.New("stop reading")

// fillDiary brings what was noted so far into the store.
func (j *journal) fillDiary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	j.diary.flush()
	if err := j.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	j.settleDiary()
	return nil
}

// readDiary hands every entry written since a moment to each, in order, with the
// time its page was written.
func (j *journal) readDiary(ctx context.Context, since time.Time, each func(at time.Time, kind entryKind, key string, text []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := j.fillDiary(ctx); err != nil {
		return err
	}
	from := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since}
	err := j.scan(ctx, diaryStream, from, func(m *stored) error {
		page, err := unpackPage(m.body)
		if err != nil {
			return err
		}
		for len(page) > 0 {
			kind := entryKind(page[0])
			key, rest, ok := cutField(page[1:])
			text, rest, ok2 := cutField(rest)
			if !ok || !ok2 {
				return errors.New("diary page cut short")
			}
			if err := each(m.at, kind, string(key), text); err != nil {
				return err
			}
			page = rest
		}
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return err
}

// cutField takes a field with its length before it.
func cutField(b []byte) (field, rest []byte, ok bool) {
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, nil, false
	}
	return b[used : used+int(n)], b[used+int(n):], true
}
