package acd

import (
	"fmt"
	"slices"
	"strconv"
)

// The enums are written as words wherever they leave the program: journal, CDRs,
// logs, metrics. A value without a word, from a newer journal say, is written as
// its number, so that nothing is lost on the way through.

var kindWords = []string{
	Started: "started", Reconfigured: "reconfigured",
	Arrived: "arrived", Rejected: "rejected", Gone: "gone", Closed: "closed",
	Reachable: "reachable", Unreachable: "unreachable",
	Login: "login", Logout: "logout", MakeReady: "make_ready", Pause: "pause",
	Alerting: "alerting", Answered: "answered", Failed: "failed",
	Bridged: "bridged", Held: "held", Resumed: "resumed",
	WrapUpDone: "wrap_up_done", Tick: "tick",
	LinkLost: "link_lost", LinkBack: "link_back", Extend: "extend", Release: "release",
	CallbackAsked: "callback_asked", CallerBack: "caller_back", CallerMissed: "caller_missed",
	CallbacksOpen: "callbacks_open", CallbacksShut: "callbacks_shut",
	Consult: "consult", ConsultOver: "consult_over", Transfer: "transfer",
	Continued: "continued",
}

var causeWords = []string{
	CauseUnknown: "unknown", CauseHangup: "hangup", CauseAbandoned: "abandoned",
	CauseNoAgents: "no_agents", CauseClosed: "closed", CauseMaxWait: "max_wait",
	CauseNumberUnknown: "number_unknown", CauseTrunkFull: "trunk_full",
	CausePortsFull: "ports_full", CauseDraining: "draining",
	CauseMediaTimeout: "media_timeout", CauseSessionTimer: "session_timer",
	CauseNoAck: "no_ack", CauseBadOffer: "bad_offer", CauseRestart: "restart",
	CausePanic: "panic", CauseAdmin: "admin", CauseDeclined: "declined",
	CauseBusy: "busy", CauseNoAnswer: "no_answer", CauseUnreachable: "unreachable",
	CauseElsewhere: "elsewhere", CauseFailed: "failed", CauseFull: "full",
	CauseNoneReady: "none_ready", CauseCallback: "callback", CauseLinkLost: "link_lost",
	CauseLost: "lost", CauseTransferred: "transferred", CauseUnrecordable: "unrecordable",
}

var partyWords = []string{
	Nobody: "nobody", Caller: "caller", Agent: "agent", Supervisor: "supervisor",
	Switch: "switch", Carrier: "carrier",
}

var agentStateWords = []string{
	Off: "off", Registered: "registered", NotReady: "not_ready", Ready: "ready",
	Reserved: "reserved", Offered: "offered", Talking: "talking", OnHold: "held",
	Consulting: "consulting", WrapUp: "wrap_up",
}

var callStateWords = []string{
	CallOver: "over", CallWaiting: "waiting", CallRinging: "ringing", CallTalking: "talking",
	CallLater: "later",
}

var noAnswerWords = []string{PauseAgent: "pause_agent", StayReady: "stay_ready"}

var doorRuleWords = []string{Wait: "wait", Deny: "deny", Send: "send"}

var mediumWords = []string{Voice: "voice", Chat: "chat", Mail: "mail"}

var strategyWords = []string{
	LongestIdle: "longest_idle", FewestCalls: "fewest_calls", LeastTalk: "least_talk",
	RoundRobin: "round_robin", TopDown: "top_down", SkillThenIdle: "skill_then_idle",
	WeightedRandom: "weighted_random", RingAll: "ring_all", RingProgressively: "ring_progressive",
}

var wrapModeWords = []string{
	WrapFixed: "fixed", WrapExtendable: "extendable", WrapManual: "manual", WrapCoded: "coded",
}

func wordOf[E ~uint8](words []string, e E) string {
	if int(e) < len(words) && words[e] != "" {
		return words[e]
	}
	return strconv.Itoa(int(e))
}

func read[E ~uint8](into *E, words []string, text []byte) error {
	if i := slices.Index(words, string(text)); i >= 0 && len(text) > 0 {
		*into = E(i)
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil {
		return fmt.Errorf("unknown word %q", text)
	}
	*into = E(n)
	return nil
}

// String is the kind as one word, as in "make_ready".
func (k Kind) String() string { return wordOf(kindWords, k) }

// MarshalText writes the kind as its word.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(text []byte) error { return read(k, kindWords, text) }

// String is the cause as one word, as in "no_answer".
func (c Cause) String() string { return wordOf(causeWords, c) }

// MarshalText writes the cause as its word.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Cause) UnmarshalText(text []byte) error { return read(c, causeWords, text) }

// String is the party as one word.
func (p Party) String() string { return wordOf(partyWords, p) }

// MarshalText writes the party as its word.
func (p Party) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (p *Party) UnmarshalText(text []byte) error { return read(p, partyWords, text) }

// String is the state as one word, as in "not_ready".
func (s AgentState) String() string { return wordOf(agentStateWords, s) }

// MarshalText writes the state as its word.
func (s AgentState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *AgentState) UnmarshalText(text []byte) error { return read(s, agentStateWords, text) }

// String is the state as one word.
func (s CallState) String() string { return wordOf(callStateWords, s) }

// MarshalText writes the state as its word.
func (s CallState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *CallState) UnmarshalText(text []byte) error { return read(s, callStateWords, text) }

// String is the rule as one word.
func (n NoAnswer) String() string { return wordOf(noAnswerWords, n) }

// MarshalText writes the rule as its word.
func (n NoAnswer) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (n *NoAnswer) UnmarshalText(text []byte) error { return read(n, noAnswerWords, text) }

// String is the rule as one word.
func (d DoorRule) String() string { return wordOf(doorRuleWords, d) }

// MarshalText writes the rule as its word.
func (d DoorRule) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (d *DoorRule) UnmarshalText(text []byte) error { return read(d, doorRuleWords, text) }

// String is the kind of contact as one word.
func (m Medium) String() string { return wordOf(mediumWords, m) }

// MarshalText writes the kind of contact as its word.
func (m Medium) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *Medium) UnmarshalText(text []byte) error { return read(m, mediumWords, text) }

// String is the strategy as one word.
func (s Strategy) String() string { return wordOf(strategyWords, s) }

// MarshalText writes the strategy as its word.
func (s Strategy) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Strategy) UnmarshalText(text []byte) error { return read(s, strategyWords, text) }

// String is the mode as one word.
func (w WrapMode) String() string { return wordOf(wrapModeWords, w) }

// MarshalText writes the mode as its word.
func (w WrapMode) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (w *WrapMode) UnmarshalText(text []byte) error { return read(w, wrapModeWords, text) }
