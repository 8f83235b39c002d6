package acd

import "math/bits"

// Hash condenses a history, events and decisions, into one number, so that two
// runs of the same journal can be compared page by page. It is no protection
// against anybody who wants to forge one.
type Hash struct{ sum uint64 }

// NewHash is the hash of no history.
func NewHash() *Hash { return &Hash{sum: 0xcbf29ce484222325} }

// ResumeHash goes on from the Sum of another.
func ResumeHash(sum uint64) *Hash { return &Hash{sum: sum} }

// Sum is the hash of all that was added.
func (h *Hash) Sum() uint64 { return h.sum }

// Add adds one record and what the floor decided on it, the reasons of each
// offer included.
func (h *Hash) Add(r Record, done []Action) {
	h.number(r.Seq)
	h.number(uint64(r.At.UnixNano()))
	h.number(uint64(r.Event.Kind))
	for _, a := range done {
		h.action(a)
	}
}

func (h *Hash) action(a Action) {
	switch a := a.(type) {
	case Offer:
		h.words('o', string(a.Call), string(a.Agent), string(a.Queue))
		h.number(uint64(a.Offer))
		h.number(uint64(a.Timeout))
		h.match(a.Match)
	case Withdraw:
		h.words('w', string(a.Call), string(a.Agent))
		h.number(uint64(a.Offer)<<8 | uint64(a.Cause))
	case Connect:
		h.words('c', string(a.Call), string(a.Agent))
		h.number(uint64(a.Offer))
	case Refuse:
		h.words('r', string(a.Call), string(a.Queue))
		h.number(uint64(a.Cause))
	case Moved:
		h.words('m', string(a.Agent), string(a.Call), a.Reason)
		h.number(uint64(a.From)<<24 | uint64(a.To)<<16 | uint64(a.Cause)<<8 | uint64(a.By))
	case Queued:
		h.words('q', string(a.Call), string(a.Queue), string(a.From))
	case Settled:
		h.words('s', string(a.Call))
		h.number(uint64(a.Cause)<<8 | uint64(a.By))
	default:
		h.rarer(a)
	}
}

// rarer adds what is seldom decided.
func (h *Hash) rarer(a Action) {
	switch a := a.(type) {
	case Dial:
		h.words('d', string(a.Call), string(a.Agent), string(a.Queue), a.Number)
		h.number(uint64(a.Offer))
		h.number(uint64(a.Timeout))
	case Divert:
		h.words('v', string(a.Call), string(a.Queue), string(a.To.Queue), a.To.Number)
		h.number(uint64(a.Cause))
	case Comfort:
		h.words('f', string(a.Call), string(a.Agent))
		h.number(uint64(a.Offer))
	case Rejoin:
		h.words('j', string(a.Call), string(a.Agent))
		h.number(uint64(a.Offer))
	case Part:
		h.words('p', string(a.Call), string(a.Agent))
		h.number(uint64(a.Offer)<<8 | uint64(a.Cause))
		if a.To != "" {
			h.words('t', a.To)
		}
	case Consulted:
		h.words('n', string(a.Call), string(a.Agent), string(a.To))
		h.number(uint64(a.Offer))
	case NotReached:
		h.words('i', string(a.Call), string(a.Agent), string(a.To), string(a.Queue))
		h.number(uint64(a.Offer)<<8 | uint64(a.Cause))
	case Hangup:
		h.words('h', string(a.Call))
		h.number(uint64(a.Cause)<<8 | uint64(a.By))
	case Prove:
		h.words('e', string(a.Call))
	case Announce:
		h.words('a', string(a.Call), string(a.Queue))
		h.number(uint64(a.Position))
		h.number(uint64(a.Low))
		h.number(uint64(a.High))
	case OfferCallback:
		h.words('b', string(a.Call), string(a.Queue))
	case CallbackKept:
		h.words('k', string(a.Call), string(a.Callback), string(a.Queue), a.Number)
		h.number(uint64(a.Position))
	case CallbackOver:
		h.words('l', string(a.Call), string(a.Queue), a.Number)
		h.number(uint64(a.Cause))
		if a.Made {
			h.number(1)
		}
	case Overdue:
		h.words('u', string(a.Agent), a.Reason)
		h.number(uint64(a.State))
		h.number(uint64(a.For))
	}
}

func (h *Hash) match(m *Match) {
	if m == nil {
		return
	}
	h.number(uint64(m.Waited))
	h.number(uint64(m.Position))
	h.number(uint64(m.Eligible)<<32 | uint64(m.Excluded))
	for i := range m.Candidates {
		c := &m.Candidates[i]
		h.words('x', string(c.Agent), c.Failed)
		h.number(uint64(c.Idle))
		h.number(uint64(c.Level)<<32 | uint64(c.Tier)<<16 | uint64(c.Step))
		h.number(uint64(c.Rank))
	}
	for i := range m.Passed {
		h.words('y', string(m.Passed[i].Call), m.Passed[i].Why)
	}
}

// number mixes eight bytes in at once: a product of 128 bits, folded.
func (h *Hash) number(n uint64) {
	hi, lo := bits.Mul64(h.sum^n, 0x9e3779b97f4a7c15)
	h.sum = hi ^ lo ^ bits.RotateLeft64(n, 29)
}

// words adds strings so that no two lists of them look alike.
func (h *Hash) words(tag byte, words ...string) {
	h.number(uint64(tag))
	for _, w := range words {
		h.number(uint64(len(w)))
		for len(w) >= 8 {
			h.number(uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
				uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56)
			w = w[8:]
		}
		var rest uint64
		for i := range len(w) {
			rest |= uint64(w[i]) << (8 * i)
		}
		h.number(rest)
	}
}
