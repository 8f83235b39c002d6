package rtp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"foyer/terse"
)

// recordVersion is that of records. Fields may be added under the same one: an older
// release leaves out what it does not know.
const recordVersion = 2

var records = terse.New[record]()

// record is a leg as it is kept, all but what its cell has. Times are ns of the
// machine's monotonic clock, which goes on when the process does not; those of a tap
// are unix ns. It has 80 to 200 bytes, made and put in a microsecond, 5 times in the life
// of a leg that is bridged and recorded (BenchmarkRecord, BenchmarkKept).
type record struct {
	Version int
	Port    uint16
	Shard   int
	Role    Role
	Cell    int
	SSRC    uint32
	Renew   bool // two streams were sent, by two clocks: the next process begins others
	CNAME   string
	Public  netip.Addr // as written in SDP

	Stream Stream // without secrets
	Shield *shieldRecord

	Peer    netip.AddrPort // locked onto
	Armed   int64
	Reports netip.AddrPort // where the peer's RTCP comes from, if not where the SDP says

	Hears   uint16 // port of the leg
	Bridged bool   // BridgeUp was told
	List    string // name of the Playlist
	Plays   bool   // one, with or without a name
	Loops   bool
	Token   uint64
	Began   int64
	Over    *uint64 // token of an announcement over it, or of one to come
	Keys    *pressRecord

	Watched bool
	Quiet   bool
	Silent  bool

	Recording uint64
	Channel   uint8
	TapSince  int64

	Told *stampRecord // the key press told last

	Figures figures
}

// shieldRecord is what protects the stream. Here are keys.
type shieldRecord struct {
	Suite        Suite
	Ours, Theirs Secret
	MKI          string
	Turns        [2]uint16 // shield.ours, theirs
	Settled      bool      // a handshake has ended well
	Sources      []sourceRecord

	ICE *checksRecord
}

type sourceRecord struct {
	SSRC  uint32
	Index uint64
}

type checksRecord struct {
	OurName, TheirName         string
	OurPassword, TheirPassword Secret
	Proven                     []netip.AddrPort
	Chosen                     bool
}

// pressRecord are keys that are being pressed.
type pressRecord struct {
	Queue  [][2]int // code, length
	Now    [2]int
	Active bool
	After  uint16 // number of the newest packet when Now began: of none of its own
}

type stampRecord struct{ SSRC, Timestamp uint32 }

// figures are as old as the record. Those that count packets by the cell are not here.
type figures struct {
	Late, Duplicate, Reordered                                    uint64
	Refused, Malformed, Unknown, SendFails, Unreachable, Unproven uint64
	RTT                                                           time.Duration
	RemoteLoss                                                    float64
	Jitter                                                        [][2]uint16 // bucket, seconds
}

var errRecord = errors.New("media record of another version")

func readRecord(b []byte) (*record, error) {
	r := new(record)
	if err := records.Read(b, r); err != nil {
		return nil, fmt.Errorf("media record: %w", err)
	}
	if r.Version != recordVersion {
		return nil, errRecord
	}
	return r, nil
}

// record is what is kept of a leg now.
func (s *shard) record(l *Leg) *record {
	r := &record{
		Version: recordVersion, Port: l.local.Port(), Shard: l.kept.number, Role: l.role, Cell: l.kept.cell,
		SSRC: l.out.ssrc, Renew: l.other != nil, CNAME: l.control.cname, Public: l.addr.Addr(), Stream: l.stream,
		Peer: l.latch.peer, Armed: s.mono + l.latch.armed,
		Bridged: l.up, Watched: l.watched, Quiet: l.quiet, Silent: l.silent,
		Recording: l.recording, Channel: l.channel, Figures: l.figures(),
	}
	r.Stream.Keys, r.Stream.ICE = nil, nil
	if l.control.learned {
		r.Reports = l.control.target.addrPort()
	}
	if l.recording != 0 {
		r.TapSince = l.tapSince
	}
	if l.hears != nil {
		r.Hears = l.hears.local.Port()
	}
	if l.keypad.done {
		r.Told = &stampRecord{l.keypad.start.ssrc, l.keypad.start.timestamp}
	}
	r.plays(l)
	r.presses(l)
	if l.shield != nil {
		r.Shield = l.shield.record()
	}
	return r
}

func (r *record) plays(l *Leg) {
	if b := l.kept.back; b != nil { // it will go on, once it is known what the list is
		was := b.record
		r.Plays, r.List, r.Loops, r.Token, r.Began, r.Over = was.Plays, was.List, was.Loops, was.Token, was.Began, was.Over
		return
	}
	p := &l.player
	if list := p.under.list; list != nil {
		r.Plays, r.List, r.Loops, r.Token, r.Began = true, list.Name, list.Loop, list.Token, l.kept.began
	}
	if p.next != nil {
		r.Over = &p.next.Token
	} else if p.over.list != nil {
		r.Over = &p.over.list.Token
	}
}

func (r *record) presses(l *Leg) {
	p := l.presser
	if p == nil {
		return
	}
	k := &pressRecord{Now: [2]int{int(p.now.code), p.now.length}, Active: p.active, After: p.after}
	for _, one := range p.queue {
		k.Queue = append(k.Queue, [2]int{int(one.code), one.length})
	}
	r.Keys = k
}

func (c *shield) record() *shieldRecord {
	r := &shieldRecord{
		Suite: c.keys.Suite, Ours: c.keys.Ours, Theirs: c.keys.Theirs, MKI: c.keys.MKI,
		Turns: [2]uint16{c.ours, c.theirs}, Settled: c.association != nil && c.association.settled,
	}
	for _, s := range c.past {
		if s.ssrc != c.ssrc {
			r.Sources = append(r.Sources, sourceRecord{s.ssrc, s.index})
		}
	}
	for _, s := range c.before { // heard by the process before, and not since
		if !s.proven && s.ssrc != c.ssrc {
			r.Sources = append(r.Sources, sourceRecord{s.ssrc, s.index})
		}
	}
	if k := c.checks; k != nil {
		r.ICE = &checksRecord{
			OurName: k.terms.OurName, TheirName: k.terms.TheirName,
			OurPassword: k.terms.OurPassword, TheirPassword: k.terms.TheirSecret, Chosen: k.chosen,
		}
		for i := range k.proven {
			if k.proven[i].valid() {
				r.ICE.Proven = append(r.ICE.Proven, k.proven[i].addrPort())
			}
		}
	}
	return r
}

func (l *Leg) figures() figures {
	f := figures{
		Late: l.in.late, Duplicate: l.in.duplicate, Reordered: l.in.reordered,
		Refused: l.refused, Malformed: l.malformed, Unknown: l.unknown, SendFails: l.sendFails, Unreachable: l.unreachable, Unproven: l.unproven,
		RTT: l.control.roundTrip, RemoteLoss: l.control.remoteLoss,
	}
	for i, n := range l.in.buckets {
		if n > 0 {
			f.Jitter = append(f.Jitter, [2]uint16{uint16(i), n})
		}
	}
	return f
}
