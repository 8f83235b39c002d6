package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sort"
	"strings"
	"time"

	"foyer/acd"
	"foyer/console"
	"foyer/sip"
)

// thread ties the SIP Call-ID of one leg to the call it belongs to.
type thread struct {
	SIPCallID string `json:"id"`
	Party     string `json:"party"` // the trunk's id, or the agent's
	Agent     bool   `json:"agent,omitempty"`
}

// traceLeg notes that a leg belongs to a call.
func (j *journal) traceLeg(call acd.CallID, t thread) {
	if body, err := json.Marshal(t); err == nil {
		j.diary.note(threadEntry, string(call), body)
	}
}

// traceMessage notes a message of a call.
func (j *journal) traceMessage(t sip.Traced) {
	var head [9]byte
	binary.BigEndian.PutUint64(head[:], uint64(t.At.UnixNano()))
	if t.Out {
		head[8] = 1
	}
	// The addresses hold no line break; the message follows the third.
	j.diary.note(wireEntry, t.SIPCallID, head[:], []byte(t.Transport+"\n"+t.Local+"\n"+t.Remote+"\n"), t.Message)
}

var cseq = []byte("\nCSeq:")

// belongsToCall says whether a message is worth noting. Registrations and probes
// belong to no call and come by the thousand: they are left out.
func belongsToCall(msg []byte) bool {
	at := bytes.Index(msg, cseq)
	if at < 0 {
		return true
	}
	line := msg[at+1:]
	if end := bytes.IndexByte(line, '\r'); end > 0 {
		line = line[:end]
	}
	return !bytes.HasSuffix(line, []byte("REGISTER")) && !bytes.HasSuffix(line, []byte("OPTIONS"))
}

// lateMessages is how long after a call's last word messages of its legs may
// still come: the answers to our BYEs.
const lateMessages = 5 * time.Second

// ladder collects every message of every leg of a call, in order of time.
func (j *journal) ladder(ctx context.Context, call acd.CallID) ([]console.TraceLine, error) {
	since, ok := bornAt(call)
	if !ok {
		return nil, nil
	}
	legs := map[string]thread{}
	heard := map[string][][]byte{} // by SIP Call-ID: the INVITE comes before we know whose it is
	var ended time.Time
	// The carrier's INVITE was on the wire before the call had an id.
	err := j.readDiary(ctx, since.Add(-time.Second), func(at time.Time, kind entryKind, key string, text []byte) error {
		switch {
		case kind == wireEntry && (ended.IsZero() || legs[key].SIPCallID != ""):
			heard[key] = append(heard[key], bytes.Clone(text))
		case kind == threadEntry && key == string(call):
			var t thread
			if err := json.Unmarshal(text, &t); err != nil {
				return fmt.Errorf("leg of call %s: %w", call, err)
			}
			legs[t.SIPCallID] = t
		case kind == endEntry && key == string(call):
			ended = at
		}
		if !ended.IsZero() && at.Sub(ended) > lateMessages {
			return errStop
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var lines []console.TraceLine
	for id, leg := range legs {
		for _, text := range heard[id] {
			lines = append(lines, traceLine(leg, text))
		}
	}
	sort.SliceStable(lines, func(a, b int) bool { return lines[a].At.Before(lines[b].At) })
	return lines, nil
}

// traceLine reads one noted message.
func traceLine(leg thread, text []byte) console.TraceLine {
	l := console.TraceLine{Leg: "caller", SIPCallID: leg.SIPCallID}
	if leg.Agent {
		l.Leg, l.Agent = "agent", leg.Party
	}
	if len(text) < 9 {
		return l
	}
	l.At = time.Unix(0, int64(binary.BigEndian.Uint64(text))).UTC()
	l.Direction = direction(text[8] == 1)
	var rest string
	l.Transport, rest, _ = strings.Cut(string(text[9:]), "\n")
	l.Local, rest, _ = strings.Cut(rest, "\n")
	l.Remote, l.Message, _ = strings.Cut(rest, "\n")
	first, headers, _ := strings.Cut(l.Message, "\r\n")
	if code, ok := strings.CutPrefix(first, "SIP/2.0 "); ok {
		l.Summary = code
	} else {
		l.Summary, _, _ = strings.Cut(first, " ")
	}
	for line := range strings.SplitSeq(headers, "\r\n") {
		if v, ok := strings.CutPrefix(line, "CSeq:"); ok {
			l.CSeq = strings.TrimSpace(v)
			break
		}
	}
	return l
}
