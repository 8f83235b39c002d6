package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"foyer/acd"
)

// journal is what the switch remembers of what happened: an embedded NATS
// JetStream in the data directory. The stream "journal" holds every event of the
// floor, in the order it was taken, written and acknowledged before its actions
// run. The stream "calls" holds what is told of one call afterwards: the SIP
// messages of its legs and the reason of each match; it is written without
// waiting, for it decides nothing.
//
// Threads: append is called by the board alone; remember from any goroutine.
type journal struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	seq    uint64
}

const (
	journalStream = "journal"
	callsStream   = "calls"

	// A life of the switch begins with one message under subjectStart, so that
	// the next start finds where to read from without reading the rest.
	subjectStart  = "journal.start"
	subjectEvents = "journal.events"

	// journalAge is how long events stay: long enough to explain last month.
	journalAge = 31 * 24 * time.Hour

	// storeBytes bounds each stream on disk, oldest first out, so that the
	// journal can never fill the disk the recordings need.
	storeBytes = 4 << 30
)

// page is one message of the journal: the events taken together, and the hash
// of every decision made before them, so that a replay is checked as it goes.
type page struct {
	Decided uint64       `json:"d,string"`
	Records []acd.Record `json:"r"`
}

// openJournal starts the embedded store in dir. It listens on nothing.
func openJournal(dir string, traceAge time.Duration) (*journal, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName: "foyer",
		DontListen: true,
		JetStream:  true,
		StoreDir:   filepath.Join(dir, "journal"),
		NoSigs:     true,
		NoLog:      true,
		// A page of events is far below it; a Started event carries the whole
		// configuration, which for 10,000 agents is about 2 MiB.
		MaxPayload: 64 << 20,
		MaxPending: 256 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("journal in %s: %w", dir, err)
	}
	srv.Start()
	if !srv.ReadyForConnections(30 * time.Second) {
		srv.Shutdown()
		return nil, fmt.Errorf("journal in %s did not open within 30 s", dir)
	}
	j := &journal{server: srv}
	if err := j.connect(traceAge); err != nil {
		j.close()
		return nil, fmt.Errorf("journal in %s: %w", dir, err)
	}
	return j, nil
}

func (j *journal) connect(traceAge time.Duration) error {
	conn, err := nats.Connect("", nats.InProcessServer(j.server), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	j.conn = conn
	if j.js, err = jetstream.New(conn); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, s := range []jetstream.StreamConfig{
		{Name: journalStream, Subjects: []string{"journal.>"}, MaxAge: journalAge, MaxBytes: storeBytes},
		{Name: callsStream, Subjects: []string{"calls.>"}, MaxAge: traceAge, MaxBytes: storeBytes, NoAck: true},
	} {
		s.Storage = jetstream.FileStorage
		if _, err := j.js.CreateOrUpdateStream(ctx, s); err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
	}
	return nil
}

func (j *journal) close() {
	if j.conn != nil {
		j.conn.FlushTimeout(2 * time.Second)
		j.conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
}

// append writes events taken at now and returns once they are stored: a kill
// after that loses none of them.
func (j *journal) append(now time.Time, events []acd.Event, decided uint64) ([]acd.Record, error) {
	p := page{Decided: decided, Records: make([]acd.Record, len(events))}
	subject := subjectEvents
	for i, ev := range events {
		j.seq++
		p.Records[i] = acd.Record{Seq: j.seq, At: now, Event: ev}
		if ev.Kind == acd.Started {
			subject = subjectStart
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("journal page: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := j.js.Publish(ctx, subject, body); err != nil {
		return nil, fmt.Errorf("journal write: %w", err)
	}
	return p.Records, nil
}

// read gives every page from the start of the last life on (or from the very
// beginning when all), in order.
func (j *journal) read(ctx context.Context, all bool, each func(page) error) error {
	stream, err := j.js.Stream(ctx, journalStream)
	if err != nil {
		return err
	}
	from := uint64(1)
	if !all {
		last, err := stream.GetLastMsgForSubject(ctx, subjectStart)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		from = last.Sequence
	}
	return j.scan(ctx, journalStream, nil, from, func(_ string, body []byte) error {
		var p page
		if err := json.Unmarshal(body, &p); err != nil {
			return fmt.Errorf("journal page: %w", err)
		}
		for _, r := range p.Records {
			j.seq = max(j.seq, r.Seq)
		}
		return each(p)
	})
}

// scan hands every stored message of a stream from a sequence on to each.
func (j *journal) scan(ctx context.Context, stream string, subjects []string, from uint64, each func(string, []byte) error) error {
	s, err := j.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return err
	}
	if info.State.LastSeq < from || info.State.Msgs == 0 {
		return nil
	}
	cons, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{
		FilterSubjects: subjects,
		DeliverPolicy:  jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:    max(from, 1),
	})
	if err != nil {
		return err
	}
	for {
		batch, err := cons.FetchNoWait(512)
		if err != nil {
			return err
		}
		n := 0
		for m := range batch.Messages() {
			n++
			if err := each(m.Subject(), m.Data()); err != nil {
				return err
			}
		}
		if err := batch.Error(); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

// remember files body under a key of kind; recall finds it again. Keys share
// 4,096 subjects, because a subject per call would cost memory for ever.
func (j *journal) remember(kind, key string, body []byte) {
	// A lost line of a trace is not worth stopping a call for.
	_ = j.conn.Publish(subjectOf(kind, key), body)
}

func (j *journal) recall(ctx context.Context, kind, key string, each func([]byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := j.conn.FlushWithContext(ctx); err != nil {
		return err
	}
	return j.scan(ctx, callsStream, []string{subjectOf(kind, key)}, 1, func(_ string, body []byte) error {
		return each(body)
	})
}

func subjectOf(kind, key string) string {
	h := fnv.New32a()
	h.Write([]byte(key))
	return fmt.Sprintf("calls.%s.%03x", kind, h.Sum32()&0xfff)
}
