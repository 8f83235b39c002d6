package sip

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
)

const (
	// probeWait is how long a phone may take to answer OPTIONS. The transaction
	// repeats the request 0.5 and 1.5 s after the first; waiting for Timer F,
	// 32 s, would leave callers ringing nobody.
	probeWait = 3 * time.Second
	// probeAgain is the pause before a phone that did not answer is asked a
	// second time; unanswered again, it is lost.
	probeAgain = 500 * time.Millisecond
	probeEvery = 25 * time.Second
)

// probing is where a phone stands in being probed.
type probing struct {
	next       time.Time // of the next OPTIONS; zero: never
	token      uint64    // of the OPTIONS in flight, 0: none
	unanswered int       // in a row
}

// probe is one OPTIONS to send. The token comes back with its outcome.
type probe struct {
	Binding
	token uint64
}

// dueAt is when something next has to be done for a phone.
func (p *phone) dueAt() time.Time {
	if p.probe.next.IsZero() || p.Expires.Before(p.probe.next) {
		return p.Expires
	}
	return p.probe.next
}

// step expires what is due at now and returns the probes to send. A phone whose
// last probe is still in flight waits for its next turn.
func (b *bindings) step(now time.Time) (probes []probe, events []RegEvent) {
	for len(b.due) > 0 && !now.Before(b.due[0].dueAt()) {
		p := b.due[0]
		if !now.Before(p.Expires) {
			events = append(events, b.drop(p, RegExpired))
			continue
		}
		if p.probe.token == 0 {
			b.tokens++
			p.probe.token = b.tokens
			probes = append(probes, probe{p.Binding, p.probe.token})
		}
		p.probe.next = now.Add(b.every)
		heap.Fix(&b.due, 0)
	}
	return probes, events
}

// deadline returns when step has something to do next.
func (b *bindings) deadline() (time.Time, bool) {
	if len(b.due) == 0 {
		return time.Time{}, false
	}
	return b.due[0].dueAt(), true
}

// asked returns the phone that a probe was sent to, nil if it has gone or come
// back by another flow since.
func (b *bindings) asked(pr probe) *phone {
	for _, p := range b.users[pr.User] {
		if p.probe.token == pr.token {
			p.probe.token = 0
			return p
		}
	}
	return nil
}

// answered reports the answer to a probe.
func (b *bindings) answered(pr probe, rtt time.Duration) []RegEvent {
	p := b.asked(pr)
	if p == nil {
		return nil
	}
	p.RTT = rtt
	p.probe.unanswered = 0
	if p.Reachable {
		return nil
	}
	p.Reachable = true
	b.changed(p)
	return []RegEvent{b.event(RegRegained, p)}
}

// unanswered reports that no answer to a probe came. The phone is asked once
// more soon; after that it is lost, and asked again at the usual pace. When the
// flow itself is gone there is nothing to ask.
func (b *bindings) unanswered(now time.Time, pr probe, gone bool) []RegEvent {
	p := b.asked(pr)
	if p == nil {
		return nil
	}
	p.probe.unanswered++
	if gone || p.probe.unanswered > 1 {
		return b.lose(p)
	}
	if p.Reachable {
		b.probeAt(p, now.Add(probeAgain))
	}
	return nil
}

// doubt says that a call to the phone got no answer: it is lost until it
// answers a probe, which is sent at once. What was asked before the doubt came
// up does not count.
func (b *bindings) doubt(now time.Time, p *phone) []RegEvent {
	if p.Reachable {
		p.probe.token = 0
	}
	b.probeAt(p, now)
	return b.lose(p)
}

func (b *bindings) probeAt(p *phone, at time.Time) {
	if b.every > 0 {
		p.probe.next = at
		heap.Fix(&b.due, p.place)
	}
}

// dueQueue is a heap of phones, the one to be looked after first on top.
type dueQueue []*phone

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].dueAt().Before(q[j].dueAt()) }
func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *dueQueue) Push(x any) {
	p := x.(*phone)
	p.place = len(*q)
	*q = append(*q, p)
}

func (q *dueQueue) Pop() any {
	old := *q
	p := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return p
}

// flows is what the registrar needs of the edge to reach a phone.
type flows interface {
	// connected reports whether the connection of a flow stands. A datagram
	// flow always does.
	connected(transport string, remote netip.AddrPort) bool
	// request starts a client transaction on the flow that the transport and
	// the destination of req name.
	request(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error)
	// moved says that a user's phone has registered by another flow. It may wait
	// for the network.
	moved(user string, from, to flow)
	// start runs f on another goroutine, unless all is at its end.
	start(doing string, f func()) bool
}

var errFlowGone = errors.New("connection closed")

// ask sends OPTIONS to a phone over its flow and waits for a final answer. Any
// will do: a phone that says 405 or 486 is there (RFC 3261 section 11.2).
func (r *Registrar) ask(ctx context.Context, a *Asked) error {
	b := a.Binding
	if !r.flows.connected(b.Transport, b.Source) {
		return errFlowGone
	}
	req, err := r.options(b)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	tx, err := r.flows.request(ctx, req)
	if err != nil {
		return fmt.Errorf("probe %s: %w", b.User, err)
	}
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				a.From, _ = netip.ParseAddrPort(res.Source())
				if answerRewritten(req, res) {
					a.Signs |= AnswerRewritten
				}
				return nil
			}
		case <-tx.Done():
			return fmt.Errorf("probe %s: %w", b.User, tx.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// options builds the request of a probe. It goes to the address the phone
// registered from: what its Contact says is only the Request-URI.
func (r *Registrar) options(b Binding) (*sip.Request, error) {
	target, ok := readURI(b.Contact)
	if !ok {
		return nil, fmt.Errorf("contact of %s: %q is no URI", b.User, b.Contact)
	}
	req := sip.NewRequest(sip.OPTIONS, target)
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", Host: r.realm}}
	from.Params.Add("tag", sip.GenerateTagN(12))
	id := sip.CallIDHeader(sip.GenerateTagN(24))
	hops := sip.MaxForwardsHeader(70)
	req.AppendHeader(&hops)
	req.AppendHeader(from)
	req.AppendHeader(&sip.ToHeader{Address: sip.Uri{Scheme: "sip", User: b.User, Host: r.realm}})
	req.AppendHeader(&id)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: 1, MethodName: sip.OPTIONS})
	req.AppendHeader(sip.NewHeader("Accept", "application/sdp"))
	req.SetBody(nil)
	req.SetTransport(sip.NetworkToUpper(b.Transport))
	req.SetDestination(b.Source.String())
	return req, nil
}
