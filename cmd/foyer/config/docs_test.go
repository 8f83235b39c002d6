package config

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The queues that docs/floor.md shows are ones that load.
func TestQueuesOfTheFloorPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/floor.md")
	if err != nil {
		t.Fatal(err)
	}
	smallest, err := os.ReadFile("testdata/smallest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1)
	if len(shown) == 0 {
		t.Fatal("docs/floor.md shows no queue")
	}
	for _, block := range shown {
		text := strings.Replace(string(smallest), "\nqueues:\n", "\nqueues:\n"+string(block[1]), 1)
		text = strings.ReplaceAll(text, "queues: [accueil]", "queues: [accueil, billing]")
		file := filepath.Join(t.TempDir(), "shown.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		load(t, file)
	}
}

// Scripts that docs/floor.md names are there.
func TestScriptsOfTheFloorPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/floor.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, m := range regexp.MustCompile(`\[([a-z][a-z0-9, …-]*)\](?:[^(]|$)`).FindAllSubmatch(page, -1) {
		for name := range strings.SplitSeq(string(m[1]), ", ") {
			name = strings.ReplaceAll(name, "…", "*")
			if strings.Contains(name, ".md") || !strings.Contains(name, "-") && name != "return" {
				continue
			}
			named++
			if files, _ := filepath.Glob("../../../acd/testdata/" + name + ".txt"); len(files) == 0 {
				t.Errorf("no script %s", name)
			}
		}
	}
	if named < 10 {
		t.Errorf("only %d scripts are named: has the page changed its brackets?", named)
	}
}
