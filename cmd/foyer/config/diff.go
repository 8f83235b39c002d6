package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Change is one thing that two configurations say differently.
type Change struct {
	Path string // as problems write it: queues[accueil].ring.timeout
	Kind ChangeKind
	Was  string // with Changed: the value before; a secret is shown as ***
	Is   string // with Changed: the value now
	// Restart says that the switch takes it over only when it is started anew.
	Restart bool
}

// ChangeKind is what became of a thing.
type ChangeKind string

// The kinds of change.
const (
	Added   ChangeKind = "added"
	Removed ChangeKind = "removed"
	Changed ChangeKind = "changed"
)

// Diff lists what is different in a new configuration, in the order of the sections.
// Items of a list are told apart by their id, so that moving one is one change, of the
// list's order.
func Diff(was, is *Config) []Change {
	d := differ{}
	d.fields("", reflect.ValueOf(was).Elem(), reflect.ValueOf(is).Elem(), false)
	return d.changes
}

type differ struct{ changes []Change }

func (d *differ) add(c Change) { d.changes = append(d.changes, c) }

// fields compares two structs, field by field.
func (d *differ) fields(path string, was, is reflect.Value, fixed bool) {
	for i := range was.NumField() {
		f := was.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		d.value(joined(path, name), was.Field(i), is.Field(i), fixed || f.Tag.Get("reload") == "never")
	}
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func (d *differ) value(path string, was, is reflect.Value, fixed bool) {
	switch {
	case isLeaf(was.Type()):
		if !reflect.DeepEqual(was.Interface(), is.Interface()) {
			d.add(Change{path, Changed, shown(was), shown(is), fixed})
		}
	case was.Kind() == reflect.Pointer:
		switch {
		case was.IsNil() && is.IsNil():
		case was.IsNil():
			d.add(Change{Path: path, Kind: Added, Restart: fixed})
		case is.IsNil():
			d.add(Change{Path: path, Kind: Removed, Restart: fixed})
		default:
			d.value(path, was.Elem(), is.Elem(), fixed)
		}
	case was.Kind() == reflect.Struct:
		d.fields(path, was, is, fixed)
	case was.Kind() == reflect.Array: // a week
		for day := range was.Len() {
			d.value(joined(path, strings.ToLower(time.Weekday(day).String()[:3])), was.Index(day), is.Index(day), fixed)
		}
	case was.Kind() == reflect.Map:
		d.items(path, entries(was), entries(is), fixed)
	default:
		d.list(path, was, is, fixed)
	}
}

// item is an item of a list or a map, and the key it is known by.
type item struct {
	key   string
	value reflect.Value
}

func entries(m reflect.Value) []item {
	var list []item
	for _, k := range m.MapKeys() {
		list = append(list, item{fmt.Sprint(k.Interface()), m.MapIndex(k)})
	}
	slices.SortFunc(list, func(a, b item) int { return cmp.Compare(a.key, b.key) })
	return list
}

// list compares two lists: by the keys of their items where they have them, else as
// a whole.
func (d *differ) list(path string, was, is reflect.Value, fixed bool) {
	before, keyed := keyedBy(was)
	after, also := keyedBy(is)
	if keyed && also {
		d.items(path, before, after, fixed)
		return
	}
	if !reflect.DeepEqual(was.Interface(), is.Interface()) && was.Len()+is.Len() > 0 {
		d.add(Change{path, Changed, shown(was), shown(is), fixed})
	}
}

// keyedBy is a list by what tells its items apart: an id, a number, else their
// place. False for a list of words.
func keyedBy(list reflect.Value) ([]item, bool) {
	kind := list.Type().Elem()
	if isLeaf(kind) {
		return nil, false
	}
	byPlace := make([]item, list.Len())
	for i := range byPlace {
		byPlace[i] = item{strconv.Itoa(i), list.Index(i)}
	}
	for _, key := range []string{"ID", "Number", "Match"} {
		f, ok := kind.FieldByName(key)
		if !ok || f.Type.Kind() != reflect.String {
			continue
		}
		seen := map[string]bool{}
		items := slices.Clone(byPlace)
		for i := range items {
			items[i].key = items[i].value.FieldByIndex(f.Index).String()
			seen[items[i].key] = true
		}
		if len(seen) == len(items) {
			return items, true
		}
	}
	return byPlace, true
}

// items compares what is known by keys. That what stands in both stands in another
// order is one change more: agents are listed in the order that top_down rings them.
func (d *differ) items(path string, was, is []item, fixed bool) {
	now := map[string]reflect.Value{}
	for _, i := range is {
		now[i.key] = i.value
	}
	before := map[string]bool{}
	var left []string
	for _, i := range was {
		before[i.key] = true
		at := path + "[" + i.key + "]"
		if v, ok := now[i.key]; ok {
			left = append(left, i.key)
			if !reflect.DeepEqual(i.value.Interface(), v.Interface()) { // mostly they are, and this is quicker
				d.value(at, i.value, v, fixed)
			}
		} else {
			d.add(Change{Path: at, Kind: Removed, Restart: fixed})
		}
	}
	var stayed []string
	for _, i := range is {
		if before[i.key] {
			stayed = append(stayed, i.key)
		} else {
			d.add(Change{Path: path + "[" + i.key + "]", Kind: Added, Restart: fixed})
		}
	}
	if !slices.Equal(left, stayed) {
		d.add(Change{path, Changed, "in one order", "in another", fixed})
	}
}

// isLeaf says whether a value of a type is written as one word.
func isLeaf(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Slice, reflect.Map:
		return false
	case reflect.Struct, reflect.Array, reflect.Pointer:
		return t.Implements(reflect.TypeFor[fmt.Stringer]())
	}
	return true
}

// shown is a value for people to read, at most a line of it.
func shown(v reflect.Value) string {
	const most = 80
	text := []rune(fmt.Sprint(v.Interface()))
	if len(text) > most {
		return string(text[:most-1]) + "…"
	}
	return string(text)
}
