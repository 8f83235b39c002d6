package config

import (
	"cmp"
	"path/filepath"
	"slices"
	"time"
)

// inherit fills in the defaults that are another key's value. The fixed ones
// stand in the default tags and are set already.
func inherit(c *Config) {
	c.Demo = c.Demo || c.Site.Mode == "demo"
	or(&c.Listen.AdminSocket, filepath.Join(c.Site.DataDir, "admin.sock"))
	if !c.Listen.RTP.PublicIP.IsValid() {
		c.Listen.RTP.PublicIP = c.Listen.RTP.Addr
	}
	or(&c.Registrar.Realm, c.Site.PublicHost)
	if c.Prompts.MOH.File == "" {
		or(&c.Prompts.MOH.Builtin, "calm")
	}
	or(&c.Recording.Store.Dir, filepath.Join(c.Site.DataDir, "recordings"))
	for i := range c.Clients {
		or(&c.Clients[i].Name, c.Clients[i].ID)
		or(&c.Clients[i].Locale, c.Site.Locale)
	}
	clientOf := map[string]string{}
	for i := range c.Queues {
		q := &c.Queues[i]
		clientOf[q.ID] = q.Client
		name(&q.Label, q.ID)
		inheritQueue(q, c.Reasons.WrapUp)
	}
	for i := range c.Reasons.Pause {
		name(&c.Reasons.Pause[i].Label, c.Reasons.Pause[i].ID)
	}
	for i := range c.Reasons.WrapUp {
		name(&c.Reasons.WrapUp[i].Label, c.Reasons.WrapUp[i].ID)
	}
	for i := range c.DIDs {
		or(&c.DIDs[i].Client, clientOf[c.DIDs[i].To])
	}
	for i := range c.Agents {
		a := &c.Agents[i]
		or(&a.Name, a.ID)
		if a.SIP.Digest == "" {
			a.SIP.Digest = c.Registrar.Digest
		}
	}
}

// inheritQueue fills in what follows from other keys of the queue.
func inheritQueue(q *Queue, codes []WrapUpCode) {
	if q.Strategy == RingProgressive {
		or(&q.Ring.NextAfter, 5*time.Second)
	}
	w := &q.WrapUp
	if w.ExtendBy > 0 {
		or(&w.Mode, WrapExtendable)
	}
	or(&w.Mode, WrapFixed)
	if w.Mode == WrapExtendable {
		or(&w.ExtendBy, 60)
		or(&w.MaxExtensions, 10)
	}
	if w.Codes == nil {
		for _, code := range codes {
			if q.Callback != nil || !slices.Contains(code.Requires, "callback_at") { // a queue that calls nobody back can make no appointment
				w.Codes = append(w.Codes, code.ID)
			}
		}
	}
	farewell(&q.Closed.Prompt, q.Closed.To, "closed")
	farewell(&q.Empty.Prompt, q.Empty.To, "nobody")
	farewell(&q.NoneReady.Prompt, q.NoneReady.To, "nobody")
	if q.Full != nil {
		farewell(&q.Full.Prompt, q.Full.To, "queue-full")
	}
	if q.Callback != nil {
		or(&q.Callback.Hours, q.Calendar)
	}
}

// farewell is what a caller hears who is hung up on.
func farewell(prompt *string, to Target, usual string) {
	if to == Hangup {
		or(prompt, usual)
	}
}

// name makes an id the label of what has none.
func name(l *Label, id string) {
	if *l == (Label{}) {
		*l = Label{FR: id, EN: id}
	}
}

func or[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }
