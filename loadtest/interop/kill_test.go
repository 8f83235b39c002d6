package interop

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"foyer/loadtest"
)

// The switch is killed and starts again. Telephones must notice nothing but a moment
// of silence.

// kill kills the switch and waits for the next one.
func (h *house) kill() {
	h.t.Helper()
	if err := h.sw.Kill(h.ctx); err != nil {
		h.t.Fatal(err)
	}
}

// happenings counts events of a type that have come and not been waited for.
func (e *events) happenings(name string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, ev := range e.list {
		if ev.name == name {
			n++
		}
	}
	return n
}

func TestTalkOutlivesTheSwitch(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{Kept: true})
			p := h.agent(0, transport, baresipTone)
			p.auto = true
			agent := startBaresip(t, p)
			caller := h.callFromBaresip("")
			h.hearsFor(caller, baresipTone)
			for range 2 {
				h.kill()
				h.hearsFor(caller, baresipTone)
				h.hearsFor(agent, carrierTone)
			}
			// A connection died with the switch, and this telephone makes another only
			// when it has something to say.
			first, second, by := caller, agent, "caller"
			if transport != "udp" {
				first, second, by = agent, caller, "agent"
			}
			first.do("hangup", "")
			second.wait("CALL_CLOSED")
			h.wantChannels(carrierTone, baresipTone)
			row := h.wantOutcome("answered", by)
			left, right := h.recorded()
			for name, channel := range map[string][]float64{"caller": left, "agent": right} {
				if d := float64(len(channel))/rate - row.TalkS; d < -0.25 || d > 0.25 {
					t.Errorf("%s: recorded for %.3f s of %.3f", name, float64(len(channel))/rate, row.TalkS)
				}
				if gap := longestSilence(channel); gap > 60*time.Millisecond {
					t.Errorf("%s: %v of silence in the recording", name, gap)
				}
			}
		})
	}
}

// longestSilence is the longest stretch without a sound, between the first and the
// last one.
func longestSilence(x []float64) time.Duration {
	const piece = rate / 200
	longest, run, begun := 0, 0, false
	for at := 0; at+piece <= len(x); at += piece {
		if energy(x[at:at+piece]) > 100 {
			if begun {
				longest = max(longest, run)
			}
			begun, run = true, 0
			continue
		}
		run++
	}
	return time.Duration(longest*piece) * time.Second / rate
}

func TestHoldOutlivesTheSwitch(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true})
	caller, agent := h.talking()
	agent.do("hold", "")
	music := func(second []float64) bool { return energy(second) > 100 && share(second, baresipTone) < 0.1 }
	lastSecond(t, "the caller hears music instead of the agent", caller, music)
	h.kill()
	lastSecond(t, "and music still", caller, music)
	agent.do("resume", "")
	h.hearsFor(caller, baresipTone)
	agent.do("hangup", "")
	caller.wait("CALL_CLOSED")
	if row := h.wantOutcome("answered", "agent"); row.HoldS < 0.5 {
		t.Errorf("held for %.1f s, by the call record", row.HoldS)
	}
}

func TestRingingOutlivesTheSwitch(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true, RingFor: time.Minute})
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	caller := h.callFromBaresip("")
	agent.wait("CALL_INCOMING")
	h.kill()
	lastSecond(t, "the caller still hears music", caller, func(second []float64) bool { return energy(second) > 100 })
	agent.do("accept", "")
	agent.wait("CALL_ESTABLISHED")
	h.hearsFor(caller, baresipTone)
	if n := agent.happenings("CALL_INCOMING"); n != 0 {
		t.Errorf("the telephone has rung %d times more", n)
	}
	caller.do("hangup", "")
	agent.wait("CALL_CLOSED")
	h.wantOutcome("answered", "caller")
}

// A caller who gives up while nobody switches: the CANCEL or BYE is repeated until
// there is somebody to hear it.
func TestCallerLeavesWhileTheSwitchIsDead(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true, RingFor: time.Minute})
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	caller := h.callFromBaresip("")
	agent.wait("CALL_INCOMING")
	pid, err := h.sw.Switching()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	caller.do("hangup", "")
	agent.wait("CALL_CLOSED")
	if row := h.cdrs(1)[0]; !slices.Contains([]string{"abandoned", "short_abandon"}, row.Outcome) {
		t.Errorf("call record: %+v", row)
	}
}

func TestWaitingOutlivesTheSwitch(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true})
	caller := h.callFromBaresip("")
	heard := func(second []float64) bool { return energy(second) > 100 }
	lastSecond(t, "the caller hears music", caller, heard)
	h.kill()
	lastSecond(t, "the caller still hears music", caller, heard)
	p := h.agent(0, "udp", baresipTone)
	p.auto = true
	agent := startBaresip(t, p)
	h.hearsFor(caller, baresipTone)
	agent.do("hangup", "")
	caller.wait("CALL_CLOSED")
	row := h.wantOutcome("answered", "agent")
	if waited := row.DurationS - row.TalkS; waited < 2 {
		t.Errorf("waited for %.1f s, by the call record", waited)
	}
}

