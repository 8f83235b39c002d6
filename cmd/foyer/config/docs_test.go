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

// What the operator's page shows may be copied: foyer check has nothing to say of it,
// not even a warning.
func TestExamplesOfTheDocs(t *testing.T) {
	t.Run("floor", func(t *testing.T) { examplesOf(t, "floor.md", 9, "") })
	t.Run("home lines", func(t *testing.T) {
		examplesOf(t, "home-lines.md", 4, "queues: [{id: sales, client: boutik, require: [vente]}]\n")
	})
}

// examplesOf loads the examples of a page, each with what they need besides.
func examplesOf(t *testing.T, name string, least int, besides string) {
	page, err := os.ReadFile("../../../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllSubmatch(page, -1)
	if len(examples) < least {
		t.Errorf("%d examples found", len(examples))
	}
	for _, m := range examples {
		example := string(m[1])
		first, _, _ := strings.Cut(example, "\n")
		t.Run(first, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"foyer.yaml": around, "example.yaml": example + besides} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c := load(t, filepath.Join(dir, "foyer.yaml"))
			if len(c.Queues) != 2 {
				t.Errorf("%d queues", len(c.Queues))
			}
		})
	}
}

// The page names every key of a queue that has a say in who is served by whom, and
// everything that can be chosen for it.
func TestDocsNameEveryChoice(t *testing.T) {
	page, err := os.ReadFile("../../../docs/floor.md")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := []string{"id", "client", "label", "medium", "service_level"}
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
	look(reflect.TypeFor[Queue]())
}
