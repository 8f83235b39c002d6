package loadtest

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"foyer/sip/siptest"
)

// agentsPerWire is how many agents share one signalling socket.
const agentsPerWire = 100

// agent is one agent's phone. Guarded by Running.mu.
type agent struct {
	Agent
	phone   *siptest.Phone
	current *offered
	freed   time.Time // BYE of the last call, while a next one is awaited
	freed2  time.Time // its 200
	renew   time.Time
}

// offered is a call at an agent.
type offered struct {
	agent   *agent
	call    *siptest.Call
	of      *dialled
	leg     *leg
	timer   *time.Timer // until the answer
	acked   bool        // our answer is acknowledged: the talk time runs
	hungup  bool        // the agent ended it
	counted bool        // among those talking
}

func (r *Running) openAgents(ctx context.Context) error {
	var w *siptest.Wire
	for i, a := range r.plan.Agents {
		if i%agentsPerWire == 0 {
			var err error
			if w, err = r.wire(r.plan.AgentIP); err != nil {
				return err
			}
		}
		one := &agent{Agent: a}
		phone, err := w.Phone(siptest.Options{User: a.User, Password: a.Password, Domain: r.plan.Domain,
			Server: r.plan.Server, Outbound: true, Forgetful: true,
			OnCall:  func(c *siptest.Call) { r.offer(one, c) },
			OnEvent: r.agentEvent})
		if err != nil {
			return err
		}
		one.phone = phone
		r.agents = append(r.agents, one)
	}
	background, stop := context.WithCancel(context.Background())
	r.stop = stop
	if err := r.register(ctx); err != nil {
		return err
	}
	r.tasks.Go(func() { r.keepRegistered(background) })
	return nil
}

// register registers every agent whose turn it is, 32 at a time.
func (r *Running) register(ctx context.Context) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var first error
	slots := make(chan struct{}, 32)
	for _, a := range r.agents {
		if time.Now().Before(a.renew) {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := r.registerOne(ctx, a); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	return first
}

func (r *Running) registerOne(ctx context.Context, a *agent) error {
	res, err := a.phone.Register(ctx, 5*time.Minute)
	if err != nil {
		return err
	}
	if res.Status != 200 {
		return fmt.Errorf("register %s: %d %s", a.User, res.Status, res.Reason)
	}
	granted := a.phone.Granted(res)
	if granted == 0 {
		return fmt.Errorf("register %s: the 200 does not list this phone's contact", a.User)
	}
	a.renew = time.Now().Add(granted * 2 / 3)
	return nil
}

func (r *Running) keepRegistered(ctx context.Context) {
	for ctx.Err() == nil {
		pause(ctx, time.Second)
		if err := r.register(ctx); err != nil && ctx.Err() == nil {
			r.mu.Lock()
			r.mistake("refresh registration: %v", err)
			r.mu.Unlock()
		}
	}
}

// unregister takes the bindings away, briefly: a switch that is gone does not
// hold up the end of a run.
func (r *Running) unregister() {
	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 32)
	for _, a := range r.agents {
		if a.renew.IsZero() {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if _, err := a.phone.Unregister(ctx); err != nil {
				r.mu.Lock()
				r.mistake("unregister: %v", context.Cause(ctx))
				r.mu.Unlock()
			}
		})
	}
	wg.Wait()
}

// offer takes a call that rings at an agent; it runs on the wire's goroutine.
func (r *Running) offer(a *agent, c *siptest.Call) {
	now := c.Began()
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.whose(c)
	if d == nil || r.leaving || a.current != nil {
		switch {
		case a.current != nil:
			r.mistake("an agent was offered a second call")
		case d == nil:
			r.mistake("an agent was offered a caller who never called")
		}
		c.Reject(486)
		return
	}
	o := &offered{agent: a, call: c, of: d}
	c.Data = o
	a.current = o
	r.tally.busy++
	r.timeOffer(o, now)
	m := r.plan.mood(d.Number, d.Offers)
	c.Ring(180, "")
	switch {
	case !d.Ended.IsZero():
		// The caller left while the offer was on its way: a CANCEL must follow.
		if now.Sub(d.Ended) > time.Second {
			r.mistake("an agent was offered a caller gone for more than a second")
		}
	case m.decline:
		o.timer = time.AfterFunc(m.after, func() { c.Reject(r.plan.DeclineCode) })
	case m.noAnswer:
	case m.after <= 0:
		r.answer(o)
	default:
		o.timer = time.AfterFunc(m.after, func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.answer(o)
		})
	}
}

// timeOffer takes the time an offer took to come.
func (r *Running) timeOffer(o *offered, now time.Time) {
	d, a := o.of, o.agent
	d.Offers++
	if d.Offered.IsZero() && d.Ended.IsZero() {
		d.Offered = now
		r.tally.unoffered--
		into := &r.delays.wait
		if d.idle {
			into = &r.delays.offer
		}
		into.add(now.Sub(d.Started))
	}
	if !a.freed.IsZero() {
		r.delays.freed.add(now.Sub(a.freed))
		if !a.freed2.IsZero() {
			r.delays.freed2.add(now.Sub(a.freed2))
		}
	}
	a.freed, a.freed2 = time.Time{}, time.Time{}
}

