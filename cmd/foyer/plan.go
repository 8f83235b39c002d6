package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nyaruka/phonenumbers"

	"foyer/acd"
	"foyer/cmd/foyer/config"
	"foyer/recorder"
	"foyer/rtp"
	"foyer/rtp/sound"
	"foyer/sip"
)

// plan is a configuration made ready to be served: references resolved, sounds
// loaded, passwords hashed. It is never changed; a new one replaces it whole.
type plan struct {
	cfg       *config.Config
	floor     acd.Config
	routes    acd.Routes
	accounts  []sip.Account
	sipTrunks []sip.Trunk
	trunks    map[string]trunk
	clients   map[acd.ClientID]*client
	queues    map[acd.QueueID]queue
	agents    map[acd.AgentID]agent
	dids      map[string]did
	music     *rtp.Sound
	voices    map[string]sound.Voice // by language
	codecs    []rtp.Codec            // in order of preference
	events    bool                   // telephone-event
}

type trunk struct {
	maxCalls   int
	earlyMedia bool
	callerID   config.CallerID
}

type client struct {
	id, locale string
	policy     *recorder.Policy
	notice     string // prompt that says the call is recorded, "" for none
}

type queue struct {
	label  string
	client acd.ClientID
	number string // the first of ours that leads to it
	within time.Duration
	closed string // prompt
	digit  byte   // that asks for a callback
	hours  string // calendar in which customers are called back; "": at any time
}

type agent struct {
	name            string
	skills          map[string]int
	queues, clients []string
}

type did struct {
	client   acd.ClientID
	greeting string
	notice   config.Notice
}

// destination is where a called number leads at a given moment.
type destination struct {
	number   string
	client   acd.ClientID
	queue    acd.QueueID
	cause    acd.Cause    // not CauseUnknown: no queue takes the call now
	prompt   string       // said before it is refused; "" for a plain refusal
	greeting []*rtp.Sound // played once, before the music
}

func newPlan(cfg *config.Config) (*plan, error) {
	p := &plan{
		cfg:    cfg,
		trunks: map[string]trunk{}, clients: map[acd.ClientID]*client{}, queues: map[acd.QueueID]queue{},
		agents: map[acd.AgentID]agent{}, dids: map[string]did{},
	}
	for _, name := range cfg.Media.Codecs {
		switch name {
		case "PCMA":
			p.codecs = append(p.codecs, rtp.PCMA)
		case "PCMU":
			p.codecs = append(p.codecs, rtp.PCMU)
		case "telephone-event":
			p.events = true
		}
	}
	p.addClients()
	p.addQueues()
	p.addAgents()
	p.addNumbers()
	for _, t := range cfg.Trunks {
		p.sipTrunks = append(p.sipTrunks, sip.Trunk{
			ID: t.ID, Allow: t.Auth.Allow, MaxCalls: t.MaxCalls,
			Host: t.Host.Name, Port: t.Host.Port, Transport: t.Transport,
			Username: t.Auth.Username, Password: t.Auth.Password.Reveal(),
		})
		p.trunks[t.ID] = trunk{maxCalls: t.MaxCalls, earlyMedia: t.EarlyMedia, callerID: t.CallerID}
	}
	return p, p.loadSounds()
}

func (p *plan) addClients() {
	policies := map[string]config.RecordingPolicy{}
	for _, r := range p.cfg.RecordingPolicies {
		policies[r.ID] = r
	}
	for _, c := range p.cfg.Clients {
		made := &client{id: c.ID, locale: c.Locale}
		if r, ok := policies[c.Recording]; ok {
			made.policy = &recorder.Policy{ID: r.ID, Purpose: r.Purpose, LegalBasis: r.LegalBasis, Percent: r.Select.Percent}
			made.notice = r.Notice.Prompt
		}
		p.clients[acd.ClientID(c.ID)] = made
	}
}

