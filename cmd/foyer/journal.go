package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
// run. The stream "diary" holds what is told of calls afterwards (diary.go).
//
// Threads: append is called by the board alone, and what it notes is the board's;
// keepCheckpoint and the diary's note from any goroutine.
type journal struct {
	server *server.Server
	conn   *nats.Conn
	js     jetstream.JetStream
	diary  *diary

	diaryFrom uint64 // the diary's last page when it was opened

	// After a write that failed the next ones fail at once until rest is over,
	// for every call waits for the board and the board for the journal.
	failed bool
	rest   time.Time

	life  uint64 // the place of the Started event of the pages that are appended; 0: not known
	place uint64 // of the page appended last
	grown int    // bytes appended since the newest checkpoint
}

var errNoJournal = errors.New("journal out of order")

const (
	journalStream = "journal"
	diaryStream   = "diary"

	// A life of the switch begins with one message under subjectStart, so that
	// the next start finds where to read from without reading the rest.
	subjectStart  = "journal.start"
	subjectEvents = "journal.events"
	// Between them stand checkpoints (checkpoint.go).
	subjectCheckpoint = "journal.checkpoint"

	// journalAge is how long events stay: long enough to explain last month.
	journalAge = 31 * 24 * time.Hour

	// journalPatience is how long a write may take, journalProbe one that finds out
	// whether a journal that failed journalRest ago works again.
	journalPatience = 2 * time.Second
	journalProbe    = 100 * time.Millisecond
	journalRest     = time.Second

	// storeBytes bounds each stream on disk, oldest first out, so that the
	// journal can never fill the disk the recordings need.
	storeBytes = 4 << 30
)

// page is one message of the journal: the events taken together, and the hash
// of every decision made before them, so that a replay is checked as it goes. A
// checkpoint is one without events: programs that do not know it read nothing in it.
type page struct {
	Decided    uint64       `json:"d,string"`
	Records    []acd.Record `json:"r"`
	Checkpoint *checkpoint  `json:"c,omitempty"`

	size int // as read
}

// openJournal starts the embedded store in dir. It listens on nothing.
func openJournal(dir string, traceAge time.Duration) (*journal, error) {
	return openStreams(dir, traceAge, nil)
}

