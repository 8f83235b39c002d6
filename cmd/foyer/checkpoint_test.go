package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"foyer/acd"
	"foyer/acd/whatif"
	"foyer/cmd/foyer/config"
	"foyer/cmd/foyer/keeper"
	"foyer/console"
	"foyer/ledger"
)

// aLife is a switch without wires: a board, its journal and its books, in a directory
// and a memory of calls that outlive it.
type aLife struct {
	tb   testing.TB
	dir  string
	ex   *exchange
	ids  map[acd.CallID]acd.CallID
	last []acd.CallID // as renamed, in order of arrival
	at   []time.Time  // of each checkpoint
	late int          // pages before what was frozen is written
	wait int
}

// newLife begins in dir, and takes up the life before if memory says so.
func newLife(tb testing.TB, dir string, memory *keeper.Memory) *aLife {
	tb.Helper()
	l := &aLife{tb: tb, dir: dir, ids: map[acd.CallID]acd.CallID{}, late: 5}
	ex := &exchange{log: zap.NewNop()}
	ex.memory = memory
	ex.plan.Store(&plan{cfg: &config.Config{}})
	ex.plan.Load().cfg.Site.Timezone = time.UTC
	var err error
	if ex.journal, err = openJournal(dir, time.Hour); err != nil {
		tb.Fatal(err)
	}
	if ex.cdrs, err = ledger.OpenStore(context.Background(), ledger.Database{File: filepath.Join(dir, "foyer.db")}); err != nil {
		tb.Fatal(err)
	}
	ex.board = newBoard(ex.journal, ex.log)
	ex.board.carry = func(acd.Action) {}
	ex.board.cdr = func(rows []ledger.CDR) { ex.cdrs.Put(rows...) }
	ex.board.tally, ex.board.counted = ledger.NewTally(nil), ex.cdrs.PutIntervals
	ex.board.checkpoints = newCheckpoints(ex.journal, ex.cdrs.Flush, func(f func()) { f() }, 60_000, ex.log)
	l.ex = ex
	return l
}

// dies closes what a kill would.
func (l *aLife) dies() {
	l.tb.Helper()
	if err := l.ex.cdrs.Flush(context.Background()); err != nil {
		l.tb.Fatal(err)
	}
	l.ex.cdrs.Close()
	l.ex.journal.close()
}

// next is the life after this one; recover is left to the test.
func (l *aLife) next() *aLife { return newLife(l.tb, l.dir, l.ex.memory) }

// take gives the board events of a made-up day under call ids of our own, and lets it
// write the checkpoints it takes some pages later.
func (l *aLife) take(batch []posted) {
	l.ex.board.take(batch)
	k := l.ex.board.checkpoints
	if k == nil || !k.busy.Load() {
		return
	}
	if l.wait++; l.wait < l.late {
		return
	}
	l.wait = 0
	still := <-k.work
	k.write(context.Background(), still)
	k.busy.Store(false)
	l.at = append(l.at, still.At)
}

func (l *aLife) own(id acd.CallID, at time.Time) acd.CallID {
	if id == "" {
		return ""
	}
	if l.ids[id] == "" {
		l.ids[id] = newCallID(at)
		l.last = append(l.last, l.ids[id])
	}
	return l.ids[id]
}

// works lets a day pass on the board.
func (l *aLife) works(p whatif.Plan) {
	l.tb.Helper()
	var batch []posted
	events := 0
	p.Made(func(r acd.Record, _ []acd.Action) {
		ev := r.Event
		ev.Call, ev.Origin = l.own(ev.Call, r.At), l.own(ev.Origin, r.At)
		batch = append(batch, posted{r.At.UnixNano(), ev})
		if events++; events%5 == 1 || events%5 == 3 {
			l.take(batch)
			batch = batch[:0]
		}
	})
	l.take(batch)
	if l.ex.memory == nil {
		return
	}
	if err := l.ex.memory.Put(lifeKey, strconv.AppendUint(nil, l.ex.journal.life, 10)); err != nil {
		l.tb.Fatal(err)
	}
}