func (p *plan) addQueues() {
	for _, q := range p.cfg.Queues {
		made := acd.Queue{
			ID: acd.QueueID(q.ID), Client: acd.ClientID(q.Client), Require: q.Require, MinLevel: q.MinLevel,
			Priority: q.Priority, RingTimeout: q.Ring.Timeout, MaxOffers: q.Ring.MaxOffers,
			WrapUp: q.WrapUp.Duration(), Within: q.ServiceLevel.Within, ShortAbandon: q.ServiceLevel.ShortAbandon,
		}
		if q.Ring.OnNoAnswer == config.Ready {
			made.OnNoAnswer = acd.StayReady
		}
		for _, o := range q.Overflow {
			made.Overflow = append(made.Overflow, acd.Overflow{After: o.After, To: acd.Target{Queue: queueOf(o.To)}})
		}
		if to, ok := q.Empty.To.Queue(); ok {
			made.Empty = acd.Door{Rule: acd.Send, To: acd.Target{Queue: acd.QueueID(to)}}
		} else if q.Empty.To == config.Hangup {
			made.Empty = acd.Door{Rule: acd.Deny}
		}
		p.floor.Queues = append(p.floor.Queues, made)
		p.queues[made.ID] = queue{
			label: q.Label.In(p.cfg.Site.Locale), client: made.Client, number: p.firstNumber(q.ID),
			within: q.ServiceLevel.Within, closed: q.Closed.Prompt, digit: '1',
		}
	}
}

// firstNumber is the number of ours that people know a queue by.
func (p *plan) firstNumber(queue string) string {
	for _, d := range p.cfg.DIDs {
		if d.To == queue {
			return d.Number
		}
	}
	return ""
}

// callable says whether customers of a queue may be called back now.
func (p *plan) callable(now time.Time, id acd.QueueID) bool {
	return p.routes.Within(now, p.queues[id].hours)
}

// callbackDigit is the key that asks for a callback.
func (p *plan) callbackDigit(id acd.QueueID) byte { return p.queues[id].digit }

// queueOf is the queue a target names; none for a target that is no queue.
func queueOf(t config.Target) acd.QueueID {
	if id, ok := t.Queue(); ok {
		return acd.QueueID(id)
	}
	return ""
}

func (p *plan) addAgents() {
	clientOf := map[string]string{}
	for _, q := range p.cfg.Queues {
		clientOf[q.ID] = q.Client
	}
	for _, a := range p.cfg.Agents {
		made := acd.AgentCfg{ID: acd.AgentID(a.ID), Skills: a.Skills, ReadyOnRegister: a.ReadyOnRegister}
		seen := agent{name: a.Name, skills: a.Skills, queues: a.Queues, clients: []string{}}
		have := map[string]bool{}
		for _, q := range a.Queues {
			made.Queues = append(made.Queues, acd.QueueID(q))
			if c := clientOf[q]; !have[c] {
				have[c] = true
				seen.clients = append(seen.clients, c)
			}
		}
		p.floor.Agents = append(p.floor.Agents, made)
		p.agents[made.ID] = seen
		alg := algorithm(a.SIP.Digest)
		p.accounts = append(p.accounts, sip.Account{
			User: a.ID, Algorithm: alg,
			HA1: sip.HA1(alg, a.ID, p.cfg.Registrar.Realm, a.SIP.Password.Reveal()),
		})
	}
}

func algorithm(d config.Digest) sip.Algorithm {
	if d == config.MD5 {
		return sip.MD5
	}
	return sip.SHA256
}

func (p *plan) addNumbers() {
	p.routes = acd.Routes{Location: p.cfg.Site.Timezone, Calendars: map[string]acd.Calendar{}}
	for _, c := range p.cfg.Calendars {
		p.routes.Calendars[c.ID] = calendarOf(c)
	}
	for _, q := range p.cfg.Queues {
		p.routes.SetQueue(acd.QueueID(q.ID), q.Calendar, queueOf(q.Closed.To))
	}
	for _, d := range p.cfg.DIDs {
		p.routes.SetNumber(d.Number, acd.QueueID(d.To))
		p.dids[d.Number] = did{client: acd.ClientID(d.Client), greeting: d.Greeting, notice: d.RecordingNotice}
	}
}

