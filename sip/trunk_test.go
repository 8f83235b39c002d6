package sip

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
)

func prefixes(s ...string) (list []netip.Prefix) {
	for _, p := range s {
		list = append(list, netip.MustParsePrefix(p))
	}
	return list
}

func TestTrunkOfSource(t *testing.T) {
	list := newTrunks([]Trunk{
		{ID: "wide", Allow: prefixes("198.51.0.0/16")},
		{ID: "narrow", Allow: prefixes("203.0.113.0/24", "198.51.100.0/24")},
		{ID: "widest", Allow: prefixes("198.0.0.0/8")},
		{ID: "six", Allow: prefixes("2001:db8::/32")},
	})
	for source, want := range map[string]string{
		"198.51.1.1":          "wide",
		"198.51.100.9":        "narrow",
		"::ffff:198.51.100.9": "narrow",
		"203.0.113.255":       "narrow",
		"198.1.1.1":           "widest",
		"203.0.114.0":         "",
		"2001:db8:1::1":       "six",
		"2001:db9::1":         "",
		"::ffff:192.0.2.1":    "",
		"::c633:6409":         "", // the bits of 198.51.100.9, but IPv6
	} {
		got := ""
		if l := list.of(netip.MustParseAddr(source), ""); l != nil {
			got = l.ID
		}
		if got != want {
			t.Errorf("%s: trunk %q", source, got)
		}
	}
	if newTrunks(nil).of(netip.MustParseAddr("198.51.1.1"), "") != nil {
		t.Error("a trunk from nowhere")
	}
}

func TestTrunkChannels(t *testing.T) {
	list := newTrunks([]Trunk{{ID: "a", Allow: prefixes("10.0.0.0/8"), MaxCalls: 2}})
	from := netip.MustParseAddr("10.0.0.1")
	take := func() (func(), error) {
		l := list.of(from, "")
		return l.acquire()
	}
	first, err := take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err = take(); err != nil {
		t.Fatal(err)
	}
	_, err = take()
	var full *TrunkFull
	if !errors.As(err, &full) || full.Trunk != "a" || full.Max != 2 {
		t.Fatalf("third call: %v", err)
	}
	first()
	first()
	if n := list.inUse()["a"]; n != 1 {
		t.Errorf("%d channels in use after one was given back twice", n)
	}
	// Reload: what is up stays counted, the new limit holds from now on.
	list.set([]Trunk{{ID: "a", Allow: prefixes("10.0.0.0/8"), MaxCalls: 1}, {ID: "b"}})
	if _, err = take(); err == nil {
		t.Error("a call beyond the new limit")
	}
	list.set([]Trunk{{ID: "a", Allow: prefixes("10.0.0.0/8")}})
	for range 100 {
		if _, err = take(); err != nil {
			t.Fatal("without a limit:", err)
		}
	}
}

func TestTrunkChannelsFromManyGoroutines(t *testing.T) {
	const limit = 5
	list := newTrunks([]Trunk{{ID: "a", Allow: prefixes("10.0.0.0/8"), MaxCalls: limit}})
	var up, most, refused atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 2000 {
				l := list.of(netip.MustParseAddr("10.0.0.1"), "")
				release, err := l.acquire()
				if err != nil {
					refused.Add(1)
					continue
				}
				n := up.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				up.Add(-1)
				release()
			}
		})
	}
	all.Wait()
	if most.Load() > limit {
		t.Errorf("%d calls up of %d allowed", most.Load(), limit)
	}
	if n := list.inUse()["a"]; n != 0 {
		t.Errorf("%d channels in use in the end", n)
	}
}
