package recorder

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
)

// Resumed is a recording that was in progress when the life before was killed, and
// goes on. Its handle is the same: what a tap still holds of it is taken as soon
// as Run begins.
type Resumed struct {
	Handle uint64
	ID     string
	CallID string
}

// Resumed gives the recordings that Open found in progress. Those whose call is no
// longer there must be ended with End.
func (s *Store) Resumed() []Resumed { return s.resumed }

// shelfPrefix begins the keys of our records.
const shelfPrefix = "recording/"

// onShelf is the record of one recording in progress: what does not change with
// every packet. Unknown fields are ignored, so that the release before can read
// what the next one wrote.
type onShelf struct {
	Version int      `json:"v"`
	Handle  uint64   `json:"handle"`
	ID      string   `json:"id"`
	Live    int      `json:"live"` // its place in memory
	Meta    Meta     `json:"meta"`
	Agents  []string `json:"agents,omitempty"`
	Key     []byte   `json:"key,omitempty"` // bare
}

const shelfVersion = 1

// keep puts what is known of a recording on the shelf. With r.mu held, so that an
// older record never replaces a newer one; the shelf does not wait.
func (s *Store) keep(r *recording) {
	if s.shelf == nil || r.slot < 0 {
		return
	}
	text, err := json.Marshal(onShelf{shelfVersion, r.handle, r.id.String(), r.slot, r.meta, r.agents, r.key})
	if err == nil {
		err = s.shelf.Put(shelfPrefix+r.id.String(), text)
	}
	if err != nil {
		s.log.Warn("recording would not outlive the process", zap.Stringer("recording", r.id), zap.Error(err))
	}
}

// keepKey puts the bare key on the shelf before anything is sealed with it.
func (s *Store) keepKey(r *recording, key []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.shelf == nil || r.slot < 0 {
		clear(key)
		return
	}
	clear(r.key)
	r.key = key
	s.keep(r)
}

// forget takes a recording that is closed off the shelf and out of memory.
func (s *Store) forget(r *recording) {
	if s.shelf != nil {
		s.shelf.Delete(shelfPrefix + r.id.String())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.key)
	r.key = nil
	old, own := r.live, *r.live // whoever still has the recording must not touch another's
	r.live = &own
	s.memory.freeLive(old, r.slot)
}

// errOver: its end was written by the life before, which had not come to forget it.
var errOver = errors.New("it has ended")

// resume takes up the recordings that the life before had in progress. One that
// cannot go on is left to repair.
func (s *Store) resume(kept iter.Seq2[string, []byte]) {
	found := map[uint64]*recording{}
	if kept != nil && s.shelf != nil && s.memory.b != nil {
		for key, value := range kept {
			if !strings.HasPrefix(key, shelfPrefix) {
				continue
			}
			r, err := s.recall(value)
			if err != nil {
				s.log.Error("recording cannot go on", zap.String("record", key), zap.Error(err))
				s.shelf.Delete(key)
				continue
			}
			found[r.handle] = r
		}
	}
	left := s.memory.left(func(handle uint64) bool { return found[handle] != nil })
	for _, r := range found {
		if err := s.takeUp(r, left[r.handle]); err != nil {
			if !errors.Is(err, errOver) {
				s.log.Error("recording cannot go on", zap.Stringer("recording", r.id), zap.Error(err))
			}
			for _, c := range left[r.handle] {
				s.memory.freeChunk(c)
			}
			s.forget(r)
			continue
		}
		s.inMemory.Add(int64(len(r.full)))
		s.recordings.Store(r.handle, r)
		s.fresh = append(s.fresh, r)
		s.resumed = append(s.resumed, Resumed{r.handle, r.id.String(), r.meta.CallID})
		s.log.Info("recording goes on", zap.Stringer("recording", r.id), zap.String("call", r.meta.CallID),
			zap.Uint32("chunk", r.seal.number), zap.Int("in_memory", len(r.full)))
	}
	slices.SortFunc(s.resumed, func(a, b Resumed) int { return cmp.Compare(a.Handle, b.Handle) })
	wake(s.kick)
}

