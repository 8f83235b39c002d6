package main

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"go.uber.org/zap"
)

// A message that kills the process, in spite of everything that confines a fault to
// its call, is sent again by who sent it, and kills the next process. What was read
// just before a death is therefore noted in memory that outlives it; a SIP Call-ID
// that was there at three deaths within a minute is not listened to for an hour. All
// other calls go on.

const (
	poisonSlots   = 256
	poisonSlot    = 256                    // bytes
	poisonBefore  = 100 * time.Millisecond // what was read so long before the last message is suspect
	poisonWithin  = time.Minute
	poisonDeaths  = 3
	poisonFor     = time.Hour
	poisonKey     = "poison"
	poisonHead    = 8   // bytes of the time in a slot
	poisonLengths = 2   // bytes of the lengths of Call-ID and source, behind it
	poisonID      = 160 // bytes of a Call-ID that count
)

// poison watches what is read. Any goroutine may call its methods.
type poison struct {
	log    *zap.Logger
	memory interface {
		Put(key string, value []byte) error
		Get(key string) ([]byte, bool)
	}
	ring   []byte // nil: nothing outlives the process
	next   atomic.Uint64
	barred atomic.Pointer[map[string]time.Time] // Call-IDs, until when
	drops  atomic.Uint64
}

// deaths is what is remembered of the lives before.
type deaths struct {
	Deaths []suspects
	Barred map[string]time.Time `json:",omitempty"`
}

type suspects struct {
	At    time.Time
	Read  []string // Call-IDs
	Where []string // their sources
}

// openPoison draws its conclusions from the death of the last life.
func (ex *exchange) openPoison() (*poison, error) {
	p := &poison{log: ex.log.Named("poison")}
	p.barred.Store(&map[string]time.Time{})
	if ex.memory == nil {
		return p, nil
	}
	ring, err := ex.keeper.Shared("read", poisonSlots*poisonSlot)
	if err != nil {
		return nil, err
	}
	p.ring, p.memory = ring, ex.memory
	p.conclude(time.Now())
	return p, nil
}

// read notes a message and says whether it may be looked at.
func (p *poison) read(callID string, from netip.AddrPort) bool {
	id := callID[:min(len(callID), poisonID)]
	if barred := *p.barred.Load(); len(barred) > 0 {
		if until, is := barred[id]; is && time.Now().Before(until) {
			p.drops.Add(1)
			return false
		}
	}
	if p.ring == nil || callID == "" {
		return true
	}
	n := p.next.Add(1) - 1
	slot := p.ring[n%poisonSlots*poisonSlot:][:poisonSlot]
	at := (*uint64)(unsafe.Pointer(&slot[0]))
	atomic.StoreUint64(at, 0)
	source := from.String()
	slot[poisonHead], slot[poisonHead+1] = byte(len(id)), byte(len(source))
	rest := slot[poisonHead+poisonLengths:]
	copy(rest, id)
	copy(rest[len(id):], source)
	atomic.StoreUint64(at, uint64(time.Now().UnixNano()))
	return true
}

// conclude reads what the last life read last, and bars what was there too often.
func (p *poison) conclude(now time.Time) {
	var was deaths
	if kept, ok := p.memory.Get(poisonKey); ok {
		if err := json.Unmarshal(kept, &was); err != nil {
			p.log.Error("what is known of deaths cannot be read", zap.Error(err))
			was = deaths{}
		}
	}
	if last := p.suspects(); len(last.Read) > 0 {
		last.At = now
		was.Deaths = append(was.Deaths, last)
	}
	clear(p.ring)
	was.Deaths = slices.DeleteFunc(was.Deaths, func(s suspects) bool { return now.Sub(s.At) > poisonWithin })
	if was.Barred == nil {
		was.Barred = map[string]time.Time{}
	}
	maps.DeleteFunc(was.Barred, func(_ string, until time.Time) bool { return !now.Before(until) })
	seen := map[string]int{}
	for _, s := range was.Deaths {
		for i, id := range s.Read {
			if seen[id]++; seen[id] == poisonDeaths {
				was.Barred[id] = now.Add(poisonFor)
				p.log.Error("a call kills the switch: it is not listened to", zap.String("sip_call_id", id), zap.String("from", s.Where[i]),
					zap.Int("deaths", poisonDeaths), zap.Duration("within", poisonWithin), zap.Duration("for", poisonFor))
			}
		}
	}
	p.barred.Store(&was.Barred)
	kept, err := json.Marshal(was)
	if err == nil {
		err = p.memory.Put(poisonKey, kept)
	}
	if err != nil {
		p.log.Error("deaths are not remembered", zap.Error(err))
	}
}

