package sound

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// spell is what a caller hears of those prompts, by the text of the catalogue.
func spell(t *testing.T, text map[string]string, ids []string) string {
	t.Helper()
	var said []string
	for _, id := range ids {
		if text[id] == "" {
			t.Fatalf("%s is not in the catalogue", id)
		}
		said = append(said, strings.TrimSuffix(text[id], ","))
	}
	return strings.Join(said, " ")
}

func TestPositionIsSaid(t *testing.T) {
	_, text := catalogue(t)
	for _, c := range []struct {
		n      int
		fr, en string
	}{
		{-1, "", ""},
		{0, "", ""},
		{1, "Votre appel est le prochain.", "You are next in line."},
		{2, "Vous êtes numéro deux dans la file d'attente.", "You are number two in line."},
		{7, "Vous êtes numéro sept dans la file d'attente.", "You are number seven in line."},
		{21, "Vous êtes numéro vingt et un dans la file d'attente.", "You are number twenty-one in line."},
		{30, "Vous êtes numéro trente dans la file d'attente.", "You are number thirty in line."},
		{31, "Vous êtes au-delà du numéro trente dans la file d'attente.", "You are beyond number thirty in line."},
		{4000, "Vous êtes au-delà du numéro trente dans la file d'attente.", "You are beyond number thirty in line."},
	} {
		if fr, en := spell(t, text["fr"], position(c.n)), spell(t, text["en"], position(c.n)); fr != c.fr || en != c.en {
			t.Errorf("%d: %q, %q", c.n, fr, en)
		}
	}
}

func TestWaitIsSaid(t *testing.T) {
	_, text := catalogue(t)
	const min, sec = time.Minute, time.Second
	for _, c := range []struct {
		low, high time.Duration
		fr, en    string
	}{
		{0, 0, "Votre attente est estimée à moins d'une minute.", "Your wait should be less than one minute."},
		{-min, -sec, "Votre attente est estimée à moins d'une minute.", "Your wait should be less than one minute."},
		{10 * sec, 55 * sec, "Votre attente est estimée à moins d'une minute.", "Your wait should be less than one minute."},
		{20 * sec, 61 * sec, "Votre attente est estimée à moins de deux minutes.", "Your wait should be less than two minutes."},
		{0, 30 * min, "Votre attente est estimée à moins de trente minutes.", "Your wait should be less than thirty minutes."},
		{60 * sec, 60 * sec, "Votre attente est estimée entre une et deux minutes.", "Your wait should be between one and two minutes."},
		{84 * sec, 144 * sec, "Votre attente est estimée entre une et trois minutes.", "Your wait should be between one and three minutes."},
		{3 * min, 5 * min, "Votre attente est estimée entre trois et cinq minutes.", "Your wait should be between three and five minutes."},
		{5 * min, 5 * min, "Votre attente est estimée entre cinq et six minutes.", "Your wait should be between five and six minutes."},
		{7 * min, 9 * min, "Votre attente est estimée entre six et dix minutes.", "Your wait should be between six and ten minutes."},
		{9 * min, 7 * min, "Votre attente est estimée entre huit et dix minutes.", "Your wait should be between eight and ten minutes."},
		{19*min + 59*sec, 20*min + sec, "Votre attente est estimée entre quinze et trente minutes.", "Your wait should be between fifteen and thirty minutes."},
		{12 * min, 45 * min, "Votre attente est estimée à plus de dix minutes.", "Your wait should be more than ten minutes."},
		{30 * min, 30 * min, "Votre attente est estimée à plus de trente minutes.", "Your wait should be more than thirty minutes."},
		{40 * min, 2 * time.Hour, "Votre attente est estimée à plus de trente minutes.", "Your wait should be more than thirty minutes."},
		{30 * sec, time.Hour, "", ""},
		{90 * sec, time.Hour, "", ""},
		{2 * min, time.Hour, "Votre attente est estimée à plus de deux minutes.", "Your wait should be more than two minutes."},
	} {
		if fr, en := spell(t, text["fr"], wait(c.low, c.high)), spell(t, text["en"], wait(c.low, c.high)); fr != c.fr || en != c.en {
			t.Errorf("%s to %s: %q, %q", c.low, c.high, fr, en)
		}
	}
}