// loadSounds reads the music and every prompt, so that no call waits for a disk
// and a broken file is found before the first caller is.
func (p *plan) loadSounds() error {
	var err error
	if file := p.cfg.Prompts.MOH.File; file != "" {
		p.music, err = sound.LoadWAV(file)
	} else {
		p.music, err = sound.Music(p.cfg.Prompts.MOH.Builtin)
	}
	if err != nil {
		return fmt.Errorf("prompts.moh: %w", err)
	}
	if dir := p.cfg.Prompts.Dir; dir != "" {
		if _, err := os.ReadDir(dir); err != nil {
			return fmt.Errorf("prompts.dir: %w", err)
		}
	}
	p.voices = map[string]sound.Voice{}
	shelf := sound.Prompts{Dir: p.cfg.Prompts.Dir, Files: p.cfg.Prompts.Files()}
	for _, lang := range sound.Languages() {
		if p.voices[lang], err = shelf.Voice(lang); err != nil {
			return fmt.Errorf("prompts: %w", err)
		}
	}
	return nil
}

// route says where a called number leads now.
func (p *plan) route(now time.Time, called string, call acd.CallID) destination {
	d := destination{number: p.e164(called)}
	number, ok := p.dids[d.number]
	if !ok {
		d.cause = acd.CauseNumberUnknown
		return d
	}
	d.client = number.client
	route := p.routes.Route(now, d.number)
	d.queue, d.cause = route.Queue, route.Cause
	if d.cause == acd.CauseClosed {
		d.prompt = p.queues[route.Queue].closed
		return d
	}
	c := p.clients[d.client]
	if s := p.prompt(c, number.greeting); s != nil {
		d.greeting = append(d.greeting, s)
	}
	if s := p.prompt(c, p.noticeFor(c, number.notice, call)); s != nil {
		d.greeting = append(d.greeting, s)
	}
	return d
}

// noticeFor is the prompt that tells the caller of the recording, "" for none.
func (p *plan) noticeFor(c *client, n config.Notice, call acd.CallID) string {
	recorded := c != nil && c.policy != nil && c.policy.Records(string(call))
	switch {
	case n == config.NoticeNever:
		return ""
	case n == config.NoticePolicy && recorded:
		return c.notice
	case n == config.NoticeAlways && c != nil && c.notice != "":
		return c.notice
	case n == config.NoticeAlways:
		return "record-notice"
	}
	return ""
}

// voice speaks the client's language, or that of the site.
func (p *plan) voice(c *client) sound.Voice {
	if c != nil && c.locale != "" {
		return p.voices[c.locale]
	}
	return p.voices[p.cfg.Site.Locale]
}

// prompt finds a prompt in the client's language; nil when there is none.
func (p *plan) prompt(c *client, id string) *rtp.Sound { return p.voice(c)[id] }

// open says whether a queue takes calls now.
func (p *plan) open(now time.Time, id acd.QueueID) bool { return p.routes.Open(now, id) }

// e164 writes a number as carriers and phones dial it in France, where it is
// not already international: 0170000001 and 0033170000001 are +33170000001.
// What is no number stays as it came.
func (p *plan) e164(user string) string {
	user = strings.TrimSpace(user)
	if isE164(user) {
		return user
	}
	if _, ok := p.dids["+"+user]; ok {
		return "+" + user
	}
	if n, err := phonenumbers.Parse(user, "FR"); err == nil && phonenumbers.IsPossibleNumber(n) {
		return phonenumbers.Format(n, phonenumbers.E164)
	}
	return user
}

func isE164(s string) bool {
	if len(s) < 3 || len(s) > 16 || s[0] != '+' {
		return false
	}
	return strings.Trim(s[1:], "0123456789") == ""
}

// calendarOf writes a configured calendar in the floor's terms.
func calendarOf(c config.Calendar) acd.Calendar {
	made := acd.Calendar{Holidays: acd.Holidays{Country: c.Holidays.Country, Region: c.Holidays.Region}}
	for day, hours := range c.Weekly {
		made.Weekly[day] = spansOf(hours)
	}
	for _, x := range c.Exceptions {
		made.Exceptions = append(made.Exceptions, acd.Exception{Date: acd.Date(x.Date), Hours: spansOf(x.Hours)})
	}
	return made
}

func spansOf(hours []config.Span) []acd.Span {
	var spans []acd.Span
	for _, h := range hours {
		spans = append(spans, acd.Span(h))
	}
	return spans
}
