package console

import (
	"encoding/json"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestThePage(t *testing.T) {
	v := newVisit(t, demo)
	for _, tt := range []struct{ accept, lang string }{
		{"", "fr"}, {"en", "en"}, {"en-GB,en;q=0.9,fr;q=0.8", "en"}, {"fr;q=0.2,en;q=0.1", "fr"}, {"de", "fr"}, {"de,en;q=0.5", "en"}, {"*;q=x", "fr"},
	} {
		w := v.ask("GET", "/", "", "Accept-Language", tt.accept)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `<html lang="`+tt.lang+`">`) {
			t.Errorf("%q: %d %.80s", tt.accept, w.Code, w.Body)
		}
	}
	w := v.ask("GET", "/", "")
	page := w.Body.String()
	for _, want := range []string{">DEMO<", "Essai", "1.2.3", `class="skip"`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(page, "<no value>") {
		t.Error("a word is missing")
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "media-src 'self' blob:"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %s", policy, want)
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Errorf("policy %q", policy)
	}
	if w := newVisit(t).ask("GET", "/", ""); strings.Contains(w.Body.String(), "DEMO") {
		t.Error("says DEMO and is none")
	}
	hostile := newVisit(t, func(o *Options) { o.Site = nasty })
	if w := hostile.ask("GET", "/", ""); strings.Contains(w.Body.String(), "<script>alert") {
		t.Error("the site's name is not escaped")
	}
}

// TestTextsStayTexts: what a caller sends reaches the page as JSON, and the page's
// scripts have no way to turn a text into markup or code.
func TestTextsStayTexts(t *testing.T) {
	v := newVisit(t, demo)
	w := v.ask("GET", "/api/v1/calls", "", "from", "127.0.0.1:9", "Host", "localhost")
	if kind := w.Header().Get("Content-Type"); kind != "application/json" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("calls come as %s", kind)
	}
	var calls struct{ Items []LiveCall }
	if err := json.Unmarshal(w.Body.Bytes(), &calls); err != nil || calls.Items[0].From != nasty {
		t.Errorf("%v %+v", err, calls)
	}
	files, err := fs.Glob(pageFiles, "page/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		raw, err := pageFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(raw)
		for _, never := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "createContextualFragment", "DOMParser", "srcdoc", "localStorage", "http://", "https://", "javascript:", "style="} {
			if strings.Contains(text, never) {
				t.Errorf("%s has %s", name, never)
			}
		}
		if strings.HasSuffix(name, ".html") && regexp.MustCompile(`<script[^>]*>[^<]|\son\w+=`).MatchString(text) {
			t.Errorf("%s has script of its own", name)
		}
	}
}

// TestWords: both languages have the same words, and the scripts use no other.
func TestWords(t *testing.T) {
	words := map[string]map[string]string{}
	for _, lang := range []string{"fr", "en"} {
		raw, err := pageFiles.ReadFile("page/" + lang + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var w map[string]string
		if err := json.Unmarshal(raw, &w); err != nil {
			t.Fatal(err)
		}
		words[lang] = w
	}
	hole := regexp.MustCompile(`\{\d\}`)
	for key, fr := range words["fr"] {
		en, ok := words["en"][key]
		a, b := hole.FindAllString(fr, -1), hole.FindAllString(en, -1)
		slices.Sort(a)
		slices.Sort(b)
		if !ok || !slices.Equal(a, b) {
			t.Errorf("%s: %q and %q", key, fr, en)
		}
	}
	if len(words["fr"]) != len(words["en"]) {
		t.Errorf("%d and %d words", len(words["fr"]), len(words["en"]))
	}
	used := regexp.MustCompile(`\bt\("(\w+)"|\.T\.(\w+)`)
	for _, name := range []string{"page/app.js", "page/index.html"} {
		raw, err := pageFiles.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range used.FindAllStringSubmatch(string(raw), -1) {
			if key := m[1] + m[2]; words["en"][key] == "" {
				t.Errorf("%s says %q", name, key)
			}
		}
	}
}

// TestAssets: everything the page loads is there.
func TestAssets(t *testing.T) {
	v := newVisit(t)
	for path, kind := range map[string]string{
		"/assets/app.js": "text/javascript; charset=utf-8", "/assets/rows.js": "text/javascript; charset=utf-8",
		"/assets/style.css": "text/css; charset=utf-8", "/assets/fr.json": "application/json; charset=utf-8",
	} {
		if w := v.ask("GET", path, ""); w.Code != 200 || w.Header().Get("Content-Type") != kind || w.Body.Len() == 0 {
			t.Errorf("%s: %d %s", path, w.Code, w.Header().Get("Content-Type"))
		}
	}
	page := v.ask("GET", "/", "").Body.String()
	for _, m := range regexp.MustCompile(`(?:src|href)="(/[^"]*)"`).FindAllStringSubmatch(page, -1) {
		if w := v.ask("GET", m[1], ""); w.Code != 200 {
			t.Errorf("the page wants %s: %d", m[1], w.Code)
		}
	}
}