func aMemory(tb testing.TB) *keeper.Memory {
	tb.Helper()
	m, err := keeper.NewMemory()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// brokenOff is a day that is broken off with calls up.
func brokenOff(calls, agents int) whatif.Plan {
	p := busyDay(calls, agents)
	p.Length = 8 * time.Hour
	return p
}

// standing is all that a board has to say of itself, and the rows in the books.
func (l *aLife) standing() (now struct {
	floor   acd.Snapshot
	hash    uint64
	seq     uint64
	open    []acd.CallID
	counts  []ledger.Interval
	rows    []ledger.CDR
	pending []acd.Action
}) {
	l.tb.Helper()
	b := l.ex.board
	if err := l.ex.cdrs.Flush(context.Background()); err != nil {
		l.tb.Fatal(err)
	}
	rows, err := l.ex.cdrs.List(context.Background(), ledger.Query{Limit: 100_000})
	if err != nil {
		l.tb.Fatal(err)
	}
	now.floor, now.hash, now.seq = b.floor.Snapshot(b.last), b.hash.Sum(), b.seq
	now.open, now.counts, now.rows, now.pending = b.fold.Open(), b.tally.Pending(), rows, b.floor.Pending()
	if bad := b.floor.Check(b.last); bad != nil {
		l.tb.Fatalf("%q", bad)
	}
	return now
}

// comesBack is the next life, recovered, which must stand where the last one did.
func (l *aLife) comesBack(change func(*aLife)) *aLife {
	l.tb.Helper()
	was := l.standing()
	l.dies()
	next := l.next()
	if change != nil {
		change(next)
	}
	if err := next.ex.recover(); err != nil {
		l.tb.Fatal(err)
	}
	if !next.ex.continued {
		l.tb.Fatal("the life does not go on")
	}
	now := next.standing()
	if !reflect.DeepEqual(was, now) {
		l.tb.Errorf("the next life stands elsewhere: event %d hash %x, was %d %x; %d calls open, were %d; %d rows, were %d",
			now.seq, now.hash, was.seq, was.hash, len(now.open), len(was.open), len(now.rows), len(was.rows))
	}
	return next
}

// places are those of the checkpoints in a journal.
func (l *aLife) places() []uint64 {
	l.tb.Helper()
	all, err := l.ex.journal.checkpointsFrom(context.Background(), 1)
	if err != nil {
		l.tb.Fatal(err)
	}
	var places []uint64
	for _, c := range all {
		places = append(places, c.place)
	}
	return places
}

// deletes takes a message out of the journal, as its age does.
func (l *aLife) deletes(place uint64) {
	l.tb.Helper()
	s, err := l.ex.journal.js.Stream(context.Background(), journalStream)
	if err == nil {
		err = s.DeleteMsg(context.Background(), place)
	}
	if err != nil {
		l.tb.Fatal(err)
	}
}

// expires takes everything before a place out of the journal.
func (l *aLife) expires(before uint64) {
	l.tb.Helper()
	s, err := l.ex.journal.js.Stream(context.Background(), journalStream)
	if err == nil {
		err = s.Purge(context.Background(), jetstream.WithPurgeSequence(before))
	}
	if err != nil {
		l.tb.Fatal(err)
	}
}

func TestALifeGoesOnFromItsNewestCheckpoint(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), aMemory(t))
	l.works(brokenOff(3000, 40))
	events, written := l.ex.board.seq, len(l.at)
	if written < 5 {
		t.Fatalf("%d checkpoints", written)
	}
	next := l.comesBack(nil)
	if n := uint64(next.ex.replayed); n == 0 || n > events/4 {
		t.Errorf("%d of %d events replayed", n, events)
	}
	// It works on, is killed again, and again goes on from a checkpoint.
	for range 3 {
		before := next.ex.board.seq
		next.ids = l.ids
		next.take([]posted{{0, acd.Event{Kind: acd.Continued}}})
		for n := range 2000 {
			id := acd.CallID(fmt.Sprint("more", before, n))
			next.take([]posted{{0, acd.Event{Kind: acd.Arrived, Call: id, Queue: "queue01", Facts: &acd.Facts{From: "+33612345678"}}}})
			next.take([]posted{{0, acd.Event{Kind: acd.Gone, Call: id, By: acd.Caller}}, {0, acd.Event{Kind: acd.Closed, Call: id, By: acd.Caller}}})
		}
		if len(next.at) == 0 {
			t.Error("no checkpoint in the life that went on")
		}
		next = next.comesBack(nil)
		if n := uint64(next.ex.replayed); n > 3000 {
			t.Errorf("%d events replayed", n)
		}
	}
	v, err := next.ex.journal.verify(context.Background())
	if err != nil || v.lives != 1 || v.hash != next.ex.board.hash.Sum() {
		t.Errorf("%+v, %v", v, err)
	}
	next.dies()
}

