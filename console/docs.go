package console

import (
	"bytes"
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// docs renders the description of the API as a page that needs nothing from
// elsewhere.
func (c *console) docs(spec *huma.OpenAPI) ([]byte, error) {
	t, err := template.ParseFS(pageFiles, "page/docs.html")
	if err != nil {
		return nil, fmt.Errorf("console: docs page: %w", err)
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Title": spec.Info.Title, "Version": spec.Info.Version, "About": spec.Info.Description,
		"Operations": operations(spec), "Schemas": schemas(spec),
	})
	if err != nil {
		return nil, fmt.Errorf("console: docs page: %w", err)
	}
	return b.Bytes(), nil
}

type operation struct {
	Method, Path, Summary, ID, Scope string
	Fields                           []field
}

type field struct{ Name, In, Type, Doc string }

func operations(spec *huma.OpenAPI) []operation {
	var all []operation
	for path, item := range spec.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op == nil {
				continue
			}
			o := operation{Method: op.Method, Path: "/api/v1" + path, Summary: op.Summary, ID: op.OperationID}
			o.Scope, _ = op.Metadata["scope"].(string)
			for _, p := range op.Parameters {
				o.Fields = append(o.Fields, field{p.Name, p.In, kindOf(p.Schema), p.Description})
			}
			if op.RequestBody != nil {
				for _, m := range op.RequestBody.Content {
					o.Fields = append(o.Fields, field{"body", "body", kindOf(m.Schema), ""})
				}
			}
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return all
}

type schema struct {
	Name   string
	Fields []field
}

func schemas(spec *huma.OpenAPI) []schema {
	var all []schema
	for name, s := range spec.Components.Schemas.Map() {
		var fields []field
		for property, p := range s.Properties {
			fields = append(fields, field{Name: property, Type: kindOf(p), Doc: p.Description})
		}
		slices.SortFunc(fields, func(a, b field) int { return cmp.Compare(a.Name, b.Name) })
		all = append(all, schema{name, fields})
	}
	slices.SortFunc(all, func(a, b schema) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func kindOf(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Type == "array":
		return "list of " + kindOf(s.Items)
	case len(s.Enum) > 0:
		words := make([]string, len(s.Enum))
		for i, w := range s.Enum {
			words[i] = fmt.Sprint(w)
		}
		return strings.Join(words, " | ")
	}
	return strings.TrimSpace(s.Type + " " + s.Format)
}
