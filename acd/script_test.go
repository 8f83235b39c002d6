package acd

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the expected decisions in testdata/*.txt")

// A script is a stretch of a day on the floor that a supervisor can read:
//
//	queue sales ring=15s          what is configured, before the first event
//	agent ana sales fr:5          an agent, their queues, their skills; the phone answers
//	5s   ready ana                what happens, and when since the start
//	-> ana ready                  what the floor decides
//
// Settings of a queue: medium, ring, wrapup, wrap-mode, extend-by, max-extend,
// within, short, priority, require=fr:3,en, relax=30s:fr:1,60s:tier:2,90s:widen:help
// (level 0 drops a skill), max-tier, strategy, at-once, next, max-offers,
// no-answer=stay, overflow=60s:help,90s:out, max-waiting, the doors full,
// none-ready, empty and closed (refuse, to:help, number:+33…, voicemail; also targets of
// overflow, as is "callback", which asks), prefer, last-agent=WITHIN:WAIT, return,
// rejoin, announce=FIRST:EVERY, max-error, callback=agent:ATTEMPTS:RETRY or caller:….
// Of an agent: no-phone, on-register, a queue with a tier as sales@2, chat=2, mail=3,
// voice=0. "reason lunch 30m" limits a pause, "floor pause-ends-idle" is a rule of
// the house. "remove queue sales" and "remove agent ana" take back; changes below
// the first event are taken over by "reconfigure".
//
// Events: register, lost, login, logout, ready, pause REASON, wrapped [CODE],
// extend, release (all of an agent); arrive CALL QUEUE [PRIORITY] [from=NUMBER] [since=TIME]
// [for=AGENT] [closed]; alert, answer, fail CAUSE, bridge, hold [PARTY] [consult], resume
// [PARTY], link-lost, link-back (of CALL AGENT, and "#1" for an offer other than
// the last); gone CALL [PARTY] [CAUSE]; callback NEW CALL NUMBER, or
// callback NEW - NUMBER QUEUE since=TIME for one asked before the start or, when TIME
// is yet to come, an appointment; back CALL, missed CALL CAUSE (the customer of a
// callback); callbacks-open QUEUE, callbacks-shut QUEUE; tick; show, which prints where
// everybody stands. A move
// between reserved, offered and talking is not printed: the offer or the connect
// beside it says so.
type script struct {
	t      *testing.T
	floor  *Floor
	cfg    Config
	silent []AgentID // configured without a phone
	begun  bool
	now    time.Duration
	offers map[CallID]map[AgentID]OfferID
	lines  []string // the script with the decisions taken
	events []Record
}

var day = time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text)).text()
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(text) {
				t.Errorf("%s decides otherwise (-update takes it over):\n%s", file, difference(string(text), got))
			}
		})
	}
}

// difference shows the lines of got, those that are new or gone marked.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out []string
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) > 0 && len(b) > 0 && a[0] == b[0]:
			out, a, b = append(out, "  "+a[0]), a[1:], b[1:]
		case len(b) > 0 && (len(a) == 0 || !slices.Contains(a[:min(len(a), 8)], b[0])):
			out, b = append(out, "+ "+b[0]), b[1:]
		default:
			out, a = append(out, "- "+a[0]), a[1:]
		}
	}
	return strings.Join(out, "\n")
}

func runScript(t *testing.T, text string) *script {
	t.Helper()
	s := &script{t: t, floor: NewFloor(), offers: map[CallID]map[AgentID]OfferID{}}
	s.floor.OnViolation = func(what string) { t.Errorf("illegal: %s", what) }
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "->") {
			continue
		}
		s.lines = append(s.lines, line)
		if err := s.do(strings.Fields(line)); err != nil {
			t.Fatalf("line %d, %q: %v", n+1, line, err)
		}
	}
	return s
}

func (s *script) text() string { return strings.Join(s.lines, "\n") + "\n" }

func (s *script) do(words []string) error {
	if len(words) == 0 || words[0][0] == '#' {
		return nil
	}
	switch words[0] {
	case "queue":
		return s.setQueue(words[1], words[2:])
	case "agent":
		return s.setAgent(AgentID(words[1]), words[2:])
	case "reason":
		most, err := time.ParseDuration(words[2])
		s.cfg.Reasons = append(s.cfg.Reasons, Reason{ID: words[1], Max: most})
		return err
	case "floor":
		s.cfg.PauseEndsIdle = words[1] == "pause-ends-idle"
		return nil
	case "remove":
		s.remove(words[1], words[2])
		return nil
	}
	at, err := time.ParseDuration(words[0])
	if err != nil {
		return fmt.Errorf("neither a time nor a setting")
	}
	if at < s.now {
		return fmt.Errorf("time runs backwards")
	}
	s.now = at
	s.begin()
	return s.happen(words[1], words[2:])
}

// begin starts the floor before the first event. Phones register unseen.
func (s *script) begin() {
	if s.begun {
		return
	}
	s.begun = true
	s.step(Event{Kind: Started, Config: s.config()}, false)
	for _, a := range s.cfg.Agents {
		if !slices.Contains(s.silent, a.ID) {
			s.step(Event{Kind: Reachable, Agent: a.ID}, false)
		}
	}
}

func (s *script) config() *Config {
	cfg := s.cfg
	cfg.Queues, cfg.Agents = slices.Clone(cfg.Queues), slices.Clone(cfg.Agents)
	return &cfg
}

func (s *script) happen(what string, w []string) error {
	if what == "show" {
		s.show()
		return nil
	}
	ev := Event{Kind: scriptKinds[what]}
	switch ev.Kind {
	case 0:
		return fmt.Errorf("unknown event %q", what)
	case Tick:
	case Reconfigured:
		ev.Config = s.config()
	case Reachable, Unreachable:
		ev.Agent = AgentID(w[0])
	case Login, Logout, MakeReady, Pause, WrapUpDone, Extend, Release:
		ev.Agent, ev.By = AgentID(w[0]), Agent
		if ev.Kind == Release {
			ev.By = Supervisor
		}
		if len(w) > 1 {
			ev.Reason = w[1]
		}
	case Arrived:
		var err error
		if ev, err = arrival(w); err != nil {
			return err
		}
	case Gone:
		ev.Call, ev.By = CallID(w[0]), Caller
		for _, word := range w[1:] {
			if ev.By.UnmarshalText([]byte(word)) != nil && ev.Cause.UnmarshalText([]byte(word)) != nil {
				return fmt.Errorf("%q is neither a party nor a cause", word)
			}
		}
	case CallbackAsked:
		ev.Call, ev.Origin, ev.Number = CallID(w[0]), CallID(w[1]), w[2]
		if len(w) > 3 {
			ev.Queue = QueueID(w[3])
		}
		if len(w) > 4 {
			since, err := time.ParseDuration(strings.TrimPrefix(w[4], "since="))
			if err != nil {
				return err
			}
			ev.Since = day.Add(since)
		}
	case CallerBack, CallerMissed:
		ev.Call = CallID(w[0])
		for _, word := range w[1:] {
			if n, isOffer := strings.CutPrefix(word, "#"); isOffer {
				number, _ := strconv.Atoi(n)
				ev.Offer = OfferID(number)
			} else if err := ev.Cause.UnmarshalText([]byte(word)); err != nil {
				return err
			}
		}
	case CallbacksOpen, CallbacksShut:
		ev.Queue = QueueID(w[0])
	default:
		return s.offerHappens(ev, w)
	}
	return s.step(ev, true)
}

var scriptKinds = map[string]Kind{
	"register": Reachable, "lost": Unreachable, "login": Login, "logout": Logout, "ready": MakeReady,
	"pause": Pause, "wrapped": WrapUpDone, "extend": Extend, "release": Release, "arrive": Arrived,
	"alert": Alerting, "answer": Answered, "fail": Failed, "bridge": Bridged, "hold": Held, "resume": Resumed,
	"link-lost": LinkLost, "link-back": LinkBack, "gone": Gone, "tick": Tick, "reconfigure": Reconfigured,
	"callback": CallbackAsked, "back": CallerBack, "missed": CallerMissed,
	"callbacks-open": CallbacksOpen, "callbacks-shut": CallbacksShut,
}

func arrival(w []string) (Event, error) {
	ev := Event{Kind: Arrived, Call: CallID(w[0]), Queue: QueueID(w[1])}
	for _, word := range w[2:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "from":
			ev.Facts = &Facts{From: value}
		case "for":
			ev.Agent = AgentID(value)
		case "closed":
			ev.Cause = CauseClosed
		case "since":
			since, err := time.ParseDuration(value)
			if err != nil {
				return ev, err
			}
			ev.Since = day.Add(since)
		default:
			ev.Priority, _ = strconv.Atoi(word)
		}
	}
	return ev, nil
}

func (s *script) offerHappens(ev Event, w []string) error {
	ev.Call, ev.Agent = CallID(w[0]), AgentID(w[1])
	ev.Offer = s.offers[ev.Call][ev.Agent]
	for _, word := range w[2:] {
		if n, isOffer := strings.CutPrefix(word, "#"); isOffer {
			number, _ := strconv.Atoi(n)
			ev.Offer = OfferID(number)
		} else if word == "consult" {
			ev.Reason = word
		} else if ev.By.UnmarshalText([]byte(word)) == nil {
			continue
		} else if err := ev.Cause.UnmarshalText([]byte(word)); err != nil {
			return err
		}
	}
	return s.step(ev, true)
}

func (s *script) step(ev Event, print bool) error {
	s.t.Helper()
	at := day.Add(s.now)
	s.events = append(s.events, Record{Seq: uint64(len(s.events) + 1), At: at, Event: ev})
	done := s.floor.Step(at, ev)
	for _, a := range done {
		switch o := a.(type) {
		case Offer:
			s.offered(o.Call, o.Agent, o.Offer)
		case Dial:
			s.offered(o.Call, o.Agent, o.Offer)
		}
		if line := decision(a); print && line != "" {
			s.lines = append(s.lines, "-> "+line)
		}
	}
	for _, bad := range s.floor.Check(at) {
		s.t.Errorf("at %s, after %v: %s", s.now, ev.Kind, bad)
	}
	return nil
}

func (s *script) offered(c CallID, a AgentID, n OfferID) {
	if s.offers[c] == nil {
		s.offers[c] = map[AgentID]OfferID{}
	}
	s.offers[c][a] = n
}

// decision is an action as a line of a script; "" for what goes without saying.
func decision(a Action) string {
	switch a := a.(type) {
	case Offer:
		words := []string{"offer", string(a.Call), string(a.Agent), a.Number}
		if a.Rejoin {
			words = append(words, "rejoin")
		}
		for _, p := range a.Match.Passed {
			words = append(words, fmt.Sprintf("(before %s: %s)", p.Call, p.Why))
		}
		return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
	case Withdraw:
		return fmt.Sprintf("withdraw %s %s %s", a.Call, a.Agent, a.Cause)
	case Connect:
		return fmt.Sprintf("connect %s %s", a.Call, a.Agent)
	case Dial:
		if a.Waiting {
			return fmt.Sprintf("dial %s %s, %s waits", a.Call, a.Number, a.Agent)
		}
		return fmt.Sprintf("dial %s %s for %s", a.Call, a.Number, a.Agent)
	case Refuse:
		return fmt.Sprintf("refuse %s %s", a.Call, a.Cause)
	case Divert:
		if a.To.Voicemail {
			return fmt.Sprintf("divert %s to voicemail of %s %s", a.Call, a.Queue, a.Cause)
		}
		return fmt.Sprintf("divert %s to %s %s", a.Call, a.To.Number, a.Cause)
	case Comfort:
		return fmt.Sprintf("comfort %s", a.Call)
	case Rejoin:
		return fmt.Sprintf("rejoin %s %s", a.Call, a.Agent)
	case Part:
		return fmt.Sprintf("part %s %s %s", a.Call, a.Agent, a.Cause)
	case Hangup:
		return fmt.Sprintf("hangup %s %s by %s", a.Call, a.Cause, a.By)
	case Prove:
		return fmt.Sprintf("prove %s", a.Call)
	case Announce:
		text := fmt.Sprintf("announce %s", a.Call)
		if a.Position > 0 {
			text += fmt.Sprintf(" number %d", a.Position)
		}
		if a.High > 0 {
			text += fmt.Sprintf(" %s to %s", a.Low.Round(time.Second), a.High.Round(time.Second))
		}
		return text
	case OfferCallback:
		return fmt.Sprintf("offer-callback %s", a.Call)
	case CallbackKept:
		return fmt.Sprintf("callback %s for %s as number %d", a.Callback, a.Number, a.Position)
	case CallbackOver:
		made := ""
		if a.Made {
			made = " (made)"
		}
		return fmt.Sprintf("callback-over %s %s%s", a.Call, a.Cause, made)
	case Overdue:
		return strings.TrimRight(fmt.Sprintf("overdue %s %s %s", a.Agent, a.State, a.Reason), " ")
	case Queued:
		if a.From != "" {
			return fmt.Sprintf("move %s from %s to %s", a.Call, a.From, a.Queue)
		}
	case Moved:
		if a.To < Reserved || a.To > Talking || a.From == OnHold || a.From == Consulting {
			return strings.TrimRight(fmt.Sprintf("%s %s %s", a.Agent, a.To, a.Reason), " ")
		}
	}
	return ""
}

func (s *script) show() {
	say := func(format string, args ...any) {
		s.lines = append(s.lines, "-> "+strings.TrimRight(fmt.Sprintf(format, args...), " "))
	}
	v := s.floor.Snapshot(day.Add(s.now))
	for _, q := range v.Queues {
		say("%s: %d waiting, oldest %s, %d of %d ready; offered %d, answered %d (%d in time), abandoned %d (%d short), overflowed %d, refused %d",
			q.ID, q.Waiting, q.OldestWait, q.Ready, q.LoggedIn,
			q.Offered, q.Answered, q.AnsweredWithin, q.Abandoned, q.ShortAbandoned, q.Overflowed, q.Refused)
		if q.Callbacks > 0 {
			s.lines[len(s.lines)-1] += fmt.Sprintf(", to be called back %d", q.Callbacks)
		}
	}
	for _, a := range v.Agents {
		words := []string{string(a.ID) + ":", a.State.String(), a.Reason, string(a.Call)}
		add := func(when bool, format string, args ...any) {
			if when {
				words = append(words, fmt.Sprintf(format, args...))
			}
		}
		add(a.Missed > 0, "(%d missed)", a.Missed)
		add(a.Dumped > 0, "(%d dumped)", a.Dumped)
		add(a.Overdue, "(overdue)")
		add(!a.LinkLost.IsZero(), "(link lost)")
		add(len(a.InHand) > 1, "(%d in hand)", len(a.InHand))
		add(a.State > Ready && a.Next != Ready, "(then %s)", strings.TrimRight(a.Next.String()+" "+a.NextReason, " "))
		say("%s", strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " "))
	}
	for _, c := range v.Calls {
		where := ""
		if c.Position > 0 {
			where = fmt.Sprintf(" as number %d", c.Position)
		}
		if c.Wanted != "" {
			where += fmt.Sprintf(", for %s", c.Wanted)
		}
		if c.Callback != "" {
			where += fmt.Sprintf(", callback %s", c.Callback)
		}
		say("%s: %s in %s%s", c.ID, c.State, c.Queue, where)
	}
}

func (s *script) setAgent(id AgentID, words []string) error {
	a := AgentCfg{ID: id}
	for _, word := range words {
		skill, level, isSkill := strings.Cut(word, ":")
		queue, tier, hasTier := strings.Cut(word, "@")
		medium, most, isCapacity := strings.Cut(word, "=")
		switch {
		case word == "on-register":
			a.ReadyOnRegister = true
		case word == "no-phone":
			s.silent = append(s.silent, id)
		case isSkill:
			if a.Skills == nil {
				a.Skills = map[string]int{}
			}
			a.Skills[skill], _ = strconv.Atoi(level)
		case hasTier:
			if a.Tiers == nil {
				a.Tiers = map[QueueID]int{}
			}
			a.Queues = append(a.Queues, QueueID(queue))
			a.Tiers[QueueID(queue)], _ = strconv.Atoi(tier)
		case isCapacity:
			if a.Capacity == nil {
				a.Capacity = &Capacity{Voice: 1}
			}
			n, err := strconv.Atoi(most)
			if err != nil {
				return err
			}
			switch medium {
			case "voice":
				a.Capacity.Voice = uint8(n)
			case "chat":
				a.Capacity.Chat = uint8(n)
			case "mail":
				a.Capacity.Mail = uint8(n)
			default:
				return fmt.Errorf("unknown medium %q", medium)
			}
		default:
			a.Queues = append(a.Queues, QueueID(word))
		}
	}
	if i := slices.IndexFunc(s.cfg.Agents, func(a AgentCfg) bool { return a.ID == id }); i >= 0 {
		s.cfg.Agents[i] = a
		return nil
	}
	s.cfg.Agents = append(s.cfg.Agents, a)
	return nil
}

func (s *script) setQueue(id string, words []string) error {
	q := Queue{ID: QueueID(id), RingTimeout: 15 * time.Second, MaxOffers: 1}
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		if err := setting(&q, key, value); err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
	}
	if i := slices.IndexFunc(s.cfg.Queues, func(q Queue) bool { return q.ID == QueueID(id) }); i >= 0 {
		s.cfg.Queues[i] = q
		return nil
	}
	s.cfg.Queues = append(s.cfg.Queues, q)
	return nil
}

func setting(q *Queue, key, value string) (err error) {
	spans := map[string]*time.Duration{
		"ring": &q.RingTimeout, "wrapup": &q.WrapUp, "extend-by": &q.ExtendBy, "within": &q.Within, "short": &q.ShortAbandon,
		"next": &q.NextAfter, "prefer": &q.Prefer, "return": &q.Return, "rejoin": &q.Rejoin,
	}
	numbers := map[string]*int{
		"priority": &q.Priority, "max-offers": &q.MaxOffers, "max-extend": &q.MaxExtend, "max-tier": &q.MaxTier,
		"at-once": &q.AtOnce, "max-waiting": &q.MaxWaiting,
	}
	doors := map[string]*Door{"full": &q.Full, "none-ready": &q.NoneReady, "empty": &q.Empty, "closed": &q.Closed}
	switch {
	case spans[key] != nil:
		*spans[key], err = time.ParseDuration(value)
	case numbers[key] != nil:
		*numbers[key], err = strconv.Atoi(value)
	case doors[key] != nil:
		*doors[key] = Door{Rule: Deny}
		if value != "refuse" {
			*doors[key] = Door{Rule: Send, To: target(strings.TrimPrefix(value, "to:"))}
		}
	case key == "strategy":
		err = q.Strategy.UnmarshalText([]byte(value))
	case key == "medium":
		err = q.Medium.UnmarshalText([]byte(value))
	case key == "wrap-mode":
		err = q.WrapMode.UnmarshalText([]byte(value))
	case key == "no-answer":
		q.OnNoAnswer = StayReady
	case key == "max-error":
		q.Announce.MaxError, err = strconv.ParseFloat(value, 64)
	case key == "require":
		q.MinLevel = map[string]int{}
		for _, skill := range strings.Split(value, ",") {
			name, level, _ := strings.Cut(skill, ":")
			q.Require = append(q.Require, name)
			q.MinLevel[name], _ = strconv.Atoi(level)
		}
	default:
		err = settingOfParts(q, key, value)
	}
	return err
}

func settingOfParts(q *Queue, key, value string) (err error) {
	span := func(text string) (d time.Duration) {
		if text != "" && err == nil {
			d, err = time.ParseDuration(text)
		}
		return d
	}
	part := append(strings.Split(value, ":"), "", "")
	switch key {
	case "relax":
		for _, step := range strings.Split(value, ",") {
			w := append(strings.Split(step, ":"), "", "")
			x := Relax{After: span(w[0])}
			switch level, _ := strconv.Atoi(w[2]); w[1] {
			case "tier":
				x.Tier = level
			case "widen":
				x.Widen = QueueID(w[2])
			default:
				x.Skill, x.Level = w[1], level
			}
			q.Relax = append(q.Relax, x)
		}
	case "overflow":
		for _, step := range strings.Split(value, ",") {
			after, to, _ := strings.Cut(step, ":")
			q.Overflow = append(q.Overflow, Overflow{After: span(after), To: target(to), Offer: to == "callback"})
		}
	case "last-agent":
		q.LastAgent = Sticky{Within: span(part[0]), Wait: span(part[1])}
	case "announce":
		q.Announce = Announcing{Position: true, Wait: true, First: span(part[0]), Every: span(part[1]), MaxError: q.Announce.MaxError}
	case "callback":
		q.Callback = Callback{CallerFirst: part[0] == "caller", Retry: span(part[2])}
		q.Callback.Attempts, _ = strconv.Atoi(part[1])
	default:
		err = errors.New("unknown setting")
	}
	return err
}

func target(text string) Target {
	number, isNumber := strings.CutPrefix(text, "number:")
	switch {
	case text == "out" || text == "callback":
		return Target{}
	case text == "voicemail":
		return Target{Voicemail: true}
	case isNumber:
		return Target{Number: number}
	}
	return Target{Queue: QueueID(text)}
}

func (s *script) remove(what, id string) {
	if what == "agent" {
		s.cfg.Agents = slices.DeleteFunc(s.cfg.Agents, func(a AgentCfg) bool { return a.ID == AgentID(id) })
		return
	}
	s.cfg.Queues = slices.DeleteFunc(s.cfg.Queues, func(q Queue) bool { return q.ID == QueueID(id) })
}
