package config

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// What one process reads another receives, to the last secret.
func TestPass(t *testing.T) {
	files, err := filepath.Glob("../../../configs/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("\nversion: 1\n")) {
			continue
		}
		credentials(t, text)
		c := load(t, f)
		var pipe bytes.Buffer
		if err := Pass(&pipe, c, nil); err != nil {
			t.Fatal(err)
		}
		got, err := Receive(&pipe)
		if err != nil {
			t.Fatal(err)
		}
		if changes := Diff(c, got); len(changes) > 0 {
			t.Errorf("%s: %+v", f, changes)
		}
		if c.Sum != got.Sum || !reflect.DeepEqual(c.Files, got.Files) || !reflect.DeepEqual(c.Warnings, got.Warnings) {
			t.Errorf("%s: %q %v %v, want %q %v %v", f, got.Sum, got.Files, got.Warnings, c.Sum, c.Files, c.Warnings)
		}
		passed++
	}
	if passed < 2 {
		t.Errorf("%d configurations passed", passed)
	}
}

func TestPassProblems(t *testing.T) {
	c, err := Load(filepath.Join(t.TempDir(), "none.yaml"))
	var pipe bytes.Buffer
	if err := Pass(&pipe, c, err); err != nil {
		t.Fatal(err)
	}
	_, got := Receive(&pipe)
	var problems *Problems
	if !errors.As(got, &problems) || got.Error() != err.Error() {
		t.Errorf("got %v, want %v", got, err)
	}
}
