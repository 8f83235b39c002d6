package sip

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const homeFlow = "UDP 203.0.113.7:5060"

func TestNonceIsGoodForItsFlowAndMinute(t *testing.T) {
	n := freshNonces(nil)
	t0 := time.UnixMilli(1_800_000_000_000)
	nonce := n.issue(t0, homeFlow)
	for _, c := range []struct {
		what, nonce, flow string
		after             time.Duration
		ok                bool
	}{
		{"at once", nonce, homeFlow, 0, true},
		{"at the end of its life", nonce, homeFlow, nonceLife, true},
		{"too late", nonce, homeFlow, nonceLife + time.Millisecond, false},
		{"before it was issued", nonce, homeFlow, -time.Millisecond, false},
		{"another port", nonce, "UDP 203.0.113.7:5061", 0, false},
		{"another address", nonce, "UDP 203.0.113.8:5060", 0, false},
		{"another transport", nonce, "TCP 203.0.113.7:5060", 0, false},
		{"one letter off", strings.ToLower(nonce[:1]) + strings.ToUpper(nonce[1:2]) + "-" + nonce[3:], homeFlow, 0, false},
		{"cut short", nonce[:nonceLength-1], homeFlow, 0, false},
		{"longer", nonce + "A", homeFlow, 0, false},
		{"no base64", strings.Repeat("?", nonceLength), homeFlow, 0, false},
		{"empty", "", homeFlow, 0, false},
		{"of another process", freshNonces(nil).issue(t0, homeFlow), homeFlow, 0, false},
	} {
		if _, ok := n.open(t0.Add(c.after), c.nonce, c.flow); ok != c.ok {
			t.Errorf("%s: %v", c.what, ok)
		}
	}
	if n.issue(t0, homeFlow) == nonce {
		t.Error("two nonces are the same")
	}
}

// The window against a set of everything ever used.
func TestCountsAreUsedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := &uses{}
		used := map[uint32]bool{}
		highest := uint32(0)
		now := time.UnixMilli(1_800_000_000_000)
		for range rapid.IntRange(1, 200).Draw(t, "uses") {
			count := rapid.OneOf(rapid.Uint32Range(0, 300), rapid.Uint32()).Draw(t, "count")
			got := u.admit(now, nonceUse{issued: now.UnixMilli(), serial: 7, count: count})
			want := count != 0 && !used[count] && (count > highest || highest-count < 64)
			if got != want {
				t.Fatalf("count %d after %d: %v", count, highest, got)
			}
			if got {
				used[count] = true
				highest = max(highest, count)
			}
		}
	})
}

// However many nonces crowd one set of the table, none of their uses is let
// through twice.
func TestForgettingIsNoReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := &uses{}
		type key struct {
			serial uint64
			count  uint32
		}
		used := map[key]bool{}
		now := time.UnixMilli(1_800_000_000_000)
		issued := map[uint64]int64{}
		for range rapid.IntRange(1, 300).Draw(t, "uses") {
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			k := key{rapid.Uint64Range(0, 12).Draw(t, "nonce") * usesSets, rapid.Uint32Range(1, 3).Draw(t, "count")}
			at, ok := issued[k.serial]
			if !ok {
				at = now.UnixMilli()
				issued[k.serial] = at
			}
			if now.UnixMilli()-at > nonceLife.Milliseconds() {
				continue // open would have refused it
			}
			if u.admit(now, nonceUse{issued: at, serial: k.serial, count: k.count}) {
				if used[k] {
					t.Fatalf("replay of %+v", k)
				}
				used[k] = true
			}
		}
	})
}

func TestQuietSetAdmitsEveryPhone(t *testing.T) {
	u := &uses{}
	now := time.UnixMilli(1_800_000_000_000)
	for i := range uint64(10 * usesWays) {
		if !u.admit(now, nonceUse{issued: now.UnixMilli(), serial: i * usesSets, count: 1}) {
			t.Fatalf("nonce %d refused", i)
		}
		now = now.Add(nonceLife/usesWays + time.Millisecond)
	}
}

func BenchmarkNonce(b *testing.B) {
	n := freshNonces(nil)
	now := time.Now()
	b.Run("issue", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n.issue(now, homeFlow)
		}
	})
	b.Run("open", func(b *testing.B) {
		nonce := n.issue(now, homeFlow)
		b.ReportAllocs()
		for b.Loop() {
			n.open(now, nonce, homeFlow)
		}
	})
}

// freshNonces are nonces of a process that could keep what it has to.
func freshNonces(k Keep) *nonces {
	n, err := newNonces(k)
	if err != nil {
		panic(err)
	}
	return n
}

// The next process accepts what nobody can have used: nothing older than the youngest
// nonce that was used, whatever its count.
func TestNoncesAfterARestart(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_000)
	proves := func(n *nonces, nonce string, count uint32) bool {
		t.Helper()
		use, ok := n.open(at, nonce, homeFlow)
		if !ok {
			t.Fatal("a nonce of ours is not known")
		}
		use.count = count
		return n.uses.admit(at, use)
	}
	k := newMemory()
	n := freshNonces(k)
	old := n.issue(at, homeFlow)
	at = at.Add(time.Millisecond)
	used := n.issue(at, homeFlow)
	at = at.Add(time.Millisecond)
	unused := n.issue(at, homeFlow)
	if !proves(n, used, 1) {
		t.Fatal("refused at once")
	}
	for life := range 2 {
		k = k.next()
		n = freshNonces(k)
		for _, x := range []struct {
			what, nonce string
			count       uint32
		}{{"used", used, 1}, {"used, another count", used, 2}, {"older than it", old, 1}} {
			if proves(n, x.nonce, x.count) {
				t.Errorf("life %d: accepted: %s", life, x.what)
			}
		}
		at = at.Add(time.Millisecond)
		if mine := n.issue(at, homeFlow); life == 0 && (!proves(n, unused, 1) || proves(n, unused, 1)) || !proves(n, mine, 1) || !proves(n, mine, 2) {
			t.Errorf("life %d: what was not used before is not good exactly once", life)
		}
		if proves(n, unused, 1) {
			t.Errorf("life %d: accepted twice", life)
		}
	}
	full := newMemory()
	n = freshNonces(full)
	full.full = errFull
	if proves(n, n.issue(at, homeFlow), 1) {
		t.Error("accepted although the next process will not know")
	}
}
