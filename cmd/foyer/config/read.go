package config

import (
	"fmt"
	"hash"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// place is where something stands in a configuration.
type place struct {
	file   string
	line   int
	column int
}

// reader turns YAML nodes into the fields of Config by their tags, and notes
// where the value of each field stood, so that whoever finds fault with a value
// later can say where.
type reader struct {
	problems *Problems
	// at is by the address of the field. Slices are made at their full length
	// before their elements are read, so that an address stays true. The keys of
	// a map have the entry's address: that of the map and the key.
	at map[any]place
	// literal holds the secrets that stand in the configuration itself.
	literal map[*Secret]bool
	// sum is of the text of all files.
	sum hash.Hash
}

type entry struct {
	of  any
	key string
}

// errorf notes an error. One with no place is about a value that is not there,
// or follows from one: the missing value itself has been complained of already.
func (r *reader) errorf(at place, format string, args ...any) {
	if at.file == "" {
		return
	}
	r.problems.List = append(r.problems.List, Problem{at.file, at.line, at.column, false, fmt.Sprintf(format, args...)})
}

// warnf notes what is odd but usable.
func (r *reader) warnf(at place, format string, args ...any) {
	if at.file == "" {
		return
	}
	r.problems.List = append(r.problems.List, Problem{at.file, at.line, at.column, true, fmt.Sprintf(format, args...)})
}

func (r *reader) placeOf(path string, n ast.Node) place {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return place{file: path}
	}
	return place{path, t.Position.Line, t.Position.Column}
}

// value is a node and what it takes to speak of it: its file, and the path of
// keys to it, such as queues[sales].ring.
type value struct {
	file string
	node ast.Node
	path string
}

func (r *reader) place(v value) place { return r.placeOf(v.file, v.node) }

// config reads the top level of all files: lists are joined, and everything
// else stands in one file.
func (r *reader) config(c *Config, files []file) {
	whole := mapping{at: place{files[0].path, 1, 1}}
	first := map[string]place{}
	for i, f := range files {
		m := r.mapping(value{f.path, f.root, ""})
		for _, k := range m.keys {
			switch at, again := first[k.name]; {
			case i > 0 && k.name == "version":
				if text, _ := scalarText(k.value.node); text != "1" {
					r.errorf(r.place(k.value), "version must be 1")
				}
				continue
			case i > 0 && k.name == "include":
				r.errorf(k.at, "include is for the main file only")
				continue
			case again && !isList(k.name):
				r.errorf(k.at, "%q is already set at %s:%d", k.name, at.file, at.line)
				continue
			}
			first[k.name] = k.at
			whole.keys = append(whole.keys, k)
		}
	}
	r.structure(reflect.ValueOf(c).Elem(), &whole)
}

// isList says whether a section of the top level is a list.
func isList(key string) bool {
	for _, f := range fieldsOf(reflect.TypeFor[Config]()) {
		if f.name == key {
			return f.Type.Kind() == reflect.Slice
		}
	}
	return false
}

// mapping is the keys of one mapping, or of several joined.
type mapping struct {
	path string
	at   place
	keys []key
}

type key struct {
	name  string
	at    place
	value value
}

// mapping reads the keys of a mapping and complains of those that stand twice.
// Nil: it is something else, which is an error too.
func (r *reader) mapping(v value) *mapping {
	node, ok := v.node.(*ast.MappingNode)
	if !ok {
		r.errorf(r.place(v), "%s must be a mapping of keys, not %s", orTop(v.path), kindOf(v.node))
		return nil
	}
	m := &mapping{path: v.path, at: r.place(v)}
	seen := map[string]bool{}
	for _, kv := range node.Values {
		name := keyText(kv.Key)
		at := r.placeOf(v.file, kv.Key)
		if seen[name] {
			r.errorf(at, "key %q stands twice%s", name, in(v.path))
			continue
		}
		seen[name] = true
		m.keys = append(m.keys, key{name, at, value{v.file, kv.Value, join(v.path, name)}})
	}
	return m
}

// structure fills the fields of s from a mapping; from nothing but the defaults
// when m is nil.
func (r *reader) structure(s reflect.Value, m *mapping) {
	fields := fieldsOf(s.Type())
	if m != nil {
		r.known(m, s.Type())
	}
	for _, f := range fields {
		target := s.FieldByIndex(f.Index)
		var found []key
		if m != nil {
			for _, k := range m.keys {
				if k.name == f.name {
					found = append(found, k)
				}
			}
		}
		switch {
		case len(found) > 0:
			r.at[target.Addr().Interface()] = r.place(found[0].value)
			r.field(target, f, found)
		case f.Tag.Get("need") != "" && m != nil:
			r.errorf(m.at, "%s needs %q", orTop(m.path), f.name)
		case target.Kind() == reflect.Struct && len(fieldsOf(target.Type())) > 0:
			r.structure(target, nil)
		default:
			r.preset(target, f)
		}
	}
}

