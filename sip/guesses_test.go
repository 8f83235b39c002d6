package sip

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGuessesAreSlowed(t *testing.T) {
	one, other := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")
	g := newGuesses(GuessPolicy{After: 3, Longest: 8 * time.Second})
	now := monday
	for i, wait := range []time.Duration{0, 0, 1, 2, 4, 8, 8, 8} {
		if g.waiting("ana", one, now) {
			t.Fatalf("failure %d: waits before it", i+1)
		}
		g.fail("ana", one, now)
		end := now.Add(wait * time.Second)
		if wait > 0 && !g.waiting("ana", one, end.Add(-time.Millisecond)) {
			t.Errorf("failure %d: no wait of %d s", i+1, wait)
		}
		if g.waiting("ana", one, end) {
			t.Errorf("failure %d: more than %d s", i+1, wait)
		}
		for _, free := range []struct {
			user   string
			source netip.Addr
		}{{"ana", other}, {"bo", one}} {
			if g.waiting(free.user, free.source, now) {
				t.Errorf("failure %d: %s from %s has to wait, and has done nothing", i+1, free.user, free.source)
			}
		}
		now = end
	}
	// The account is slow for whoever fails next, wherever they are.
	g.fail("ana", other, now)
	if !g.waiting("ana", other, now.Add(7*time.Second)) {
		t.Error("a second source begins anew")
	}
	g.right("ana", other, now)
	if g.waiting("ana", other, now) {
		t.Error("whoever got it right waits")
	}
	now = now.Add(guessWindow + time.Second)
	g.fail("ana", one, now)
	if g.waiting("ana", one, now) {
		t.Error("old failures are not forgotten")
	}
}

func TestGuessesRaiseOneAlarmAnHour(t *testing.T) {
	g := newGuesses(GuessPolicy{Alarm: 100})
	alarms := 0
	for i := range 720 { // three hours of one every fifteen seconds
		if g.fail(fmt.Sprint("user", i%50), v4(uint32(i)), monday.Add(time.Duration(i)*15*time.Second)) {
			alarms++
		}
	}
	if alarms != 3 {
		t.Errorf("%d alarms in three hours", alarms)
	}
}

// Whoever guesses, from however many places, ana's own phone goes on, and she can
// come from a new place at once; while a guesser who has to wait is refused the
// right password too, in the same words.
func TestAttackerCannotLockTheAgentOut(t *testing.T) {
	d := newDesk(t, func(o *RegistrarOptions) { o.Ban = BanPolicy{}; o.Guess = GuessPolicy{After: 2} })
	own := softphone{password: "pw-ana", source: "203.0.113.7:5060", cseq: 1}
	if res := d.signsIn(own); res.StatusCode != 200 {
		t.Fatal(res)
	}
	for i := range 60 {
		d.signsIn(softphone{password: "guess", source: fmt.Sprintf("198.51.100.%d:5060", i%20), cseq: 10 + i})
	}
	// The same router as ana's phone, too: a guest in her home.
	d.signsIn(softphone{password: "guess", source: "203.0.113.7:6666", cseq: 200})
	wrong := d.signsIn(softphone{password: "guess", source: "198.51.100.9:5060", cseq: 300})
	right := d.signsIn(softphone{password: "pw-ana", source: "198.51.100.9:5060", cseq: 310})
	if right.StatusCode != 401 || len(right.Headers()) != len(wrong.Headers()) {
		t.Errorf("a guesser who must wait learns that he is right:\n%s", right)
	}
	if _, again := challenged(t, right); again {
		t.Error("he is told to try again")
	}
	for _, from := range []string{"203.0.113.7:5060", "192.0.2.99:5060"} {
		own.source, own.cseq = from, own.cseq+1000
		if res := d.signsIn(own); res.StatusCode != 200 {
			t.Errorf("ana from %s:\n%s", from, res)
		}
	}
	if got := fmt.Sprint(d.why); !strings.Contains(got, "delayed") {
		t.Errorf("counted %s", got)
	}
	d.wait(2 * time.Minute)
	if res := d.signsIn(softphone{password: "pw-ana", source: "198.51.100.9:5060", cseq: 5000}); res.StatusCode != 200 {
		t.Errorf("once the wait is over:\n%s", res)
	}
}

// kolmogorov is the chance that two samples as different as these are of one
// distribution (two-sample Kolmogorov-Smirnov, asymptotic).
func kolmogorov(a, b []float64) float64 {
	slices.Sort(a)
	slices.Sort(b)
	most, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] <= x {
			i++
		}
		for j < len(b) && b[j] <= x {
			j++
		}
		most = max(most, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	lambda, p := (n+0.12+0.11/n)*most, 0.0
	for k := 1; k <= 100; k++ {
		p += 2 * math.Pow(-1, float64(k-1)) * math.Exp(-2*lambda*lambda*float64(k*k))
	}
	return min(max(p, 0), 1)
}

// The measure itself must see what it is for.
func TestKolmogorovSeesAShift(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 2))
	sample := func(shift float64) []float64 {
		s := make([]float64, 500)
		for i := range s {
			s[i] = 100 + shift + 10*dice.ExpFloat64()
		}
		return s
	}
	if p := kolmogorov(sample(0), sample(0)); p < 0.01 {
		t.Errorf("the same twice: p = %g", p)
	}
	if p := kolmogorov(sample(0), sample(2)); p > 0.01 {
		t.Errorf("2 of 110 later: p = %g", p)
	}
}

// How long an answer takes does not say whether a user exists: neither the
// challenge nor the refusal of a password. Pairs are asked in turn, in changing
// order, so that whatever else the machine does meets both alike. Noise alone
// fails a round once in a hundred: only three rounds in a row count, one in a
// million; a real difference fails all three.
func TestUsersCannotBeTimed(t *testing.T) {
	r, s := besiege(t, 2)
	r.bans.policy.Failures, r.guesses.policy.After = 0, math.MaxInt // it is the verdict that is timed
	dice := rand.New(rand.NewPCG(3, 4))
	own := softphone{password: "pw-ana", cseq: 1}
	own.nonce = s[1].nonce(own)
	if res := s[1].sends(own); res.Status != 200 { // ana exists, and is at home
		t.Fatal(res)
	}
	cseq := 10
	measure := func(what string, password bool) float64 {
		const pairs = 300
		took := map[string][]float64{}
		users := []string{"ana", "eve"}
		for i := range pairs + 20 {
			dice.Shuffle(2, func(i, j int) { users[i], users[j] = users[j], users[i] })
			for _, user := range users {
				cseq += 2
				p := softphone{user: user, cseq: cseq}
				if password {
					p.nonce, p.password = s[0].nonce(softphone{user: "bo", cseq: cseq}), "guess"
				}
				began := time.Now()
				if res := s[0].sends(p); res.Status != 401 {
					t.Fatal(res)
				}
				if i >= 20 { // the first warm the machine
					took[user] = append(took[user], float64(time.Since(began)))
				}
			}
		}
		return kolmogorov(took["ana"], took["eve"])
	}
	for _, c := range []struct {
		what     string
		password bool
	}{{"the challenge", false}, {"the refusal of a password", true}} {
		var rounds []float64
		for len(rounds) < 3 && (len(rounds) == 0 || rounds[len(rounds)-1] <= 0.01) {
			rounds = append(rounds, measure(c.what, c.password))
		}
		if rounds[len(rounds)-1] <= 0.01 {
			t.Errorf("%s takes another time for a user that exists: p = %g", c.what, rounds)
		}
		t.Logf("%s: p = %.3g", c.what, rounds)
	}
}
