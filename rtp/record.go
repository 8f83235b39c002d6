package rtp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// recordVersion is that of what encode writes. Fields may be added under the same
// one: an older release leaves out what it does not know.
const recordVersion = 1

// record is a leg as it is kept, all but what its cell has. Times are ns of the
// machine's monotonic clock, which goes on when the process does not; those of a tap
// are unix ns. It is JSON of 350 to 800 bytes, made and put in 2 microseconds, 5 times
// in the life of a leg that is bridged and recorded (BenchmarkRecord, BenchmarkKept).
type record struct {
	Version int
	Port    uint16
	Shard   int `json:",omitempty"`
	Role    Role
	Cell    int
	SSRC    uint32
	Renew   bool `json:",omitempty"` // two streams were sent, by two clocks: the next process begins others
	CNAME   string
	Public  netip.Addr // as written in SDP

	Stream Stream        // without secrets
	Shield *shieldRecord `json:",omitempty"`

	Peer    netip.AddrPort `json:",omitzero"` // locked onto
	Armed   int64          `json:",omitempty"`
	Reports netip.AddrPort `json:",omitzero"` // where the peer's RTCP comes from, if not where the SDP says

	Hears   uint16       `json:",omitempty"` // port of the leg
	Bridged bool         `json:",omitempty"` // BridgeUp was told
	List    string       `json:",omitempty"` // name of the Playlist
	Plays   bool         `json:",omitempty"` // one, with or without a name
	Loops   bool         `json:",omitempty"`
	Token   uint64       `json:",omitempty"`
	Began   int64        `json:",omitempty"`
	Over    *uint64      `json:",omitempty"` // token of an announcement over it, or of one to come
	Keys    *pressRecord `json:",omitempty"`

	Watched bool `json:",omitempty"`
	Quiet   bool `json:",omitempty"`
	Silent  bool `json:",omitempty"`

	Recording uint64 `json:",omitempty"`
	Channel   uint8  `json:",omitempty"`
	TapSince  int64  `json:",omitempty"`

	Told *stampRecord `json:",omitempty"` // the key press told last

	Figures figures
}

// shieldRecord is what protects the stream. Here are keys.
type shieldRecord struct {
	Suite        Suite
	Ours, Theirs []byte         `json:",omitempty"`
	MKI          []byte         `json:",omitempty"`
	Turns        [2]uint16      // shield.ours, theirs
	Settled      bool           `json:",omitempty"` // a handshake has ended well
	Sources      []sourceRecord `json:",omitempty"`

	ICE *checksRecord `json:",omitempty"`
}

type sourceRecord struct {
	SSRC  uint32
	Index uint64
}

type checksRecord struct {
	OurName, TheirName         string
	OurPassword, TheirPassword []byte
	Proven                     []netip.AddrPort `json:",omitempty"`
	Chosen                     bool             `json:",omitempty"`
}

// pressRecord are keys that are being pressed.
type pressRecord struct {
	Queue  [][2]int `json:",omitempty"` // code, length
	Now    [2]int
	Active bool
	After  uint16 // number of the newest packet when Now began: of none of its own
}

type stampRecord struct{ SSRC, Timestamp uint32 }

// figures are as old as the record. Those that count packets by the cell are not here.
type figures struct {
	Late, Duplicate, Reordered                                    uint64        `json:",omitempty"`
	Refused, Malformed, Unknown, SendFails, Unreachable, Unproven uint64        `json:",omitempty"`
	RTT                                                           time.Duration `json:",omitempty"`
	RemoteLoss                                                    float64       `json:",omitempty"`
	Jitter                                                        [][2]uint16   `json:",omitempty"` // bucket, seconds
}

func (r *record) encode() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // no value of a record can be unfit for JSON
	}
	return b
}

var errRecord = errors.New("media record of another version")

func readRecord(b []byte) (*record, error) {
	r := new(record)
	if err := json.Unmarshal(b, r); err != nil {
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
		Suite: c.keys.Suite, Ours: []byte(c.keys.Ours), Theirs: []byte(c.keys.Theirs), MKI: []byte(c.keys.MKI),
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
			OurPassword: []byte(k.terms.OurPassword), TheirPassword: []byte(k.terms.TheirSecret), Chosen: k.chosen,
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
