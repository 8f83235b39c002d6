package main

import (
	"time"

	"foyer/acd"
	"foyer/sip"
)

// This file is the one place where the floor's causes and the wire's codes meet.

// rejectFor is the final response a caller gets when no queue takes the call.
func rejectFor(cause acd.Cause) sip.Reject {
	switch cause {
	case acd.CauseNumberUnknown:
		return sip.Reject{Code: 404}
	case acd.CausePortsFull, acd.CauseTrunkFull, acd.CauseDraining, acd.CauseRestart, acd.CauseUnrecordable:
		return sip.Reject{Code: 503, RetryAfter: 5 * time.Second}
	case acd.CauseBadOffer:
		return sip.Reject{Code: 488}
	case acd.CauseClosed, acd.CauseNoAgents, acd.CauseMaxWait, acd.CauseNoneReady, acd.CauseCallback:
		return sip.Reject{Code: 480}
	case acd.CauseFull:
		return sip.Reject{Code: 486}
	case acd.CauseAdmin:
		return sip.Reject{Code: 603}
	}
	return sip.Reject{Code: 500}
}

// promptFor is what a caller hears before the switch ends the call, where the
// queue does not say.
func promptFor(cause acd.Cause) string {
	switch cause {
	case acd.CauseClosed:
		return "closed"
	case acd.CauseNoAgents, acd.CauseMaxWait, acd.CauseNoneReady:
		return "nobody"
	case acd.CauseFull:
		return "queue-full"
	}
	return ""
}

// reasonFor is the Reason header (RFC 3326) of the BYE or CANCEL we send.
func reasonFor(cause acd.Cause, by acd.Party) sip.Reason {
	r := sip.Reason{Q850: q850Of(cause)}
	switch cause {
	case acd.CauseHangup:
		r.Text = "Normal call clearing by " + by.String()
	case acd.CauseAbandoned:
		r.Text = "Caller hung up"
	default:
		r.Text = cause.String()
	}
	return r
}

// reasonForWithdrawal is the Reason on the CANCEL of an offer. A phone shows no
// missed call when another took it (RFC 3326 section 2).
func reasonForWithdrawal(cause acd.Cause) sip.Reason {
	switch cause {
	case acd.CauseElsewhere:
		return sip.Reason{SIP: 200, Text: "Call completed elsewhere"}
	case acd.CauseNoAnswer:
		return sip.Reason{SIP: 408, Q850: 19, Text: "No answer"}
	}
	return sip.Reason{SIP: 487, Q850: 16, Text: "Caller hung up"}
}

// q850Of is the ITU-T Q.850 cause of the end of a call, for trunks and CDRs.
func q850Of(cause acd.Cause) int {
	switch cause {
	case acd.CauseHangup, acd.CauseAbandoned, acd.CauseAdmin, acd.CauseCallback:
		return 16 // normal call clearing
	case acd.CauseNumberUnknown:
		return 1 // unallocated number
	case acd.CauseBusy, acd.CauseFull:
		return 17 // user busy
	case acd.CauseNoAnswer, acd.CauseMaxWait:
		return 19 // no answer from user
	case acd.CauseNoAgents, acd.CauseClosed, acd.CauseNoneReady:
		return 20 // subscriber absent
	case acd.CauseDeclined:
		return 21
	case acd.CauseUnreachable, acd.CauseLinkLost, acd.CauseMediaTimeout, acd.CauseSessionTimer, acd.CauseNoAck:
		return 27 // destination out of order
	case acd.CauseTrunkFull, acd.CausePortsFull:
		return 34 // no circuit available
	case acd.CauseRestart, acd.CausePanic, acd.CauseDraining, acd.CauseLost, acd.CauseUnrecordable:
		return 41 // temporary failure
	case acd.CauseBadOffer:
		return 65 // bearer capability not implemented
	}
	return 31 // normal, unspecified
}

// causeOfRefusal reads an agent's phone's final response.
func causeOfRefusal(r sip.Refused) acd.Cause {
	switch {
	case r.Unreachable:
		return acd.CauseUnreachable
	case r.Code == 486 || r.Code == 600:
		return acd.CauseBusy
	case r.Code == 603 || r.Code == 480 || r.Code == 403, r.Code/100 == 3: // sent elsewhere is not taken
		return acd.CauseDeclined
	case r.Code == 408 || r.Code == 404 || r.Code == 410:
		return acd.CauseUnreachable
	}
	return acd.CauseFailed
}

// causeOfEnd reads why an answered leg ended without our doing.
func causeOfEnd(why sip.EndKind) acd.Cause {
	switch why {
	case sip.SessionExpired:
		return acd.CauseSessionTimer
	case sip.NoAck:
		return acd.CauseNoAck
	case sip.FlowLost:
		return acd.CauseUnreachable
	case sip.Broken:
		return acd.CausePanic
	}
	return acd.CauseHangup
}

// partyOfEnd says who ended it: a BYE is the person's doing, a fault ours, anything
// else the doing of the line between us and them.
func partyOfEnd(person acd.Party, why sip.EndKind) acd.Party {
	if why == sip.Broken {
		return acd.Switch
	}
	if person == acd.Caller && why != sip.Bye {
		return acd.Carrier
	}
	return person
}
