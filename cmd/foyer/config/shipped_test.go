package config

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"testing"

	"filippo.io/age"
)

// credentials puts a secret for every ${cred:NAME} of a file where systemd would.
func credentials(t *testing.T, text []byte) (names []string) {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, m := range regexp.MustCompile(`"\$\{cred:(\w+)\}"`).FindAllSubmatch(text, -1) {
		secret := "s3cret\n"
		if string(m[1]) == "rec_recipient" {
			secret = identity.Recipient().String() + "\n"
		}
		if err := os.WriteFile(filepath.Join(dir, string(m[1])), []byte(secret), 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, string(m[1]))
	}
	return names
}

// Every configuration we ship loads, and the production example with the unit
// that starts it.
func TestShipped(t *testing.T) {
	dir := "../../../configs"
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("\nversion: 1\n")) {
			continue // not a configuration of the switch: rules for other programs
		}
		credentials(t, text)
		load(t, f)
		loaded++
	}
	if loaded < 2 {
		t.Errorf("%d configurations in %s", loaded, dir)
	}
}

// The production example names every key there is.
func TestExampleIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../../configs/foyer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		for _, f := range fieldsOf(typ) {
			if !bytes.Contains(text, []byte(f.name+":")) {
				t.Errorf("the example says nothing of %q of %s", f.name, typ.Name())
			}
			inner := f.Type
			if inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if inner.Kind() == reflect.Struct {
				look(inner)
			}
		}
	}
	look(reflect.TypeFor[Config]())
}

func TestUnit(t *testing.T) {
	text, err := os.ReadFile("../../../configs/foyer.yaml")
	if err != nil {
		t.Fatal(err)
	}
	unit, err := os.ReadFile("../../../configs/foyer.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range credentials(t, text) {
		if !bytes.Contains(unit, []byte("\nLoadCredential="+name+":/")) {
			t.Errorf("the unit does not load credential %s", name)
		}
	}
	for line, why := range map[string]string{
		"ExecStart=/usr/local/bin/foyer serve --alone -c /etc/foyer/foyer.yaml": "start the switch on its configuration, without a keeper of our own",
		"Type=notify":                  "wait until the switch serves",
		"FileDescriptorStoreMax=65536": "keep sockets for the next life",
		"Restart=always":               "start the switch again",
		"RestartPreventExitStatus=3":   "leave a wrong configuration alone",
		"StartLimitIntervalSec=0":      "go on starting it",
	} {
		if !bytes.Contains(unit, []byte("\n"+line+"\n")) {
			t.Errorf("the unit does not %s: %s", why, line)
		}
	}
}

// An alert on a metric that does not exist would never fire.
func TestAlertsNameMetricsThatExist(t *testing.T) {
	rules, err := os.ReadFile("../../../configs/prometheus-rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(rules); err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("../metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`foyer_(\w+)`).FindAllSubmatch(rules, -1)
	if len(named) == 0 {
		t.Error("no alert names a metric")
	}
	for _, m := range named {
		if !bytes.Contains(source, append(append([]byte{'"'}, m[1]...), '"')) {
			t.Errorf("the switch exports no foyer_%s", m[1])
		}
	}
}