// Checkpoints take a fifth of the journal at most, but for the first one, and what is
// left to be replayed is bounded by their size.
func TestCheckpointsAreAFifthOfTheJournal(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), nil)
	l.works(brokenOff(6000, 200))
	var pages, kept, newest, between int
	err := l.ex.journal.scan(context.Background(), journalStream, since(1), func(m *stored) error {
		if m.subject != subjectCheckpoint {
			pages += len(m.body)
			between += len(m.body)
			return nil
		}
		if kept > 0 && between < checkpointWorth*newest-60_000 {
			t.Errorf("a checkpoint after %d bytes, the one before has %d", between, newest)
		}
		kept, newest, between = kept+len(m.body), len(m.body), 0
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if kept == 0 || kept-newest > pages/4 { // what follows the newest is to come
		t.Errorf("%d bytes of checkpoints in %d of pages", kept, pages)
	}
	if between > checkpointWorth*newest+60_000 {
		t.Errorf("%d bytes to be replayed after one of %d", between, newest)
	}
	t.Logf("%d checkpoints of some %d bytes: %d in %d bytes of pages", len(l.at), newest, kept, pages)
	l.dies()
}

// A checkpoint that is torn, or of a program we do not know, is passed over.
func TestCheckpointsThatCannotBeReadArePassedOver(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), aMemory(t))
	l.works(brokenOff(1500, 30))
	ctx := context.Background()
	l.comesBack(func(next *aLife) {
		places := next.places()
		good, _, err := next.ex.journal.checkpoint(ctx, places[len(places)-1])
		if err != nil {
			t.Fatal(err)
		}
		spoilt := func(change func(*checkpoint)) {
			c := *good
			c.Image = bytes.Clone(c.Image)
			change(&c)
			body, err := json.Marshal(page{Checkpoint: &c})
			if err == nil {
				err = next.ex.journal.keepCheckpoint(ctx, body)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		repacked := func(c *checkpoint, change func(floor, fold, tally *[]byte)) {
			floor, fold, tally, err := c.unpack()
			if err != nil {
				t.Fatal(err)
			}
			floor, fold, tally = bytes.Clone(floor), bytes.Clone(fold), bytes.Clone(tally)
			change(&floor, &fold, &tally)
			c.Image = packImages(floor, fold, tally)
		}
		spoilt(func(c *checkpoint) { c.Image = c.Image[:len(c.Image)/2] })
		spoilt(func(c *checkpoint) { c.Image = nil })
		spoilt(func(c *checkpoint) { c.Image[len(c.Image)/2] ^= 1 })
		spoilt(func(c *checkpoint) { c.Page-- })
		spoilt(func(c *checkpoint) { c.Life++ })
		for n := range 3 {
			spoilt(func(c *checkpoint) {
				repacked(c, func(floor, fold, tally *[]byte) { (*[]*[]byte{floor, fold, tally}[n])[0] = 99 })
			})
		}
		if err := next.ex.journal.keepCheckpoint(ctx, []byte(`{"d":"0","r":null,"c":{"wh`)); err != nil {
			t.Fatal(err)
		}
	}).dies()

	// And without any that can be read, all is replayed.
	l = newLife(t, t.TempDir(), aMemory(t))
	l.works(brokenOff(1500, 30))
	events := l.ex.board.seq
	next := l.comesBack(func(next *aLife) {
		for _, p := range next.places() {
			next.deletes(p)
		}
	})
	if uint64(next.ex.replayed) != events {
		t.Errorf("%d of %d events replayed", next.ex.replayed, events)
	}
	next.dies()
}

// The page a life began with has expired, and what came after it.
func TestALifeOutlivesItsFirstPage(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), aMemory(t))
	l.works(brokenOff(3000, 40))
	next := l.comesBack(func(next *aLife) {
		places := next.places()
		c, _, err := next.ex.journal.checkpoint(context.Background(), places[len(places)/2])
		if err != nil {
			t.Fatal(err)
		}
		next.expires(c.Page + 1) // not even the page it is of is left
		if n, err := next.ex.journal.lastLife(context.Background()); n != 0 || err != nil {
			t.Fatalf("the life's first page is there: %d, %v", n, err)
		}
	})
	v, err := next.ex.journal.verify(context.Background())
	if err != nil || v.lives != 1 || v.hash != next.ex.board.hash.Sum() {
		t.Errorf("verified: %+v, %v", v, err)
	}
	next.dies()
}

