package main

import (
	"bytes"
	"context"
	"encoding/json"
	"sort"
	"time"

	"foyer/acd"
	"foyer/console"
	"foyer/sip"
)

// wire is one SIP message as remembered for a call's ladder.
type wire struct {
	At        time.Time `json:"t"`
	SIPCallID string    `json:"id"`
	Out       bool      `json:"out,omitempty"`
	Transport string    `json:"tr"`
	Local     string    `json:"l"`
	Remote    string    `json:"r"`
	Message   string    `json:"m"`
}

// thread ties the SIP Call-ID of one leg to the call it belongs to.
type thread struct {
	Call      acd.CallID `json:"call"`
	SIPCallID string     `json:"id"`
	Party     string     `json:"party"` // the trunk's id, or the agent's
	Agent     bool       `json:"agent,omitempty"`
}

// traceMessage remembers a message of a call. Registrations and probes belong
// to no call and come by the thousand: they are left out.
func (j *journal) traceMessage(t sip.Traced) {
	if belongsToNoCall(t.Message) {
		return
	}
	body, err := json.Marshal(wire{t.At, t.SIPCallID, t.Out, t.Transport, t.Local, t.Remote, string(t.Message)})
	if err != nil {
		return
	}
	j.remember("wire", t.SIPCallID, body)
}

var cseq = []byte("\nCSeq:")

func belongsToNoCall(msg []byte) bool {
	at := bytes.Index(msg, cseq)
	if at < 0 {
		return false
	}
	line := msg[at+1:]
	if end := bytes.IndexByte(line, '\r'); end > 0 {
		line = line[:end]
	}
	return bytes.HasSuffix(line, []byte("REGISTER")) || bytes.HasSuffix(line, []byte("OPTIONS"))
}

func (j *journal) traceLeg(t thread) {
	body, err := json.Marshal(t)
	if err != nil {
		return
	}
	j.remember("thread", string(t.Call), body)
}

// ladder collects every message of every leg of a call, in order of time.
func (j *journal) ladder(ctx context.Context, call acd.CallID) ([]console.TraceLine, error) {
	var legs []thread
	err := j.recall(ctx, "thread", string(call), func(body []byte) error {
		var t thread
		if json.Unmarshal(body, &t) == nil && t.Call == call {
			legs = append(legs, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var lines []console.TraceLine
	for _, leg := range legs {
		err := j.recall(ctx, "wire", leg.SIPCallID, func(body []byte) error {
			var w wire
			if json.Unmarshal(body, &w) == nil && w.SIPCallID == leg.SIPCallID {
				lines = append(lines, traceLine(leg, w))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	sort.SliceStable(lines, func(a, b int) bool { return lines[a].At.Before(lines[b].At) })
	return lines, nil
}
