package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the .want files of testdata/bad anew")

// TestBad loads every file of testdata/bad, each wrong in its own way, and holds
// what is said of it against the .want file beside it.
func TestBad(t *testing.T) {
	t.Chdir("testdata/bad")
	t.Setenv("CREDENTIALS_DIRECTORY", ".")
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(file, ".yaml"), func(t *testing.T) {
			c, err := Load(file)
			var found *Problems
			switch {
			case err == nil:
				found = c.Warnings
			case !errors.As(err, &found):
				t.Fatalf("error is %T", err)
			case found.Errors() == 0:
				t.Error("refused for warnings alone")
			}
			var b strings.Builder
			if _, err := found.WriteTo(&b); err != nil {
				t.Fatal(err)
			}
			want := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(want, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(want)
			if err != nil {
				t.Fatal(err)
			}
			if b.String() != string(text) {
				t.Errorf("said:\n%s\nwant:\n%s", b.String(), text)
			}
			if b.Len() == 0 {
				t.Error("nothing was said")
			}
		})
	}
}

// The smallest configuration is a promise: it loads for ever as it stands.
func TestSmallest(t *testing.T) {
	c := load(t, "testdata/smallest.yaml")
	for _, x := range []struct {
		what      string
		got, want any
	}{
		{"demo", c.Demo, true},
		{"public_host", c.Site.PublicHost, "lo.test"},
		{"timezone", c.Site.Timezone.String(), "Europe/Paris"},
		{"data_dir", c.Site.DataDir, "./data"},
		{"http", c.Listen.HTTP, netip.MustParseAddrPort("127.0.0.1:8080")},
		{"sip_udp", c.Listen.SIPUDP.AddrPort, netip.MustParseAddrPort("127.0.0.1:5060")},
		{"sip_tcp", c.Listen.SIPTCP.AddrPort, netip.MustParseAddrPort("127.0.0.1:5060")},
		{"rtp addr", c.Listen.RTP.Addr, netip.MustParseAddr("127.0.0.1")},
		{"rtp ports", c.Listen.RTP.Ports, PortRange{20000, 24999}},
		{"realm", c.Registrar.Realm, "lo.test"},
		{"digest", c.Registrar.Digest, MD5},
		{"ban allow", c.Registrar.Ban.Allow[0], netip.MustParsePrefix("127.0.0.0/8")},
		{"trunk allow", c.Trunks[0].Auth.Allow[0], netip.MustParsePrefix("127.0.0.2/32")},
		{"max_calls", c.Trunks[0].MaxCalls, 1000},
		{"recording", c.Clients[0].Recording, "tout"},
		{"purpose", c.RecordingPolicies[0].Purpose, "contract_proof"},
		{"percent", c.RecordingPolicies[0].Select.Percent, 100.0},
		{"require", c.Queues[0].Require[0], "fr"},
		{"ring", c.Queues[0].Ring.Timeout, 15 * time.Second},
		{"wrap-up", c.Queues[0].WrapUp.Duration(), time.Duration(0)},
		{"number", c.DIDs[0].Number, "+33170000001"},
		{"to", c.DIDs[0].To, "accueil"},
		{"agents", len(c.Agents), 2},
		{"password", c.Agents[1].SIP.Password.Reveal(), "pw-bo"},
		{"skill", c.Agents[1].Skills["fr"], 3},
		{"agent queue", c.Agents[1].Queues[0], Assignment{"accueil", 1}},
		{"ready_on_register", c.Agents[1].ReadyOnRegister, true},

		// Defaults, fixed and inherited.
		{"media_timeout", c.Listen.RTP.MediaTimeout, 30 * time.Second},
		{"public_ip", c.Listen.RTP.PublicIP, netip.MustParseAddr("127.0.0.1")},
		{"metrics", c.Listen.Metrics.IsValid(), false},
		{"admin_socket", c.Listen.AdminSocket, "data/admin.sock"},
		{"expires udp", c.Registrar.Expires.UDP, time.Minute},
		{"expires tcp", c.Registrar.Expires.TCP, 5 * time.Minute},
		{"options", c.Registrar.Keepalive.UDPOptions, 25 * time.Second},
		{"ban failures", c.Registrar.Ban.Failures, 8},
		{"codecs", strings.Join(c.Media.Codecs, " "), "PCMA PCMU telephone-event"},
		{"early media", c.Trunks[0].EarlyMedia, false},
		{"music", c.Prompts.MOH.Builtin, "calm"},
		{"client locale", c.Clients[0].Locale, "fr"},
		{"service level", c.Queues[0].ServiceLevel.Target, 0.8},
		{"max_offers", c.Queues[0].Ring.MaxOffers, 1},
		{"on_no_answer", c.Queues[0].Ring.OnNoAnswer, NotReady},
		{"closed", c.Queues[0].Closed.To, Hangup},
		{"empty", c.Queues[0].Empty.To, Wait},
		{"label", c.Queues[0].Label.In("fr"), "accueil"},
		{"notice", c.DIDs[0].RecordingNotice, NoticePolicy},
		{"agent digest", c.Agents[0].SIP.Digest, MD5},
		{"retain", c.RecordingPolicies[0].Retain.Audio, 180 * 24 * time.Hour},
		{"store", c.Recording.Store.Dir, "data/recordings"},
		{"log", c.Observability.Log.Level, "info"},
		{"trace", c.Observability.SIPTrace.RingBuffer, 24 * time.Hour},
		{"redact", strings.Join(c.Observability.SIPTrace.Redact, " "), "Authorization Proxy-Authorization"},
	} {
		if x.got != x.want {
			t.Errorf("%s is %v, want %v", x.what, x.got, x.want)
		}
	}
}