// Whatever the band: what is said begins no later and ends no earlier, and never
// begins a whole spoken step too early.
func TestWaitIsNeverTooNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		low := time.Duration(rapid.IntRange(0, 50*60).Draw(t, "low")) * time.Second
		high := low + time.Duration(rapid.IntRange(0, 50*60).Draw(t, "more"))*time.Second
		from, to := time.Duration(0), 1000*time.Hour
		ids := wait(low, high)
		if len(ids) == 0 {
			if low >= 2*time.Minute || high <= 30*time.Minute {
				t.Fatalf("nothing is said of %s to %s", low, high)
			}
			return
		}
		value := func(id string) time.Duration {
			n, err := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
			if err != nil {
				t.Fatal(err)
			}
			return time.Duration(n) * time.Minute
		}
		last := ids[len(ids)-1]
		switch ids[0] {
		case "wait-short":
			to = time.Minute
		case "part-less":
			to = value(last)
		case "part-more":
			from = value(last)
		case "part-between":
			from, to = value(ids[1]), value(last)
		default:
			t.Fatalf("says %v", ids)
		}
		if from > low || to < high || from >= to {
			t.Fatalf("%s to %s is said as %s to %s", low, high, from, to)
		}
		for _, m := range minutes {
			if d := time.Duration(m) * time.Minute; d > from && d <= low {
				t.Fatalf("from %s is said as from %s, not %s", low, from, d)
			}
		}
	})
}

// Every place and every band can be said in both languages with what there is.
func TestVoiceHasAllParts(t *testing.T) {
	for _, lang := range Languages() {
		v, err := Prompts{}.Voice(lang)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 40 {
			if got, want := len(v.Position(n)), len(position(n)); got != want {
				t.Errorf("%s, place %d: %d of %d prompts", lang, n, got, want)
			}
		}
		for low := range 40 {
			for high := low; high < 40; high++ {
				low, high := time.Duration(low)*time.Minute, time.Duration(high)*time.Minute
				if got, want := len(v.Wait(low, high)), len(wait(low, high)); got != want {
					t.Errorf("%s, %s to %s: %d of %d prompts", lang, low, high, got, want)
				}
			}
		}
	}
}

func TestVoiceTakesTheOperatorsFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "fr"), 0o755); err != nil {
		t.Fatal(err)
	}
	replaced := filepath.Join(dir, "fr", "part-number-7.wav")
	custom := filepath.Join(dir, "hello.wav")
	for file, seconds := range map[string]int{replaced: 3, custom: 5} {
		if err := os.WriteFile(file, wav(wavePCM, rate, 1, 16, make([]byte, 2*rate*seconds)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := Prompts{Dir: dir, Files: map[string]map[string]string{"hello": {"fr": custom, "en": custom}}}
	fr, err := p.Voice("fr")
	if err != nil {
		t.Fatal(err)
	}
	if said := fr.Position(7); len(said) != 3 || said[1].Duration() != 3*time.Second {
		t.Errorf("the operator's seven is not said: %v", said)
	}
	if said := fr.Say("nonsense", "hello"); len(said) != 1 || said[0].Duration() != 5*time.Second {
		t.Errorf("the operator's own prompt is not said: %v", said)
	}
	p.Files["gone"] = map[string]string{"fr": filepath.Join(dir, "gone.wav")}
	if _, err := p.Voice("fr"); err == nil || !strings.Contains(err.Error(), "gone.wav") {
		t.Errorf("a missing file is not found: %v", err)
	}
}

func TestSentences(t *testing.T) {
	all := Sentences()
	for _, id := range []string{"closed", "callback-offer", "position-next", "queue-full"} {
		if !slices.Contains(all, id) {
			t.Errorf("%s is missing", id)
		}
	}
	if i := slices.IndexFunc(all, func(id string) bool { return strings.HasPrefix(id, "part-") }); i >= 0 {
		t.Errorf("%s is no sentence", all[i])
	}
}