// suspects is what was read just before the last message of the life before.
func (p *poison) suspects() (s suspects) {
	type one struct {
		at        int64
		id, where string
	}
	var all []one
	newest := int64(0)
	for n := range poisonSlots {
		slot := p.ring[n*poisonSlot:][:poisonSlot]
		at := int64(binary.NativeEndian.Uint64(slot))
		if at == 0 {
			continue
		}
		rest := slot[poisonHead+poisonLengths:]
		id, where := int(slot[poisonHead]), int(slot[poisonHead+1])
		if id+where > len(rest) {
			continue
		}
		all = append(all, one{at, string(rest[:id]), string(rest[id : id+where])})
		newest = max(newest, at)
	}
	for _, o := range all {
		if newest-o.at <= int64(poisonBefore) && !slices.Contains(s.Read, o.id) {
			s.Read, s.Where = append(s.Read, o.id), append(s.Where, o.where)
		}
	}
	return s
}

// bars says whether a call's leg is not to be taken up.
func (p *poison) bars(legKey, prefix string) bool {
	id := strings.TrimPrefix(legKey, prefix)
	id = id[:max(strings.LastIndexByte(id, '/'), 0)] // a Call-ID may have slashes, our tag has none
	_, is := (*p.barred.Load())[id[:min(len(id), poisonID)]]
	return is
}

// revivals is what is remembered of taking up calls, so that one which kills the
// process by that is let go at the third time.
type revivals struct {
	Now     string `json:",omitempty"` // the call that is being taken up
	Suspect string `json:",omitempty"` // the one that was when the process died last
	Deaths  int    `json:",omitempty"` // in a row
}

const (
	revivalsKey = "revivals"
	revivalsMax = 2
)

// pastRevivals concludes from how the last life ended.
func (ex *exchange) pastRevivals() *revivals {
	r := new(revivals)
	if was, ok := ex.memory.Get(revivalsKey); ok && json.Unmarshal(was, r) != nil {
		r = new(revivals)
	}
	switch r.Now {
	case "":
		r.Suspect, r.Deaths = "", 0
	case r.Suspect:
		r.Deaths++
	default:
		r.Suspect, r.Deaths = r.Now, 1
	}
	return r
}

// begins notes that a call is being taken up, "" that none is any more, and says
// whether it should be.
func (ex *exchange) begins(r *revivals, key string) bool {
	if key != "" && key == r.Suspect && r.Deaths >= revivalsMax {
		ex.log.Error("taking up a call kills the switch: it is let go", zap.String("call", key), zap.Int("deaths", r.Deaths))
		return false
	}
	r.Now = key
	note, err := json.Marshal(r)
	if err == nil {
		err = ex.memory.Put(revivalsKey, note)
	}
	if err != nil {
		ex.log.Error("what is taken up is not noted", zap.Error(err))
	}
	return true
}

// A switch that dies so often in so short a time does not get anywhere with the calls
// it has: it begins without.
const (
	livesKey    = "lives"
	livesMax    = 10
	livesWithin = 10 * time.Second
)

// tooManyLives says whether it is time to begin without the calls of the last life.
func (ex *exchange) tooManyLives(now time.Time) bool {
	var starts []time.Time
	if was, ok := ex.memory.Get(livesKey); ok && json.Unmarshal(was, &starts) != nil {
		starts = nil
	}
	starts = append(starts, now.Round(0))
	starts = starts[max(len(starts)-livesMax, 0):]
	often := len(starts) == livesMax && now.Sub(starts[0]) < livesWithin
	if often {
		starts = nil
	}
	if note, err := json.Marshal(starts); err == nil {
		_ = ex.memory.Put(livesKey, note) // it counts less, then
	}
	return often
}
