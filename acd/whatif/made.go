package whatif

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"foyer/acd"
)

// Plan is a day to be made up: for tests, and for trying a question out.
type Plan struct {
	Begin    time.Time
	Length   time.Duration
	Calls    int // spread over the length with a peak in the middle
	Agents   int
	Queues   int
	Talk     time.Duration // mean
	Wrap     time.Duration
	Patience time.Duration // mean
	Seed     uint64
}

// Made plays a day that never was, and shows each record as a switch would have
// journalled it. The same plan makes the same day.
func (p Plan) Made(see func(acd.Record, []acd.Action)) {
	var seq uint64
	p.day().Run(Change{}, func(r acd.Record, done []acd.Action) {
		seq++
		r.Seq = seq
		see(r, done)
		if r.Event.Kind == acd.Gone {
			seq++
			see(acd.Record{Seq: seq, At: r.At, Event: acd.Event{
				Kind: acd.Closed, Call: r.Event.Call, By: r.Event.By, Cause: r.Event.Cause, Facts: &acd.Facts{Code: 200, Codec: "PCMA"},
			}}, nil)
		}
	})
}

func (p Plan) lot(words ...string) uint64 {
	return lot(append(words, strconv.FormatUint(p.Seed, 10))...)
}

// time draws a time of an exponential distribution, to the millisecond.
func (p Plan) time(mean time.Duration, words ...string) time.Duration {
	return max(time.Duration(-math.Log(share(p.lot(words...)))*float64(mean)), time.Second).Round(time.Millisecond)
}

// day is the world outside of a made day.
func (p Plan) day() *Day {
	d := &Day{
		begin: p.Begin, end: p.Begin.Add(p.Length),
		callers: map[acd.CallID]*caller{}, agents: map[acd.AgentID]*habits{}, queues: map[acd.QueueID]*custom{},
	}
	d.anyone.back = []time.Duration{20 * time.Second, time.Minute, 90 * time.Second}
	d.script = append(d.script, beat{p.Begin, acd.Event{Kind: acd.Started, Config: p.config()}})
	for n := range p.Agents {
		p.agent(d, acd.AgentID(fmt.Sprintf("agent%04d", n+1)))
	}
	for n := range p.Calls {
		p.call(d, n)
	}
	slices.SortStableFunc(d.script, func(a, b beat) int { return a.at.Compare(b.at) })
	return d
}

func (p Plan) config() *acd.Config {
	cfg := &acd.Config{}
	for n := range p.Queues {
		cfg.Queues = append(cfg.Queues, acd.Queue{
			ID: acd.QueueID(fmt.Sprintf("queue%02d", n+1)), Client: acd.ClientID(fmt.Sprintf("client%02d", n+1)), Require: []string{"fr"},
			RingTimeout: 15 * time.Second, MaxOffers: 1, WrapUp: p.Wrap, Within: 20 * time.Second, ShortAbandon: 5 * time.Second,
			Priority: n % 3 * 10,
		})
	}
	for n := range p.Agents {
		a := acd.AgentCfg{ID: acd.AgentID(fmt.Sprintf("agent%04d", n+1)), Skills: map[string]int{"fr": 1 + n%5}}
		for k := range min(3, p.Queues) {
			a.Queues = append(a.Queues, cfg.Queues[(n+k*(n%2+1))%p.Queues].ID)
		}
		cfg.Agents = append(cfg.Agents, a)
	}
	return cfg
}

// agent works all day but for two breaks, and takes nine offers in ten.
func (p Plan) agent(d *Day, id acd.AgentID) {
	say := func(after time.Duration, k acd.Kind, reason string) {
		d.script = append(d.script, beat{p.Begin.Add(after), acd.Event{Kind: k, Agent: id, By: acd.Agent, Reason: reason}})
	}
	late := time.Duration(p.lot(string(id), "late")%120) * time.Second
	say(late, acd.Reachable, "")
	say(late+time.Second, acd.MakeReady, "")
	for n, reason := range []string{"break", "lunch"} {
		at := p.Length/3*time.Duration(n+1) + time.Duration(p.lot(string(id), reason)%2400)*time.Second
		say(at, acd.Pause, reason)
		say(at+p.Length/50*time.Duration(n+1), acd.MakeReady, "")
	}
	h := &habits{}
	for n := range 40 {
		word := strconv.Itoa(n)
		o := tried{agent: id, alerted: 200 * time.Millisecond, after: 2*time.Second + p.time(2*time.Second, string(id), "answer", word), result: acd.Answered}
		switch p.lot(string(id), "mood", word) % 40 {
		case 0:
			o.result, o.cause, o.code = acd.Failed, acd.CauseDeclined, 603
		case 1:
			o.result, o.cause, o.code = acd.Failed, acd.CauseBusy, 486
		case 2:
			o.result = 0
		}
		h.offers = append(h.offers, o)
	}
	d.agents[id] = h
}

func (p Plan) call(d *Day, n int) {
	id := acd.CallID(fmt.Sprintf("call%06d", n+1))
	word := string(id)
	// The mean of three equal chances: few at either end, most in the middle.
	at := (share(p.lot(word, "1")) + share(p.lot(word, "2")) + share(p.lot(word, "3"))) / 3
	c := &caller{
		queue:   acd.QueueID(fmt.Sprintf("queue%02d", 1+p.lot(word, "queue")%uint64(p.Queues))),
		arrived: p.Begin.Add(time.Duration(at * float64(p.Length-30*time.Minute))).Round(time.Millisecond),
		waited:  p.time(p.Patience, word, "patience"), left: true,
		talk: p.time(p.Talk, word, "talk"), by: acd.Caller, cause: acd.CauseHangup,
	}
	if p.lot(word, "wrap")%3 == 0 && p.Wrap > time.Second {
		c.after = wrap{length: time.Second + time.Duration(p.lot(word, "long")%uint64(p.Wrap-time.Second)), agent: true}
	}
	d.callers[id] = c
	d.script = append(d.script, beat{c.arrived, acd.Event{
		Kind: acd.Arrived, Call: id, Queue: c.queue,
		Facts: &acd.Facts{Client: "client", DID: "+33170000001", From: fmt.Sprintf("+336%08d", p.lot(word, "from")%100_000_000), Trunk: "carrier", Transport: "udp"},
	}})
}