// load loads a configuration that must have nothing wrong or odd about it.
func load(t *testing.T, path string) *Config {
	t.Helper()
	c, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if _, err := c.Warnings.WriteTo(&b); err != nil || b.Len() > 0 {
		t.Fatalf("printed %q, %v", b.String(), err)
	}
	return c
}

// Fragments add to lists, in order; a section that is no list may stand in one.
func TestInclude(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("foyer.yaml", `
version: 1
include: [conf.d/*.yaml, conf.d/a.yaml]
site: {public_host: lo.test}
listen: {sip_udp: ":5060", rtp: {addr: 127.0.0.1}}
clients: [{id: one}]
`)
	write("conf.d/b.yaml", "queues: [{id: q2, client: two, require: [fr]}]\nregistrar: {realm: other.test}\n")
	write("conf.d/a.yaml", "version: 1\nclients: [{id: two}]\nqueues: [{id: q1, client: one}]\n"+
		"agents: [{id: ana, skills: {fr: 1}, queues: [q1, q2], sip: {password: \"${env:FOYER_TEST_PASSWORD}\"}}]\n")
	t.Setenv("FOYER_TEST_PASSWORD", "kept")
	c := load(t, filepath.Join(dir, "foyer.yaml"))
	if len(c.Files) != 3 || filepath.Base(c.Files[1]) != "a.yaml" {
		t.Errorf("read %v", c.Files)
	}
	if len(c.Clients) != 2 || c.Clients[1].ID != "two" || c.Queues[0].ID != "q1" || c.Queues[1].ID != "q2" {
		t.Errorf("clients %v, queues %v", c.Clients, c.Queues)
	}
	if c.Registrar.Realm != "other.test" || c.Agents[0].SIP.Password.Reveal() != "kept" {
		t.Errorf("realm %q, password %q", c.Registrar.Realm, c.Agents[0].SIP.Password.Reveal())
	}
	if c.Listen.SIPUDP.AddrPort != netip.MustParseAddrPort("[::]:5060") {
		t.Errorf("sip_udp %s", c.Listen.SIPUDP)
	}
	if c.Demo {
		t.Error("demo without being asked")
	}
}

func TestAbsentFile(t *testing.T) {
	_, err := Load("testdata/absent.yaml")
	want := "testdata/absent.yaml: error: cannot be read: no such file or directory\n1 file, 1 error, 0 warnings — configuration not usable"
	if err == nil || err.Error() != want {
		t.Errorf("said:\n%v\nwant:\n%s", err, want)
	}
	if _, err := Load("testdata"); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
}

