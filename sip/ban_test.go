package sip

import (
	"net/netip"
	"sync"
	"testing"
	"time"
)

func banned(b *bans, source netip.Addr, now time.Time) bool {
	until, ok := b.until(source)
	return ok && now.Before(until)
}

func TestBan(t *testing.T) {
	policy := BanPolicy{
		Failures: 3, Window: 10 * time.Minute, Duration: time.Hour,
		Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
	}
	t0 := time.Unix(1_800_000_000, 0)
	for _, c := range []struct {
		what   string
		from   string
		fails  []time.Duration // after t0
		begins []bool
		source string
		at     time.Duration
		banned bool
	}{
		{"two are forgiven", "198.51.100.1", []time.Duration{0, 1}, []bool{false, false}, "198.51.100.1", 2, false},
		{"the third bans", "198.51.100.1", []time.Duration{0, 1, 2}, []bool{false, false, true}, "198.51.100.1", 3, true},
		{"further ones are the same ban", "198.51.100.1", []time.Duration{0, 1, 2, 3, 4, 5}, []bool{false, false, true, false, false, false}, "198.51.100.1", 6, true},
		{"the neighbour is not meant", "198.51.100.1", []time.Duration{0, 1, 2}, []bool{false, false, true}, "198.51.100.2", 3, false},
		{"it ends", "198.51.100.1", []time.Duration{0, 0, 0}, []bool{false, false, true}, "198.51.100.1", time.Hour, false},
		{"mapped is the same", "::ffff:198.51.100.1", []time.Duration{0, 1, 2}, []bool{false, false, true}, "198.51.100.1", 3, true},
		{"a window slides", "198.51.100.1", []time.Duration{0, 9 * time.Minute, 11 * time.Minute, 12 * time.Minute}, []bool{false, false, false, true}, "198.51.100.1", 12 * time.Minute, true},
		{"slow mistakes are forgiven", "198.51.100.1", []time.Duration{0, 6 * time.Minute, 12 * time.Minute, 18 * time.Minute}, []bool{false, false, false, false}, "198.51.100.1", 18 * time.Minute, false},
		{"allowed", "192.0.2.9", []time.Duration{0, 1, 2}, []bool{false, false, false}, "192.0.2.9", 3, false},
		{"allowed, mapped", "::ffff:192.0.2.9", []time.Duration{0, 1, 2}, []bool{false, false, false}, "192.0.2.9", 3, false},
		{"IPv6 by its /64", "2001:db8::1", []time.Duration{0, 1, 2}, []bool{false, false, true}, "2001:db8::ffff:2", 3, true},
		{"not the next /64", "2001:db8::1", []time.Duration{0, 1, 2}, []bool{false, false, true}, "2001:db8:0:1::1", 3, false},
		{"a zone is no disguise", "fe80::1%eth0", []time.Duration{0, 1, 2}, []bool{false, false, true}, "fe80::1%eth1", 3, true},
	} {
		b := newBans(policy)
		for i, after := range c.fails {
			if got := b.fail(netip.MustParseAddr(c.from), t0.Add(after)); got != c.begins[i] {
				t.Errorf("%s: failure %d begins a ban: %v", c.what, i, got)
			}
		}
		if got := banned(b, netip.MustParseAddr(c.source), t0.Add(c.at)); got != c.banned {
			t.Errorf("%s: banned %v", c.what, got)
		}
	}
}

func TestNobodyIsBannedWithoutPolicy(t *testing.T) {
	b := newBans(BanPolicy{})
	a := netip.MustParseAddr("198.51.100.1")
	for range 1000 {
		b.fail(a, time.Unix(1, 0))
	}
	if banned(b, a, time.Unix(1, 0)) || b.count(time.Unix(1, 0)) != 0 {
		t.Error("banned")
	}
}

// More sources than are remembered: memory stays, the latest are banned, and a
// source that fails on is caught in the end however many fail beside it.
func TestBansAreBounded(t *testing.T) {
	b := newBans(BanPolicy{Failures: 2})
	now := time.Unix(1_800_000_000, 0)
	at := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}) }
	for i := range banKept + 100 {
		now = now.Add(time.Millisecond)
		b.fail(at(i), now)
		if !b.fail(at(i), now) {
			t.Fatalf("source %d not banned", i)
		}
	}
	if n := b.count(now); n != banKept {
		t.Errorf("%d bans kept", n)
	}
	if !banned(b, at(banKept+99), now) || banned(b, at(0), now) {
		t.Error("the oldest ban should make room for the latest")
	}
}

// A place among the watched that changes hands does not hand on old failures.
func TestSuspectsAreNotMixedUp(t *testing.T) {
	b := newBans(BanPolicy{Failures: 2, Duration: time.Minute, Window: time.Hour})
	now := time.Unix(1_800_000_000, 0)
	for i := range 5 * banWatched {
		now = now.Add(time.Millisecond)
		if b.fail(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), now) {
			t.Fatalf("source %d banned for its first failure", i)
		}
	}
	a := netip.MustParseAddr("198.51.100.1")
	b.fail(a, now)
	if !b.fail(a, now) {
		t.Fatal("not banned")
	}
	if b.fail(a, now.Add(2*time.Minute)) {
		t.Error("banned again for one failure after the ban was over")
	}
}

func TestBansFromManyGoroutines(t *testing.T) {
	b := newBans(BanPolicy{Failures: 4})
	now := time.Unix(1_800_000_000, 0)
	var begun [8]int
	var all sync.WaitGroup
	for g := range begun {
		all.Go(func() {
			for i := range 1000 {
				a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
				banned(b, a, now)
				if b.fail(a, now) {
					begun[g]++
				}
			}
		})
	}
	all.Wait()
	sum := 0
	for _, n := range begun {
		sum += n
	}
	if sum != 256 || b.count(now) != 256 {
		t.Errorf("%d bans begun, %d in force, of 256 sources", sum, b.count(now))
	}
}

func BenchmarkBanned(b *testing.B) {
	list := newBans(BanPolicy{Failures: 1})
	now := time.Unix(1_800_000_000, 0)
	a := netip.MustParseAddr("198.51.100.1")
	b.Run("nobody", func(b *testing.B) {
		for b.Loop() {
			list.until(a)
		}
	})
	for i := range 1000 {
		list.fail(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), now)
	}
	b.Run("1000 others", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			list.until(a)
		}
	})
}