// A talk with protected media goes on under the same keys.
func TestProtectedTalkOutlivesTheSwitch(t *testing.T) {
	for _, how := range []string{"srtp-mand", "dtls_srtp"} {
		t.Run(how, func(t *testing.T) {
			h := newHouse(t, loadtest.Setup{Kept: true, ExtraYAML: "media: {srtp: {phones: require}}\n"})
			p := h.agent(0, "udp", baresipTone)
			p.auto, p.media = true, how
			agent := startBaresip(t, p)
			caller := h.callFromBaresip("")
			h.hearsFor(caller, baresipTone)
			h.kill()
			h.hearsFor(caller, baresipTone)
			h.hearsFor(agent, carrierTone)
			caller.do("hangup", "")
			agent.wait("CALL_CLOSED")
			h.wantNoFailures()
			h.wantOutcome("answered", "caller")
		})
	}
}

// An upgrade is a kill that was asked for: sipp, which knows of no restart, ends with
// every message as it expected it.
func TestTalkOutlivesUpgrades(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true})
	p := h.agent(0, "udp", baresipTone)
	p.auto = true
	agent := startBaresip(t, p)
	sipp := h.startSipp(carrier{scenario: "talk", pause: 8 * time.Second})
	hears(t, "baresip", agent.heard, carrierTone, agent.output)
	for range 2 {
		if out, err := h.sw.Command(h.ctx, "upgrade"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		h.hearsFor(agent, carrierTone)
	}
	// One that is no switch is refused, one that does not come up is given up.
	if out, err := h.sw.Command(h.ctx, "upgrade", tool(t, "true")); err == nil {
		t.Errorf("true was taken for a switch: %s", out)
	}
	sipp.succeeded()
	agent.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, baresipTone)
	h.wantOutcome("answered", "caller")
}

// The short form of make survive: calls in every phase, and afterwards everybody's
// books agree.
func TestManyCallsOutliveManyDeaths(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true, Agents: 20, RingFor: 30 * time.Second})
	h.sw.Tolerance = 2 * time.Second // on a busy machine there is none for long
	before, err := h.sw.Readings(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan := h.sw.Plan()
	plan.Concurrent, plan.Media, plan.Seed, plan.Settle = 30, true, 1, 30*time.Second
	plan.Talk, plan.AnswerAfter, plan.AgentHangs = loadtest.Lognormal(3*time.Second, 0.7), loadtest.Exponential(500*time.Millisecond), 0.5
	load, err := loadtest.Start(h.ctx, plan)
	if err != nil {
		t.Fatal(err)
	}
	defer load.Close()
	arriving, stop := context.WithCancel(h.ctx)
	var done sync.WaitGroup
	done.Go(func() { load.Arrive(arriving) })
	for n := range 6 {
		answered := load.Status().Answered
		if err := load.Until(h.ctx, func(s loadtest.Status) bool { return s.Answered >= answered+5 }); err != nil {
			t.Fatal(err)
		}
		load.Brace()
		if n%2 == 0 {
			h.kill()
		} else if out, err := h.sw.Command(h.ctx, "upgrade"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	stop()
	done.Wait()
	if err := load.Drain(h.ctx); err != nil {
		t.Fatal(err)
	}
	res := load.Result()
	if res.Failed > 0 || len(res.Errors) > 0 {
		t.Errorf("%d calls failed: %v", res.Failed, res.Errors)
	}
	found, err := h.sw.Audit(h.ctx, res.Calls, before)
	if err != nil || len(found) > 0 {
		t.Errorf("%v; %d discrepancies: %v", err, len(found), found[:min(len(found), 5)])
	}
	t.Logf("%d calls, %d of %d packets lost, gaps of %v (p50) to %v", len(res.Calls), res.Media.Lost, res.Media.Sent, res.Media.GapP50, res.Media.GapMax)
}

// A switch that stands still for ten seconds, as one whose machine is suspended or
// swaps, goes on: nobody hangs up, and the recording has what was said meanwhile.
func TestTalkOutlivesAStandstill(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true})
	caller, agent := h.talking()
	pid, err := h.sw.Switching()
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second) // what is tested is this time
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	h.hearsFor(caller, baresipTone)
	h.hearsFor(agent, carrierTone)
	if now, err := h.sw.Switching(); err != nil || now != pid {
		t.Errorf("switch %d was replaced by %d: %v", pid, now, err)
	}
	caller.do("hangup", "")
	agent.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, baresipTone)
	row := h.wantOutcome("answered", "caller")
	left, right := h.recorded()
	for name, channel := range map[string][]float64{"caller": left, "agent": right} {
		if d := float64(len(channel))/rate - row.TalkS; d < -0.25 || d > 0.25 {
			t.Errorf("%s: recorded for %.3f s of %.3f", name, float64(len(channel))/rate, row.TalkS)
		}
		if gap := longestSilence(channel); gap > 60*time.Millisecond {
			t.Errorf("%s: %v of silence in the recording", name, gap)
		}
	}
}

// A switch that gets no more memory dies of it, as Go programs do, and the next one
// has what it needs.
func TestTalkOutlivesALackOfMemory(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Kept: true})
	caller, agent := h.talking()
	pid, err := h.sw.Switching()
	if err != nil {
		t.Fatal(err)
	}
	// No page more than it has: it had better not ask for one.
	if err := unix.Prlimit(pid, unix.RLIMIT_AS, &unix.Rlimit{Cur: 1 << 20, Max: 1 << 20}, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the switch asks for memory, and dies", func() bool {
		_, _ = h.sw.Command(h.ctx, "status") // the switch has to allocate for it
		now, err := h.sw.Switching()
		return err == nil && now != pid
	}, h.sw.Tail)
	h.hearsFor(caller, baresipTone)
	h.hearsFor(agent, carrierTone)
	agent.do("hangup", "")
	caller.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, baresipTone)
	h.wantOutcome("answered", "agent")
}
