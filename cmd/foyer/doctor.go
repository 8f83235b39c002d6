package main

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"foyer/acd"
	"foyer/sip"
)

// The doctor looks at a home line and says what is wrong with it. examine is pure:
// the facts go in, findings come out, the gravest first; doctorwords.go says them.

// lineFacts is all that is known of an agent's line at a moment.
type lineFacts struct {
	homeLine
	account bool          // they have a password
	phones  []sip.Binding // registered now
	calls   []callFacts   // the last ones they talked in, the newest first
	began   time.Time     // of this life of the switch
}

// callFacts is what one call says of the line.
type callFacts struct {
	at      time.Time
	quality acd.Quality
}

// severity of a finding. Its zero value is the mildest.
type severity uint8

const (
	info    severity = iota // worth knowing
	warning                 // talks suffer, or will
	failure                 // there are no talks, or one-way ones
)

func (s severity) String() string { return [...]string{"info", "warning", "error"}[s] }

// finding is one thing that is the matter. The figures are for its sentence.
type finding struct {
	id       string
	severity severity
	n, of    int           // how many, of how many
	span     time.Duration // how long, or since when
	span2    time.Duration
	ratio    float64
	up       bool // of the way from the agent to us; else to the agent
}

const (
	// lately is how long what was seen counts, where it would be seen again.
	lately = time.Hour
	// aDay is how long it counts where it is seen once in a registration.
	aDay = 24 * time.Hour
	// shortestTalk is the shortest talk that says something of the sound.
	shortestTalk = 3 * time.Second
	// recentCalls is how many calls are looked at.
	recentCalls = 10
	// patient is the longest silence that a phone keeps by itself: most register anew
	// within it, or within two.
	patient = 90 * time.Second
)

// examine judges a line. Of findings equally grave the cause stands before what it
// brings about.
func examine(now time.Time, f *lineFacts) []finding {
	var all []finding
	for _, look := range [...]func(time.Time, *lineFacts) []finding{
		absent, rewriting, forgetting, flapping, oneWay, hearing, manners,
	} {
		all = append(all, look(now, f)...)
	}
	slices.SortStableFunc(all, func(a, b finding) int { return cmp.Compare(b.severity, a.severity) })
	return all
}

// absent: there is no phone that answers.
func absent(now time.Time, f *lineFacts) []finding {
	answering := slices.ContainsFunc(f.phones, func(b sip.Binding) bool { return b.Reachable })
	switch {
	case answering:
		return nil
	case !f.account:
		return []finding{{id: "no_account", severity: failure}}
	case len(f.phones) > 0:
		heard := f.answeredAt
		if f.seenAt.After(heard) {
			heard = f.seenAt
		}
		return []finding{{id: "silent", severity: failure, span: now.Sub(heard)}}
	case f.refused > 0 && f.refusedAt.After(f.seenAt) && now.Sub(f.refusedAt) < lately:
		return []finding{{id: "refused", severity: failure, n: f.refused, span: now.Sub(f.refusedAt)}}
	case f.seenAt.IsZero():
		return []finding{{id: "never_seen", severity: failure, span: now.Sub(f.began)}}
	}
	return []finding{{id: "gone", severity: failure, span: now.Sub(f.goneAt)}}
}

// rewritten says whether something on the way rewrites SIP, and whether that is sure.
func (h *homeLine) rewritten(now time.Time) (seen, sure bool) {
	for i, at := range h.signs {
		weak := i == signSDP || !sip.Signs(1<<i).Sure()
		believed := lately
		if weak {
			believed = aDay
		}
		if !at.IsZero() && now.Sub(at) < believed {
			seen, sure = true, sure || !weak
		}
	}
	return seen, sure
}

func rewriting(now time.Time, f *lineFacts) []finding {
	switch seen, sure := f.rewritten(now); {
	case sure:
		return []finding{{id: "alg", severity: failure}}
	case seen:
		return []finding{{id: "alg_suspected", severity: warning}}
	}
	return nil
}

// forgetting: the router drops the way to the phone sooner than somebody speaks. One
// such case may be a phone that was restarted.
func forgetting(now time.Time, f *lineFacts) []finding {
	n := f.count(now.Add(-aDay), turnForgotten)
	if n < 2 || f.forgot > patient {
		return nil
	}
	safe := f.survived
	if safe == 0 || safe >= f.forgot {
		safe = f.forgot / 2
	}
	return []finding{{id: "mapping", severity: warning, n: n, span: f.forgot, span2: safe}}
}

