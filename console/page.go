package console

import (
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed page
var pageFiles embed.FS

// pages serves the one page, in French and in English, and what it loads.
func (c *console) pages(mux *http.ServeMux) error {
	layout, err := template.ParseFS(pageFiles, "page/index.html")
	if err != nil {
		return fmt.Errorf("console: page: %w", err)
	}
	pages := map[string][]byte{}
	for _, lang := range []string{"fr", "en"} {
		raw, err := pageFiles.ReadFile("page/" + lang + ".json")
		if err != nil {
			return fmt.Errorf("console: page: %w", err)
		}
		words := map[string]string{}
		if err := json.Unmarshal(raw, &words); err != nil {
			return fmt.Errorf("console: page words %s: %w", lang, err)
		}
		var b bytes.Buffer
		err = layout.Execute(&b, map[string]any{
			"Lang": lang, "T": words, "Site": cmp.Or(c.Site, "Foyer"), "Version": c.Version, "Demo": c.Demo,
		})
		if err != nil {
			return fmt.Errorf("console: page: %w", err)
		}
		pages[lang] = b.Bytes()
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		lang := preferred(r.Header.Get("Accept-Language"), c.lang(""))
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Language", lang)
		w.Header().Set("Vary", "Accept-Language")
		w.Write(pages[lang])
	})
	for name, kind := range map[string]string{
		"app.js": "text/javascript", "rows.js": "text/javascript", "style.css": "text/css",
		"fr.json": "application/json", "en.json": "application/json",
	} {
		content, err := pageFiles.ReadFile("page/" + name)
		if err != nil {
			return fmt.Errorf("console: page: %w", err)
		}
		mux.HandleFunc("GET /assets/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind+"; charset=utf-8")
			w.Header().Set("Cache-Control", "no-cache")
			w.Write(content)
		})
	}
	return nil
}

// preferred is the language of ours that an Accept-Language header likes best.
func preferred(header, otherwise string) string {
	best, weight := otherwise, 0.0
	for _, part := range strings.Split(header, ",") {
		tag, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		lang, _, _ := strings.Cut(strings.ToLower(tag), "-")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(params), "q="); ok {
			q, _ = strconv.ParseFloat(value, 64)
		}
		if (lang == "fr" || lang == "en") && q > weight {
			best, weight = lang, q
		}
	}
	return best
}
