package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"foyer/acd"
	"foyer/acd/flat"
	"foyer/ledger"
)

// checkpoint is what the board knew after a page of the journal: the floor, and what
// the books remember. A replay that begins with it needs nothing older, so that a start
// does not go over a whole life of the switch, and the life outlives its Started page.
//
// It stands in the journal some pages after the one it is of, for writing it takes its
// time. Once it stands there, the books have all that was told before it.
type checkpoint struct {
	Life  uint64    `json:"life"`     // the place of its Started event
	Page  uint64    `json:"page"`     // the place of the page it is of
	Seq   uint64    `json:"n"`        // the number of the last event there
	At    time.Time `json:"t"`        // its moment
	Hash  uint64    `json:"h,string"` // of all decisions up to there
	Image []byte    `json:"image"`    // packed
}

// frozen is a checkpoint that has not been encoded.
type frozen struct {
	checkpoint
	floor       *acd.Image
	fold, tally []byte
}

// freeze takes a checkpoint. The floor stands still for it: some milliseconds with ten
// thousand agents in calls. False when it cannot be now.
func (b *board) freeze() (*frozen, bool) {
	floor, ok := b.floor.Freeze()
	if !ok {
		return nil, false
	}
	tally, err := b.tally.Freeze()
	if err != nil {
		return nil, false
	}
	j := b.journal
	return &frozen{
		checkpoint: checkpoint{Life: j.life, Page: j.place, Seq: b.seq, At: b.last, Hash: b.hash.Sum()},
		floor:      floor, fold: b.fold.Freeze(), tally: tally,
	}, true
}

// errCheckpoint: a checkpoint cannot be used.
var errCheckpoint = errors.New("checkpoint not usable")

// pack encodes what was frozen: compressed, with a sum before it.
func (f *frozen) pack() error {
	floor, err := f.floor.Encode()
	if err != nil {
		return err
	}
	f.Image = packImages(floor, f.fold, f.tally)
	return nil
}

func packImages(parts ...[]byte) []byte {
	form := flat.Writing(nil)
	for i := range parts {
		form.Blob(&parts[i])
	}
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(form.Bytes()))
	return append(sum, s2.Encode(nil, form.Bytes())...)
}

// unpack gives the images of the floor, the fold and the tally.
func (c *checkpoint) unpack() (floor, fold, tally []byte, err error) {
	if len(c.Image) < 4 {
		return nil, nil, nil, fmt.Errorf("%w: it is cut short", errCheckpoint)
	}
	all, err := s2.Decode(nil, c.Image[4:])
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	if crc32.ChecksumIEEE(all) != binary.BigEndian.Uint32(c.Image) {
		return nil, nil, nil, fmt.Errorf("%w: it is not as it was written", errCheckpoint)
	}
	form := flat.Reading(all)
	for _, part := range []*[]byte{&floor, &fold, &tally} {
		form.Blob(part)
	}
	return floor, fold, tally, form.End()
}

// floor is the floor of a checkpoint.
func (c *checkpoint) floor() (*acd.Floor, error) {
	floor, _, _, err := c.unpack()
	if err != nil {
		return nil, err
	}
	return acd.Thaw(floor)
}

// thaw puts the board where it was.
func (c *checkpoint) thaw(b *board, shifts ledger.Schedule) error {
	floor, fold, tally, err := c.unpack()
	if err != nil {
		return err
	}
	f, err := acd.Thaw(floor)
	if err != nil {
		return err
	}
	k, err := ledger.ThawFold(fold)
	if err != nil {
		return err
	}
	t, err := ledger.ThawTally(tally, shifts)
	if err != nil {
		return err
	}
	b.setFloor(f)
	b.fold, b.tally, b.hash, b.last, b.seq = k, t, acd.ResumeHash(c.Hash), c.At, c.Seq
	return nil
}

// A checkpoint is worth writing when what was journalled since the newest one is this
// many times its size, so that checkpoints are a fifth of the journal at most and what
// is left to be replayed is bounded; but not for less than leastJournalled.
const (
	checkpointWorth   = 4
	leastJournalled   = 1 << 20
	checkpointTimeout = 30 * time.Second
)

// checkpoints writes them. Threads: the board considers; run has a goroutine of its
// own, so that no decision waits for an encoder, the books or the disk.
type checkpoints struct {
	journal *journal
	flush   func(context.Context) error // returns once the books have all they were given
	apart   func(func())                // runs what takes a processor for long
	log     *zap.Logger
	least   int

	work   chan *frozen // holds one
	busy   atomic.Bool  // one is on its way
	size   atomic.Int64 // of the newest one, as written
	failed atomic.Bool  // that was not written

	written, failures atomic.Uint64
}

