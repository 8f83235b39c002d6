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
