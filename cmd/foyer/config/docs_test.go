package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// around is the configuration that the examples of docs/ are parts of.
const around = `
version: 1
demo: true
include: [example.yaml]
site: {name: Essai, public_host: lo.test, timezone: Europe/Paris, locale: fr, data_dir: ./data}
listen:
  http: 127.0.0.1:8080
  sip_udp: 127.0.0.1:5060
  sip_tcp: 127.0.0.1:5060
  rtp: {addr: 127.0.0.1, ports: 20000-24999}
registrar: {realm: lo.test, digest: md5, ban: {allow: [127.0.0.0/8]}}
trunks: [{id: carrier, auth: {mode: ip, allow: [127.0.0.2/32]}, max_calls: 100, host: 127.0.0.2}]
outbound_routes: [{match: "+331*", trunks: [carrier]}]
skills: [fr, sav, vente]
calendars: [{id: bureau, weekly: {mon-fri: ["08:00-19:00"]}}]
clients: [{id: boutik, name: Boutik SA}]
queues: [{id: support, client: boutik, require: [fr]}]
dids:
  - {number: "+33170000001", client: boutik, to: sales}
  - {number: "+33170000002", client: boutik, to: support}
agents:
  - {id: ana, sip: {password: pw-ana}, skills: {fr: 5, sav: 4, vente: 3}, queues: [sales, support]}
  - {id: bo, sip: {password: pw-bo}, skills: {fr: 5, sav: 4, vente: 3}, queues: [{id: sales, tier: 2}, support]}
`

// examplesOf loads every example of a page, in what is around it. What a page shows
// may be copied: foyer check has nothing to say of it, not even a warning.
func examplesOf(t *testing.T, page, around string, least int, see func(*testing.T, *Config)) {
	t.Helper()
	text, err := os.ReadFile("../../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(text, -1)
	if len(examples) < least {
		t.Errorf("%d examples found", len(examples))
	}
	for _, m := range examples {
		example := string(m[1])
		first, _, _ := strings.Cut(example, "\n")
		t.Run(first, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"foyer.yaml": around, "example.yaml": example} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			see(t, load(t, filepath.Join(dir, "foyer.yaml")))
		})
	}
}

func TestExamplesOfTheDocs(t *testing.T) {
	examplesOf(t, "floor.md", around, 9, func(t *testing.T, c *Config) {
		if len(c.Queues) != 2 {
			t.Errorf("%d queues", len(c.Queues))
		}
	})
	whole := strings.Replace(around, "queues: [{", "queues: [{id: sales, client: boutik, require: [fr]}, {", 1)
	examplesOf(t, "trunks.md", whole, 2, func(t *testing.T, c *Config) {
		if len(c.Trunks) < 2 {
			t.Errorf("%d trunks", len(c.Trunks))
		}
	})
	examplesOf(t, "home-lines.md", whole, 4, func(*testing.T, *Config) {})
	sold := strings.Replace(around, "queues: [", "queues: [{id: sales, client: boutik, require: [fr]}, ", 1)
	examplesOf(t, "recordings.md", sold, 1, func(t *testing.T, c *Config) {
		if len(c.RecordingPolicies) != 1 || c.RecordingPolicies[0].WhenFull != Refuse {
			t.Errorf("%+v", c.RecordingPolicies)
		}
	})
	examplesOf(t, "media.md", whole, 1, func(t *testing.T, c *Config) {
		if len(c.Media.Wideband) != 2 {
			t.Errorf("wideband %v", c.Media.Wideband)
		}
	})
}

// The pages name every key of a queue that has a say in who is served by whom, and
// every key of a trunk, with everything that can be chosen for them.
func TestDocsNameEveryChoice(t *testing.T) {
	choicesOf(t, "floor.md", reflect.TypeFor[Queue](), "id", "client", "label", "medium", "service_level")
	choicesOf(t, "trunks.md", reflect.TypeFor[Trunk]())
}

func choicesOf(t *testing.T, file string, of reflect.Type, elsewhere ...string) {
	t.Helper()
	page, err := os.ReadFile("../../../docs/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			if slices.Contains(elsewhere, f.name) {
				continue
			}
			for _, word := range append(strings.Fields(f.Tag.Get("enum")), f.name) {
				if !bytes.Contains(page, []byte(word)) {
					t.Errorf("nothing is said of %q of %s", word, typ.Name())
				}
			}
			inner := f.Type
			if inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			look(inner)
		}
	}
	look(of)
}
