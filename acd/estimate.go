package acd

import (
	"math"
	"time"
)

// Pace is how fast a queue is served, as far as anybody can know: what the wait
// of its callers is estimated from.
type Pace struct {
	Agents   float64       // who serve the queue; one who serves two of them may count as a half in each
	Handle   time.Duration // mean time of an agent for a call, wrap-up included
	Patience time.Duration // mean time after which a waiting caller leaves; 0: nobody leaves
}

// Estimate is how long a caller will still wait, to the millisecond. Half of the
// callers in that place wait at most P50, nine in ten at most P90: that is the
// band to announce, since the wait of one caller is not known better.
type Estimate struct{ Mean, P50, P90 time.Duration }

// Wait estimates the wait of a caller with so many others ahead who stays until
// answered, while all agents are busy. Each departure from the line ahead is an
// agent becoming free or a caller losing patience, so with q ahead, N agents,
// handle time 1/μ and patience 1/θ,
//
//	mean = Σ 1/(Nμ + jθ), j = 0 … q
//
// and the wait is the sum of independent exponential times of these rates. It is
// Erlang(q+1, Nμ) when nobody leaves: Whitt, "Predicting queueing delays",
// Management Science 45(6), 1999. P50 and P90 are those of the exact
// distribution, not of one that resembles it.
//
// False when there is nothing to estimate from: no agents, or no handle time. A
// negative number of callers counts as none; a wait too long for a Duration, as
// the longest.
func (p Pace) Wait(ahead int) (Estimate, bool) {
	if !(p.Agents > 0) || math.IsInf(p.Agents, 1) || p.Handle <= 0 {
		return Estimate{}, false
	}
	unit := float64(p.Handle) / p.Agents // mean time between two agents becoming free
	l := lineAhead{q: float64(max(ahead, 0))}
	if p.Patience > 0 {
		l.leave = unit / float64(p.Patience)
	}
	k := l.cumulants()
	w := l.weight()
	return Estimate{
		Mean: rounded(unit * k.mean),
		P50:  rounded(unit * l.quantile(0.5, k, w)),
		P90:  rounded(unit * l.quantile(0.9, k, w)),
	}, true
}

// rounded is a wait in nanoseconds to the millisecond, coarse enough to hide how
// precisely a processor multiplies and adds.
func rounded(ns float64) time.Duration {
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns).Round(time.Millisecond)
}

// lineAhead is the wait of one caller, in units of the mean time between two
// agents becoming free: the sum of exponential times of the rates 1 + j·leave,
// j = 0 … q. The order of the times changes nothing, so it is also the time in
// which a count that grows at the rate 1 + k·leave, k being its value, passes q.
type lineAhead struct {
	q     float64 // callers ahead
	leave float64 // rate at which one waiting caller leaves; 0: nobody does
}

// oneByOne is how many terms of a sum are added one by one. The others are added
// by the Euler-Maclaurin formula, which is right to 1e-9 from there on.
const oneByOne = 32

type cumulants struct{ mean, variance, skew, excess float64 }

func (l lineAhead) cumulants() cumulants {
	var s [4]float64 // sums of the mean times, of their squares, cubes and fourth powers
	n := min(l.q, oneByOne)
	for j := 0.0; j < n; j++ {
		r := 1 / (1 + j*l.leave)
		s[0] += r
		s[1] += r * r
		s[2] += r * r * r
		s[3] += r * r * r * r
	}
	d, a, b := l.q-n, 1/(1+n*l.leave), 1/(1+l.q*l.leave)
	integral := [4]float64{d, d * a * b, d * a * b * (a + b) / 2, d * a * b * (a*a + a*b + b*b) / 3}
	if x := d * l.leave * a; x > 0 {
		integral[0] = math.Log1p(x) / l.leave
	}
	pa, pb := a, b // the first and last term of the power
	for i := range s {
		m := float64(i + 1)
		first := m * l.leave * (pa*a - pb*b)
		third := m * (m + 1) * (m + 2) * l.leave * l.leave * l.leave * (pa*a*a*a - pb*b*b*b)
		s[i] += integral[i] + (pa+pb)/2 + first/12 - third/720
		pa, pb = pa*a, pb*b
	}
	return cumulants{
		mean:     s[0],
		variance: s[1],
		skew:     2 * s[2] / (s[1] * math.Sqrt(s[1])),
		excess:   6 * s[3] / (s[1] * s[1]),
	}
}

// weight is the logarithm of Π (1 + j·leave)/(1 + j), j = 0 … q-1.
func (l lineAhead) weight() float64 {
	n, sum, product := min(l.q, oneByOne), 0.0, 1.0
	for j := 0.0; j < n; j++ {
		if product *= (1 + j*l.leave) / (1 + j); product > 1e200 {
			sum, product = sum+math.Log(product), 1
		}
	}
	sum += math.Log(product)
	if n == l.q {
		return sum
	}
	have, _ := math.Lgamma(n + 1)
	want, _ := math.Lgamma(l.q + 1)
	sum -= want - have
	if l.leave == 0 {
		return sum
	}
	last := l.q - 1
	la, lb := math.Log1p(n*l.leave), math.Log1p(last*l.leave)
	ra, rb := l.leave/(1+n*l.leave), l.leave/(1+last*l.leave)
	integral := (lb/rb - last) - (la/ra - n)
	return sum + integral + (la+lb)/2 + (rb-ra)/12 - (rb*rb*rb-ra*ra*ra)/360
}

// quantile is the wait that the given share of callers does not exceed: a guess
// by the expansion of Cornish and Fisher, improved on the exact distribution.
func (l lineAhead) quantile(share float64, k cumulants, weight float64) float64 {
	z := math.Sqrt2 * math.Erfinv(2*share-1)
	sd := math.Sqrt(k.variance)
	u := k.mean + sd*(z+(z*z-1)*k.skew/6+(z*z*z-3*z)*k.excess/24-(2*z*z*z-5*z)*k.skew*k.skew/36)
	for range 20 { // twice is usual
		beyond, density := l.beyond(u, weight)
		step := (beyond - (1 - share)) / density
		u = max(u+step, u/2)
		if math.Abs(step) < 3e-6*sd { // the next step would be as the square of it
			break
		}
	}
	return u
}

// beyond is the probability that the wait is longer than u, and its density
// there. The count of lineAhead is then at most q, which is a sum of negative
// binomial probabilities (of Poisson ones, when nobody leaves); when callers
// leave faster than they are served, the same as an incomplete beta function is
// a shorter sum. Both have positive terms only, and about √q of them matter.
func (l lineAhead) beyond(u, weight float64) (p, density float64) {
	const negligible = 1e-13
	y := u
	if l.leave > 0 {
		y = -math.Expm1(-l.leave*u) / l.leave
	}
	at := math.Exp(weight + l.q*math.Log(y) - u) // the count is q
	density = (1 + l.q*l.leave) * at
	sum, term := 1.0, 1.0
	if l.q*l.leave > 1 {
		gone := math.Exp(-l.leave * u)
		for n := 1.0; ; n++ {
			r := (1 + (l.q+n)*l.leave) * gone / (1 + n*l.leave)
			term *= r
			sum += term
			if r < 1 && term < negligible*sum {
				return density * (1 - gone) * sum, density
			}
		}
	}
	for k := l.q; k > 0; k-- {
		r := k / ((1 + (k-1)*l.leave) * y)
		term *= r
		sum += term
		if r < 1 && term < negligible*sum {
			break
		}
	}
	return at * sum, density
}
