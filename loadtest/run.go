package loadtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"foyer/sip/siptest"
)

// Running is a plan being carried out. Its methods may be called from any goroutine.
type Running struct {
	plan    Plan
	media   *engine // nil without media
	ports   ports
	callers *siptest.Phone
	agents  []*agent
	wires   []*siptest.Wire
	began   time.Time
	stop    context.CancelFunc
	tasks   sync.WaitGroup

	mu       sync.Mutex
	calls    map[uint32]*dialled // in progress, by number
	past     map[uint32]*dialled // over; only their Call is kept
	next     uint32
	tally    tally
	changed  chan struct{} // closed and replaced when a call ends
	delays   timings
	mistakes map[string]int
	leaving  bool // Drain has begun: no new call, agents answer no more
}

// tally counts calls as they go.
type tally struct {
	started, waiting, talking             int
	unoffered                             int // dialled and not yet seen at an agent
	busy                                  int // agents ringing or talking
	answered, abandoned, refused, failing int
}

// timings are the signalling delays of a run.
type timings struct {
	offer  spread // caller's INVITE sent to INVITE at the agent, of calls that found an agent free
	wait   spread // the same of calls that had to wait
	ring   spread // caller's INVITE sent to the first answer above 100
	setup  spread // caller's INVITE sent to its 200
	freed  spread // agent's BYE, sent or received, to the next INVITE at that agent, callers waiting
	freed2 spread // from the 200 to that BYE
	answer spread // agent's 200 to its ACK
}

// dialled is a caller's call in progress. Guarded by Running.mu except the leg, which
// goes to the engine.
type dialled struct {
	Call
	fate     fortune
	leg      *leg
	call     *siptest.Call
	offer    *offered // the agent's side once answered
	waiting  bool
	idle     bool // an agent was free when it came
	gaveUp   bool
	patience *time.Timer
	talk     *time.Timer
}

// Start opens the phones and registers the agents. Close must follow.
func Start(ctx context.Context, plan Plan) (*Running, error) {
	p, err := plan.complete()
	if err != nil {
		return nil, err
	}
	r := &Running{plan: p, began: time.Now(), calls: map[uint32]*dialled{}, past: map[uint32]*dialled{}, next: uint32(p.First),
		changed: make(chan struct{}), mistakes: map[string]int{}}
	if err := r.open(ctx); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Running) open(ctx context.Context) error {
	if r.plan.Media {
		r.media = startEngine()
	}
	w, err := r.wire(r.plan.CallerIP)
	if err != nil {
		return err
	}
	r.callers, err = w.Phone(siptest.Options{User: "carrier", Server: r.plan.Server, Outbound: true,
		Forgetful: true, OnEvent: r.callerEvent, OnCall: func(c *siptest.Call) { c.Reject(404) }})
	if err != nil {
		return fmt.Errorf("callers: %w", err)
	}
	return r.openAgents(ctx)
}

// wire opens one signalling socket with room for a burst.
func (r *Running) wire(ip string) (*siptest.Wire, error) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		return nil, fmt.Errorf("open signalling socket: %w", err)
	}
	if err := errors.Join(pc.SetReadBuffer(4<<20), pc.SetWriteBuffer(4<<20)); err != nil {
		pc.Close()
		return nil, fmt.Errorf("signalling socket: %w", err)
	}
	w := siptest.NewWire(pc, siptest.WireOptions{Quiet: true})
	r.wires = append(r.wires, w)
	return w, nil
}

// Arrive lets the calls come until the plan's duration or number of calls is
// over or ctx ends. It returns when the last has been started, not ended.
func (r *Running) Arrive(ctx context.Context) {
	if r.plan.Duration > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, r.plan.Duration)
		defer stop()
	}
	rate := r.plan.Rate
	if rate == 0 {
		rate = r.plan.Ramp
	}
	dice := rand.New(rand.NewPCG(r.plan.Seed, 1))
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; r.plan.Calls == 0 || n < r.plan.Calls; n++ {
		if !r.roomFor(ctx) {
			return
		}
		gap := 1 / rate
		if r.plan.Rate > 0 && !r.plan.Even {
			gap *= dice.ExpFloat64()
		}
		due = due.Add(time.Duration(gap * float64(time.Second)))
		if r.plan.Concurrent > 0 && time.Since(due) > 0 {
			due = time.Now() // a closed load does not catch up
		}
		timer.Reset(time.Until(due))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !r.dial() {
			return
		}
	}
}

// roomFor waits, in a closed load, until one more call may be up; false when ctx
// ended first.
func (r *Running) roomFor(ctx context.Context) bool {
	for {
		r.mu.Lock()
		full, changed := r.plan.Concurrent > 0 && len(r.calls) >= r.plan.Concurrent, r.changed
		r.mu.Unlock()
		if !full {
			return ctx.Err() == nil
		}
		select {
		case <-ctx.Done():
			return false
		case <-changed:
		}
	}
}

// Until waits for a condition of the status, looked at 50 times a second.
func (r *Running) Until(ctx context.Context, ok func(Status) bool) error {
	t := time.NewTicker(20 * time.Millisecond)
	defer t.Stop()
	for {
		s := r.Status()
		if ok(s) {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the load: %w at %s", context.Cause(ctx), s)
		}
	}
}

// Drain ends every call still up, callers first, and waits until all are over or
// the plan's Settle time is.
func (r *Running) Drain(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, r.plan.Settle)
	defer stop()
	r.mu.Lock()
	r.leaving = true
	var up []*dialled
	for _, d := range r.calls {
		up = append(up, d)
	}
	r.mu.Unlock()
	for i, d := range up {
		r.leave(d)
		if i%20 == 19 { // not all in one millisecond: a wall of BYEs proves nothing
			pause(ctx, 10*time.Millisecond)
		}
	}
	return r.Until(ctx, func(s Status) bool { return s.Active == 0 && s.AgentsBusy == 0 })
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Close takes the agents' registrations away and closes every socket. Calls
// still up are cut without a BYE.
func (r *Running) Close() {
	if r.stop != nil {
		r.unregister()
		r.stop()
		r.tasks.Wait()
	}
	for _, w := range r.wires {
		w.Close()
	}
	if r.media != nil {
		r.media.close()
	}
}

// Run carries out a whole plan: Start, Arrive, Drain, Close. live, if not
// nil, is called once a second with the state of things.
func Run(ctx context.Context, plan Plan, live func(Status)) (Result, error) {
	r, err := Start(ctx, plan)
	if err != nil {
		return Result{}, err
	}
	defer r.Close()
	if live != nil {
		watched, unwatch := context.WithCancel(ctx)
		var w sync.WaitGroup
		w.Go(func() {
			for watched.Err() == nil {
				live(r.Status())
				pause(watched, time.Second)
			}
		})
		defer w.Wait()
		defer unwatch()
	}
	r.Arrive(ctx)
	if r.plan.Calls > 0 && r.plan.Duration == 0 {
		// So many calls, each lived to its own end.
		if err := r.Until(ctx, func(s Status) bool { return s.Active == 0 }); err != nil {
			return r.Result(), err
		}
	}
	err = r.Drain(context.WithoutCancel(ctx))
	return r.Result(), err
}

// mistake counts something that should not happen, by its text.
func (r *Running) mistake(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(r.mistakes) < 100 || r.mistakes[text] > 0 {
		r.mistakes[text]++
	}
}
