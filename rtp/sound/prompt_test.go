package sound

import (
	"bufio"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// catalogue is the ids of the text catalogue and what each says, by language.
func catalogue(t *testing.T) (ids []string, text map[string]map[string]string) {
	t.Helper()
	f, err := os.Open("../../prompts/catalog.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text = map[string]map[string]string{"fr": {}, "en": {}}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		parts := strings.Split(line, "|")
		if len(parts) != 3 {
			t.Fatalf("%q is not id | French | English", line)
		}
		id := strings.TrimSpace(parts[0])
		ids = append(ids, id)
		text["fr"][id], text["en"][id] = strings.TrimSpace(parts[1]), strings.TrimSpace(parts[2])
	}
	slices.Sort(ids)
	return ids, text
}

// Every prompt of the catalogue is spoken in both languages, and nothing else is.
func TestCatalogueIsSpoken(t *testing.T) {
	ids, text := catalogue(t)
	if !slices.Equal(IDs(), ids) {
		t.Errorf("the catalogue has %v, the files are %v: run make prompts", ids, IDs())
	}
	for _, lang := range Languages() {
		entries, err := spoken.ReadDir("prompts/" + lang)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != len(ids) {
			t.Errorf("%d files in %s for %d prompts", len(entries), lang, len(ids))
		}
		for _, id := range ids {
			alaw, err := spoken.ReadFile("prompts/" + lang + "/" + id + ".al")
			if err != nil {
				t.Error(err)
				continue
			}
			// People and synthesisers speak 9 to 25 letters a second, but take a
			// quarter of one for the shortest word.
			seconds := float64(len(alaw)) / rate
			letters := float64(len(text[lang][id]))
			if seconds < max(0.25, letters/25) || seconds > 0.3+letters/9 {
				t.Errorf("%s/%s: %.0f letters in %.2f s is not speech at a human pace", lang, id, letters, seconds)
			}
			samples := decode(alaw)
			if l := loudness(samples); l < -22 || l > -16 {
				t.Errorf("%s/%s is at %.1f dBFS", lang, id, l)
			}
			if p := peakOf(samples); p > 0.8 {
				t.Errorf("%s/%s has a peak of %.2f", lang, id, p)
			}
			if r := outOfBand(samples); r > -25 {
				t.Errorf("%s/%s has %.1f dB outside the telephone band", lang, id, r)
			}
			if before, after := hush(samples); before > 0.1 || after > 0.12 {
				t.Errorf("%s/%s has %.2f s of silence before and %.2f s after", lang, id, before, after)
			}
		}
	}
}

// hush is the silence before and after speech, in seconds.
func hush(samples []float64) (before, after float64) {
	loud := func(x float64) bool { return math.Abs(x) > 0.01 }
	from := slices.IndexFunc(samples, loud)
	slices.Reverse(samples)
	to := slices.IndexFunc(samples, loud)
	return float64(from) / rate, float64(to) / rate
}

func TestPrompt(t *testing.T) {
	fr, err := Prompt("fr", "welcome")
	if err != nil {
		t.Fatal(err)
	}
	if d := fr.Duration(); d < time.Second || d > 10*time.Second {
		t.Errorf("welcome lasts %s", d)
	}
	if _, err := Prompt("de", "welcome"); err != nil {
		t.Errorf("no fall-back to English: %v", err)
	}
	if _, err := Prompt("fr", "nonsense"); !errors.Is(err, ErrNoPrompt) {
		t.Errorf("a prompt that does not exist: %v", err)
	}
}

func TestOverride(t *testing.T) {
	dir := t.TempDir()
	p := Prompts{Dir: dir}
	builtin, err := p.Prompt("fr", "closed")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "fr"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "fr", "closed.wav")
	if err := os.WriteFile(file, wav(wavePCM, rate, 1, 16, make([]byte, 2*rate)), 0o644); err != nil {
		t.Fatal(err)
	}
	own, err := p.Prompt("fr", "closed")
	if err != nil {
		t.Fatal(err)
	}
	if own.Duration() != time.Second || builtin.Duration() == time.Second {
		t.Errorf("the file lasts %s, the built-in prompt %s", own.Duration(), builtin.Duration())
	}
	if err := os.WriteFile(file, []byte("not audio"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Prompt("fr", "closed"); err == nil {
		t.Error("a file that cannot be played was silently replaced")
	}
	file = filepath.Join(dir, "anything.wav")
	if err := os.WriteFile(file, wav(wavePCM, rate, 1, 16, make([]byte, 4*rate)), 0o644); err != nil {
		t.Fatal(err)
	}
	p.Files = map[string]map[string]string{"closed": {"fr": file}, "hello": {"fr": file}}
	for _, id := range []string{"closed", "hello"} {
		if s, err := p.Prompt("fr", id); err != nil || s.Duration() != 2*time.Second {
			t.Errorf("%s of a file: %v, %v", id, s, err)
		}
	}
	if s, err := (Prompts{}).Prompt("en", "closed"); err != nil || s.Name != "closed" {
		t.Errorf("built in: %v, %v", s, err)
	}
}
