package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"foyer/acd"
	"foyer/cmd/foyer/config"
)

// planOf is the plan of a configuration.
func planOf(t *testing.T, yaml string) *plan {
	t.Helper()
	file := filepath.Join(t.TempDir(), "foyer.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPlan(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A configuration with every key of the floor in it.
const everyKey = `version: 1
demo: true
site: {public_host: lo.test, timezone: Europe/Paris, locale: fr}
listen: {sip_udp: 127.0.0.1:5060, rtp: {addr: 127.0.0.1}}
trunks: [{id: carrier, auth: {allow: [127.0.0.2/32]}, host: 127.0.0.2}]
outbound_routes: [{match: "+33*", trunks: [carrier]}, {match: "+3389*", action: deny}]
clients: [{id: boutik}]
calendars:
  - {id: never, weekly: {}}
  - {id: office, weekly: {mon-fri: ["08:00-19:00"]}}
floor: {pause_ends_idle: true}
reasons:
  pause:
    - {id: meal, label: {fr: Repas, en: Meal}, max: 60m}
    - {id: training, paid: true}
    - {id: fault, alert: supervisor}
  wrapup: [{id: solved}, {id: recall, requires: [callback_at]}]
queues:
  - id: sav
    client: boutik
    label: {fr: SAV, en: Support}
    medium: voice
    require: [fr, sav]
    min_level: {sav: 3}
    max_tier: 1
    priority: 30
    relax:
      - {after: 30s, skill: sav, level: 2}
      - {after: 60s, drop: sav}
      - {after: 90s, max_tier: 3}
    strategy: ring_progressive
    calendar: never
    service_level: {target: "0.90", within: 30s, short_abandon: 3s, formula: all_abandons_count}
    ring: {timeout: 25s, max_offers: 2, on_no_answer: ready, at_once: 2, next_after: 7s}
    wrapup: {mode: extendable, seconds: 30, extend_by: 45, max_extensions: 4, codes: [solved]}
    prefer: 40s
    last_agent: {within: 7d, wait: 25s}
    return: 5m
    rejoin: 35s
    overflow:
      - {after: 45s, offer: callback}
      - {after: 60s, widen_to: [sales, desk]}
      - {after: 2m, to: sales}
      - {after: 3m, to: "+33170000009"}
    full: {max: 12, to: {number: "+33170000008"}, prompt: too-long}
    none_ready: {to: voicemail, prompt: comfort}
    empty: {to: number:+33170000007, prompt: goodbye}
    closed: {to: voicemail, prompt: welcome}
    announce: {position: true, estimated_wait: true, first: 15s, every: 90s, max_error: "0.3"}
    callback: {mode: caller_first, attempts: 5, retry: 20m, dial_for: 30s, hours: office, digit: "1", prompt: callback-offer}
  - id: sales
    client: boutik
    strategy: ring_all
    ring: {at_once: 4}
    wrapup: {mode: coded, seconds: 20}
    overflow: [{after: 5m, to: voicemail}]
    full: {max: 3, to: desk}
    none_ready: {to: hangup}
    empty: {to: voicemail}
  - {id: desk, client: boutik, overflow: [{after: 5m, to: hangup}]}
dids: [{number: "+33170000001", to: sav}]
agents:
  - {id: ana, sip: {password: pw}, skills: {fr: 5, sav: 4}, queues: [{id: sav, tier: 2}, sales], capacity: {voice: 1}, ready_on_register: true}
  - {id: bo, sip: {password: pw}, skills: {fr: 5, sav: 4}, queues: [sav, desk]}
  - {id: cleo, sip: {password: pw}}
`

func TestEveryKeyReachesTheFloor(t *testing.T) {
	got := planOf(t, everyKey).floor
	want := acd.Config{
		PauseEndsIdle: true,
		Reasons:       []acd.Reason{{ID: "meal", Max: time.Hour}, {ID: "training"}, {ID: "fault"}},
		Queues: []acd.Queue{{
			ID: "sav", Client: "boutik", Require: []string{"fr", "sav"}, MinLevel: map[string]int{"sav": 3}, MaxTier: 1,
			Relax: []acd.Relax{
				{After: 30 * time.Second, Skill: "sav", Level: 2},
				{After: time.Minute, Skill: "sav"},
				{After: time.Minute, Widen: "sales"},
				{After: time.Minute, Widen: "desk"},
				{After: 90 * time.Second, Tier: 3},
			},
			Strategy: acd.RingProgressively, AtOnce: 2, NextAfter: 7 * time.Second,
			Priority: 30, RingTimeout: 25 * time.Second, MaxOffers: 2, OnNoAnswer: acd.StayReady,
			WrapMode: acd.WrapExtendable, WrapUp: 30 * time.Second, ExtendBy: 45 * time.Second, MaxExtend: 4,
			Overflow: []acd.Overflow{
				{After: 45 * time.Second, Offer: true},
				{After: 2 * time.Minute, To: acd.Target{Queue: "sales"}},
				{After: 3 * time.Minute, To: acd.Target{Number: "+33170000009"}},
			},
			MaxWaiting: 12,
			Full:       acd.Door{Rule: acd.Send, To: acd.Target{Number: "+33170000008"}},
			NoneReady:  acd.Door{Rule: acd.Send, To: acd.Target{Voicemail: true}},
			Empty:      acd.Door{Rule: acd.Send, To: acd.Target{Number: "+33170000007"}},
			Closed:     acd.Door{Rule: acd.Send, To: acd.Target{Voicemail: true}},
			Within:     30 * time.Second, ShortAbandon: 3 * time.Second,
			Prefer: 40 * time.Second, LastAgent: acd.Sticky{Within: 7 * 24 * time.Hour, Wait: 25 * time.Second},
			Return: 5 * time.Minute, Rejoin: 35 * time.Second,
			Announce: acd.Announcing{Position: true, Wait: true, First: 15 * time.Second, Every: 90 * time.Second, MaxError: 0.3},
			Callback: acd.Callback{CallerFirst: true, Attempts: 5, Retry: 20 * time.Minute, DialFor: 30 * time.Second},
		}, {
			ID: "sales", Client: "boutik", Strategy: acd.RingAll, AtOnce: 4,
			RingTimeout: 18 * time.Second, MaxOffers: 1, WrapMode: acd.WrapCoded, WrapUp: 20 * time.Second,
			Overflow:   []acd.Overflow{{After: 5 * time.Minute, To: acd.Target{Voicemail: true}}},
			MaxWaiting: 3, Full: acd.Door{Rule: acd.Send, To: acd.Target{Queue: "desk"}}, NoneReady: acd.Door{Rule: acd.Deny},
			Empty:  acd.Door{Rule: acd.Send, To: acd.Target{Voicemail: true}},
			Closed: acd.Door{Rule: acd.Deny},
			Within: 20 * time.Second, ShortAbandon: 5 * time.Second, Rejoin: 20 * time.Second,
		}, {
			// What a queue is that says nothing.
			ID: "desk", Client: "boutik", RingTimeout: 18 * time.Second, MaxOffers: 1,
			Overflow: []acd.Overflow{{After: 5 * time.Minute}},
			Closed:   acd.Door{Rule: acd.Deny},
			Within:   20 * time.Second, ShortAbandon: 5 * time.Second, Rejoin: 20 * time.Second,
		}},
		Agents: []acd.AgentCfg{
			{ID: "ana", Skills: map[string]int{"fr": 5, "sav": 4}, Queues: []acd.QueueID{"sav", "sales"},
				Tiers: map[acd.QueueID]int{"sav": 2}, Capacity: &acd.Capacity{Voice: 1}, ReadyOnRegister: true},
			{ID: "bo", Skills: map[string]int{"fr": 5, "sav": 4}, Queues: []acd.QueueID{"sav", "desk"}},
			{ID: "cleo"},
		},
	}
	compare(t, "floor", reflect.ValueOf(got), reflect.ValueOf(want))
}

// compare says which part of two configurations differs.
func compare(t *testing.T, path string, got, want reflect.Value) {
	t.Helper()
	switch {
	case reflect.DeepEqual(got.Interface(), want.Interface()):
	case got.Kind() == reflect.Struct:
		for i := range got.NumField() {
			compare(t, path+"."+got.Type().Field(i).Name, got.Field(i), want.Field(i))
		}
	case got.Kind() == reflect.Slice && got.Len() == want.Len():
		for i := range got.Len() {
			compare(t, path, got.Index(i), want.Index(i))
		}
	default:
		t.Errorf("%s is %+v, want %+v", path, got, want)
	}
}

// The test above is worth what its configuration says: a field of the floor that
// is left at its zero value there is one nobody has checked.
func TestEveryFieldOfTheFloorIsChecked(t *testing.T) {
	notYet := "Queue.Medium Capacity.Chat Capacity.Mail" // no channel brings these
	set, seen := map[string]bool{}, map[string]bool{}
	var look func(v reflect.Value)
	look = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			look(v.Elem())
		case reflect.Slice:
			for i := range v.Len() {
				look(v.Index(i))
			}
		case reflect.Struct:
			for i := range v.NumField() {
				name := v.Type().Name() + "." + v.Type().Field(i).Name
				seen[name] = true
				if !v.Field(i).IsZero() {
					set[name] = true
					look(v.Field(i))
				}
			}
		}
	}
	look(reflect.ValueOf(planOf(t, everyKey).floor))
	for name := range seen {
		if !set[name] && !strings.Contains(notYet, name) {
			t.Errorf("%s is never set", name)
		}
	}
}