// whose finds the caller of a call at an agent by the number shown.
func (r *Running) whose(c *siptest.Call) *dialled {
	n, ok := callOf(c.Invite().Caller())
	if !ok {
		return nil
	}
	if d := r.calls[n]; d != nil {
		return d
	}
	return r.past[n]
}

// answer lets the agent pick up.
func (r *Running) answer(o *offered) {
	d := o.of
	if o.agent.current != o || !d.Ended.IsZero() || r.leaving {
		return
	}
	sdp := siptest.SDP{Addr: r.plan.AgentIP, Port: 9, Payloads: []int{int(r.plan.Codec), siptest.TelephoneEvent}}
	if r.media != nil {
		l, err := r.openLeg(r.plan.AgentIP, d.Number, AgentSide)
		if err != nil {
			r.mistake("answer: %v", err)
			o.call.Reject(480)
			return
		}
		o.leg = l
		sdp.Port = l.addr.Port
	}
	now := time.Now()
	if !o.call.Answer(sdp.String()) {
		return // a CANCEL was quicker
	}
	r.hearFrom(o.leg, o.call.RemoteSDP())
	d.Answered, d.Agent, d.offer = now, o.agent.User, o
	if !d.gaveUp { // another agent may have hung up before the switch had connected them
		d.Hungup, d.EndedBy = time.Time{}, ""
	}
	r.stopWaiting(d)
	o.counted = true
	r.tally.talking++
}

// agentEvent follows a call at an agent; it runs on the wire's goroutine.
func (r *Running) agentEvent(c *siptest.Call, e siptest.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o, ok := c.Data.(*offered)
	if !ok {
		return
	}
	d := o.of
	switch {
	case e.Name == "ACK" && d.offer == o && !o.acked:
		o.acked = true
		r.delays.answer.add(e.At.Sub(d.Answered))
		r.hearFrom(o.leg, c.RemoteSDP())
		d.talk = time.AfterFunc(d.fate.talk, func() { r.endTalk(o) })
	case e.Name == "INVITE" && o.leg != nil, e.Name == "UPDATE" && o.leg != nil:
		r.hearFrom(o.leg, c.RemoteSDP())
	case e.Name == "BYE":
		r.free(o, e.At)
		o.agent.freed2 = o.agent.freed
	case e.Name == "200 BYE" && o.hungup && !o.agent.freed.IsZero():
		o.agent.freed2 = e.At
	case e.Name == "no-ack":
		r.mistake("an agent's 200 was never acknowledged")
	case strings.HasPrefix(e.Name, "timeout "):
		r.mistake("no answer to an agent's %s", strings.TrimPrefix(e.Name, "timeout "))
	case e.Name == "ended":
		r.release(o)
	}
}

// free notes when an agent became free, if callers are waiting for one.
func (r *Running) free(o *offered, at time.Time) {
	if d := o.of; d.offer == o && d.Ended.IsZero() {
		by := "caller"
		if o.hungup {
			by = "agent"
		} else if !d.gaveUp {
			by = "switch"
		}
		r.hungup(d, at, by)
	}
	if r.tally.waiting > 0 && !r.leaving {
		o.agent.freed = at
	}
}

// release gives an agent's phone back.
func (r *Running) release(o *offered) {
	if o.timer != nil {
		o.timer.Stop()
	}
	if o.leg != nil {
		r.media.remove(o.leg)
		o.leg = nil
	}
	if o.counted {
		o.counted = false
		r.tally.talking--
	}
	if o.agent.current == o {
		o.agent.current = nil
		r.tally.busy--
	}
	o.call = nil // what is over is kept for the books, and its messages are not
}

// endTalk is the end of the planned talk time.
func (r *Running) endTalk(o *offered) {
	if !o.of.fate.agentHangs {
		r.leave(o.of)
		return
	}
	r.hangAgent(o)
}

func (r *Running) hangAgent(o *offered) {
	r.mu.Lock()
	if o.agent.current != o || o.hungup {
		r.mu.Unlock()
		return
	}
	o.hungup = true
	r.free(o, time.Now())
	call := o.call
	r.mu.Unlock()
	call.Bye()
}

// HangUpAgents lets every agent who is talking hang up at once and returns how
// many did.
func (r *Running) HangUpAgents() int {
	r.mu.Lock()
	var all []*offered
	for _, a := range r.agents {
		if o := a.current; o != nil && o.counted {
			all = append(all, o)
		}
	}
	r.mu.Unlock()
	for _, o := range all {
		r.hangAgent(o)
	}
	return len(all)
}