// The summary reads like the operator's guide says it does.
func TestSummary(t *testing.T) {
	p := Problems{Files: 2, List: []Problem{
		{"conf.d/boutik.yaml", 14, 7, false, `unknown key "startegy" in queues[boutik-sav] — did you mean "strategy"?`},
		{"foyer.yaml", 118, 15, false, "x"},
		{"foyer.yaml", 171, 14, true, "y"},
		{"foyer.yaml", 44, 33, false, "z"},
	}}
	p.sortBy([]string{"foyer.yaml", "conf.d/boutik.yaml"})
	want := `foyer.yaml:44:33: error: z
foyer.yaml:118:15: error: x
foyer.yaml:171:14: warning: y
conf.d/boutik.yaml:14:7: error: unknown key "startegy" in queues[boutik-sav] — did you mean "strategy"?
2 files, 3 errors, 1 warning — configuration not usable`
	if p.Error() != want {
		t.Errorf("got:\n%s\nwant:\n%s", p.Error(), want)
	}
}

// A secret is not to be found in anything that prints or encodes a Config.
func TestSecretsDoNotPrint(t *testing.T) {
	c := load(t, "testdata/smallest.yaml")
	encoded, err := json.Marshal(c.Agents)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		fmt.Sprint(c), fmt.Sprintf("%+v", *c), fmt.Sprintf("%#v", c.Agents), fmt.Sprintf("%v", &c.Agents[0]), string(encoded),
	} {
		if strings.Contains(text, "pw-") {
			t.Errorf("a password in %s", text)
		}
	}
}

// The schema knows the keys that Load knows, and no others, in every section.
func TestSchema(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	var s node
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if strings.Join(s.Required, " ") != "version site listen" {
		t.Errorf("required: %v", s.Required)
	}
	s.holds(t, "", reflect.TypeFor[Config]())
	queue := s.Properties["queues"].Items
	for _, x := range []struct {
		what string
		got  node
		want string
	}{
		{"a strategy", queue.Properties["strategy"], `"enum":["longest_idle",`},
		{"a range", queue.Properties["callback"].Properties["attempts"], `"minimum":1`},
		{"a default", queue.Properties["callback"].Properties["attempts"], `"description":"default 3"`},
		{"a queue an agent serves", s.Properties["agents"].Items.Properties["queues"], `"anyOf":[{"type":"string"},{`},
		{"a target", queue.Properties["overflow"].Items.Properties["to"], `"anyOf":[{"type":"string"},{`},
		{"a number as a target", queue.Properties["closed"].Properties["to"], `"required":["number"]`},
	} {
		if !strings.Contains(string(x.got.text), x.want) {
			t.Errorf("%s is %s, want %s in it", x.what, x.got.text, x.want)
		}
	}
}

// node is a schema as it is read back.
type node struct {
	text       []byte
	Properties map[string]node
	Required   []string
	Items      *node
	AnyOf      []node
}

func (n *node) UnmarshalJSON(text []byte) error {
	type plain node
	if err := json.Unmarshal(text, (*plain)(n)); err != nil {
		return err
	}
	var b bytes.Buffer
	err := json.Compact(&b, text)
	n.text = b.Bytes()
	return err
}

// holds compares a schema with a type, down to the last key.
func (n node) holds(t *testing.T, path string, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
		if typ.Kind() == reflect.Slice && n.Items != nil {
			n = *n.Items
		}
		typ = typ.Elem()
	}
	fields := fieldsOf(typ)
	if len(fields) > 0 && len(n.AnyOf) == 2 {
		n = n.AnyOf[1]
	}
	if len(fields) > 0 && len(fields) != len(n.Properties) {
		t.Errorf("%s has %d keys, %d in the schema", orTop(path), len(fields), len(n.Properties))
	}
	for _, f := range fields {
		if p, ok := n.Properties[f.name]; ok {
			p.holds(t, join(path, f.name), f.Type)
		} else {
			t.Errorf("the schema lacks %s", join(path, f.name))
		}
	}
}
