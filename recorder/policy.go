package recorder

import (
	"crypto/sha256"
	"encoding/binary"
)

// Policy decides which calls are recorded, and says why they may be.
type Policy struct {
	ID, Purpose, LegalBasis string
	Percent                 float64 // 0 none, 100 all
}

// Records is deterministic: the same call and policy always decide the same, and
// the calls recorded are spread evenly over all of them.
func (p Policy) Records(callID string) bool {
	switch {
	case p.Percent >= 100:
		return true
	case !(p.Percent > 0): // also not a number
		return false
	}
	sum := sha256.Sum256([]byte(p.ID + "\x00" + callID))
	const steps = 1 << 53 // every one of them is exact in a float64
	draw := float64(binary.BigEndian.Uint64(sum[:])>>11) / steps
	return draw < p.Percent/100
}
