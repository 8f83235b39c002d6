package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
)

// A stream in a backup is text, a JSON value a line: first what it is, then every
// message with its place and time. A line of the journal is a page as `foyer replay`
// reads it, with two fields more.

// streamHead is the first line.
type streamHead struct {
	Stream   string `json:"stream"`
	First    uint64 `json:"first"` // place of the first message; of the next one, when there is none
	Last     uint64 `json:"last"`
	Messages uint64 `json:"messages"`
}

// streamLine is every other one.
type streamLine struct {
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	Page []byte    `json:"page,omitempty"` // of the diary, as stored

	// Of the journal, as stored: what this release does not know is kept too.
	Decided json.RawMessage `json:"d,omitempty"`
	Records json.RawMessage `json:"r,omitempty"`
	// Of a checkpoint.
	Checkpoint json.RawMessage `json:"c,omitempty"`
}

// streamRest keeps a backup from taking more than half of a processor's time from
// the calls of the switch that serves it: after so much work it rests as long.
const streamRest = 5 * time.Millisecond

// Stream writes a stream as it is at this moment. The switch goes on writing it.
func (d *desk) Stream(ctx context.Context, w io.Writer, name string) error {
	j := d.ex.journal
	if name == diaryStream {
		if err := j.fillDiary(ctx); err != nil {
			return err
		}
	}
	s, err := j.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	state := s.CachedInfo().State
	out := bufio.NewWriterSize(w, 1<<16)
	if err := json.NewEncoder(out).Encode(streamHead{name, max(state.FirstSeq, 1), state.LastSeq, state.Msgs}); err != nil {
		return err
	}
	if state.Msgs == 0 {
		return out.Flush()
	}
	begun := time.Now()
	err = j.scan(ctx, name, since(state.FirstSeq), func(m *stored) error {
		if m.place > state.LastSeq {
			return errStop
		}
		if err := writeLine(out, name, m); err != nil {
			return err
		}
		if worked := time.Since(begun); worked >= streamRest {
			time.Sleep(worked)
			begun = time.Now()
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	return out.Flush()
}

func writeLine(w io.Writer, stream string, m *stored) error {
	if stream == diaryStream {
		return json.NewEncoder(w).Encode(streamLine{Seq: m.place, At: m.at.UTC(), Page: m.body})
	}
	fields, ok := bytes.CutPrefix(m.body, []byte("{"))
	if !ok {
		return fmt.Errorf("message %d is no page", m.place)
	}
	_, err := fmt.Fprintf(w, `{"seq":%d,"at":%q,%s`+"\n", m.place, m.at.UTC().Format(time.RFC3339Nano), fields)
	return err
}

// readStream reads a stream of a backup: its head, then every line, also as the text
// it was, which each may keep. It fails unless all lines are there, in order.
func readStream(r io.Reader, name string, head func(streamHead) error, each func(l *streamLine, text []byte) error) error {
	lines := bufio.NewReaderSize(r, 1<<18)
	first, err := lines.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, cutShort(err))
	}
	var h streamHead
	if err := json.Unmarshal(first, &h); err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	if h.Stream != name {
		return fmt.Errorf("stream %s: these are messages of %q", name, h.Stream)
	}
	if err := head(h); err != nil {
		return err
	}
	last := h.First - 1
	for last < h.Last && h.Messages > 0 {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("stream %s after message %d of %d: %w", name, last, h.Last, cutShort(err))
		}
		var l streamLine
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("stream %s after message %d: %w", name, last, err)
		}
		if l.Seq <= last || l.Seq > h.Last {
			return fmt.Errorf("stream %s: message %d after %d", name, l.Seq, last)
		}
		last = l.Seq
		if err := each(&l, text); err != nil {
			return err
		}
	}
	if _, err := lines.ReadByte(); err != io.EOF {
		return fmt.Errorf("stream %s goes on after its last message", name)
	}
	return nil
}

func cutShort(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// firstWritten is the header of a message that a restore has written: JetStream gives
// every message the time it is stored, and there is no saying otherwise.
const firstWritten = "Foyer-Written"

func writtenAt(h nats.Header) (time.Time, bool) {
	text := h.Get(firstWritten)
	if text == "" {
		return time.Time{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	return at, err == nil
}

// restore writes a line of a backup into its stream.
func (j *journal) restore(ctx context.Context, stream string, l *streamLine) error {
	m := nats.NewMsg(stream)
	m.Header.Set(firstWritten, l.At.UTC().Format(time.RFC3339Nano))
	m.Data = l.Page
	if stream == journalStream {
		body, err := json.Marshal(struct {
			Decided    json.RawMessage `json:"d"`
			Records    json.RawMessage `json:"r"`
			Checkpoint json.RawMessage `json:"c,omitempty"`
		}{l.Decided, l.Records, l.Checkpoint})
		if err != nil {
			return fmt.Errorf("message %d: %w", l.Seq, err)
		}
		var p page
		if err := json.Unmarshal(body, &p); err != nil {
			return fmt.Errorf("message %d: %w", l.Seq, err)
		}
		m.Subject, m.Data = p.subject(), body
	}
	_, err := j.js.PublishMsg(ctx, m)
	if err != nil {
		return fmt.Errorf("stream %s, message %d: %w", stream, l.Seq, err)
	}
	return nil
}
