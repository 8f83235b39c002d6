package config

import "slices"

// way is a target by which callers leave one queue for another.
type way struct {
	to   string
	key  string
	from *Target
}

// checkCircles looks for queues that lead to each other.
func (k *checker) checkCircles() {
	overflows, doors := map[string][]way{}, map[string][]way{}
	for i := range k.c.Queues {
		q := &k.c.Queues[i]
		add := func(ways map[string][]way, key string, to *Target) {
			if id, ok := to.Queue(); ok && id != q.ID && k.queues[id] {
				ways[q.ID] = append(ways[q.ID], way{id, key, to})
			}
		}
		for j := range q.Overflow {
			add(overflows, "overflow", &q.Overflow[j].To)
		}
		if q.Full != nil {
			add(doors, "full", &q.Full.To)
		}
		add(doors, "empty", &q.Empty.To)
		add(doors, "none_ready", &q.NoneReady.To)
	}
	for i := range k.c.Queues {
		id := k.c.Queues[i].ID
		for _, w := range overflows[id] {
			if leadsTo(overflows, w.to, id) {
				k.warnf(k.at[w.from], "overflow of queue %q to %q leads back to it: a caller whom nobody answers goes round without end; let one of these queues keep its callers, or send them to voicemail, a number or hangup", id, w.to)
			}
		}
		for _, w := range doors[id] {
			k.checkDoorCircle(id, w, doors)
		}
	}
}

// checkDoorCircle: doors that lead to each other let the caller wait where they
// came to. That is as good as any place when only nobody is ready.
func (k *checker) checkDoorCircle(id string, w way, doors map[string][]way) {
	if w.key == "none_ready" || !leadsTo(doors, w.to, id) {
		return
	}
	why := "though nobody is logged in there"
	if w.key == "full" {
		why = "whatever its \"max\""
	}
	k.warnf(k.at[w.from], "queues[%s].%s.to leads back to %q by %q: when no queue on the way takes callers, they wait in %q, %s", id, w.key, id, w.to, id, why)
}

// leadsTo says whether callers of one queue may come to another.
func leadsTo(ways map[string][]way, from, to string) bool {
	seen := []string{from}
	for i := 0; i < len(seen); i++ {
		for _, w := range ways[seen[i]] {
			if w.to == to {
				return true
			}
			if !slices.Contains(seen, w.to) {
				seen = append(seen, w.to)
			}
		}
	}
	return false
}
