package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestZ(t *testing.T) {
	for _, s := range []string{strings.Repeat("[", 100000), strings.Repeat("[", 2000000), strings.Repeat("{a: ", 1000000), strings.Repeat("- ", 1000000), strings.Repeat("? ", 100000), "a: |\n" + strings.Repeat("  x\n", 300000), "a: \"" + strings.Repeat("x", 3000000) + "\"", "a: " + strings.Repeat("x", 3000000) + "\n", strings.Repeat("&a ", 100000), strings.Repeat("!a ", 100000), strings.Repeat("a: b\n", 300000)} {
		f := t.TempDir() + "/x.yaml"
		os.WriteFile(f, []byte(s), 0o644)
		b := time.Now()
		_, err := Load(f)
		e := ""
		if err != nil {
			e = err.Error()
		}
		if len(e) > 150 {
			e = e[:150]
		}
		t.Logf("%.10q %d %v %s", s, len(s), time.Since(b), e)
	}
}
