package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/acd"
	"foyer/ledger"
	"foyer/sip"
	"foyer/sip/siptest"
)

// crowd makes room for many calls and agents.
func crowd(agents int) stageOption {
	return func(st *staging) {
		with("max_calls: 20", "max_calls: 300")(st)
		// This test is alone: no other stage uses these ports.
		st.yaml = regexp.MustCompile(`ports: \d+-\d+`).ReplaceAllString(st.yaml, "ports: 30000-31999")
		var list strings.Builder
		for i := range agents {
			fmt.Fprintf(&list, "  - {id: a%02d, name: A, sip: {password: pw-a%02d}, skills: {fr: 5}, queues: [accueil], ready_on_register: true}\n", i, i)
		}
		st.yaml += list.String()
	}
}

// serves answers every call of an agent's phone, and hangs up as soon as the
// caller is connected, until the stage ends.
func (p *person) serves() {
	for {
		in, err := p.WaitCall(p.s.ctx)
		if err != nil {
			return
		}
		in.Ring(180, "")
		in.Answer(p.voice.offer())
		if _, err := in.WaitFor(p.s.ctx, "ACK"); err != nil {
			return
		}
		for !p.s.bridged(in) {
			select {
			case <-time.After(time.Millisecond):
			case <-p.s.ctx.Done():
				return
			}
		}
		in.Bye()
	}
}

// Not parallel: it counts the goroutines of the whole process.
func TestTwoHundredCallsAtOnce(t *testing.T) {
	const agents, calls = 20, 200
	s := newStage(t, hasty, crowd(agents))
	var wait sync.WaitGroup
	var people []*person
	for i := range agents {
		people = append(people, s.agent(fmt.Sprintf("a%02d", i), 1000))
	}
	caller := s.caller(carrierHost, callerTone)
	before := runtime.NumGoroutine()

	var out []*siptest.Call
	for range calls {
		out = append(out, caller.call("+33170000001"))
	}
	for _, c := range out {
		caller.expect(c, "200 INVITE")
	}
	if n := s.ex.calls.count(); n != calls {
		t.Errorf("%d calls up at once, want %d", n, calls)
	}
	for _, p := range people {
		p.s = s
	}
	for _, p := range people {
		wait.Go(p.serves)
	}
	for _, c := range out {
		if err := c.Ended(s.ctx); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for _, c := range s.cdrs(calls) {
		if seen[c.ID] || seen[c.SIPCallID] || c.Outcome != ledger.Answered || c.EndedBy != "agent" {
			t.Errorf("CDR: %s", asJSON(c))
		}
		seen[c.ID], seen[c.SIPCallID] = true, true
	}
	s.until("every leg over", func() bool { return s.ex.edge.Legs() == 0 && s.ex.calls.count() == 0 })
	s.until("every port back", func() bool { used, _ := s.ex.media.Ports(); return used == 0 })
	for _, p := range people {
		p.Close() // ends serves
	}
	wait.Wait()
	s.until("every goroutine back", func() bool { return runtime.NumGoroutine() <= before })
}

func TestBrokenCallEndsAlone(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(st *staging) {
		st.onStep = func(_ *call, m any) {
			if ev, ok := m.(fromCaller); ok {
				if _, ok := ev.event.(sip.Info); ok {
					panic("a test broke this call")
				}
			}
		}
	})
	ana, bo := s.agent("ana", anaTone), s.agent("bo", boTone)
	first, out1 := s.waits(callerTone)
	in1 := ana.rings()
	ana.picksUp(in1)
	second, out2 := s.waits(620)
	in2 := bo.rings()
	bo.picksUp(in2)
	first.hears(anaTone)

	out1.Info("application/dtmf", "1")
	first.expect(out1, "BYE")
	ana.expect(in1, "BYE")
	row := s.rowOf(out1)
	if row.Cause != acd.CausePanic.String() || row.EndedBy != "switch" || row.Agent != "ana" {
		t.Errorf("CDR: %s", asJSON(row))
	}
	second.hearsOn(20)
	second.hears(boTone)
	bo.hears(620)
	s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready })
	out2.Bye()
	if row := s.rowOf(out2); row.Cause != acd.CauseHangup.String() {
		t.Errorf("CDR of the other: %s", asJSON(row))
	}
	if row.RecordingID == "" {
		t.Error("the broken call's recording is in no CDR")
	}
	s.recorded(row.RecordingID)
}

func TestBrokenAtTheWorstMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, want string
		breaks     func(c *call, m any)
	}{
		{"on arrival", "500 INVITE", func(_ *call, m any) {
			if _, ok := m.(arrived); ok {
				panic("broken on arrival")
			}
		}},
		{"and so is its clean-up", "BYE", func(c *call, m any) {
			if _, ok := m.(acd.Offer); ok {
				c.rec.handle = 1 // a recording without an agent
				panic("broken while being offered")
			}
		}},
		{"while it is measured", "BYE", func(_ *call, m any) {
			if _, ok := m.(measured); ok {
				panic("broken while being measured")
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, func(st *staging) { st.onStep = c.breaks })
			s.agent("ana", anaTone)
			caller := s.caller(carrierHost, callerTone)
			out := caller.call("+33170000001")
			if c.name == "while it is measured" {
				caller.expect(out, "200 INVITE")
				out.Bye()
				caller.expect(out, "200 BYE")
			} else {
				caller.expect(out, c.want)
			}
			row := s.rowOf(out)
			if c.name != "while it is measured" && (row.Cause != acd.CausePanic.String() || row.Outcome != ledger.Broken) {
				t.Errorf("CDR: %s", asJSON(row))
			}
			s.until("ana ready", func() bool { return s.agentState("ana") == acd.Ready })
		})
	}
}

func TestCallsGoOnWithoutAJournal(t *testing.T) {
	slow(t)
	t.Parallel()
	s := newStage(t)
	ana := s.agent("ana", anaTone)
	base := "http://" + s.cfg.Listen.HTTP.String()
	if body, res := fetch(t, base+"/healthz"); res.StatusCode != 200 {
		t.Fatalf("healthz before: %d %s", res.StatusCode, body)
	}
	s.ex.journal.server.Shutdown()
	for range 2 {
		out, in := s.connected(s.caller(carrierHost, callerTone), ana)
		ana.hears(callerTone)
		out.Bye()
		ana.expect(in, "BYE")
		if row := s.rowOf(out); row.Outcome != ledger.Answered || row.Agent != "ana" {
			t.Errorf("CDR: %s", asJSON(row))
		}
	}
	body, res := fetch(t, base+"/healthz")
	if res.StatusCode != 503 || !strings.Contains(string(body), "journal") {
		t.Errorf("healthz: %d %s", res.StatusCode, body)
	}
	metrics, _ := fetch(t, base+"/metrics")
	if !regexp.MustCompile(`(?m)^foyer_journal_errors_total [1-9]`).Match(metrics) {
		t.Error("metrics tell of no journal error")
	}
}

// A floor that stands still is told of, with what everybody was doing, and so is that
// it goes on. Nothing that happened meanwhile is lost.
func TestStallIsTold(t *testing.T) {
	t.Parallel()
	s := newStage(t, func(st *staging) { st.stall = 200 * time.Millisecond })
	base := "http://" + s.cfg.Listen.HTTP.String()
	held, release := make(chan struct{}), make(chan struct{})
	go s.ex.board.ask(s.ctx, func() { close(held); <-release })
	<-held
	s.until("healthz tells of the stall", func() bool {
		body, res := fetch(t, base+"/healthz")
		return res.StatusCode == 503 && strings.Contains(string(body), "stands still")
	})
	pictures, err := filepath.Glob(filepath.Join(s.cfg.Site.DataDir, "stall-*.txt"))
	if err != nil || len(pictures) != 1 {
		t.Fatalf("pictures: %v, %v", pictures, err)
	}
	if text, err := os.ReadFile(pictures[0]); err != nil || !bytes.Contains(text, []byte("TestStallIsTold")) {
		t.Errorf("the picture does not show who holds the board: %v", err)
	}
	caller := s.caller(carrierHost, callerTone)
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	close(release)
	s.until("healthy again", func() bool {
		_, res := fetch(t, base+"/healthz")
		return res.StatusCode == 200
	})
	ana := s.agent("ana", anaTone)
	ana.rings()
	out.Bye()
	if metrics, _ := fetch(t, base+"/metrics"); !bytes.Contains(metrics, []byte("foyer_floor_stalls_total 1")) {
		t.Error("the metrics do not tell of the stall")
	}
}

func TestDrainLetsATalkEndByItself(t *testing.T) {
	t.Parallel()
	s, caller, ana, out, in := conversation(t)
	began := time.Now()
	done := make(chan struct{})
	go func() { s.ex.drain(20 * time.Second); close(done) }()
	s.until("draining", s.ex.draining.Load)
	late := caller.call("+33170000001")
	if res := caller.expect(late, "503 INVITE"); res.Get("Retry-After") == "" {
		t.Errorf("503 without Retry-After:\n%s", res)
	}
	if body, res := fetch(t, "http://"+s.cfg.Listen.HTTP.String()+"/readyz"); res.StatusCode != 503 || !strings.Contains(string(body), "draining") {
		t.Errorf("readyz: %d %s", res.StatusCode, body)
	}
	caller.hearsOn(10)
	caller.hears(anaTone)
	select {
	case <-done:
		t.Error("the drain did not wait for the talk")
	default:
	}
	in.Bye()
	caller.expect(out, "BYE")
	ana.expect(in, "200 BYE")
	<-done
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the drain lasted %v after the last call", took)
	}
	s.wantEnd(ledger.Answered, acd.Agent, acd.CauseHangup)
}
