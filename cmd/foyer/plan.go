package main

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"os"
	"slices"
	"time"

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
	cfg        *config.Config
	floor      acd.Config
	routes     acd.Routes
	accounts   []sip.Account
	sipTrunks  []sip.Trunk
	trunks     map[string]trunk
	clients    map[acd.ClientID]*client
	queues     map[acd.QueueID]queue
	agents     map[acd.AgentID]agent
	dids       map[string]did
	music      *rtp.Sound
	voices     map[string]sound.Voice // by language
	codecs     []rtp.Codec            // in order of preference
	events     bool                   // telephone-event
	wideband   []rtp.Codec            // in order of preference; talks may change to them
	infoDigits bool                   // digits travel by INFO where there are no events
}

type trunk struct {
	maxCalls   int
	earlyMedia bool
	ringback   bool // before the answer, instead of music
	transport  string
	callerID   config.CallerID
	called     config.CalledNumber
	follow     bool // a 3xx may move a call of ours
	inband     bool // callers' keys are listened for in the audio
	wideband   bool // talks with its callers may change to a wideband codec
}

type client struct {
	id, locale string
	policy     *recorder.Policy
	notice     string // prompt that says the call is recorded, "" for none
	refuse     bool   // a call that must be recorded and cannot be
}

type queue struct {
	label    string
	client   acd.ClientID
	number   string // the first of ours that leads to it
	within   time.Duration
	prompts  map[acd.Cause]string // said to a caller whom the queue does not keep
	callback *config.Callback     // nil: nobody is called back
}

type agent struct {
	name            string
	skills          map[string]int
	queues, clients []string
}

type did struct {
	client   acd.ClientID
	agent    acd.AgentID // whom its callers want; "" is anybody
	greeting string
	notice   config.Notice
	echo     bool // leads to the echo test
}

// destination is where a called number leads at a given moment.
type destination struct {
	number   string
	client   acd.ClientID
	queue    acd.QueueID
	cause    acd.Cause    // not CauseUnknown: no queue takes the call now
	prompt   string       // said before it is refused; "" for a plain refusal
	agent    acd.AgentID  // whom the caller wants; "" is anybody
	closed   bool         // the queue takes it, to send it to a number or to voicemail
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
			p.events = slices.Contains(cfg.Media.DTMF, "rfc4733")
		}
	}
	for _, name := range cfg.Media.Wideband {
		switch name {
		case "opus":
			p.wideband = append(p.wideband, rtp.Opus)
		case "g722":
			p.wideband = append(p.wideband, rtp.G722)
		}
	}
	p.infoDigits = slices.Contains(cfg.Media.DTMF, "info")
	p.addClients()
	p.addQueues()
	p.addAgents()
	p.addNumbers()
	for _, t := range cfg.Trunks {
		roots, err := authorities(t.CA)
		if err != nil {
			return nil, fmt.Errorf("trunks[%s].ca: %w", t.ID, err)
		}
		made := sipTrunk(t)
		made.Roots = roots
		p.sipTrunks = append(p.sipTrunks, made)
		p.trunks[t.ID] = trunk{
			maxCalls: t.MaxCalls, earlyMedia: t.EarlyMedia, ringback: t.Ringback, transport: t.Transport,
			callerID: t.CallerID, called: t.CalledNumber, follow: t.FollowRedirects, inband: t.DTMF == config.Inband, wideband: t.Wideband,
		}
	}
	return p, p.loadSounds()
}

// authorities reads the certificates of those who may sign a carrier's; none is
// whom the machine trusts.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate in PEM", file)
	}
	return pool, nil
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
			made.notice, made.refuse = r.Notice.Prompt, r.WhenFull == config.Refuse
		}
		p.clients[acd.ClientID(c.ID)] = made
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
	d.client, d.agent = number.client, number.agent
	route := p.routes.Route(now, d.number)
	d.queue, d.cause = route.Queue, route.Cause
	switch {
	case route.To != acd.Target{}:
		d.cause, d.closed = acd.CauseUnknown, true
		return d
	case d.cause == acd.CauseClosed:
		d.prompt = p.farewell(d.queue, d.cause)
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

// farewell is the prompt a caller hears whom a queue does not keep; "" for none.
func (p *plan) farewell(q acd.QueueID, cause acd.Cause) string {
	return cmp.Or(p.queues[q].prompts[cause], promptFor(cause))
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
