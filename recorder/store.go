package recorder

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"github.com/puzpuzpuz/xsync/v4"
	"go.uber.org/zap"
)

// Options of a Store.
type Options struct {
	Dir       string
	Recipient string     // age X25519 recipient (age1...); "": not encrypted
	Ended     func(Info) // a recording has closed, complete or interrupted; must not block long
	Log       *zap.Logger

	// What outlives the process, so that recordings in progress go on in the next
	// one: a shelf, MemorySize bytes (all zero when new, aligned to a page), and what
	// the life before left on the shelf. nil: recordings end with the process.
	Keep   Shelf
	Memory []byte
	Kept   iter.Seq2[string, []byte]

	disk disk // tests; nil: the real one
}

const (
	channels   = 2 // 0 the caller, 1 the agent
	sampleRate = 8000

	writeEvery = 200 * time.Millisecond // a recording is appended to
	sweepEvery = 40 * time.Millisecond  // the writer looks who is due
	readEvery  = 20 * time.Millisecond  // a tap is read
	retryEvery = time.Second            // after a write that failed
	settle     = 60 * time.Millisecond  // after End or a mark, before a recording is closed
	markWait   = 2 * time.Second        // End waits this long for marks that do not come
	lastWait   = 3 * time.Second        // Run waits this long for recordings nobody has ended
	diskWait   = 64 * time.Second       // a recording that has ended waits this long for its disk

	maxWaiting = 256       // chunks of one recording, 64 s of two parties
	maxMemory  = 256 << 20 // bytes of chunks of all recordings
)

// ErrNoRoom: the disk is so full that nothing new is recorded.
var ErrNoRoom = errors.New("no room for new recordings")

// ErrClosed: Run has ended or is about to, nothing new is recorded.
var ErrClosed = errors.New("recorder is closed")

// Store is the directory of recordings, and the writer of those in progress. Its
// methods may be called from any goroutine; none of them waits for a disk.
type Store struct {
	dir       string
	recipient age.Recipient // nil: not encrypted
	ended     func(Info)
	log       *zap.Logger
	disk      disk

	recordings *xsync.Map[uint64, *recording]
	dropped    atomic.Uint64 // by us, for want of memory
	tapDropped atomic.Uint64
	written    atomic.Uint64
	errors     atomic.Uint64
	faults     atomic.Uint64
	inMemory   atomic.Int64 // chunks
	memory     *memory
	shelf      Shelf         // nil: nothing is kept
	resumed    []Resumed     // by Open
	kick       chan struct{} // something has begun

	// What is wrong with the disk (trouble.go).
	suspended  atomic.Pointer[fault]
	writeFault atomic.Pointer[fault]
	syncFault  atomic.Pointer[fault]
	writing    work
	closing    work
	gauging    work
	syncing    work // since something is written and not on the disk
	room       atomic.Pointer[Room]

	mu     sync.Mutex
	fresh  []*recording // begun, not yet seen by the writer
	dirty  []*recording // written since the last sync
	closed bool

	frame []byte                        // the writer's
	done  chan *recording               // from the writer to the closer
	wrote func(*recording, kind, int64) // tests: a chunk up to this time is in its file
}

// recording is one in progress.
type recording struct {
	handle uint64
	id     recID
	meta   Meta
	taps   uint64 // what taps had dropped when it began
	slot   int    // of its live, -1: it does not outlive the process

	mu      sync.Mutex
	*live            // but for sealing and places, which are the writer's
	fill    *chunk   // being filled, or nil
	full    []*chunk // to be written, oldest first; the writer takes them off
	marked  time.Time
	endedAt time.Time // End was called
	shut    bool      // nothing is taken any more
	agents  []string
	key     []byte // bare, only while it is kept on the shelf
	revived int64  // lastAt when this life took it up; 0: it began in this life

	// The writer's alone.
	seal    sealer
	again   *chunk // says that a new life goes on, until it is written
	last    *chunk // the head or the end, until it is written
	cut     bool   // what the end says
	fd      int    // -1: no file yet; changed with Store.mu held
	base    int64  // the byte of the recording that its file begins with
	part    int    // files before this one
	size    int64  // of the recording, to the last whole chunk
	torn    bool   // there is half a chunk after size
	started bool   // head and meta.json are written
	retry   time.Time
	failed  error // why the last write failed
	moveAt  time.Time

	reach   extent      // what is written; the writer's
	safe    extent      // what is known to be on the disk; the syncer's
	damaged atomic.Bool // a sync has failed: the writer must move on

	dirty atomic.Bool // in Store.dirty
	over  bool        // closed: the syncer closes the files. Guarded by Store.mu
	old   []int       // files before the one that is written. Guarded by Store.mu
}

// extent is how far a recording has come, in bytes and in time (unix ns).
type extent struct{ size, at atomic.Int64 }

