package main

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The diary is what is told of calls afterwards and decides nothing: the SIP
// messages of their legs and which legs were whose. It is written in passing: entries gather for diaryPause and go to the store together,
// because one message each would cost more than the call itself. What gathers is
// lost with the process; what was written is not.
type diary struct {
	mu   sync.Mutex
	page []byte // entries of the page being written; guarded by mu

	write func([]byte)
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
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

func (d *diary) flush() {
	d.mu.Lock()
	page := d.page
	d.page = nil
	d.mu.Unlock()
	if len(page) > 0 {
		d.write(page)
	}
}

func (d *diary) close() {
	close(d.stop)
	<-d.done
}

// errStop ends a reading that has found all it wanted.
var errStop = errors.New("stop reading")

// readDiary hands every entry written since a moment to each, in order, with the
// time its page was written.
func (j *journal) readDiary(ctx context.Context, since time.Time, each func(at time.Time, kind entryKind, key string, text []byte) error) error {
	j.diary.flush()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := j.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	from := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &since}
	err := j.scan(ctx, diaryStream, from, func(m *jetstream.MsgMetadata, page []byte) error {
		for len(page) > 0 {
			kind := entryKind(page[0])
			key, rest, ok := cutField(page[1:])
			text, rest, ok2 := cutField(rest)
			if !ok || !ok2 {
				return errors.New("diary page cut short")
			}
			if err := each(m.Timestamp, kind, string(key), text); err != nil {
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
