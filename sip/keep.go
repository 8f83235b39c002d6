package sip

import (
	"bytes"
	"crypto/rand"

	"github.com/emiago/sipgo/sip"
	"go.uber.org/zap"
)

// Keep is memory that outlives the process: what is put there is there in the next
// one, also after kill -9, from the moment Put returns. Any goroutine may call its
// methods; they are called for what is said in calls, under locks, and must not wait.
//
// What is put under LegPrefix is for Edge.Resume, what is under BindingPrefix for
// Registrar.Resume. The rest is read back by NewEdge and NewRegistrar themselves.
type Keep interface {
	// Put keeps a value in place of the one under the same key. It is the caller's again
	// when Put returns.
	Put(key string, value []byte) error
	Delete(key string)
	Get(key string) (value []byte, found bool)
}

// What the keys of records begin with.
const (
	LegPrefix     = "sip/leg/"
	BindingPrefix = "sip/binding/"

	cancelPrefix = "sip/cancel/"   // before the rest of a leg's key: its INVITE is being cancelled
	tagsKey      = "sip/tags"      // the secret that our tags are made with
	noncesKey    = "sip/nonces"    // the secret that nonces are made with
	nonceUsedKey = "sip/nonceused" // when the youngest nonce that was used was issued
)

// secretIn returns the secret under a key, a new one if there is none.
func secretIn(k Keep, key string) (secret [32]byte, err error) {
	if k != nil {
		if old, found := k.Get(key); found && len(old) == len(secret) {
			return [32]byte(old), nil
		}
	}
	// crypto/rand.Read never fails; it ends the program when the system has no
	// randomness to give.
	rand.Read(secret[:])
	if k != nil {
		err = k.Put(key, secret[:])
	}
	return secret, err
}

// spareNumbers is how many CSeq numbers a record is ahead of those used, so that
// not each request inside a call has to write one and no number is used for two
// requests, whichever record was the last.
const spareNumbers = 10

// Key is what the leg's record is kept under, and what a record of its owner's may
// name it by.
func (l *Leg) Key() string { return LegPrefix + l.id + "/" + l.tag }

// keep puts down where the leg stands. It is called before the message that makes it
// true leaves, so that the next process never knows less than the peer. The caller
// holds mu.
func (l *Leg) keep() { l.keepAs(l.phase, l.unacked, nil) }

// keepAs is keep for a phase and a 2xx to an INVITE that are about to be the leg's,
// or with another answer of ours, said, that the peer may have to be given again. A leg
// that cannot be kept is better not known at all than as it once was.
func (l *Leg) keepAs(p Phase, u *unacked, said *sip.Response) {
	if l.e.o.Keep == nil || l.unkept || p == Over {
		return
	}
	l.reserved = l.dialog.cseq + spareNumbers
	key := l.Key()
	err := legRecords.Lend(l.record(p, u, said), func(record []byte) error { return l.e.o.Keep.Put(key, record) })
	if err != nil {
		l.e.o.Log.Error("a call would not survive a restart", zap.String("call_id", l.id), zap.Error(err))
		l.e.o.Keep.Delete(key)
		l.unkept = true
	}
}

// unkeep forgets a leg that is over; but not one that is lost because the edge
// closes: the next process may have it.
func (l *Leg) unkeep() {
	if l.e.o.Keep != nil && l.e.stopped.Err() == nil {
		l.e.o.Keep.Delete(l.Key())
		if l.server {
			l.e.o.Keep.Delete(l.cancelKey())
		}
	}
}

// keepCancel notes that the INVITE of a leg is being cancelled, before the library
// says so: it answers a CANCEL by itself, and its caller never sends another. It is
// called by the goroutine that reads, which must not wait for the leg.
func (e *Edge) keepCancel(cancel *sip.Request) {
	if e.o.Keep == nil {
		return
	}
	l, _ := e.legs.calling(invite{half{string(*cancel.CallID()), tagOf(cancel.From())}, cancel.CSeq().SeqNo})
	if l == nil || l.first != cancel.CSeq().SeqNo || l.branch != branchOf(cancel) || l.asking.Load() == nil {
		return
	}
	if err := e.o.Keep.Put(l.cancelKey(), []byte{1}); err != nil {
		e.o.Log.Error("a CANCEL would not survive a restart", zap.String("call_id", l.id), zap.Error(err))
	}
}

func (l *Leg) cancelKey() string { return cancelPrefix + l.id + "/" + l.tag }

// toKeep is a request as it is written into a record; nil where there are none.
func (e *Edge) toKeep(req *sip.Request) []byte {
	if e.o.Keep == nil {
		return nil
	}
	var b bytes.Buffer
	b.Grow(roomForMessage)
	req.StartLineWrite(&b)
	b.WriteString("\r\n")
	for _, h := range req.Headers() {
		if _, ours := h.(*arrival); !ours {
			h.StringWrite(&b)
			b.WriteString("\r\n")
		}
	}
	b.WriteString("\r\n")
	b.Write(req.Body())
	return b.Bytes()
}
