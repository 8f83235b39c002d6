package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Schema is the format as a JSON Schema, for editors that complete and check
// while one types. It is looser than Load, which also follows references.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Config](), field{})
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "Foyer configuration"
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("configuration schema: %w", err)
	}
	return append(text, '\n'), nil
}

type object = map[string]any

func schemaOf(t reflect.Type, f field) object {
	switch reflect.Zero(t).Interface().(type) {
	case time.Duration:
		return object{"type": "string", "pattern": `^([0-9]+d)?([0-9.]+(h|m|s|ms))*$`}
	case netip.AddrPort, netip.Addr, netip.Prefix, PortRange, Host, Date, Span, Secret, *time.Location:
		return object{"type": "string"}
	case Addresses:
		return object{"anyOf": []any{object{"type": "string"}, object{"type": "array", "items": object{"type": "string"}, "maxItems": 2}}}
	case Week:
		return object{"type": "object", "additionalProperties": object{"type": "array", "items": object{"type": "string"}}}
	case Label, Assignment:
		return object{"anyOf": []any{object{"type": "string"}, structSchema(t)}}
	case Size:
		return object{"type": []string{"string", "integer"}}
	case Target:
		return object{"anyOf": []any{object{"type": "string"}, structSchema(reflect.TypeFor[outside]())}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), f)
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(t.Elem(), f)}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(t.Elem(), f)}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		return bounded(f, "integer")
	case reflect.Float64:
		// Ratios are written as quoted decimals, percentages as numbers.
		return bounded(f, "number", "string")
	}
	s := object{"type": "string"}
	if enum := strings.Fields(f.Tag.Get("enum")); len(enum) > 0 {
		s["enum"] = enum
	}
	return s
}

func structSchema(t reflect.Type) object {
	properties, needed := object{}, []string{}
	for _, f := range fieldsOf(t) {
		s := schemaOf(f.Type, f)
		if d := f.Tag.Get("default"); d != "" {
			s["description"] = "default " + d
		}
		properties[f.name] = s
		if f.Tag.Get("need") != "" {
			needed = append(needed, f.name)
		}
	}
	return object{"type": "object", "properties": properties, "required": needed, "additionalProperties": false}
}

func bounded(f field, types ...string) object {
	s := object{"type": types}
	if low, err := strconv.ParseFloat(f.Tag.Get("min"), 64); err == nil {
		s["minimum"] = low
	}
	if high, err := strconv.ParseFloat(f.Tag.Get("max"), 64); err == nil {
		s["maximum"] = high
	}
	return s
}