// Open prepares the directory and closes what an earlier life left open there:
// such a recording is playable to its last chunk and becomes "interrupted".
func Open(o Options) (*Store, error) {
	s := &Store{
		dir:        o.Dir,
		ended:      o.Ended,
		log:        o.Log,
		disk:       linux{},
		recordings: xsync.NewMap[uint64, *recording](),
		kick:       make(chan struct{}, 1),
		done:       make(chan *recording, 1024),
	}
	if o.disk != nil {
		s.disk = o.disk
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	if s.ended == nil {
		s.ended = func(Info) {}
	}
	if o.Recipient != "" {
		to, err := age.ParseX25519Recipient(o.Recipient)
		if err != nil {
			return nil, fmt.Errorf("recording recipient: %w", err)
		}
		s.recipient = to
	}
	if err := os.MkdirAll(s.openDir(), 0o750); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	var err error
	if s.memory, err = newMemory(o.Memory); err != nil {
		return nil, err
	}
	s.shelf = o.Keep
	s.resume(o.Kept)
	if err := s.repair(); err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	return s, nil
}

// Begin registers a recording and gives it an id. Its handle is what rtp.Leg.Tap
// wants. The files are made by the writer a moment later. Errors: ErrClosed,
// ErrNoRoom.
func (s *Store) Begin(m Meta) (handle uint64, id string, err error) {
	if s.suspended.Load() != nil || s.Room().below(scarcePercent, scarceMost) {
		return 0, "", ErrNoRoom
	}
	if m.Started.IsZero() {
		m.Started = time.Now()
	}
	r := &recording{handle: s.memory.newHandle(), id: newID(m.Started), meta: m, taps: s.tapDropped.Load(), fd: -1}
	r.seal.id = r.id
	r.live, r.slot = s.memory.newLive(r.handle)
	if m.Agent != "" {
		r.agents = []string{m.Agent}
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		s.memory.freeLive(r.live, r.slot)
		return 0, "", ErrClosed
	}
	s.recordings.Store(r.handle, r)
	s.fresh = append(s.fresh, r)
	s.mu.Unlock()
	r.mu.Lock()
	s.keep(r)
	r.mu.Unlock()
	wake(s.kick)
	return r.handle, r.id.String(), nil
}

func newID(at time.Time) (id recID) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(0, at.UnixMilli())))
	copy(id[:6], ms[2:])
	_, _ = rand.Read(id[6:]) // never fails
	return id
}

// Join adds an agent to a recording: the call was handed on. Info.Agent stays the
// first.
func (s *Store) Join(handle uint64, agent string) {
	r, ok := s.recordings.Load(handle)
	if !ok || agent == "" || len(agent) > 255 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shut {
		return
	}
	r.agents = append(r.agents, agent)
	s.keep(r)
	if r.startAt == 0 {
		return // the first record is a start
	}
	at := max(r.startAt, r.lastAt) // the clock of the taps, not ours
	if c := r.room(s, at, joinSize+len(agent)); c != nil {
		c.join(agent, at)
	}
}

// End closes a recording once every mark before it in the tap has been read.
// Safe to call twice.
func (s *Store) End(handle uint64) {
	r, ok := s.recordings.Load(handle)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.endedAt.IsZero() {
		r.endedAt = time.Now()
		r.ended = true
	}
}

// Stats is how the recorder is doing.
type Stats struct {
	Active      int
	Bytes       uint64        // written
	WriteErrors uint64        // writes and syncs that failed
	Faults      uint64        // of ours, confined to the recording they happened in
	Dropped     uint64        // packets, by taps that were full or for want of memory
	Backlog     time.Duration // age of the oldest audio not yet written
}

// Stats gives the figures as they are now.
func (s *Store) Stats() Stats {
	st := Stats{
		Active:      s.recordings.Size(),
		Bytes:       s.written.Load(),
		WriteErrors: s.errors.Load(),
		Faults:      s.faults.Load(),
		Dropped:     s.dropped.Load() + s.tapDropped.Load(),
	}
	now := time.Now()
	s.recordings.Range(func(_ uint64, r *recording) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch {
		case len(r.full) > 0:
			st.Backlog = max(st.Backlog, now.Sub(r.full[0].since))
		case r.fill != nil:
			st.Backlog = max(st.Backlog, now.Sub(r.fill.since))
		}
		return true
	})
	return st
}

// newChunk gives an empty chunk, nil when memory for them is used up.
func (s *Store) newChunk(r *recording) *chunk {
	if s.inMemory.Load() >= maxChunks {
		return nil
	}
	c, err := s.memory.newChunk(r.handle, r.order+1)
	if err != nil {
		return nil
	}
	r.order++
	s.inMemory.Add(1)
	return c
}

func (s *Store) recycle(c *chunk) {
	s.inMemory.Add(-1)
	s.memory.freeChunk(c)
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
