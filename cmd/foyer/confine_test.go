package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
)

// breaking breaks each part once, when told to.
type breaking [confinedParts]atomic.Bool

func (b *breaking) at(p confinedPart) {
	if b[p].CompareAndSwap(true, false) {
		panic("a test broke this: " + p.String())
	}
}

// confines waits until a fault has happened and has been counted, once.
func (s *stage) confines(b *breaking, p confinedPart) {
	s.t.Helper()
	s.until(p.String()+" broken and counted", func() bool { return !b[p].Load() && s.ex.faults[p].Load() == 1 })
	body, _ := fetch(s.t, "http://"+s.cfg.Listen.HTTP.String()+"/metrics")
	if want := fmt.Sprintf("foyer_panics_total{part=%q} 1", p); !strings.Contains(string(body), want) {
		s.t.Errorf("metrics lack %s", want)
	}
}

// What breaks in a round, a scrape or an errand costs that one; afterwards each goes on.
func TestAFaultIsConfined(t *testing.T) {
	t.Parallel()
	var b breaking
	var rounds [confinedParts]atomic.Uint64
	s := newStage(t, func(st *staging) {
		st.minute, st.stall = 50*time.Millisecond, time.Second
		st.onPart = func(p confinedPart) {
			b.at(p)
			rounds[p].Add(1)
		}
	})
	for _, p := range []confinedPart{theHours, theToll, theWatch} {
		b[p].Store(true)
		s.confines(&b, p)
		so := rounds[p].Load()
		s.until("the next round of the "+p.String(), func() bool { return rounds[p].Load() > so })
	}
	b[aScrape].Store(true)
	if _, res := fetch(t, "http://"+s.cfg.Listen.HTTP.String()+"/metrics"); res.StatusCode != http.StatusOK {
		t.Errorf("a broken scrape is answered %s", res.Status)
	}
	s.confines(&b, aScrape)

	ana := s.agent("ana", anaTone)
	b[anErrand].Store(true)
	refused := ana.call("*9")
	ana.expect(refused, "500 INVITE")
	s.confines(&b, anErrand)
	served := ana.call("*9")
	ana.expect(served, "200 INVITE")
	served.Bye()
	ana.expect(served, "200 BYE")
}

// A decision that cannot be handed over ends the call it was about, and no other.
func TestAFaultInCarryingOutADecision(t *testing.T) {
	t.Parallel()
	var b breaking
	s := newStage(t, func(st *staging) { st.onPart = b.at })
	ana := s.agent("ana", anaTone)
	first, out1 := s.waits(callerTone)
	in := ana.rings()
	ana.picksUp(in)

	b[aDecision].Store(true)
	second := s.caller(carrierHost, 620)
	out2 := second.call("+33170000001")
	s.confines(&b, aDecision)
	if row := s.rowOf(out2); row.Cause != acd.CausePanic.String() || row.EndedBy != acd.Switch.String() {
		t.Errorf("the call it was about: %s", asJSON(row))
	}
	first.hearsOn(20)
	out1.Bye()
	if row := s.rowOf(out1); row.Cause != acd.CauseHangup.String() {
		t.Errorf("the other: %s", asJSON(row))
	}
	out3 := second.call("+33170000001")
	in = ana.rings()
	ana.picksUp(in)
	out3.Bye()
	if row := s.rowOf(out3); row.Cause != acd.CauseHangup.String() || row.Agent != "ana" {
		t.Errorf("the next: %s", asJSON(row))
	}
}

// A switch that was killed by an event must not be killed by it again at every start.
func TestAFaultInTheReplayOfTheLastLife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStage(t, dir)
	_, out := s.waits(callerTone)
	s.until("the call is in the journal", func() bool { return s.ex.board.events.Load() > 1 })
	out.Bye()
	s.rowOf(out)
	s.retires()
	last := s.ex.board.seq

	records := 0
	s = openStage(t, dir, func(st *staging) {
		st.onPart = func(p confinedPart) {
			if p != aReplay {
				return
			}
			if records++; records == 2 {
				panic("a test broke the replay")
			}
		}
	})
	if n := s.ex.faults[aReplay].Load(); n != 1 || records != 3 { // the third looks for promises
		t.Errorf("%d faults in %d records", n, records)
	}
	s.ex.board.ask(s.ctx, func() {
		if s.ex.board.seq <= last {
			t.Errorf("events are numbered from %d on, the last was %d", s.ex.board.seq, last)
		}
	})
	ana := s.agent("ana", anaTone)
	_, out = s.waits(callerTone)
	in := ana.rings()
	ana.picksUp(in)
	out.Bye()
	if row := s.rowOf(out); row.Cause != acd.CauseHangup.String() {
		t.Errorf("a call of the next life: %s", asJSON(row))
	}
}

// The floor is not confined: half a decision for everybody is worse than a restart.
func TestAFaultInTheFloorIsNotSwallowed(t *testing.T) {
	t.Parallel()
	j, err := openJournal(t.TempDir(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	b := newBoard(j, zap.NewNop())
	b.floor = nil
	defer func() {
		if recover() == nil {
			t.Error("the board went on without a floor")
		}
		read := 0
		if err := j.read(context.Background(), 1, func(page) error { read++; return nil }); err != nil || read != 1 {
			t.Errorf("%d pages in the journal: %v", read, err)
		}
	}()
	b.take([]posted{{time.Now().UnixNano(), acd.Event{Kind: acd.Started, Config: &acd.Config{}}}})
}

func TestADiaryPageThatBreaksIsLostAlone(t *testing.T) {
	t.Parallel()
	var wrote atomic.Uint64
	d := newDiary(func([]byte) {
		if wrote.Add(1) == 1 {
			panic("a test broke this page")
		}
	})
	for range 2 {
		d.note(endEntry, "c1")
		d.flush()
	}
	d.close()
	if wrote.Load() != 2 || d.faults.Load() != 1 || d.pages.Load() != 1 {
		t.Errorf("%d pages begun, %d broken, %d written", wrote.Load(), d.faults.Load(), d.pages.Load())
	}
}
