package sip

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// nonceLife is how long a nonce may be used. A phone that refreshes later gets
// a new one with stale=true and no question to its user (RFC 7616 section 3.3).
const nonceLife = 60 * time.Second

// A nonce is 6 bytes of issue time in milliseconds, an 8 byte serial number and
// 16 bytes of HMAC-SHA256 over both and the flow it was issued to. Nothing is
// kept of a nonce before somebody has proven a password with it, so a flood of
// unauthenticated requests costs no memory.
const (
	nonceHead   = 6 + 8
	nonceMAC    = 16
	nonceLength = (nonceHead + nonceMAC) * 4 / 3
)

// nonces issues nonces and watches that each use of one is a new one. Any
// goroutine may call any method.
type nonces struct {
	macs   sync.Pool // of hash.Hash, each a HMAC-SHA256 by the same key
	serial atomic.Uint64
	uses   uses
}

// newNonces makes the nonces of a process. Those of the process before are good if
// their key is kept, but for uses of which we cannot know: a nonce that is not younger
// than the youngest that was used then is stale. So a phone that was challenged right
// before a restart is not challenged twice, and nothing is accepted twice.
func newNonces(k Keep) (*nonces, error) {
	key, err := secretIn(k, noncesKey)
	n := &nonces{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key[:]) }}}
	// Not one that the process before has given.
	n.serial.Store(rand.Uint64())
	if k == nil {
		return n, nil
	}
	if last, found := k.Get(nonceUsedKey); found && len(last) == 8 {
		n.uses.before = int64(binary.BigEndian.Uint64(last))
	}
	n.uses.keep = func(issued int64) error {
		return k.Put(nonceUsedKey, binary.BigEndian.AppendUint64(nil, uint64(issued)))
	}
	return n, err
}

// issue makes a nonce for a flow ("UDP 192.0.2.1:5060").
func (n *nonces) issue(now time.Time, flow string) string {
	var raw [nonceHead + nonceMAC]byte
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(now.UnixMilli()))
	copy(raw[:6], at[2:])
	binary.BigEndian.PutUint64(raw[6:], n.serial.Add(1))
	n.mac(raw[nonceHead:], raw[:nonceHead], flow)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// open returns when a nonce was issued and its serial number. It is not ok when
// it was not issued by us, not to this flow, or more than nonceLife ago.
func (n *nonces) open(now time.Time, nonce, flow string) (use nonceUse, ok bool) {
	var raw [nonceHead + nonceMAC]byte
	if len(nonce) != nonceLength {
		return nonceUse{}, false
	}
	if _, err := base64.RawURLEncoding.Decode(raw[:], []byte(nonce)); err != nil {
		return nonceUse{}, false
	}
	var mac [nonceMAC]byte
	n.mac(mac[:], raw[:nonceHead], flow)
	if !hmac.Equal(mac[:], raw[nonceHead:]) {
		return nonceUse{}, false
	}
	var at [8]byte
	copy(at[2:], raw[:6])
	use.issued = int64(binary.BigEndian.Uint64(at[:]))
	use.serial = binary.BigEndian.Uint64(raw[6:])
	age := time.Duration(now.UnixMilli()-use.issued) * time.Millisecond
	return use, age >= 0 && age <= nonceLife
}

func (n *nonces) mac(dst, head []byte, flow string) {
	h := n.macs.Get().(hash.Hash)
	defer n.macs.Put(h)
	h.Reset()
	h.Write(head)
	h.Write([]byte(flow))
	var sum [sha256.Size]byte
	copy(dst, h.Sum(sum[:0]))
}

// nonceUse is one use of a nonce of ours.
type nonceUse struct {
	issued int64 // Unix milliseconds
	serial uint64
	count  uint32 // nc, from 1
}

const (
	usesSets = 16384
	usesWays = 4
)

// uses remembers which counts of which nonces have been proven, in 1.7 MB. A
// count below the highest seen is still good once if it is less than 64 behind:
// two requests of a phone may overtake each other on the way.
//
// Forgetting must not open the door to a replay. When a set of the table is
// full of living nonces, the oldest makes room, and from then on the set
// refuses every nonce it does not know that is not younger than the one
// forgotten; its phone asks again with a new one.
type uses struct {
	before int64                    // issue time of the youngest nonce that the process before saw used
	keep   func(issued int64) error // tells the next one; nil: it will not know our nonces

	mu       sync.Mutex
	youngest int64 // of those used
	sets     [usesSets]struct {
		floor int64 // issue time of the youngest nonce forgotten alive
		known [usesWays]usedNonce
	}
}

type usedNonce struct {
	issued  int64 // 0: free
	serial  uint64
	highest uint32
	window  uint64 // bit i: highest-i has been used
}

// admit records a proven use and reports whether it is the first of its count.
func (u *uses) admit(now time.Time, use nonceUse) bool {
	if use.count == 0 {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	set := &u.sets[use.serial%usesSets]
	oldest := &set.known[0]
	for i := range set.known {
		k := &set.known[i]
		if k.issued != 0 && k.serial == use.serial {
			return k.admit(use.count)
		}
		if k.issued < oldest.issued {
			oldest = k
		}
	}
	if use.issued <= max(set.floor, u.before) {
		return false
	}
	if use.issued > u.youngest && u.keep != nil {
		if u.keep(use.issued) != nil {
			return false // the next process would take it for a new one
		}
		u.youngest = use.issued
	}
	if now.UnixMilli()-oldest.issued <= nonceLife.Milliseconds() {
		set.floor = max(set.floor, oldest.issued)
	}
	*oldest = usedNonce{issued: use.issued, serial: use.serial, highest: use.count, window: 1}
	return true
}

func (k *usedNonce) admit(count uint32) bool {
	if count > k.highest {
		// A shift of 64 or more leaves 0: everything before is out of the window.
		k.window = k.window<<(count-k.highest) | 1
		k.highest = count
		return true
	}
	behind := k.highest - count
	if behind >= 64 || k.window&(1<<behind) != 0 {
		return false
	}
	k.window |= 1 << behind
	return true
}
