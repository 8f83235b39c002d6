package acd

import (
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
// Settings of a queue: ring, wrapup, within, short, priority, require=fr:3,en,
// max-offers, no-answer=stay, overflow=60s:help,90s:out, empty=refuse or
// empty=to:help. Of an agent: no-phone, on-register. "remove queue sales" and
// "remove agent ana" take back; changes below the first event are taken over by
// "reconfigure".
//
// Events: register, lost, login, logout, ready, pause REASON, wrapped (all of an
// agent); arrive CALL QUEUE [PRIORITY]; alert, answer, fail CAUSE, bridge (of
// CALL AGENT, and "#1" for an offer other than the last); gone CALL [PARTY]
// [CAUSE]; tick; show, which prints where everybody stands. A move to offered or
// talking is not printed: the offer or the connect beside it says so.
type script struct {
	t      *testing.T
	floor  *Floor
	cfg    Config
	silent []AgentID // configured without a phone
	begun  bool
	now    time.Duration
	offers map[CallID]OfferID
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
	s := &script{t: t, floor: NewFloor(), offers: map[CallID]OfferID{}}
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
		s.setAgent(AgentID(words[1]), words[2:])
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
	return &Config{Queues: slices.Clone(s.cfg.Queues), Agents: slices.Clone(s.cfg.Agents)}
}

func (s *script) happen(what string, w []string) error {
	kinds := map[string]Kind{
		"register": Reachable, "lost": Unreachable, "login": Login, "logout": Logout, "ready": MakeReady,
		"pause": Pause, "wrapped": WrapUpDone, "arrive": Arrived, "alert": Alerting, "answer": Answered,
		"fail": Failed, "bridge": Bridged, "gone": Gone, "tick": Tick, "reconfigure": Reconfigured,
	}
	if what == "show" {
		s.show()
		return nil
	}
	ev := Event{Kind: kinds[what]}
	switch ev.Kind {
	case 0:
		return fmt.Errorf("unknown event %q", what)
	case Tick:
	case Reconfigured:
		ev.Config = s.config()
	case Reachable, Unreachable:
		ev.Agent = AgentID(w[0])
	case Login, Logout, MakeReady, Pause, WrapUpDone:
		ev.Agent, ev.By = AgentID(w[0]), Agent
		if ev.Kind == Pause {
			ev.Reason = w[1]
		}
	case Arrived:
		ev.Call, ev.Queue = CallID(w[0]), QueueID(w[1])
		if len(w) > 2 {
			ev.Priority, _ = strconv.Atoi(w[2])
		}
	case Gone:
		ev.Call, ev.By = CallID(w[0]), Caller
		for _, word := range w[1:] {
			if ev.By.UnmarshalText([]byte(word)) != nil && ev.Cause.UnmarshalText([]byte(word)) != nil {
				return fmt.Errorf("%q is neither a party nor a cause", word)
			}
		}
	default:
		return s.offerHappens(ev, w)
	}
	s.step(ev, true)
	return nil
}

func (s *script) offerHappens(ev Event, w []string) error {
	ev.Call, ev.Agent = CallID(w[0]), AgentID(w[1])
	ev.Offer = s.offers[ev.Call]
	for _, word := range w[2:] {
		if n, isOffer := strings.CutPrefix(word, "#"); isOffer {
			number, _ := strconv.Atoi(n)
			ev.Offer = OfferID(number)
		} else if err := ev.Cause.UnmarshalText([]byte(word)); err != nil {
			return err
		}
	}
	s.step(ev, true)
	return nil
}

func (s *script) step(ev Event, print bool) {
	s.t.Helper()
	at := day.Add(s.now)
	s.events = append(s.events, Record{Seq: uint64(len(s.events) + 1), At: at, Event: ev})
	done := s.floor.Step(at, ev)
	for _, a := range done {
		if o, ok := a.(Offer); ok {
			s.offers[o.Call] = o.Offer
		}
		if line := decision(a); print && line != "" {
			s.lines = append(s.lines, "-> "+line)
		}
	}
	for _, bad := range s.floor.Check(at) {
		s.t.Errorf("at %s, after %v: %s", s.now, ev.Kind, bad)
	}
}

// decision is an action as a line of a script; "" for what goes without saying.
func decision(a Action) string {
	switch a := a.(type) {
	case Offer:
		return fmt.Sprintf("offer %s %s", a.Call, a.Agent)
	case Withdraw:
		return fmt.Sprintf("withdraw %s %s %s", a.Call, a.Agent, a.Cause)
	case Connect:
		return fmt.Sprintf("connect %s %s", a.Call, a.Agent)
	case Refuse:
		return fmt.Sprintf("refuse %s %s", a.Call, a.Cause)
	case Queued:
		if a.From != "" {
			return fmt.Sprintf("move %s from %s to %s", a.Call, a.From, a.Queue)
		}
	case Moved:
		if a.To != Offered && a.To != Talking {
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
	}
	for _, a := range v.Agents {
		missed := ""
		if a.Missed > 0 {
			missed = fmt.Sprintf("(%d missed)", a.Missed)
		}
		say("%s", strings.Join(strings.Fields(fmt.Sprintf("%s: %s %s %s %s", a.ID, a.State, a.Reason, a.Call, missed)), " "))
	}
	for _, c := range v.Calls {
		where := ""
		if c.Position > 0 {
			where = fmt.Sprintf("as number %d", c.Position)
		}
		say("%s: %s in %s %s", c.ID, c.State, c.Queue, where)
	}
}

func (s *script) setAgent(id AgentID, words []string) {
	a := AgentCfg{ID: id}
	for _, word := range words {
		skill, level, isSkill := strings.Cut(word, ":")
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
		default:
			a.Queues = append(a.Queues, QueueID(word))
		}
	}
	if i := slices.IndexFunc(s.cfg.Agents, func(a AgentCfg) bool { return a.ID == id }); i >= 0 {
		s.cfg.Agents[i] = a
		return
	}
	s.cfg.Agents = append(s.cfg.Agents, a)
}

func (s *script) setQueue(id string, words []string) error {
	q := Queue{ID: QueueID(id), RingTimeout: 15 * time.Second, MaxOffers: 1}
	var err error
	for _, word := range words {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "ring":
			q.RingTimeout, err = time.ParseDuration(value)
		case "wrapup":
			q.WrapUp, err = time.ParseDuration(value)
		case "within":
			q.Within, err = time.ParseDuration(value)
		case "short":
			q.ShortAbandon, err = time.ParseDuration(value)
		case "priority":
			q.Priority, err = strconv.Atoi(value)
		case "max-offers":
			q.MaxOffers, err = strconv.Atoi(value)
		case "no-answer":
			q.OnNoAnswer = StayReady
		case "require":
			q.MinLevel = map[string]int{}
			for _, skill := range strings.Split(value, ",") {
				name, level, _ := strings.Cut(skill, ":")
				q.Require = append(q.Require, name)
				q.MinLevel[name], _ = strconv.Atoi(level)
			}
		case "overflow":
			for _, step := range strings.Split(value, ",") {
				after, to, _ := strings.Cut(step, ":")
				o := Overflow{To: QueueID(to)}
				if to == "out" {
					o.To = ""
				}
				if o.After, err = time.ParseDuration(after); err != nil {
					return err
				}
				q.Overflow = append(q.Overflow, o)
			}
		case "empty":
			q.Empty = EmptyRefuse
			if to, ok := strings.CutPrefix(value, "to:"); ok {
				q.Empty, q.EmptyTo = EmptyOverflow, QueueID(to)
			}
		default:
			err = fmt.Errorf("unknown setting %q", key)
		}
		if err != nil {
			return err
		}
	}
	if i := slices.IndexFunc(s.cfg.Queues, func(q Queue) bool { return q.ID == QueueID(id) }); i >= 0 {
		s.cfg.Queues[i] = q
		return nil
	}
	s.cfg.Queues = append(s.cfg.Queues, q)
	return nil
}

func (s *script) remove(what, id string) {
	if what == "agent" {
		s.cfg.Agents = slices.DeleteFunc(s.cfg.Agents, func(a AgentCfg) bool { return a.ID == AgentID(id) })
		return
	}
	s.cfg.Queues = slices.DeleteFunc(s.cfg.Queues, func(q Queue) bool { return q.ID == QueueID(id) })
}