// known complains of keys that no field of t has.
func (r *reader) known(m *mapping, t reflect.Type) {
	var names []string
	for _, f := range fieldsOf(t) {
		names = append(names, f.name)
	}
	blank, _ := t.FieldByName("_")
	later, elsewhere := strings.Fields(blank.Tag.Get("later")), strings.Fields(blank.Tag.Get("elsewhere"))
	for _, k := range m.keys {
		i := slices.IndexFunc(elsewhere, func(e string) bool { return strings.HasPrefix(e, k.name+"=") })
		switch {
		case slices.Contains(names, k.name):
		case slices.Contains(later, k.name):
			r.errorf(k.at, "key %q%s is not supported by this release", k.name, in(m.path))
		case i >= 0:
			_, home, _ := strings.Cut(elsewhere[i], "=")
			r.errorf(k.at, "key %q%s has its place in a step of %q", k.name, in(m.path), home)
		default:
			r.errorf(k.at, "unknown key %q%s%s", k.name, in(m.path), meant(k.name, names))
		}
	}
}

// field reads one value, or, for a list of the top level, one per file.
func (r *reader) field(target reflect.Value, f field, found []key) {
	if target.Kind() != reflect.Slice {
		r.read(target, f, found[0].value)
		return
	}
	var items []value
	for _, k := range found {
		list, ok := k.value.node.(*ast.SequenceNode)
		if !ok {
			r.errorf(r.place(k.value), "%s must be a list, not %s", k.value.path, kindOf(k.value.node))
			return
		}
		for i, n := range list.Values {
			items = append(items, value{k.value.file, n, k.value.path + "[" + itemName(n, i) + "]"})
		}
	}
	r.list(target, f, items)
}

func (r *reader) list(target reflect.Value, f field, items []value) {
	target.Set(reflect.MakeSlice(target.Type(), len(items), len(items)))
	for i, item := range items {
		element := target.Index(i)
		r.at[element.Addr().Interface()] = r.place(item)
		r.read(element, f, item)
	}
}

// read sets target from a node of whatever kind its type asks for.
func (r *reader) read(target reflect.Value, f field, v value) {
	if _, absent := v.node.(*ast.NullNode); absent {
		r.errorf(r.place(v), "%s has no value", v.path)
		return
	}
	text, scalar := scalarText(v.node)
	switch into := target.Addr().Interface().(type) {
	case *Week:
		r.week(into, v)
		return
	case *Label:
		if scalar {
			into.FR, into.EN = text, text
			return
		}
	case *Target:
		if !scalar {
			r.outside(into, v)
			return
		}
	case *Assignment:
		if scalar {
			r.structure(target, nil)
			r.at[&into.ID] = r.place(v)
			r.read(reflect.ValueOf(&into.ID).Elem(), field{}, v)
			return
		}
	case *map[string]int:
		r.levels(into, f, v)
		return
	}
	if target.Kind() == reflect.Pointer && len(fieldsOf(target.Type().Elem())) > 0 {
		target.Set(reflect.New(target.Type().Elem()))
		target = target.Elem()
	}
	if target.Kind() == reflect.Struct && len(fieldsOf(target.Type())) > 0 {
		if m := r.mapping(v); m != nil {
			r.structure(target, m)
		}
		return
	}
	if !scalar {
		r.errorf(r.place(v), "%s must be one value, not %s", v.path, kindOf(v.node))
		return
	}
	if _, yes := v.node.(*ast.BoolNode); yes && target.Kind() != reflect.Bool {
		r.errorf(r.place(v), "%s is true or false here; write it in quotes if it is meant as text", v.path)
		return
	}
	text, ok := r.resolve(target, v, text)
	if !ok {
		return
	}
	if err := set(target, f, text); err != nil {
		r.errorf(r.place(v), "%s %s", v.path, err)
	}
}

// outside reads a target that is written as a mapping: {number: "+33170000001"}.
func (r *reader) outside(into *Target, v value) {
	m := r.mapping(v)
	if m == nil {
		return
	}
	var o outside
	r.structure(reflect.ValueOf(&o).Elem(), m)
	if o.Number == "" {
		return
	}
	r.at[into] = r.at[&o.Number]
	if err := setTarget(into, "number:"+o.Number); err != nil {
		r.errorf(r.at[into], "%s %s", v.path, err)
	}
}

// levels reads skills and their levels.
func (r *reader) levels(into *map[string]int, f field, v value) {
	m := r.mapping(v)
	if m == nil {
		return
	}
	*into = make(map[string]int, len(m.keys))
	for _, k := range m.keys {
		r.at[entry{into, k.name}] = k.at
		level := reflect.New(reflect.TypeFor[int]()).Elem()
		r.read(level, f, k.value)
		(*into)[k.name] = int(level.Int())
	}
}

// preset gives a field its default.
func (r *reader) preset(target reflect.Value, f field) {
	text := f.Tag.Get("default")
	if text == "" {
		return
	}
	if target.Kind() == reflect.Slice {
		words := strings.Fields(text)
		target.Set(reflect.MakeSlice(target.Type(), len(words), len(words)))
		for i, w := range words {
			target.Index(i).SetString(w)
		}
		return
	}
	if err := set(target, f, text); err != nil {
		// The tag is ours: a test loads every default.
		panic(fmt.Sprintf("default of %s: %s", f.name, err))
	}
}

// field is a field of a struct and the key it is read from.
type field struct {
	reflect.StructField
	name string
}

func fieldsOf(t reflect.Type) []field {
	if t.Kind() != reflect.Struct {
		return nil
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if name := f.Tag.Get("yaml"); name != "" && name != "-" {
			fields = append(fields, field{f, name})
		}
	}
	return fields
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func in(path string) string {
	if path == "" {
		return ""
	}
	return " in " + path
}

func orTop(path string) string {
	if path == "" {
		return "the configuration"
	}
	return path
}