// flapping: the registration comes and goes.
func flapping(now time.Time, f *lineFacts) []finding {
	since := now.Add(-lately)
	lost, roamed := f.count(since, turnLost), f.count(since, turnRoamed)
	switch {
	case lost >= 3:
		return []finding{{id: "flapping", severity: warning, n: lost}}
	case roamed >= 3:
		return []finding{{id: "roaming", severity: warning, n: roamed}}
	}
	return nil
}

// oneWay: talks in which one of the two heard nothing.
func oneWay(now time.Time, f *lineFacts) []finding {
	var found []finding
	unheard, deaf := 0, 0
	for _, c := range f.calls {
		if c.quality.Packets == 0 {
			unheard++
		}
		if c.quality.RemoteLossRatio > 0.5 {
			deaf++
		}
	}
	if unheard > 0 {
		found = append(found, finding{id: "one_way", severity: failure, n: unheard, of: len(f.calls), span: now.Sub(f.calls[0].at), up: true})
	}
	if deaf > 0 {
		found = append(found, finding{id: "one_way", severity: failure, n: deaf, of: len(f.calls), span: now.Sub(f.calls[0].at)})
	}
	return found
}

// hearing grades what the last talks measured, by the limits of the echo test.
func hearing(_ time.Time, f *lineFacts) []finding {
	var found []finding
	var lost, all float64
	var away, jitter, trip []float64
	for _, c := range f.calls {
		q := c.quality
		if q.Packets == 0 {
			continue
		}
		lost, all = lost+float64(q.Lost), all+float64(q.Lost+q.Packets)
		jitter = append(jitter, q.JitterMS)
		if q.RemoteLossRatio <= 0.5 {
			away = append(away, q.RemoteLossRatio)
		}
		if q.RTTMS > 0 {
			trip = append(trip, q.RTTMS)
		}
	}
	if all == 0 {
		return nil
	}
	add := func(d finding, g grade) {
		if g != good {
			d.severity, d.of = severity(g)-1, len(f.calls)
			found = append(found, d)
		}
	}
	m := measure{loss: lost / all, jitter: msOf(median(jitter)), trip: msOf(median(trip))}
	back := measure{loss: mean(away)}
	add(finding{id: "loss", ratio: m.loss, up: true}, m.lossGrade())
	add(finding{id: "loss", ratio: back.loss}, back.lossGrade())
	add(finding{id: "jitter", span: m.jitter}, m.jitterGrade())
	add(finding{id: "delay", span: m.trip}, m.delayGrade())
	return found
}

// manners: what is no fault, and could be better.
func manners(_ time.Time, f *lineFacts) []finding {
	var found []finding
	if f.slow >= 3 {
		found = append(found, finding{id: "slow", severity: warning, span: f.trip})
	}
	if len(f.phones) > 1 {
		found = append(found, finding{id: "several", severity: info, n: len(f.phones)})
	}
	if len(f.phones) > 0 && (f.phones[0].Transport == "udp" || f.phones[0].Transport == "tcp") {
		found = append(found, finding{id: "open", severity: info})
	}
	return found
}

func msOf(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	slices.Sort(x)
	return x[len(x)/2]
}

func mean(x []float64) float64 {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return sum / max(float64(len(x)), 1)
}

// sdpRewritten reports whether a description of sound by a phone behind a router
// names its public address in c= and a private one in o=. A phone writes the same
// into both, unless it knows better by ICE; a gateway looks for c= alone.
func sdpRewritten(sdp []byte, source netip.Addr) bool {
	if bytes.Contains(sdp, []byte("\na=candidate:")) {
		return false
	}
	var origin, connection netip.Addr
	for line := range bytes.Lines(sdp) {
		words := bytes.Fields(line)
		switch {
		case bytes.HasPrefix(line, []byte("o=")) && len(words) == 6:
			origin, _ = netip.ParseAddr(string(words[5]))
		case bytes.HasPrefix(line, []byte("c=")) && len(words) == 3 && !connection.IsValid():
			connection, _ = netip.ParseAddr(string(words[2]))
		}
	}
	return origin.IsPrivate() && connection == source && !source.IsPrivate()
}