// After the end of the machine the last life does not go on, and nothing is taken for
// written that the books may have lost: all that they lack is folded again.
func TestAfterTheMachineTheBooksAreMadeGood(t *testing.T) {
	t.Parallel()
	for _, lost := range []time.Duration{0, 2 * time.Hour, 24 * time.Hour} {
		l := newLife(t, t.TempDir(), nil)
		l.works(brokenOff(1500, 30))
		was, events := l.standing(), l.ex.board.seq
		end := l.ex.board.last
		if _, err := l.ex.cdrs.DB().Exec("DELETE FROM cdr WHERE started > $1", end.Add(-lost).UnixMilli()); err != nil {
			t.Fatal(err)
		}
		l.dies()
		next := l.next()
		if err := next.ex.recover(); err != nil {
			t.Fatal(err)
		}
		if next.ex.continued {
			t.Error("a life goes on whose calls are gone")
		}
		rows, err := next.ex.cdrs.List(context.Background(), ledger.Query{Limit: 100_000})
		if err != nil || !reflect.DeepEqual(rows, was.rows) {
			t.Errorf("%v lost: %d rows, were %d; %v", lost, len(rows), len(was.rows), err)
		}
		if all := uint64(next.ex.replayed) == events; all != (lost == 24*time.Hour) {
			t.Errorf("%v lost: %d of %d events replayed", lost, next.ex.replayed, events)
		}
		if !reflect.DeepEqual(next.ex.board.fold.Open(), was.open) {
			t.Error("other calls are open")
		}
		next.dies()
	}
}

// A life that does not go on leaves its promises to the next, with all that was said when
// they were made, also those that were made before the checkpoint.
func TestPromisesAreFoundInACheckpoint(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), nil)
	l.late = 1
	queue := acd.Queue{ID: "sales", Callback: acd.Callback{Attempts: 3, Retry: time.Minute}}
	asked := acd.Event{Kind: acd.CallbackAsked, Call: "b1", Queue: "sales", Number: "+33612345678", Facts: &acd.Facts{Client: "acme", DID: "+33170000001"}}
	for _, ev := range []acd.Event{{Kind: acd.Started, Config: &acd.Config{Queues: []acd.Queue{queue}}}, asked} {
		l.take([]posted{{time.Now().UnixNano(), ev}})
	}
	for n := range 1000 {
		id := acd.CallID(fmt.Sprint("c", n))
		l.take([]posted{
			{time.Now().UnixNano(), acd.Event{Kind: acd.Arrived, Call: id, Queue: "sales"}}, {0, acd.Event{Kind: acd.Gone, Call: id, By: acd.Caller}},
			{0, acd.Event{Kind: acd.Closed, Call: id, By: acd.Caller}},
		})
	}
	places := l.places()
	c, _, err := l.ex.journal.checkpoint(context.Background(), places[len(places)-1])
	if err != nil {
		t.Fatal(err)
	}
	l.expires(c.Page)
	l.dies()
	next := l.next()
	if err := next.ex.recover(); err != nil {
		t.Fatal(err)
	}
	if p := next.ex.promised; len(p) != 1 || p[0].Call != "b1" || p[0].Number != asked.Number || !reflect.DeepEqual(p[0].Facts, asked.Facts) || next.ex.replayed > 900 {
		t.Errorf("%s, %d events replayed", asJSON(p), next.ex.replayed)
	}
	next.dies()
}

// An event that kills the replay ends it, also behind a checkpoint; the life begins anew.
func TestAFaultBehindACheckpointEndsTheReplay(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), aMemory(t))
	l.works(brokenOff(1500, 30))
	last := l.ex.board.seq
	l.dies()
	next, parts := l.next(), 0
	next.ex.onPart = func(confinedPart) {
		if parts++; parts == 4 { // the first is the checkpoint's own
			panic("a test broke the replay")
		}
	}
	if err := next.ex.recover(); err != nil {
		t.Fatal(err)
	}
	if next.ex.continued || next.ex.faults[aReplay].Load() != 1 || next.ex.board.seq != last {
		t.Errorf("goes on: %v, faults %d, event %d of %d", next.ex.continued, next.ex.faults[aReplay].Load(), next.ex.board.seq, last)
	}
	if at, ok := next.ex.board.floor.Deadline(); ok || len(next.ex.board.floor.Snapshot(at).Agents) > 0 {
		t.Error("half a floor is left")
	}
	next.dies()

	// One that breaks the thawing is that checkpoint's alone.
	l = newLife(t, t.TempDir(), aMemory(t))
	l.works(brokenOff(1500, 30))
	parts = 0
	l.comesBack(func(next *aLife) {
		next.ex.onPart = func(confinedPart) {
			if parts++; parts == 1 {
				panic("a test broke the checkpoint")
			}
		}
	}).dies()
}