// openStreams is openJournal; with first, for a restore: a new stream counts its
// messages from there on, and acknowledges each.
func openStreams(dir string, traceAge time.Duration, first map[string]uint64) (*journal, error) {
	srv, err := server.NewServer(&server.Options{
		ServerName: "foyer",
		DontListen: true,
		JetStream:  true,
		StoreDir:   filepath.Join(dir, "journal"),
		// Else the server makes do with three quarters of the room there is at the
		// start, and does not open streams that could grow beyond: on a disk that is
		// short of room the switch would not start.
		JetStreamMaxStore: 2 * storeBytes,
		NoSigs:            true,
		NoLog:             true,
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
	if err := j.connect(traceAge, first); err != nil {
		j.close()
		return nil, fmt.Errorf("journal in %s: %w", dir, err)
	}
	return j, nil
}

func (j *journal) connect(traceAge time.Duration, first map[string]uint64) error {
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
		{Name: diaryStream, Subjects: []string{diaryStream}, MaxAge: traceAge, MaxBytes: storeBytes, NoAck: first == nil},
	} {
		s.Storage, s.FirstSeq = jetstream.FileStorage, first[s.Name]
		made, err := j.js.CreateOrUpdateStream(ctx, s)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		if s.Name == diaryStream {
			j.diaryFrom = made.CachedInfo().State.LastSeq
		}
	}
	// A lost page of the diary is not worth stopping a call for.
	j.diary = newDiary(func(page []byte) { _ = conn.Publish(diaryStream, page) })
	return nil
}

func (j *journal) close() {
	if j.diary != nil {
		j.diary.close()
	}
	if j.conn != nil {
		j.conn.FlushTimeout(2 * time.Second)
		j.settleDiary()
		j.conn.Close()
	}
	j.server.Shutdown()
	j.server.WaitForShutdown()
}

// settleDiary waits until the store has what the diary gave it. The diary is not
// acknowledged, and a server that shuts down drops what it has not stored yet.
func (j *journal) settleDiary() {
	if j.diary == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stream, err := j.js.Stream(ctx, diaryStream)
	for err == nil && stream.CachedInfo().State.LastSeq < j.diaryFrom+j.diary.pages.Load() {
		time.Sleep(time.Millisecond)
		_, err = stream.Info(ctx)
	}
}

// subject is where a page is written.
func (p *page) subject() string {
	if p.Checkpoint != nil {
		return subjectCheckpoint
	}
	for i := range p.Records {
		if p.Records[i].Event.Kind == acd.Started {
			return subjectStart
		}
	}
	return subjectEvents
}

// append writes a page and returns once it is stored: a kill after that loses
// none of its events.
func (j *journal) append(p page) error {
	subject := p.subject()
	body, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("journal page: %w", err)
	}
	patience := journalPatience
	if j.failed {
		if time.Now().Before(j.rest) {
			return errNoJournal
		}
		patience = journalProbe
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	kept, err := j.js.Publish(ctx, subject, body)
	if j.failed = err != nil; j.failed {
		j.rest = time.Now().Add(journalRest)
		return fmt.Errorf("journal write: %w", err)
	}
	j.place = kept.Sequence
	j.grown += len(body)
	if subject == subjectStart {
		j.life = kept.Sequence
	}
	return nil
}

// lastLife is the place of the newest Started event; 0 in an empty journal.
func (j *journal) lastLife(ctx context.Context) (uint64, error) {
	stream, err := j.js.Stream(ctx, journalStream)
	if err != nil {
		return 0, err
	}
	last, err := stream.GetLastMsgForSubject(ctx, subjectStart)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return last.Sequence, nil
}

// lifeAt is the place of the Started event of the life that was on at a moment;
// 0 when the journal does not reach back so far.
func (j *journal) lifeAt(ctx context.Context, moment time.Time) (uint64, error) {
	var found uint64
	starts := jetstream.OrderedConsumerConfig{FilterSubjects: []string{subjectStart}, HeadersOnly: true}
	err := j.scan(ctx, journalStream, starts, func(m *stored) error {
		if m.at.After(moment) {
			return errStop
		}
		found = m.place
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}

// read gives every page of events from a place on, in order, and ends with each's error.
func (j *journal) read(ctx context.Context, from uint64, each func(page) error) error {
	return j.bodies(ctx, from, func(m *stored) error {
		var p page
		if err := json.Unmarshal(m.body, &p); err != nil {
			return fmt.Errorf("journal page: %w", err)
		}
		p.size = len(m.body)
		return each(p)
	})
}

// bodies gives every page of events as it was written, from a place on.
func (j *journal) bodies(ctx context.Context, from uint64, each func(*stored) error) error {
	return j.scan(ctx, journalStream, since(from), func(m *stored) error {
		if m.subject == subjectCheckpoint {
			return nil
		}
		return each(m)
	})
}

// since is everything from a place on.
func since(place uint64) jetstream.OrderedConsumerConfig {
	return jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(place, 1)}
}

// stored is a message as the store has it.
type stored struct {
	place   uint64
	at      time.Time // when it was stored first: before a restore, if there was one
	subject string
	body    []byte
}

// scan hands every stored message of a stream from a place on to each.
func (j *journal) scan(ctx context.Context, stream string, from jetstream.OrderedConsumerConfig, each func(*stored) error) error {
	s, err := j.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	if s.CachedInfo().State.Msgs == 0 {
		return nil
	}
	cons, err := s.OrderedConsumer(ctx, from)
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
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			s := stored{meta.Sequence.Stream, meta.Timestamp, m.Subject(), m.Data()}
			if at, restored := writtenAt(m.Headers()); restored {
				s.at = at
			}
			if err := each(&s); err != nil {
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
