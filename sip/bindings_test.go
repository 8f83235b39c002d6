package sip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var monday = time.Unix(1_800_000_000, 0)

func flowBy(transport, remote string) flow { return flow{transport, netip.MustParseAddrPort(remote)} }

// told writes events as one line: kind user contact, a star when the user can
// be reached afterwards.
func told(events []RegEvent) string {
	kinds := [...]string{"added", "refreshed", "removed", "expired", "lost", "regained", "rejected"}
	var lines []string
	for _, e := range events {
		line := kinds[e.Kind] + " " + strings.TrimPrefix(e.Binding.Contact, "sip:")
		if e.Reachable {
			line += " *"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

// asks makes a REGISTER of ana's; a contact is "uri", "uri -" to remove it, or
// "uri instance reg-id".
func asks(callID string, cseq uint32, from flow, contacts ...string) registration {
	r := registration{user: "ana", from: from, callID: callID, cseq: cseq, grant: time.Minute}
	for _, s := range contacts {
		f := append(strings.Fields(s), "", "")
		c := contact{uri: "sip:" + f[0]}
		if f[1] == "-" {
			c.remove = true
		} else {
			c.instance, c.regID = f[1], f[2]
		}
		r.contacts = append(r.contacts, c)
	}
	return r
}

func TestBindings(t *testing.T) {
	home, away := flowBy("udp", "203.0.113.7:5060"), flowBy("tcp", "198.51.100.1:40000")
	all := func(callID string, cseq uint32) registration {
		r := asks(callID, cseq, home)
		r.removeAll = true
		return r
	}
	for _, c := range []struct {
		what  string
		steps []registration
		want  []string // of each step
		left  string   // contacts in the end, freshest first
	}{
		{"one phone comes, stays and goes",
			[]registration{asks("c", 1, home, "ana@a"), asks("c", 2, home, "ana@a"), asks("c", 3, home, "ana@a -")},
			[]string{"added ana@a *", "refreshed ana@a *", "removed ana@a"}, ""},
		{"two phones, the fresher first",
			[]registration{asks("c", 1, home, "ana@a"), asks("d", 1, away, "ana@b")},
			[]string{"added ana@a *", "added ana@b *"}, "ana@b ana@a"},
		{"two contacts in one request",
			[]registration{asks("c", 1, home, "ana@a", "ana@b")},
			[]string{"added ana@a *, added ana@b *"}, "ana@a ana@b"},
		{"a query changes nothing",
			[]registration{asks("c", 1, home, "ana@a"), asks("c", 2, home)},
			[]string{"added ana@a *", ""}, "ana@a"},
		{"removing what is not there",
			[]registration{asks("c", 1, home, "ana@a -")}, []string{""}, ""},
		{"the same URI written otherwise",
			[]registration{asks("c", 1, home, "ana@Host.Test;transport=tcp;ob"), asks("c", 2, home, "ana@host.test;transport=TCP")},
			[]string{"added ana@Host.Test;transport=tcp;ob *", "refreshed ana@host.test;transport=TCP *"}, "ana@host.test;transport=TCP"},
		{"another port is another phone",
			[]registration{asks("c", 1, home, "ana@a"), asks("c", 2, home, "ana@a:5070")},
			[]string{"added ana@a *", "added ana@a:5070 *"}, "ana@a:5070 ana@a"},
		{"another call is heard whatever its CSeq",
			[]registration{asks("c", 9, home, "ana@a"), asks("d", 1, home, "ana@a")},
			[]string{"added ana@a *", "refreshed ana@a *"}, "ana@a"},
		{"an old CSeq is refused",
			[]registration{asks("c", 9, home, "ana@a"), asks("c", 8, home, "ana@a -")},
			[]string{"added ana@a *", errStaleCSeq.Error()}, "ana@a"},
		{"the same CSeq is refused, and all of the request with it",
			[]registration{asks("c", 9, home, "ana@a"), asks("c", 9, home, "ana@b", "ana@a")},
			[]string{"added ana@a *", errStaleCSeq.Error()}, "ana@a"},
		{"a star removes all",
			[]registration{asks("c", 1, home, "ana@a"), asks("d", 1, away, "ana@b"), all("c", 2)},
			[]string{"added ana@a *", "added ana@b *", "removed ana@a *, removed ana@b"}, ""},
		{"an old star removes nothing",
			[]registration{asks("d", 1, away, "ana@b"), asks("c", 5, home, "ana@a"), all("c", 5)},
			[]string{"added ana@b *", "added ana@a *", errStaleCSeq.Error()}, "ana@a ana@b"},
		{"an instance that comes back by another connection takes its place",
			[]registration{asks("c", 1, away, "ana@a:40000 <urn:1>"), asks("d", 1, flowBy("tcp", "198.51.100.1:40001"), "ana@a:40001 <urn:1>")},
			[]string{"added ana@a:40000 *", "refreshed ana@a:40001 *"}, "ana@a:40001"},
		{"two flows of one instance",
			[]registration{asks("c", 1, home, "ana@a <urn:1> 1"), asks("c", 2, away, "ana@a <urn:1> 2")},
			[]string{"added ana@a *", "added ana@a *"}, "ana@a ana@a"},
		{"two instances with one private address",
			[]registration{asks("c", 1, home, "ana@192.168.1.10 <urn:1>"), asks("d", 1, away, "ana@192.168.1.10 <urn:2>")},
			[]string{"added ana@192.168.1.10 *", "added ana@192.168.1.10 *"}, "ana@192.168.1.10 ana@192.168.1.10"},
		{"a phone that forgets its instance when it goes",
			[]registration{asks("c", 1, home, "ana@a <urn:1>"), asks("c", 2, home, "ana@a -")},
			[]string{"added ana@a *", "removed ana@a"}, ""},
		{"the fourth pushes the oldest out",
			[]registration{asks("a", 1, home, "ana@a"), asks("b", 1, home, "ana@b"), asks("c", 1, home, "ana@c"), asks("a", 2, home, "ana@a"), asks("d", 1, home, "ana@d")},
			[]string{"added ana@a *", "added ana@b *", "added ana@c *", "refreshed ana@a *", "removed ana@b *, added ana@d *"}, "ana@d ana@a ana@c"},
		{"more at once than anybody may have",
			[]registration{asks("a", 1, home, "ana@a", "ana@b", "ana@c", "ana@d")},
			[]string{errTooMany.Error()}, ""},
		{"escaped zeros tell phones apart",
			[]registration{asks("a", 1, home, "%00@a", "%00%00@a")},
			[]string{"added %00@a *, added %00%00@a *"}, "%00@a %00%00@a"},
	} {
		b := newBindings(3, 0)
		now := monday
		for i, step := range c.steps {
			events, err := b.register(now, step)
			got := told(events)
			if err != nil {
				got = err.Error()
			}
			if got != c.want[i] {
				t.Errorf("%s: step %d: %q, want %q", c.what, i, got, c.want[i])
			}
			now = now.Add(time.Second)
		}
		var left []string
		for _, one := range b.of(now, "ana") {
			left = append(left, strings.TrimPrefix(one.Contact, "sip:"))
		}
		if got := strings.Join(left, " "); got != c.left {
			t.Errorf("%s: left %q, want %q", c.what, got, c.left)
		}
		inBalance(t, b)
	}
}

func TestBindingsExpireInTime(t *testing.T) {
	b := newBindings(5, 0)
	short, long := asks("a", 1, flowBy("udp", "203.0.113.7:5060"), "ana@a"), asks("b", 1, flowBy("udp", "203.0.113.7:5060"), "ana@b")
	long.grant = 5 * time.Minute
	for _, r := range []registration{short, long} {
		if _, err := b.register(monday, r); err != nil {
			t.Fatal(err)
		}
	}
	if at, ok := b.deadline(); !ok || at != monday.Add(time.Minute) {
		t.Fatalf("deadline %v %v", at, ok)
	}
	if list := b.of(monday.Add(time.Minute), "ana"); len(list) != 1 {
		t.Errorf("%d bindings before the timer has looked", len(list))
	}
	for _, c := range []struct {
		after time.Duration
		want  string
	}{{time.Minute - 1, ""}, {time.Minute, "expired ana@a *"}, {5 * time.Minute, "expired ana@b"}} {
		probes, events := b.step(monday.Add(c.after))
		if got := told(events); got != c.want || len(probes) > 0 {
			t.Errorf("after %v: %q, %d probes", c.after, got, len(probes))
		}
	}
	if _, ok := b.deadline(); ok {
		t.Error("a deadline with nobody left")
	}
	inBalance(t, b)
}

func TestSameURI(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"sip:ana@h", "sip:ana@h", true},
		{"sip:ana@h", "sip:ana@H", true},
		{"sip:ana@h", "sip:Ana@h", false},
		{"sip:ana@h", "sip:h", false},
		{"sip:ana@h", "sips:ana@h", false},
		{"sip:ana@h", "sip:ana@h:5060", false}, // RFC 3261 section 19.1.4: a port given is not a port left out
		{"sip:ana@h;x=1", "sip:ana@h", true},
		{"sip:ana@h;x=1", "sip:ana@h;x=2", false},
		{"sip:ana@h;x=1;y=2", "sip:ana@h;y=2;x=1", true},
		{"sip:ana@h;transport=udp", "sip:ana@h", false},
		{"sip:ana@h;Transport=UDP", "sip:ana@h;transport=udp", true},
		{"sip:ana@h;maddr=1.2.3.4", "sip:ana@h", false},
		{"sip:ana@h?a=b", "sip:ana@h", false},
		{"sip:ana@h?a=b", "sip:ana@h?a=b", true},
		{"sip:ana@[::1]:5060", "sip:ana@[::1]:5060", true},
	} {
		if sameURI(c.a, c.b) != c.same || sameURI(c.b, c.a) != c.same {
			t.Errorf("%s and %s: not %v", c.a, c.b, c.same)
		}
	}
}

// Whatever comes in whatever order, the indexes agree, the heap is a heap, the
// reachability told last is the one that holds, and nobody has too many phones.
func TestBindingsStayInBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newBindings(2, 20*time.Second)
		now := monday
		toldLast := map[string]bool{}
		var flying []probe
		users := []string{"ana", "bo"}
		for range rapid.IntRange(1, 120).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 15).Draw(t, "s")) * time.Second)
			var events []RegEvent
			f := flowBy(rapid.SampledFrom([]string{"udp", "tcp"}).Draw(t, "transport"), fmt.Sprintf("10.0.0.%d:5060", rapid.IntRange(1, 2).Draw(t, "source")))
			switch rapid.IntRange(0, 6).Draw(t, "act") {
			case 0, 1, 2:
				r := asks(rapid.SampledFrom([]string{"x", "y"}).Draw(t, "call"), rapid.Uint32Range(1, 200).Draw(t, "cseq"), f,
					rapid.SampledFrom([]string{"ana@a", "ana@b", "ana@c <urn:1>", "ana@d <urn:1>", "ana@a -", "ana@c -"}).Draw(t, "contact"))
				r.user = rapid.SampledFrom(users).Draw(t, "user")
				r.removeAll = rapid.IntRange(0, 20).Draw(t, "all") == 0
				events, _ = b.register(now, r)
			case 3:
				var probes []probe
				probes, events = b.step(now)
				flying = append(flying, probes...)
			case 4:
				events = b.closed(f)
			case 5:
				if len(flying) > 0 {
					i := rapid.IntRange(0, len(flying)-1).Draw(t, "probe")
					if rapid.Bool().Draw(t, "answers") {
						events = b.answered(flying[i], time.Millisecond)
					} else {
						events = b.unanswered(now, flying[i], rapid.Bool().Draw(t, "gone"))
					}
					flying = slices.Delete(flying, i, i+1)
				}
			case 6:
				for _, one := range b.of(now, "ana") {
					if p := b.find(one); p != nil {
						events = append(events, b.doubt(now, p)...)
					}
				}
			}
			for _, e := range events {
				toldLast[e.User] = e.Reachable
			}
			inBalance(t, b)
			for _, user := range users {
				reachable := slices.ContainsFunc(b.users[user], func(p *phone) bool { return p.Reachable })
				if toldLast[user] != reachable {
					t.Fatalf("%s is reachable: %v, told: %v", user, reachable, toldLast[user])
				}
			}
		}
		_, _ = b.step(now.Add(time.Hour))
		if len(b.due) != 0 || len(b.users) != 0 || len(b.flows) != 0 {
			t.Fatalf("left behind: %d phones, %d users, %d flows", len(b.due), len(b.users), len(b.flows))
		}
	})
}

type fataler interface{ Fatalf(string, ...any) }

func inBalance(t fataler, b *bindings) {
	n := 0
	for user, phones := range b.users {
		if len(phones) == 0 || len(phones) > b.limit {
			t.Fatalf("%s has %d phones", user, len(phones))
		}
		for _, p := range phones {
			n++
			if p.User != user || b.due[p.place] != p {
				t.Fatalf("%s of %s lost in the heap", p.Contact, user)
			}
			found := false
			for q := b.flows[p.flow()]; q != nil; q = q.flowBehind {
				found = found || q == p
			}
			if !found {
				t.Fatalf("%s of %s is not on its flow", p.Contact, user)
			}
		}
	}
	onFlows := 0
	for f, p := range b.flows {
		for ; p != nil; p = p.flowBehind {
			onFlows++
			if p.flow() != f {
				t.Fatalf("%s is on a flow not its own", p.Contact)
			}
		}
	}
	if n != len(b.due) || n != onFlows {
		t.Fatalf("%d phones, %d due, %d on flows", n, len(b.due), onFlows)
	}
	for i := range b.due {
		if i > 0 && b.due[i].dueAt().Before(b.due[(i-1)/2].dueAt()) {
			t.Fatalf("heap out of order at %d", i)
		}
	}
}
