package config

import "path/filepath"

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
		if q.Label == (Label{}) {
			q.Label = Label{FR: q.ID, EN: q.ID}
		}
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

func or(field *string, value string) {
	if *field == "" {
		*field = value
	}
}