// What the floor is not told, for it says nothing and calls nobody.
func TestWhatAQueueSays(t *testing.T) {
	p := planOf(t, everyKey)
	for cause, want := range map[acd.Cause]string{
		acd.CauseClosed: "welcome", acd.CauseNoAgents: "goodbye", acd.CauseNoneReady: "comfort", acd.CauseFull: "too-long",
		acd.CauseMaxWait: "nobody", acd.CauseHangup: "",
	} {
		if got := p.farewell("sav", cause); got != want {
			t.Errorf("%s: %q, want %q", cause, got, want)
		}
	}
	for cause, want := range map[acd.Cause]string{
		acd.CauseClosed: "closed", acd.CauseNoAgents: "nobody", acd.CauseNoneReady: "nobody", acd.CauseFull: "queue-full",
	} {
		for _, q := range []acd.QueueID{"sales", "desk", "of another plan"} {
			if got := p.farewell(q, cause); got != want {
				t.Errorf("%s, %s: %q, want %q", q, cause, got, want)
			}
		}
	}
	b := p.queues["sav"].callback
	if !p.asksForCallback("sav", '1') || p.asksForCallback("sav", '2') || p.asksForCallback("sales", '1') {
		t.Error("a callback is asked for by 1 in sav, and not at all in sales")
	}
	if p.callable(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), "sav") || !p.callable(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), "sav") {
		t.Error("customers of sav are called back on Monday at noon, not on Sunday")
	}
	if b == nil || b.Prompt != "callback-offer" || p.queues["sales"].callback != nil {
		t.Errorf("callback %+v, and of sales %+v", b, p.queues["sales"].callback)
	}
	d := p.route(time.Now(), "+33170000001", "c1")
	if d.queue != "sav" || d.cause != acd.CauseUnknown || !d.closed {
		t.Errorf("while closed, the number leads to %+v", d)
	}
}

// Every word a queue may use means something to the floor, and no two the same.
func TestTheFloorKnowsEveryWord(t *testing.T) {
	strategies, modes, media := map[acd.Strategy]bool{}, map[acd.WrapMode]bool{}, map[acd.Medium]bool{}
	queue := reflect.TypeFor[config.Queue]()
	wrapUp := reflect.TypeFor[config.WrapUp]()
	words := func(of reflect.Type, field, tag string) []string {
		f, _ := of.FieldByName(field)
		return strings.Fields(f.Tag.Get(tag))
	}
	for _, w := range words(queue, "Strategy", "enum") {
		strategies[word[acd.Strategy](w)] = true
	}
	for _, w := range words(wrapUp, "Mode", "enum") {
		modes[word[acd.WrapMode](w)] = true
	}
	for _, w := range append(words(queue, "Medium", "enum"), words(queue, "Medium", "later")...) {
		media[word[acd.Medium](w)] = true
	}
	if len(strategies) != int(acd.RingProgressively)+1 || len(modes) != int(acd.WrapCoded)+1 || len(media) != int(acd.Mail)+1 {
		t.Errorf("%v, %v, %v", strategies, modes, media)
	}
}
