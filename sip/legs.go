package sip

import (
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// half names a dialog by its Call-ID and one of its two tags.
type half struct{ callID, tag string }

// legs finds the leg a message belongs to. Any goroutine may call any method.
type legs struct {
	mu      sync.RWMutex
	ours    map[half]*Leg  // by our tag
	callers map[half]*Leg  // server legs by their tag
	phones  map[place]*Leg // the last to each phone
	past    past
}

// past remembers for a while what has ended: INVITEs answered and gone, of which
// a copy may still arrive, INVITEs of ours that we stopped waiting for, and what
// we acknowledged last.
type past struct {
	turned    time.Time
	answered  [2]map[invite]struct{} // this while and the one before
	forgotten [2]map[invite]*sip.Request
	acks      [2]map[invite]*sip.Request // of the final responses to INVITEs of ours
}

// invite names one INVITE by the tag of its sender.
type invite struct {
	half
	cseq uint32
}

// remembered is how long at least something is remembered: 64*T1, after which
// no transaction repeats anything (RFC 3261 section 17).
const remembered = 32 * time.Second

func newLegs() *legs {
	return &legs{ours: make(map[half]*Leg), callers: make(map[half]*Leg), phones: make(map[place]*Leg)}
}

// add enters a leg. A server leg is refused if another has its INVITE's identity.
func (t *legs) add(l *Leg) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l.server {
		key := half{l.id, *l.theirs.Load()}
		if t.callers[key] != nil {
			return false
		}
		t.callers[key] = l
	}
	t.ours[half{l.id, l.tag}] = l
	if l.place != (place{}) {
		l.last = t.phones[l.place]
		t.phones[l.place] = l
	}
	return true
}

func (t *legs) remove(l *Leg) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.ours, half{l.id, l.tag})
	if t.phones[l.place] == l {
		delete(t.phones, l.place)
	}
	if l.server {
		key := half{l.id, *l.theirs.Load()}
		delete(t.callers, key)
		t.turn()
		put(&t.past.answered, invite{key, l.first}, struct{}{})
	}
}

// find returns the leg with a Call-ID and our tag.
func (t *legs) find(callID, ourTag string) *Leg {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.ours[half{callID, ourTag}]
}

// calling returns the server leg of a caller's INVITE, and whether there was one
// that has ended.
func (t *legs) calling(i invite) (l *Leg, ended bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	_, ended = get(&t.past.answered, i)
	return t.callers[i.half], ended
}

func (t *legs) all() []*Leg {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := make([]*Leg, 0, len(t.ours))
	for _, l := range t.ours {
		list = append(list, l)
	}
	return list
}

func (t *legs) count() int {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.ours)
}

// forget keeps an INVITE of ours that nobody answered, to give up properly on a
// phone that wakes up late.
func (t *legs) forget(req *sip.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn()
	put(&t.past.forgotten, inviteOf(req), req)
}

// wokenUp returns the forgotten INVITE that a response is to.
func (t *legs) wokenUp(res *sip.Response) *sip.Request {
	t.mu.RLock()
	defer t.mu.RUnlock()
	req, _ := get(&t.past.forgotten, inviteOf(res))
	return req
}

// acknowledged keeps the ACK of a final response, to be sent again for each copy
// of it when the leg is gone.
func (t *legs) acknowledged(ack *sip.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn()
	put(&t.past.acks, inviteOf(ack), ack)
}

// ackOf returns the ACK of a final response that has come before.
func (t *legs) ackOf(res *sip.Response) *sip.Request {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ack, _ := get(&t.past.acks, inviteOf(res))
	return ack
}

func inviteOf(msg sip.Message) invite {
	return invite{half{string(*msg.CallID()), tagOf(msg.From())}, msg.CSeq().SeqNo}
}

// turn drops what has been remembered long enough. The caller holds mu.
func (t *legs) turn() {
	now := time.Now()
	switch age := now.Sub(t.past.turned); {
	case age < remembered:
		return
	case age < 2*remembered:
		older(&t.past.answered)
		older(&t.past.forgotten)
		older(&t.past.acks)
	default:
		t.past = past{}
	}
	t.past.turned = now
}

func older[M any](m *[2]M) {
	var none M
	m[0], m[1] = none, m[0]
}

func put[K comparable, V any](m *[2]map[K]V, k K, v V) {
	if m[0] == nil {
		m[0] = make(map[K]V)
	}
	m[0][k] = v
}

func get[K comparable, V any](m *[2]map[K]V, k K) (v V, ok bool) {
	if v, ok = m[0][k]; !ok {
		v, ok = m[1][k]
	}
	return v, ok
}
