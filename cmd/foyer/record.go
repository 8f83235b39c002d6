package main

import (
	"time"

	"go.uber.org/zap"

	"foyer/acd"
	"foyer/recorder"
)

// recording is what a call knows of its own recording.
type recording struct {
	handle uint64
	id     string
	since  time.Time
	length time.Duration
}

// Channels of a recording.
const (
	callerChannel = 0
	agentChannel  = 1
)

// startRecording begins the recording of the talk if the client's policy takes
// this call. A recording that cannot begin never costs the caller the talk: it
// is counted as missing, and the operator is told.
//
// A call has one recording: an agent who takes it over joins it.
func (c *call) startRecording() {
	if c.rec.handle != 0 {
		c.ex.recordings.Join(c.rec.handle, string(c.agent.agent))
		c.agent.media.Tap(c.rec.handle, agentChannel)
		return
	}
	if c.client == nil || c.client.policy == nil || !c.client.policy.Records(string(c.id)) {
		return
	}
	policy := c.client.policy
	c.rec.since = time.Now()
	handle, id, err := c.ex.recordings.Begin(recorder.Meta{
		CallID:     string(c.id),
		Client:     c.client.id,
		Queue:      string(c.dest.queue),
		Agent:      string(c.agent.agent),
		Policy:     policy.ID,
		Purpose:    policy.Purpose,
		LegalBasis: policy.LegalBasis,
		From:       c.facts.From,
		To:         c.facts.DID,
		Started:    c.rec.since,
	})
	if err != nil {
		c.log.Error("call not recorded", zap.String("policy", policy.ID), zap.Error(err))
		c.ex.metrics.recordingMissing.WithLabelValues(policy.ID).Inc()
		return
	}
	c.rec.handle, c.rec.id = handle, id
	c.caller.media.Tap(handle, callerChannel)
	c.agent.media.Tap(handle, agentChannel)
}

// unrecordable says why a call that its policy wants recorded or not made cannot be
// recorded; nil: it can, or need not. It is asked once, when the call arrives: nobody
// who has been let in is put out for it.
func (c *call) unrecordable() error {
	if c.dest.cause != acd.CauseUnknown || c.client == nil || !c.client.refuse || !c.client.policy.Records(string(c.id)) {
		return nil
	}
	return c.ex.recordings.MayRecord()
}

func (c *call) stopRecording() {
	if c.rec.handle == 0 {
		return
	}
	c.caller.media.Tap(0, callerChannel)
	if c.agent != nil {
		c.agent.media.Tap(0, agentChannel)
	}
	if c.out != nil {
		c.out.media.Tap(0, agentChannel)
	}
	c.rec.length = time.Since(c.rec.since)
	c.ex.recordings.End(c.rec.handle)
	c.rec.handle = 0
}

// recordingEnded counts a closed recording.
func (ex *exchange) recordingEnded(i recorder.Info) {
	ex.metrics.recordings.WithLabelValues(i.Policy, i.State).Inc()
	if i.LostMS > 0 {
		ex.log.Warn("recording has gaps", zap.String("recording", i.ID), zap.String("call", i.CallID), zap.Int64("lost_ms", i.LostMS))
	}
}
