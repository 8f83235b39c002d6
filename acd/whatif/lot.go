package whatif

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
)

// lot is a number that looks like chance and is the same for the same words.
func lot(words ...string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for _, w := range words {
		for i := range len(w) {
			h = (h ^ uint64(w[i])) * 0x100000001b3
		}
		h = (h ^ 0xff) * 0x100000001b3
	}
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)
	hi, lo = bits.Mul64(hi^lo, 0xa0761d6478bd642f)
	return hi ^ lo
}

// share is a lot as a number between 0 and 1, neither included.
func share(lot uint64) float64 { return (float64(lot>>11) + 0.5) / (1 << 53) }

// pick takes one of a list by lot; the zero value of an empty one.
func pick[T any](list []T, lot uint64) (one T, ok bool) {
	if len(list) == 0 {
		return one, false
	}
	return list[lot%uint64(len(list))], true
}

// inOrder is the ids of a map in their order, so that no draw depends on the map's.
func inOrder[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
