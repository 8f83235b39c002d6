package main

import (
	"strings"
	"testing"
	"time"

	"foyer/loadtest"
)

func TestTableLinesUpAndPlacesPeers(t *testing.T) {
	b := &bench{}
	b.table.add("media/200", "200 recorded calls: CPU a call", "ms/s", "0.80")
	b.beside("200 recorded calls: CPU a call", "rtpengine relay 1.62", "media/200")
	b.beside("new", "only beside", "lost")
	var out strings.Builder
	b.table.print(&out)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 5 || !strings.Contains(lines[4], "November 2026") {
		t.Fatalf("\n%s", out.String())
	}
	for _, want := range []string{"0.80", "rtpengine relay 1.62", "5.0-5.8", "4.8-5.1", "0.9"} {
		if !strings.Contains(lines[2], want) {
			t.Errorf("no %q in %q", want, lines[2])
		}
	}
	if strings.Index(lines[0], "Foyer") != strings.Index(lines[2], "0.80") {
		t.Errorf("columns do not line up\n%s", out.String())
	}
}

func TestBencodedFindsItsKey(t *testing.T) {
	body := "d3:sdp5:v=0\r\n6:result2:oke"
	if got := bencoded(body, "sdp"); got != "v=0\r\n" {
		t.Errorf("sdp %q", got)
	}
	if got := bencoded(body, "result"); got != "ok" {
		t.Errorf("result %q", got)
	}
	for _, broken := range []string{"", "d3:sdp9:v=0e", "d3:sdpx"} {
		if got := bencoded(broken, "sdp"); got != "" {
			t.Errorf("%q gave %q", broken, got)
		}
	}
}

func TestCleanIsStrict(t *testing.T) {
	good := loadtest.Result{Status: loadtest.Status{Started: 10, Answered: 10}}
	if !clean(good) {
		t.Error("a clean run was refused")
	}
	for name, spoil := range map[string]func(*loadtest.Result){
		"unanswered": func(r *loadtest.Result) { r.Answered = 9 },
		"slow":       func(r *loadtest.Result) { r.Offer.P99 = 2 * time.Second },
		"queued":     func(r *loadtest.Result) { r.Wait.P99 = 2 * time.Second },
		"repeated":   func(r *loadtest.Result) { r.Resent = 1 },
	} {
		r := good
		spoil(&r)
		if clean(r) {
			t.Errorf("%s: called clean", name)
		}
	}
}

func TestOptionsAreBounded(t *testing.T) {
	for _, bad := range []string{"0", "x", "50,,", "99999"} {
		if (&bench{}).settle(bad, 0, "") == nil {
			t.Errorf("-calls %q was accepted", bad)
		}
	}
	b := &bench{short: true}
	if err := b.settle("", 0, "media, queue"); err != nil || len(b.calls) != 1 || !b.wants("queue") || b.wants("peers") {
		t.Errorf("%+v, %v", b, err)
	}
}

func TestTrendTellsGrowthFromNoise(t *testing.T) {
	g := gauge{share: 0.05, slack: 10}
	for name, c := range map[string]struct {
		value func(i int) float64
		flat  bool
	}{
		"flat":             {func(int) float64 { return 1000 }, true},
		"falls":            {func(i int) float64 { return 1000 - 5*float64(i) }, true},
		"swings":           {func(i int) float64 { return 1000 + 200*float64(i%2) }, true},
		"a leak of 1 in 1": {func(i int) float64 { return 1000 + float64(i) }, false},
		"a slow rise":      {func(i int) float64 { return 1000 + 0.4*float64(i) }, true},
	} {
		var times, values []float64
		for i := range 100 {
			times, values = append(times, float64(5*i)), append(values, c.value(i))
		}
		if from, to, flat := g.judge(times, values); flat != c.flat {
			t.Errorf("%s: from %.1f to %.1f called flat: %v", name, from, to, flat)
		}
	}
	if _, _, flat := g.judge([]float64{1}, []float64{1}); flat {
		t.Error("one sample is no trend")
	}
}
