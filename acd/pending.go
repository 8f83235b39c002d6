package acd

// Pending is what the floor has decided and not been told the outcome of: every
// phone that is to ring, every answer that is to be connected, every customer of a
// callback who is to be called. A switch that died may have carried them out or not;
// carrying them out again is harmless. The offers come without their Match.
func (f *Floor) Pending() []Action {
	var all []Action
	for c := f.first; c != nil; c = c.younger {
		for _, r := range c.rings {
			if r.kept {
				all = append(all, r.dial(false))
			} else {
				all = append(all, r.offer(f.now, nil))
			}
		}
		switch r := c.talk; {
		case r == nil || r.stage != talking || r.bridged:
		case r.dialled:
			all = append(all, r.dial(true))
		default:
			all = append(all, Connect{Call: c.id, Agent: r.agent.id, Offer: r.id})
		}
	}
	return all
}

// Bound says whether an agent is reserved for a call by this offer, being rung, talking
// or wrapping up, and whether their phone has rung.
func (f *Floor) Bound(id CallID, offer OfferID) (bound, alerted bool) {
	c := f.calls[id]
	if c == nil {
		return false, false
	}
	for _, r := range append([]*reservation{c.talk, c.aside}, c.rings...) {
		if r != nil && r.id == offer {
			return true, r.alerted
		}
	}
	return false, false
}