func newCheckpoints(j *journal, flush func(context.Context) error, apart func(func()), least int, log *zap.Logger) *checkpoints {
	return &checkpoints{journal: j, flush: flush, apart: apart, log: log, least: cmp.Or(least, leastJournalled), work: make(chan *frozen, 1)}
}

// consider takes a checkpoint if it is worth it. Called by the board, after a page that
// is in the journal.
func (k *checkpoints) consider(b *board) {
	if k == nil || b.journal.life == 0 || b.journal.grown < k.worth() || !k.busy.CompareAndSwap(false, true) {
		return
	}
	still, ok := b.freeze()
	if !ok {
		k.busy.Store(false)
		return
	}
	b.journal.grown = 0
	k.work <- still // there is room: nobody else is busy
}

// worth is how much must have been journalled.
func (k *checkpoints) worth() int {
	if k.failed.Load() {
		return k.least
	}
	return max(k.least, checkpointWorth*int(k.size.Load()))
}

// run writes what the board takes, until ctx ends.
func (k *checkpoints) run(ctx context.Context) {
	for {
		select {
		case still := <-k.work:
			k.write(ctx, still)
			k.busy.Store(false)
		case <-ctx.Done():
			return
		}
	}
}

func (k *checkpoints) write(ctx context.Context, still *frozen) {
	size, err := k.keep(ctx, still)
	if ctx.Err() != nil {
		return // the switch stops
	}
	if k.failed.Store(err != nil); err != nil {
		k.failures.Add(1)
		k.log.Error("checkpoint not written; the next one is tried soon", zap.Error(err))
		return
	}
	k.size.Store(int64(size))
	k.written.Add(1)
	k.log.Debug("checkpoint written", zap.Uint64("event", still.Seq), zap.Int("bytes", size))
}

// keep brings a checkpoint into the journal, once the books have what came before it.
func (k *checkpoints) keep(ctx context.Context, still *frozen) (size int, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkpointTimeout)
	defer cancel()
	var body []byte
	k.apart(func() {
		if err = still.pack(); err == nil {
			body, err = json.Marshal(page{Checkpoint: &still.checkpoint})
		}
	})
	if err != nil {
		return 0, err
	}
	if err := k.flush(ctx); err != nil {
		return 0, err
	}
	return len(body), k.journal.keepCheckpoint(ctx, body)
}

// keepCheckpoint writes a checkpoint. Any goroutine may call it.
func (j *journal) keepCheckpoint(ctx context.Context, body []byte) error {
	if _, err := j.js.Publish(ctx, subjectCheckpoint, body); err != nil {
		return fmt.Errorf("journal write: %w", err)
	}
	return nil
}

// checkpointAt is where a checkpoint stands.
type checkpointAt struct {
	place uint64
	at    time.Time // when it was written
}

// checkpointsFrom lists the checkpoints from a place on, oldest first.
func (j *journal) checkpointsFrom(ctx context.Context, place uint64) ([]checkpointAt, error) {
	var all []checkpointAt
	only := since(place)
	only.FilterSubjects, only.HeadersOnly = []string{subjectCheckpoint}, true
	err := j.scan(ctx, journalStream, only, func(m *stored) error {
		all = append(all, checkpointAt{m.place, m.at})
		return nil
	})
	return all, err
}

// checkpoint reads the one at a place. errCheckpoint is among the errors when it, or what
// should follow it, is not what it was: then another will have to do.
func (j *journal) checkpoint(ctx context.Context, place uint64) (c *checkpoint, size int, err error) {
	s, err := j.js.Stream(ctx, journalStream)
	if err != nil {
		return nil, 0, err
	}
	p, size, err := pageAt(ctx, s, place)
	if err != nil {
		return nil, 0, err
	}
	if c = p.Checkpoint; c == nil || c.Page >= place {
		return nil, 0, fmt.Errorf("%w: there is none", errCheckpoint)
	}
	switch first := s.CachedInfo().State.FirstSeq; {
	case c.Page+1 < first:
		return nil, 0, fmt.Errorf("%w: what follows it has gone", errCheckpoint)
	case c.Page >= first:
		of, _, err := pageAt(ctx, s, c.Page)
		if err != nil {
			return nil, 0, err
		}
		if n := len(of.Records); n == 0 || of.Records[n-1].Seq != c.Seq {
			return nil, 0, fmt.Errorf("%w: its page stands elsewhere", errCheckpoint)
		}
	}
	return c, size, nil
}

func pageAt(ctx context.Context, s jetstream.Stream, place uint64) (p page, size int, err error) {
	m, err := s.GetMsg(ctx, place)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return p, 0, fmt.Errorf("%w: message %d is missing", errCheckpoint, place)
	}
	if err != nil {
		return p, 0, err
	}
	if err := json.Unmarshal(m.Data, &p); err != nil {
		return p, 0, fmt.Errorf("%w: %w", errCheckpoint, err)
	}
	return p, len(m.Data), nil
}
