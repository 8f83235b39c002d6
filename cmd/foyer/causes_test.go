package main

import (
	"testing"

	"foyer/acd"
	"foyer/sip"
)

// Every end of a call has a code for who is refused and a cause of Q.850 for who is
// hung up on.
func TestCausesAndCodes(t *testing.T) {
	table := map[acd.Cause]struct {
		code, q850 int
		again      bool // with Retry-After
	}{
		acd.CauseHangup:        {500, 16, false}, // no INVITE is refused for these: 500 would be a fault of ours
		acd.CauseAbandoned:     {500, 16, false},
		acd.CauseNoAgents:      {480, 20, false},
		acd.CauseClosed:        {480, 20, false},
		acd.CauseMaxWait:       {480, 19, false},
		acd.CauseNumberUnknown: {404, 1, false},
		acd.CauseTrunkFull:     {503, 34, true},
		acd.CausePortsFull:     {503, 34, true},
		acd.CauseDraining:      {503, 41, true},
		acd.CauseMediaTimeout:  {500, 27, false},
		acd.CauseSessionTimer:  {500, 27, false},
		acd.CauseNoAck:         {500, 27, false},
		acd.CauseBadOffer:      {488, 65, false},
		acd.CauseRestart:       {503, 41, true},
		acd.CausePanic:         {500, 41, false},
		acd.CauseAdmin:         {603, 16, false},
		acd.CauseDeclined:      {500, 21, false},
		acd.CauseBusy:          {500, 17, false},
		acd.CauseNoAnswer:      {500, 19, false},
		acd.CauseUnreachable:   {500, 27, false},
		acd.CauseElsewhere:     {500, 31, false},
		acd.CauseFailed:        {500, 31, false},
		acd.CauseFull:          {486, 17, false},
		acd.CauseNoneReady:     {480, 20, false},
		acd.CauseCallback:      {480, 16, false},
		acd.CauseLinkLost:      {500, 27, false},
		acd.CauseLost:          {500, 41, false},
		acd.CauseTransferred:   {500, 31, false},
		acd.CauseUnrecordable:  {503, 41, true},
	}
	for cause := acd.CauseHangup; cause <= acd.CauseUnrecordable; cause++ {
		want, known := table[cause]
		if !known {
			t.Errorf("%s is not in the table", cause)
		}
		r := rejectFor(cause)
		if r.Code != want.code || r.RetryAfter > 0 != want.again || q850Of(cause) != want.q850 {
			t.Errorf("%s: %d (Retry-After %v), Q.850 %d", cause, r.Code, r.RetryAfter, q850Of(cause))
		}
	}
	for code, want := range map[int]acd.Cause{
		486: acd.CauseBusy, 600: acd.CauseBusy, 480: acd.CauseDeclined, 603: acd.CauseDeclined, 403: acd.CauseDeclined,
		404: acd.CauseUnreachable, 408: acd.CauseUnreachable, 410: acd.CauseUnreachable,
		484: acd.CauseFailed, 488: acd.CauseFailed, 500: acd.CauseFailed, 503: acd.CauseFailed,
	} {
		if got := causeOfRefusal(sip.Refused{Code: code}); got != want {
			t.Errorf("a phone's %d is %s, want %s", code, got, want)
		}
	}
	if got := causeOfRefusal(sip.Refused{Code: 408, Unreachable: true}); got != acd.CauseUnreachable {
		t.Errorf("silence is %s", got)
	}
}