// What cannot be written is tried again, and holds up nobody.
func TestACheckpointThatIsNotWritten(t *testing.T) {
	t.Parallel()
	l := newLife(t, t.TempDir(), aMemory(t))
	k := l.ex.board.checkpoints
	flush, fails := k.flush, 0
	k.flush = func(ctx context.Context) error {
		if fails++; fails < 4 {
			return errors.New("a test has no books")
		}
		return flush(ctx)
	}
	l.works(brokenOff(1500, 30))
	if k.failures.Load() != 3 || k.written.Load() == 0 || int(k.written.Load()) != len(l.places()) {
		t.Errorf("%d failed, %d written, %d in the journal", k.failures.Load(), k.written.Load(), len(l.places()))
	}
	l.comesBack(nil).dies()
}

// Readers begin with a checkpoint where they can, and say the same.
func TestReadersBeginWithACheckpoint(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := newLife(t, t.TempDir(), nil)
	p := brokenOff(3000, 40)
	p.Begin = time.Now().Add(time.Hour).UTC().Truncate(time.Second) // a page is never written before what it tells of
	l.works(p)
	d := &desk{ex: l.ex, cfg: &config.Config{}}
	d.cfg.Site.Timezone = time.UTC
	late := l.last[len(l.last)-60]
	ask := func(call acd.CallID) string {
		x, err := d.Explain(ctx, string(call), "en")
		if err != nil {
			t.Fatalf("%s: %v", call, err)
		}
		return asJSON(x)
	}
	agent := func() string {
		x, err := d.ExplainAgent(ctx, console.AgentQuestion{Agent: "agent0001", From: l.ex.board.last.Add(-10 * time.Minute), To: l.ex.board.last, Lang: "en"})
		if err != nil {
			t.Fatal(err)
		}
		return asJSON(x)
	}
	exported := func() *replayReport {
		path := filepath.Join(t.TempDir(), "part.ndjson")
		err := writeFile(path, func(w io.Writer) error { return d.Journal(ctx, w, l.at[len(l.at)-2], time.Time{}) })
		if err != nil {
			t.Fatal(err)
		}
		r, err := replayed(t, path, whatif.Change{})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	begin, err := l.ex.journal.beginningBefore(ctx, l.at[len(l.at)-2])
	if err != nil || begin.after == nil {
		t.Fatalf("%+v, %v", begin, err)
	}
	call, who, part := ask(late), agent(), exported()
	if part.Lives != 1 || uint64(part.Events) != l.ex.board.seq-begin.after.Seq || part.Hash != fmt.Sprintf("%016x", l.ex.board.hash.Sum()) {
		t.Errorf("exported from a checkpoint: %+v", part)
	}
	if !strings.Contains(call, "offered to") {
		t.Errorf("nothing is said: %s", call)
	}
	whole, err := l.ex.journal.verify(ctx)
	if err != nil || uint64(whole.events) != l.ex.board.seq {
		t.Errorf("%+v, %v", whole, err)
	}
	places := l.places()
	c, _, err := l.ex.journal.checkpoint(ctx, places[1])
	if err != nil {
		t.Fatal(err)
	}
	l.expires(c.Page - 20)
	if ask(late) != call || agent() != who {
		t.Error("other answers once the first page has gone")
	}
	rest, err := l.ex.journal.verify(ctx)
	if err != nil || rest.hash != whole.hash || uint64(rest.events) != l.ex.board.seq-c.Seq {
		t.Errorf("%+v, %v; want %d events", rest, err, l.ex.board.seq-c.Seq)
	}
	all, err := storedPages(ctx, l.ex.journal, "journal")
	if err != nil {
		t.Fatal(err)
	}
	r := replaying{pages: all, change: whatif.Change{Add: 2, Skills: map[string]int{"fr": 4}}, bar: &bar{}}
	report, err := r.run(ctx)
	if err != nil || report.Same.Total.Answered == 0 || report.Is == nil {
		t.Errorf("played with a change: %+v, %v", report, err)
	}
	for _, p := range l.places() {
		l.deletes(p)
	}
	if _, err := l.ex.journal.verify(ctx); err == nil {
		t.Error("a journal without a beginning is verified")
	}
	l.dies()
}

// A backup has the checkpoints too: what is restored of it can be replayed, and begun
// with, like the journal it was made of.
func TestCheckpointsAreBackedUp(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	l := newLife(t, t.TempDir(), nil)
	l.works(brokenOff(1500, 30))
	c, _, err := l.ex.journal.checkpoint(ctx, l.places()[1])
	if err != nil {
		t.Fatal(err)
	}
	l.expires(c.Page - 30)
	kept := filepath.Join(t.TempDir(), streamFile(journalStream))
	err = writeFile(kept, func(w io.Writer) error { return (&desk{ex: l.ex}).Stream(ctx, w, journalStream) })
	if err != nil {
		t.Fatal(err)
	}
	whole, err := l.ex.journal.verify(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := manifest{}
	in, f, err := openStream(filepath.Dir(kept), journalStream)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := readStream(in, journalStream, func(h streamHead) error { m.Journal.streamHead = h; return nil }, func(line *streamLine, _ []byte) error { return m.Journal.count(line) }); err != nil {
		t.Fatal(err)
	}
	r := m.report(filepath.Dir(kept))
	m.checkJournal(ctx, filepath.Dir(kept), r, &bar{})
	if said := asJSON(r); !strings.Contains(said, fmt.Sprintf("%d events in 1 lives, %d decisions the same again", m.Journal.Events, whole.decisions)) {
		t.Errorf("%s; want %+v", said, whole)
	}
	places := l.places()
	l.dies()

	back, err := openStreams(t.TempDir(), time.Hour, map[string]uint64{journalStream: m.Journal.First, diaryStream: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer back.close()
	if err := back.restoreStream(ctx, filepath.Dir(kept), journalStream, &bar{}); err != nil {
		t.Fatal(err)
	}
	again := (&aLife{tb: t, ex: &exchange{journal: back}}).places()
	if !reflect.DeepEqual(again, places) {
		t.Errorf("restored: %v, were %v", again, places)
	}
	if v, err := back.verify(ctx); err != nil || v != whole {
		t.Errorf("%+v, %v; want %+v", v, err, whole)
	}
	if begin, err := back.beginningBefore(ctx, time.Now()); err != nil || begin.after == nil || begin.after.Life != c.Life {
		t.Errorf("%+v, %v", begin, err)
	}
}

// On a whole switch: checkpoints are written beside the calls, and the next life works
// behind them.
func TestCheckpointsOfASwitch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	often := func(st *staging) { st.least = 1 }
	s := openStage(t, dir, often)
	for range 2 {
		_, out := s.waits(callerTone)
		out.Bye()
		s.rowOf(out)
	}
	k := s.ex.board.checkpoints
	s.until("a checkpoint is written", func() bool { return k.written.Load() > 0 && !k.busy.Load() })
	s.retires()

	s = openStage(t, dir, often)
	if n, err := s.ex.journal.verify(s.ctx); err != nil || n.lives != 2 {
		t.Errorf("%+v, %v", n, err)
	}
	if k := s.ex.board.checkpoints; k.failures.Load() != 0 {
		t.Errorf("%d checkpoints failed", k.failures.Load())
	}
	_, out := s.waits(callerTone)
	out.Bye()
	s.rowOf(out)
}

// BenchmarkRecover is the time until a killed life goes on.
func BenchmarkRecover(b *testing.B) {
	for _, calls := range []int{20_000, 100_000} {
		dir, memory := b.TempDir(), aMemory(b)
		l := newLife(b, dir, memory)
		l.ex.board.checkpoints.least = leastJournalled
		p := busyDay(calls, calls/125)
		p.Length = 11 * time.Hour
		l.works(p)
		events := l.ex.board.seq
		l.dies()
		for _, name := range []string{"with", "without"} { // in this order: the second has none any more
			b.Run(fmt.Sprintf("calls=%d/%s", calls, name), func(b *testing.B) {
				var took time.Duration
				replayed := 0
				for b.Loop() {
					next := newLife(b, dir, memory)
					for _, p := range next.places() {
						if name == "without" {
							next.deletes(p)
						}
					}
					begun := time.Now()
					if err := next.ex.recover(); err != nil || !next.ex.continued {
						b.Fatal(err)
					}
					took += time.Since(begun)
					replayed = next.ex.replayed
					next.dies()
				}
				b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "recover-ms")
				b.ReportMetric(float64(replayed), "replayed")
				b.ReportMetric(float64(events), "events")
			})
		}
	}
}
