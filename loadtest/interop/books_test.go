package interop

import (
	"testing"
	"time"

	"foyer/loadtest"
)

// TestBooksBalance lets simulated callers and agents, with real SIP and RTP, load a
// switch and then compares what they know with its call records, its recordings
// and its readings. Some callers give up, some agents decline.
func TestBooksBalance(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Agents: 12})
	before, err := h.sw.Readings(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	plan := h.sw.Plan()
	plan.Rate, plan.Calls, plan.Seed = 10, 80, 7
	plan.Talk, plan.Patience = loadtest.Lognormal(900*time.Millisecond, 0.5), loadtest.Exponential(3*time.Second)
	plan.Decline, plan.AgentHangs, plan.Media = 0.1, 0.5, true
	res, err := loadtest.Run(h.ctx, plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.Started != 80 || res.Answered == 0 || res.Media.Misrouted != 0 {
		t.Errorf("the load saw %+v", res)
	}
	// None is lost on a machine that keeps up; how many is for the benchmark to say.
	if res.Media.Lost*100 > res.Media.Received {
		t.Errorf("%d packets lost, %d received", res.Media.Lost, res.Media.Received)
	}
	faults, err := h.sw.Audit(h.ctx, res.Calls, before)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
