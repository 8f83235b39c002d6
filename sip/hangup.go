package sip

import (
	"context"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Hangup ends the leg as its phase demands: CANCEL (also before any 1xx came,
// and ACK+BYE when a 200 crosses it), a final response, or BYE. Idempotent. No
// event follows.
func (l *Leg) Hangup(r Reason) {
	l.e.open()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = nil
	switch {
	case l.phase == opening && l.server:
		f := &refusal{code: sip.StatusTemporarilyUnavailable}
		if r.SIP >= 300 && r.SIP <= 699 {
			f.code = r.SIP
		}
		l.turnAway(f)
	case l.phase == opening:
		l.why = r
		l.move(giving)
		l.keep()
		close(l.quit)
	case l.phase == up:
		l.leave(r)
	}
}

// leave sends BYE. The leg is over when it is answered, or nobody answers. The
// caller holds mu and has seen that the leg is up or giving up.
func (l *Leg) leave(why Reason) {
	l.why = why
	l.move(leaving)
	l.sayGoodbye()
}

// sayGoodbye sends a BYE. The caller holds mu; the leg is leaving.
func (l *Leg) sayGoodbye() {
	if l.adrift != nil {
		l.keep()
		return // when the phone is heard again, or never
	}
	bye := l.request(sip.BYE)
	l.why.write(bye)
	bye.SetBody(nil)
	l.keep()
	told := l.told
	if !l.e.start("sending BYE", func() {
		awaitNotices(told)
		_, err := l.e.ask(bye) // whatever the answer, the dialog is gone (RFC 3261 section 15.1.1)
		l.mu.Lock()
		if err == nil || l.dialog.cseq == bye.CSeq().SeqNo {
			l.move(over) // no answer to a BYE that was sent again elsewhere says nothing
		}
		l.mu.Unlock()
	}) {
		l.move(over)
	}
}

// awaitNotices lets the last word on a REFER go first, if the phone answers it: one
// that has been told of its transfer shows no lost call.
func awaitNotices(told chan struct{}) {
	if told == nil {
		return
	}
	select {
	case <-told:
	case <-time.After(2 * time.Second):
	}
}

// ask sends a request that is no INVITE and waits for its final response.
func (e *Edge) ask(req *sip.Request) (*sip.Response, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.timing.give+time.Second)
	defer cancel()
	return e.finalOf(ctx, req)
}

// finalOf is ask for as long as ctx lasts.
func (e *Edge) finalOf(ctx context.Context, req *sip.Request) (*sip.Response, error) {
	tx, err := e.send(ctx, req)
	if err != nil {
		return nil, err
	}
	// The library would keep it for another 32 s; copies of the response are
	// nobody's then, and harmless.
	defer tx.Terminate()
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, tx.Err()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