// recall reads a record of the shelf.
func (s *Store) recall(value []byte) (*recording, error) {
	var k onShelf
	if err := json.Unmarshal(value, &k); err != nil {
		return nil, err
	}
	id, ok := parseID(k.ID)
	if !ok || k.Live < 0 || k.Live >= int(s.memory.head.lives) {
		return nil, errors.New("the record makes no sense")
	}
	r := &recording{handle: k.Handle, id: id, meta: k.Meta, agents: k.Agents, key: k.Key, fd: -1, slot: k.Live, live: s.memory.liveAt(uint32(k.Live))}
	if r.live.handle != r.handle || r.handle == 0 || r.which > 1 {
		return nil, errors.New("its state is not in memory")
	}
	r.seal.id = id
	return r, nil
}

// takeUp brings a recording to the state in which it was, with the chunks that
// were in memory.
func (s *Store) takeUp(r *recording, chunks []*chunk) error {
	now := time.Now()
	r.marked = now
	if r.ended {
		r.endedAt = now
	}
	written := r.places[r.which].order
	if err := s.reopen(r, &written); err != nil {
		return err
	}
	slices.SortFunc(chunks, func(a, b *chunk) int { return cmp.Compare(a.slot().order, b.slot().order) })
	for _, c := range chunks {
		r.order = max(r.order, c.slot().order)
		if c.slot().order <= written || len(c.b) == headSize {
			s.memory.freeChunk(c)
			continue
		}
		c.since = now
		r.lastAt = max(r.lastAt, c.last)
		r.full = append(r.full, c)
	}
	r.revived = max(r.startAt, r.lastAt)
	return nil
}

// reopen finds where the file of a recording ends, and goes on behind that.
// written is the order of the last chunk known to be in it.
func (s *Store) reopen(r *recording, written *uint64) error {
	own := s.recordingDir(r.id)
	parts, err := partsOf(own)
	if errors.Is(err, fs.ErrNotExist) && r.places[r.which].size == 0 {
		return nil // killed before there was anything
	}
	if err != nil {
		return err
	}
	var size int64
	for _, p := range parts { // also the first, whose lock says that the recording is written
		fd, n, err := s.disk.reopen(filepath.Join(own, p.name))
		if err != nil {
			s.closeFiles(r)
			return err
		}
		if r.fd >= 0 {
			r.old = append(r.old, r.fd)
		}
		r.fd, r.base, size = fd, p.first, p.first+n
	}
	r.part = len(parts) - 1
	if err := s.goOn(r, size, written); err != nil {
		s.closeFiles(r)
		r.fd = -1
		return err
	}
	return nil
}

func (s *Store) goOn(r *recording, size int64, written *uint64) error {
	at := r.places[r.which]
	if size < at.size {
		return fmt.Errorf("%d bytes of %d are left of its file", size, at.size)
	}
	if r.done {
		return errOver
	}
	r.size, r.seal.number, r.seal.prev = at.size, at.number, at.chain
	// What was written and not yet said to be: one chunk, or a part of one.
	tail := make([]byte, size-at.size)
	if _, err := s.disk.read(r.fd, tail, at.size-r.base); err != nil && err != io.EOF {
		return fmt.Errorf("read the last chunk: %w", err)
	}
	for {
		f, ok := parseFrame(tail)
		if !ok || f.id != r.id || f.prev != r.seal.prev || f.number != r.seal.number && f.kind != resumeChunk {
			break
		}
		r.seal.number = f.number
		if f.kind == endChunk {
			return errOver
		}
		if f.kind == audioChunk {
			*written++
		}
		r.seal.written(f.raw)
		r.size += int64(len(f.raw))
		tail = tail[len(f.raw):]
	}
	r.torn = len(tail) > 0
	r.reach.size.Store(r.size)
	r.reach.at.Store(r.lastAt)
	r.safe.size.Store(r.base) // the life before has not said what it had synced
	r.safe.at.Store(r.lastAt)
	if r.size == 0 {
		return nil // a head is made anew, with a new key
	}
	if r.key != nil {
		aead, err := newAEAD(r.key)
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		r.seal.aead = aead
	}
	// A frame with this number may have been made of other content: its nonce is spent.
	if r.sealing >= r.seal.number {
		r.seal.number = r.sealing + 1
	}
	r.arrive(*written)
	r.again = newChunk(nil)
	r.again.first = max(r.startAt, r.lastAt)
	r.again.last = r.again.first
	r.again.lost = uint32(r.lostMS(s))
	return nil
}
