package main

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/rtp"
	"foyer/terse"
)

// keptCall is what of a call outlives the switch, in the memory of calls. The legs of
// both wires and the recording have records of their own; the call names them by key.
// Fields may be added under the same version: what is not known is left out.
type keptCall struct {
	Version   int
	Phase     phase
	Begun     time.Time
	Told      bool
	Caller    keptSide
	Called    string // what the caller dialled
	Queue     acd.QueueID
	Number    string // of ours
	Client    acd.ClientID
	Trunk     string
	Early     bool
	Offers    []keptOffer
	Agent     acd.OfferID // who talks
	Out       *keptOut
	Recording uint64
	RecID     string
	RecSince  time.Time
	RecMS     int64
	Back      bool
	Dialled   acd.OfferID
	Code      int
	Cause     acd.Cause
	By        acd.Party
	Answered  bool
	Connected time.Time
	Facts     acd.Facts
}

// keptSide is one party.
type keptSide struct {
	Leg     string // key of the SIP leg
	Media   string // key of the media leg
	Session *rtp.KeptSession
	Stream  *rtp.Stream
	Held    bool
	Owed    bool

	Lists rtp.Wideband
	Asked *rtp.Wideband
	Lacks uint8
	Fixed bool
}

// keptOffer is an agent who is rung, or talks.
type keptOffer struct {
	keptSide
	ID      acd.OfferID
	Agent   acd.AgentID
	Queue   acd.QueueID
	Asker   acd.AgentID
	Phones  []keptPhone
	Taken   int // place of who answered among Phones, counted from 1
	Alerted bool
	Quiet   bool
	Lost    bool
	Dead    bool
}

// keptPhone is one phone of theirs. Its leg says itself whose it is.
type keptPhone struct {
	Session   rtp.KeptSession
	Offers    []rtp.Protection
	Transport string
	Source    string
	Contact   string
	Done      bool
}

// keptOut is the number outside that a caller was put through to.
type keptOut struct {
	keptSide
	Number string
	Taken  bool
}

const (
	callPrefix      = "call/"
	keptCallVersion = 2
)

var keptCalls = terse.New[keptCall]()

// callKey is what a call's record is kept under.
func callKey(id acd.CallID) string { return callPrefix + string(id) }

// save keeps the call as it is. It is called before anything that a peer or the floor
// may rely on is said.
func (c *call) save() { c.saveAs(c.phase) }

// saveAs is save for a phase that the call is about to be in.
func (c *call) saveAs(p phase) {
	c.saved = p
	if c.ex.memory == nil {
		return
	}
	k := c.kept()
	k.Phase = p
	err := keptCalls.Lend(k, func(record []byte) error { return c.ex.memory.Put(callKey(c.id), record) })
	if err != nil {
		c.log.Error("this call would not outlive the switch", zap.Error(err))
		c.ex.memory.Delete(callKey(c.id))
	}
}

// forget lets go of a call whose last word is in the journal, or that never had one.
func (ex *exchange) forget(id acd.CallID) {
	if ex.memory != nil {
		ex.memory.Delete(callKey(id))
	}
}

func (c *call) kept() *keptCall {
	k := &keptCall{
		Version: keptCallVersion, Phase: c.phase, Begun: c.begun, Told: c.told, Caller: c.caller.kept(),
		Called: c.facts.To, Queue: c.dest.queue, Number: c.dest.number, Client: c.dest.client, Trunk: c.trunk, Early: c.early,
		Recording: c.rec.handle, RecID: c.rec.id, RecSince: c.rec.since, RecMS: c.rec.length.Milliseconds(),
		Back: c.back, Dialled: c.dialled, Code: c.code, Cause: c.cause, By: c.by,
		Answered: c.answered, Connected: c.connected, Facts: c.facts,
	}
	for _, o := range c.offers {
		k.Offers = append(k.Offers, o.kept())
	}
	if c.agent != nil {
		k.Agent = c.agent.id
		k.Offers = append(k.Offers, c.agent.kept())
	}
	if o := c.out; o != nil && !o.aside {
		k.Out = &keptOut{keptSide: o.side.kept(), Number: o.way.number, Taken: o.taken}
	}
	return k
}

func (s *side) kept() keptSide {
	k := keptSide{Held: s.held, Owed: s.owed, Lists: s.lists, Asked: s.asked, Lacks: s.lacks, Fixed: s.fixed}
	if s.leg != nil {
		k.Leg = s.leg.Key()
	}
	if s.media != nil {
		k.Media = s.media.Key()
		k.Stream = &s.stream
	}
	if s.sdp != nil {
		session := s.sdp.Keep()
		k.Session = &session
	}
	return k
}

func (o *offer) kept() keptOffer {
	k := keptOffer{
		keptSide: o.side.kept(), ID: o.id, Agent: o.agent, Queue: o.queue, Asker: o.asker,
		Alerted: o.alerted, Quiet: o.quiet, Lost: o.lost, Dead: o.dead,
	}
	k.Session = nil // that of the phone
	for i, p := range o.phones {
		one := keptPhone{Offers: p.offers, Transport: p.binding.Transport, Source: p.binding.Source.String(), Contact: p.binding.Contact, Done: p.done}
		if p.sdp != nil && !p.done {
			one.Session = p.sdp.Keep()
		}
		if o.taken == p {
			k.Taken = i + 1
		}
		k.Phones = append(k.Phones, one)
	}
	return k
}

// owner is what the leg of a phone that is rung says of itself, so that the next life
// finds whose it is though the call had not come to note it.
func (p *phone) owner(c *call) string {
	return fmt.Sprintf("%s/%d/%d/%d", c.id, p.offer.id, p.place, len(p.offers))
}
