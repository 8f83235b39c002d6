package acd

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// From the tables of the Bureau des longitudes.
func TestEaster(t *testing.T) {
	for year, want := range map[int]string{
		1818: "1818-03-22", 1886: "1886-04-25", 1943: "1943-04-25", 1954: "1954-04-18",
		1981: "1981-04-19", 2000: "2000-04-23", 2008: "2008-03-23", 2011: "2011-04-24",
		2016: "2016-03-27", 2019: "2019-04-21", 2023: "2023-04-09", 2024: "2024-03-31",
		2025: "2025-04-20", 2026: "2026-04-05", 2027: "2027-03-28", 2028: "2028-04-16",
		2029: "2029-04-01", 2030: "2030-04-21", 2038: "2038-04-25", 2049: "2049-04-18",
	} {
		if got := Easter(year).String(); got != want {
			t.Errorf("Easter %d is %s, want %s", year, got, want)
		}
	}
}

func TestEasterIsASundayOfSpring(t *testing.T) {
	for year := 1583; year < 4000; year++ {
		e := Easter(year)
		day := time.Date(e.Year, e.Month, e.Day, 0, 0, 0, 0, time.UTC)
		first := time.Date(year, time.March, 22, 0, 0, 0, 0, time.UTC)
		last := time.Date(year, time.April, 25, 0, 0, 0, 0, time.UTC)
		if day.Weekday() != time.Sunday || day.Before(first) || day.After(last) {
			t.Fatalf("Easter %d is %s, a %s", year, e, day.Weekday())
		}
	}
}

func TestFrenchHolidaysOf2026(t *testing.T) {
	metropole := map[string]bool{
		"2026-01-01": true, "2026-04-06": true, "2026-05-01": true, "2026-05-08": true,
		"2026-05-14": true, "2026-05-25": true, "2026-07-14": true, "2026-08-15": true,
		"2026-11-01": true, "2026-11-11": true, "2026-12-25": true,
	}
	alsace := map[string]bool{"2026-04-03": true, "2026-12-26": true}
	for d := (Date{2026, time.January, 1}); d.Year == 2026; d = d.plus(1) {
		if got := (Holidays{Country: "FR", Region: "metropole"}).On(d); got != metropole[d.String()] {
			t.Errorf("métropole, %s: %v", d, got)
		}
		if got := (Holidays{Country: "FR", Region: "alsace-moselle"}).On(d); got != (metropole[d.String()] || alsace[d.String()]) {
			t.Errorf("Alsace-Moselle, %s: %v", d, got)
		}
		if (Holidays{}).On(d) {
			t.Errorf("no country, %s: a holiday", d)
		}
	}
}

const office = `{
	"weekly": [null, ["08:00-12:00","13:00-19:00"], ["08:00-19:00"], ["08:00-19:00"], ["08:00-19:00"], ["08:00-19:00"], ["09:00-13:00"]],
	"holidays": {"country": "FR", "region": "metropole"},
	"exceptions": [{"date": "2026-12-24", "hours": ["08:00-16:00"]}, {"date": "2026-05-01", "hours": ["10:00-11:00"]}, {"date": "2026-06-02"}]
}`

func paris(t *testing.T) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("Europe/Paris")
	if err != nil {
		t.Skip("no time zones on this machine: ", err)
	}
	return zone
}

func officeRoutes(t *testing.T) *Routes {
	t.Helper()
	var c Calendar
	if err := json.Unmarshal([]byte(office), &c); err != nil {
		t.Fatal(err)
	}
	r := &Routes{Location: paris(t), Calendars: map[string]Calendar{"office": c, "never": {}}}
	r.SetQueue("sales", "office", Target{})
	r.SetQueue("help", "office", Target{Queue: "night"})
	r.SetQueue("night", "", Target{})
	r.SetQueue("ping", "never", Target{Queue: "pong"})
	r.SetQueue("pong", "never", Target{Queue: "ping"})
	r.SetQueue("lost", "nonesuch", Target{})
	r.SetQueue("box", "office", Target{Voicemail: true})
	r.SetQueue("far", "never", Target{Queue: "box"})
	r.SetQueue("abroad", "never", Target{Number: "+3312345678"})
	for number, q := range map[string]QueueID{"+331": "sales", "+332": "help", "+333": "ping", "+334": "lost", "+335": "gone", "+336": "box", "+337": "far", "+338": "abroad"} {
		r.SetNumber(number, q)
	}
	return r
}

