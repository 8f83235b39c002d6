package main

import (
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"foyer/cmd/foyer/keeper"
)

// A message after which the switch dies is answered three times, and then no more.
// Others are.
func TestPoisonIsNotListenedTo(t *testing.T) {
	t.Parallel()
	file, sip, web := smallest(t, t.TempDir())
	l := startKept(t, file, sip, web)
	for n := 1; n <= poisonDeaths; n++ {
		pid := l.servesAgain(n).PID
		answered(t, carrierAsks(t, "udp", sip, "poison"), "poison")
		dies(t, pid)
	}
	l.servesAgain(poisonDeaths + 1)
	l.until("the call is named", func() bool {
		return strings.Contains(l.log.String(), "a call kills the switch: it is not listened to") && strings.Contains(l.log.String(), `"sip_call_id":"poison"`)
	})
	poison := carrierAsks(t, "udp", sip, "poison")
	answered(t, carrierAsks(t, "udp", sip, "fine"), "fine")
	_ = poison.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := poison.Read(make([]byte, 100)); err == nil {
		t.Errorf("answered after %d deaths: %d bytes", poisonDeaths, n)
	}
	l.until("it is counted", func() bool {
		metrics, _ := l.get("/metrics")
		return strings.Contains(metrics, "\nfoyer_sip_poison_dropped_total 1\n")
	})
	if code := l.kill(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, l.log)
	}
}

func newPoison(t *testing.T, m *keeper.Memory, ring []byte) *poison {
	t.Helper()
	p := &poison{log: zap.NewNop(), memory: m, ring: ring}
	p.barred.Store(&map[string]time.Time{})
	return p
}

// Who happens to speak at some deaths, or at many in a long time, is no poison.
func TestBystandersAreListenedTo(t *testing.T) {
	m, err := keeper.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	from := netip.MustParseAddrPort("192.0.2.1:5060")
	now := time.Now()
	ring := make([]byte, poisonSlots*poisonSlot)
	for death := range 12 {
		p := newPoison(t, m, ring)
		p.conclude(now.Add(time.Duration(death) * 25 * time.Second)) // three within a minute at most
		for n := range 2 * poisonSlots {
			if !p.read(fmt.Sprint("call", n, "of", death), from) {
				t.Fatalf("death %d: call %d is barred", death, n)
			}
		}
		if death%4 == 0 && !p.read("always-there-but-rarely", from) {
			t.Fatalf("death %d: barred", death)
		}
	}
	if p := newPoison(t, m, nil); !p.read("", from) {
		t.Error("a message without a Call-ID is barred")
	}
}

// Neither a long Call-ID nor one with slashes gets round it.
func TestPoisonOfAnyName(t *testing.T) {
	m, err := keeper.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ring, from := make([]byte, poisonSlots*poisonSlot), netip.MustParseAddrPort("[2001:db8::1]:65535")
	names := []string{"short", "a/b/c@h", strings.Repeat("long", 200)}
	now := time.Now()
	for death := range poisonDeaths {
		p := newPoison(t, m, ring)
		p.conclude(now.Add(time.Duration(death) * time.Second))
		for _, name := range names {
			if !p.read(name, from) {
				t.Fatalf("%.20s is barred after %d deaths", name, death)
			}
		}
	}
	p := newPoison(t, m, ring)
	p.conclude(now.Add(poisonDeaths * time.Second))
	for _, name := range names {
		if p.read(name, from) || !p.bars("leg/"+name+"/tag", "leg/") {
			t.Errorf("%.20s is listened to", name)
		}
	}
	if !p.read("other", from) || p.bars("leg/other/tag", "leg/") || p.bars("leg/", "leg/") {
		t.Error("another is barred too")
	}
	late := newPoison(t, m, ring)
	late.conclude(now.Add(poisonFor + time.Minute))
	if !late.read("short", from) {
		t.Error("barred for ever")
	}
}

// A call that kills the process by being taken up is let go at the third time, and
// no other is.
func TestCallThatCannotBeTakenUpIsLetGo(t *testing.T) {
	m, err := keeper.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ex := &exchange{log: zap.NewNop()}
	ex.memory = m
	for life := range 5 {
		past, died := ex.pastRevivals(), false
		for _, key := range []string{"call/a", "call/bad", "call/c"} {
			taken := ex.begins(past, key)
			if want := key != "call/bad" || life < revivalsMax; taken != want {
				t.Fatalf("life %d: %s is taken up: %v", life, key, taken)
			}
			if taken && key == "call/bad" {
				died = true
				break
			}
		}
		if !died {
			ex.begins(past, "")
			m.Delete("call/bad")
			if next := ex.pastRevivals(); next.Deaths != 0 {
				t.Fatalf("%+v after a life that took all up", next)
			}
			return
		}
	}
	t.Fatal("it was never let go")
}

func TestSwitchThatDiesAgainAndAgainBeginsWithout(t *testing.T) {
	m, err := keeper.NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ex := &exchange{log: zap.NewNop()}
	ex.memory = m
	now := time.Now()
	for n := range 40 {
		if ex.tooManyLives(now.Add(time.Duration(n) * 2 * time.Second)) {
			t.Fatal("given up though each life served")
		}
	}
	for n := range livesMax {
		if got, want := ex.tooManyLives(now.Add(time.Hour+time.Duration(n)*100*time.Millisecond)), n == livesMax-1; got != want {
			t.Fatalf("death %d: %v", n, got)
		}
	}
}
