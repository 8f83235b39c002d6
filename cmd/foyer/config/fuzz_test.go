package config

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Ten thousand agents are a large centre, not a large file.
func TestLarge(t *testing.T) {
	text, err := os.ReadFile("testdata/smallest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	b.Write(text)
	for i := range 10_000 {
		fmt.Fprintf(&b, "  - {id: a%d, sip: {password: pw-%d}, skills: {fr: 5}, queues: [accueil]}\n", i, i)
	}
	file := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	c := load(t, file)
	t.Logf("%d agents in %s", len(c.Agents), time.Since(start))
}

// FuzzLoad: whatever a file holds, Load says what is wrong with it or hands out
// a configuration whose references all lead somewhere.
func FuzzLoad(f *testing.F) {
	seeds, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range append(seeds, "testdata/smallest.yaml", "../../../configs/demo.yaml", "../../../configs/foyer.yaml") {
		text, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		file := filepath.Join(t.TempDir(), "foyer.yaml")
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		c, err := Load(file)
		if err != nil {
			p, ok := err.(*Problems)
			if !ok || p.Errors() == 0 || p.Error() == "" {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		queues := map[string]bool{}
		for _, q := range c.Queues {
			queues[q.ID] = true
		}
		for i := range c.Queues {
			soundTargets(t, c, &c.Queues[i], queues)
		}
		for _, d := range c.DIDs {
			if !queues[d.To] {
				t.Fatalf("number %s leads to queue %q, which is not there", d.Number, d.To)
			}
		}
		hosts := map[string]bool{}
		for _, x := range c.Trunks {
			hosts[x.ID] = x.Host.Name != ""
		}
		for _, r := range c.OutboundRoutes {
			for _, id := range r.Trunks {
				if !hosts[id] || r.Action != Allow {
					t.Fatalf("route %s (%s) leads to trunk %q", r.Match, r.Action, id)
				}
			}
		}
		p := c.Listen.RTP.Ports
		if p.Min%2 != 0 || p.Max%2 != 1 || p.Pairs() < 1 || !c.Listen.RTP.PublicIP.IsValid() || c.Site.Timezone == nil {
			t.Fatalf("usable, but not whole: %+v", c)
		}
	})
}

// soundTargets: every way out of a queue leads to another, to a number that may be
// called, or to something that is always there.
func soundTargets(t *testing.T, c *Config, q *Queue, queues map[string]bool) {
	t.Helper()
	targets := []Target{q.NoneReady.To, q.Empty.To, q.Closed.To}
	if q.Full != nil {
		targets = append(targets, q.Full.To)
	}
	for _, o := range q.Overflow {
		switch {
		case len(o.WidenTo) > 0:
			for _, id := range o.WidenTo {
				targets = append(targets, Target(id))
			}
		case o.Offer == "":
			targets = append(targets, o.To)
		case q.Callback == nil:
			t.Fatalf("queue %s offers callbacks and makes none", q.ID)
		}
	}
	for _, to := range targets {
		if id, ok := to.Queue(); ok && (!queues[id] || id == q.ID) || to == "" {
			t.Fatalf("queue %s leads to queue %q", q.ID, id)
		}
		if number, ok := to.Number(); ok {
			if r := c.RouteTo(number); r == nil || r.Action == Deny {
				t.Fatalf("queue %s leads to %s, which is never called", q.ID, number)
			}
		}
	}
	if q.WrapUp.Mode == WrapCoded && len(q.WrapUp.Codes) == 0 || q.WrapUp.Mode == WrapExtendable && q.WrapUp.Seconds == 0 {
		t.Fatalf("queue %s wraps up so: %+v", q.ID, q.WrapUp)
	}
}