func TestRoute(t *testing.T) {
	r := officeRoutes(t)
	for _, c := range []struct {
		name, at, number string
		want             Route
	}{
		{"a working day", "2026-06-03T10:00:00+02:00", "+331", Route{Queue: "sales"}},
		{"the first second", "2026-06-03T08:00:00+02:00", "+331", Route{Queue: "sales"}},
		{"a second before", "2026-06-03T07:59:59+02:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"the last second", "2026-06-03T18:59:59+02:00", "+331", Route{Queue: "sales"}},
		{"closing time", "2026-06-03T19:00:00+02:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"the Monday lunch", "2026-06-01T12:30:00+02:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"Saturday morning", "2026-06-06T09:30:00+02:00", "+331", Route{Queue: "sales"}},
		{"Sunday", "2026-06-07T10:00:00+02:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"Whit Monday", "2026-05-25T10:00:00+02:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"a holiday with hours of its own", "2026-05-01T10:30:00+02:00", "+331", Route{Queue: "sales"}},
		{"a day closed by exception", "2026-06-02T10:00:00+02:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"Christmas Eve, early close", "2026-12-24T16:30:00+01:00", "+331", Route{Queue: "sales", Cause: CauseClosed}},
		{"winter time, in UTC", "2026-01-05T07:00:00Z", "+331", Route{Queue: "sales"}},
		{"summer time, in UTC", "2026-06-03T06:00:00Z", "+331", Route{Queue: "sales"}},
		{"the morning after the clocks changed", "2026-03-30T06:30:00Z", "+331", Route{Queue: "sales"}},
		{"another takes its calls", "2026-06-07T10:00:00+02:00", "+332", Route{Queue: "night", Via: "help"}},
		{"closed queues that lead to each other", "2026-06-03T10:00:00+02:00", "+333", Route{Queue: "ping", Cause: CauseClosed}},
		{"a calendar nobody knows", "2026-06-03T10:00:00+02:00", "+334", Route{Queue: "lost", Cause: CauseClosed}},
		{"a queue nobody knows", "2026-06-03T10:00:00+02:00", "+335", Route{Queue: "gone", Cause: CauseClosed}},
		{"voicemail takes its calls", "2026-06-07T10:00:00+02:00", "+336", Route{Queue: "box", Cause: CauseClosed, To: Target{Voicemail: true}}},
		{"voicemail, but open", "2026-06-03T10:00:00+02:00", "+336", Route{Queue: "box"}},
		{"the voicemail of another", "2026-06-07T10:00:00+02:00", "+337", Route{Queue: "box", Cause: CauseClosed, Via: "far", To: Target{Voicemail: true}}},
		{"a number takes its calls", "2026-06-07T10:00:00+02:00", "+338", Route{Queue: "abroad", Cause: CauseClosed, To: Target{Number: "+3312345678"}}},
		{"a number nobody knows", "2026-06-03T10:00:00+02:00", "+339", Route{Cause: CauseNumberUnknown}},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Route(at, c.number); got != c.want {
			t.Errorf("%s: %s at %s leads to %+v, want %+v", c.name, c.number, c.at, got, c.want)
		}
	}
}

func TestCalendarSurvivesJSON(t *testing.T) {
	var first, second Calendar
	if err := json.Unmarshal([]byte(office), &first); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &second); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(second)
	if err != nil || string(again) != string(text) {
		t.Errorf("%s became %s (%v)", text, again, err)
	}
}

func TestHoursAndDatesAreReadStrictly(t *testing.T) {
	var s Span
	for _, bad := range []string{"", "8:00-19:00", "08:00", "19:00-08:00", "08:00-08:00", "08:00-24:01", "08:60-09:00", "08:00-19:00 "} {
		if s.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("took the hours %q as %s", bad, s)
		}
	}
	var d Date
	for _, bad := range []string{"", "2026-02-30", "24/12/2026", "2026-1-1"} {
		if d.UnmarshalText([]byte(bad)) == nil {
			t.Errorf("took the date %q as %s", bad, d)
		}
	}
}

func FuzzSpan(f *testing.F) {
	for _, s := range []string{"00:00-24:00", "08:00-19:00", "99:99-00:00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var s Span
		if s.UnmarshalText([]byte(text)) == nil && s.String() != text {
			t.Errorf("%q reads as %s", text, s)
		}
	})
}

func TestWordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Uint8().Draw(t, "value")
		in := struct {
			K Kind
			C Cause
			P Party
			A AgentState
			S CallState
			N NoAnswer
			D DoorRule
			M Medium
			R Strategy
			W WrapMode
		}{Kind(n), Cause(n), Party(n), AgentState(n), CallState(n), NoAnswer(n), DoorRule(n), Medium(n), Strategy(n), WrapMode(n)}
		out := in
		text, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &out); err != nil || in != out {
			t.Fatalf("%s became %+v: %v", text, out, err)
		}
	})
	var c Cause
	if c.UnmarshalText([]byte("weather")) == nil {
		t.Error("took weather for a cause")
	}
}
