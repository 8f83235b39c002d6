package sip

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"go.uber.org/zap"
)

// An agent's phone learns nothing of a restart before it registers again. So that it
// can be called meanwhile, its binding is kept.

// bindingRecord is a binding in memory that outlives the process.
type bindingRecord struct {
	Version   int
	Key       string
	User      string
	Contact   string
	Transport string
	Source    netip.AddrPort
	Instance  string
	RegID     string
	UserAgent string
	CallID    string
	CSeq      uint32
	Seen      time.Time
	Expires   time.Time
	Lost      bool
}

// identity is what of a binding is worth a new record when it changes.
type identity struct {
	flow                                        flow
	contact, instance, regID, userAgent, callID string
	reachable                                   bool
}

func (p *phone) identity() identity {
	return identity{p.flow(), p.Contact, p.Instance, p.regID, p.UserAgent, p.callID, p.Reachable}
}

// keep writes down what has changed. The caller holds mu.
func (r *Registrar) keep() {
	if r.kept == nil {
		return
	}
	for _, key := range r.places.gone {
		r.kept.Delete(key)
	}
	for _, p := range r.places.fresh {
		if p.key == "" {
			p.key = BindingPrefix + p.User + "/" + rand.Text()
		}
		p.keptExpiry = p.Expires
		record := bindingRecord{
			Version: recordVersion, Key: p.key, User: p.User, Contact: p.Contact, Transport: p.Transport, Source: p.Source,
			Instance: p.Instance, RegID: p.regID, UserAgent: p.UserAgent, CallID: p.callID, CSeq: p.cseq,
			Seen: p.seen.Round(0), Expires: p.Expires.Round(0), Lost: !p.Reachable,
		}
		err := bindingRecords.Lend(&record, func(b []byte) error { return r.kept.Put(p.key, b) })
		if err != nil {
			r.log.Error("a phone would be unknown after a restart", zap.String("user", p.User), zap.Error(err))
			r.kept.Delete(p.key)
		}
	}
	r.places.gone, r.places.fresh = nil, nil
}

var errBinding = errors.New("record of a binding")

// Resume takes over a binding that the process before has kept, before the edge
// serves. Nobody is told: Bindings and All have it. A phone on UDP is reachable as it
// was. One by a connection is not until it has come back by another, which takes the
// place of this one and its calls along.
//
// The error says that the record is none, has expired, or is of an account that is
// gone, and had better be deleted by its key.
func (r *Registrar) Resume(record []byte) error {
	var b bindingRecord
	if err := bindingRecords.Read(record, &b); err != nil {
		return fmt.Errorf("resume: %w: %w", errBinding, err)
	}
	_, known := r.account(b.User)
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	switch {
	case b.Version != recordVersion || b.Key == "" || b.Contact == "" || !b.Source.IsValid():
		return fmt.Errorf("resume: %w: version %d", errBinding, b.Version)
	case !known:
		return fmt.Errorf("resume: %w: no account %s", errBinding, b.User)
	case !now.Before(b.Expires):
		return fmt.Errorf("resume: %w: %s expired at %v", errBinding, b.User, b.Expires)
	case len(r.places.users[b.User]) >= r.places.limit:
		return fmt.Errorf("resume: %w: %w", errBinding, errTooMany)
	}
	p := &phone{
		Binding: Binding{User: b.User, Contact: b.Contact, Transport: b.Transport, Source: b.Source,
			Instance: b.Instance, UserAgent: b.UserAgent, Expires: b.Expires, Reachable: !b.Lost && b.Transport == "udp"},
		regID: b.RegID, callID: b.CallID, cseq: b.CSeq, seen: b.Seen, key: b.Key, keptExpiry: b.Expires,
	}
	if r.places.every > 0 {
		p.probe.next = now.Add(r.phase())
	}
	r.places.enter(p)
	return nil
}
