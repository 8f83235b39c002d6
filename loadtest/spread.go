package loadtest

import (
	"math/bits"
	"time"
)

// spread is a histogram of durations with a resolution of 1/32 of the value, from
// 1 ns up. Adding costs a few instructions and no allocation.
type spread struct {
	n       uint64
	buckets [spreadBuckets]uint64
}

const (
	spreadFine    = 5 // bits of resolution
	spreadBuckets = (64 - spreadFine) << spreadFine
)

func (s *spread) add(d time.Duration) {
	s.n++
	s.buckets[bucketOf(uint64(max(d, 0)))]++
}

func bucketOf(v uint64) int {
	if v < 1<<spreadFine {
		return int(v)
	}
	shift := bits.Len64(v) - 1 - spreadFine
	return (shift+1)<<spreadFine | int(v>>shift)&(1<<spreadFine-1)
}

// middleOf is the value in the middle of a bucket.
func middleOf(i int) uint64 {
	if i < 1<<spreadFine {
		return uint64(i)
	}
	shift := i>>spreadFine - 1
	low := uint64(1<<spreadFine|i&(1<<spreadFine-1)) << shift
	return low + (1<<shift)/2
}

// quantile returns the duration below which the share q of all lies, 0 of none.
func (s *spread) quantile(q float64) time.Duration {
	if s.n == 0 {
		return 0
	}
	rank, seen := uint64(q*float64(s.n)), uint64(0)
	for i, c := range s.buckets {
		seen += c
		if seen > rank {
			return time.Duration(middleOf(i))
		}
	}
	return s.longest()
}

func (s *spread) longest() time.Duration {
	for i := len(s.buckets) - 1; i >= 0; i-- {
		if s.buckets[i] > 0 {
			return time.Duration(middleOf(i))
		}
	}
	return 0
}

// since returns what was added after an earlier copy was taken.
func (s *spread) since(before *spread) *spread {
	d := &spread{n: s.n - before.n}
	for i := range s.buckets {
		d.buckets[i] = s.buckets[i] - before.buckets[i]
	}
	return d
}
