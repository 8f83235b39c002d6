package sip

import (
	"net/netip"
	"testing"
	"time"

	"foyer/sip/siptest"
)

func TestPhoneIsRungAfterARestart(t *testing.T) {
	registrar := func(k Keep) *Registrar {
		return NewRegistrar(RegistrarOptions{Realm: testRealm, Default: MD5, Accounts: testAccounts, Keep: k})
	}
	live(t, func(o *Options) {
		o.Registrar = registrar(o.Keep)
		o.AgentInvite = func(l *Leg, user string) { l.Reject(Reject{Code: 486, Reason: user}) }
	}, func(v *lives) {
		v.registrar = registrar
		router, p, c, _ := atHome(v.stage, v.edge.o.Registrar)
		defer router.Close()
		defer p.Close()
		before := v.edge.o.Registrar.All()
		l := only(v.t, v.dieAfter(time.Second))
		if after := v.edge.o.Registrar.All(); len(after) != 1 || !after[0].Expires.Equal(before[0].Expires) || after[0].Source != before[0].Source || !after[0].Reachable {
			v.t.Errorf("bindings %+v, were %+v", after, before)
		}
		d := newDiary(v.t)
		other, err := v.edge.Dial(Dial{To: v.edge.o.Registrar.Bindings("ana")[0], SDP: []byte(ourSDP)}, d.sink)
		if err != nil {
			v.t.Fatal(err)
		}
		c2, err := p.WaitCall(v.patience())
		if err != nil {
			v.t.Fatal(err)
		}
		c2.Ring(180, "")
		expect[Progress](d)
		other.Hangup(Reason{})
		if err := c2.Ended(v.patience()); err != nil {
			v.t.Error(err)
		}
		// It refreshes with the nonce it has, and calls by the flow it had.
		mustRegister(v.t, p)
		out, err := p.Dial(v.patience(), "sip:bo@lo.test", offerA)
		if err == nil || out.Events()[len(out.Events())-1].Name != "ended" || p.Wire().Count("486 INVITE", false) != 1 {
			v.t.Errorf("its call: %v", err)
		}
		// A call follows its phone to another flow in the next life too.
		router.Forget()
		mustRegister(v.t, p)
		l.Hangup(Reason{})
		v.saw(c, "BYE")
		v.settles()
	})
}

// record returns the only record of a binding.
func bindingIn(t *testing.T, k *memory) (r bindingRecord) {
	t.Helper()
	all := k.left(BindingPrefix)
	if len(all) != 1 {
		t.Fatalf("%d records of bindings", len(all))
	}
	for key, text := range all {
		if err := bindingRecords.Read(text, &r); err != nil || r.Key != key {
			t.Fatalf("record %s: %v", text, err)
		}
	}
	return r
}

func TestBindingRecordsAreWrittenWhenTheyChange(t *testing.T) {
	k := newMemory()
	b := newBindings(2, 0)
	b.keeps = true
	r := &Registrar{kept: k, places: b}
	now := monday
	step := func(want int, what string, change func()) {
		t.Helper()
		before := k.puts
		change()
		r.keep()
		if got := k.puts - before; got != want {
			t.Errorf("%s: %d records written, want %d", what, got, want)
		}
	}
	in := registration{user: "ana", from: flow{"udp", netip.MustParseAddrPort("203.0.113.7:5060")}, callID: "a", cseq: 1, grant: time.Minute,
		contacts: []contact{{uri: "sip:ana@192.168.1.10"}}}
	enters := func() {
		in.cseq++
		if _, err := b.register(now, in); err != nil {
			t.Fatal(err)
		}
	}
	step(1, "added", enters)
	now = now.Add(10 * time.Second)
	step(0, "refreshed soon", enters)
	now = now.Add(10 * time.Second)
	step(1, "refreshed when a third of it was gone", enters)
	if at := bindingIn(t, k); !at.Expires.Equal(now.Add(time.Minute)) {
		t.Errorf("expires %v", at.Expires)
	}
	in.from.remote = netip.MustParseAddrPort("203.0.113.7:6060")
	step(1, "moved", enters)
	step(1, "lost", func() { b.lose(b.users["ana"][0]) })
	if at := bindingIn(t, k); !at.Lost || at.Source != in.from.remote {
		t.Errorf("record %+v", at)
	}
	step(1, "regained", enters)
	step(0, "gone", func() { b.step(now.Add(time.Hour)) })
	if left := k.left(BindingPrefix); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestBindingsThatAreNotResumed(t *testing.T) {
	k := newMemory()
	d := newDesk(t, func(o *RegistrarOptions) { o.Keep = k })
	good := bindingRecord{Version: recordVersion, Key: BindingPrefix + "ana/1", User: "ana", Contact: "sip:ana@192.168.1.10", Transport: "tls",
		Source: netip.MustParseAddrPort("203.0.113.7:5060"), CallID: "x", CSeq: 7, Expires: d.now().Add(time.Minute)}
	for _, x := range []struct {
		what   string
		change func(*bindingRecord)
		ok     bool
	}{
		{"as it was", func(*bindingRecord) {}, true},
		{"expired", func(b *bindingRecord) { b.Expires = d.now() }, false},
		{"no account", func(b *bindingRecord) { b.User = "nobody" }, false},
		{"another version", func(b *bindingRecord) { b.Version = 1 }, false},
		{"no contact", func(b *bindingRecord) { b.Contact = "" }, false},
	} {
		b := good
		x.change(&b)
		text := bindingRecords.Append(nil, &b)
		if err := d.Resume(text); (err == nil) != x.ok {
			t.Errorf("%s: %v", x.what, err)
		}
	}
	if err := d.Resume([]byte("{")); err == nil {
		t.Error("half a record was taken")
	}
	all := d.All()
	if len(all) != 1 || all[0].Reachable || d.told() != "" {
		t.Errorf("bindings %+v", all)
	}
}

// A phone by a connection comes back by another, takes its place again, and finds its
// calls waiting for it.
func TestPhoneReconnectsAfterARestart(t *testing.T) {
	for _, x := range []struct {
		what string
		t1   time.Duration // of the next process: it waits 64 times as long
		play func(r *reconnection)
	}{
		{"BYE waits for it", 0, func(r *reconnection) {
			r.leg.Hangup(Reason{Q850: 16})
			r.back()
			r.gets("BYE")
		}},
		{"an offer waits for it", 0, func(r *reconnection) {
			if err := r.leg.Reoffer([]byte(newSDP)); err != nil {
				r.t.Error(err)
			}
			r.back()
			if m := r.gets("INVITE"); m.Body != newSDP {
				r.t.Errorf("%s", m)
			}
		}},
		{"hung up when it is back", 0, func(r *reconnection) {
			r.back()
			r.leg.Hangup(Reason{})
			r.gets("BYE")
		}},
		{"it does not come back, BYE", 20 * time.Millisecond, func(r *reconnection) {
			r.leg.Hangup(Reason{})
			until(r.t, "the leg is over", func() bool { return r.edge.Legs() == 0 })
		}},
		{"it does not come back, an offer", 20 * time.Millisecond, func(r *reconnection) {
			d := listenTo(r.t, r.leg)
			if err := r.leg.Reoffer([]byte(newSDP)); err != nil {
				r.t.Error(err)
			}
			if e := expect[Ended](d); e.Why != FlowLost {
				r.t.Errorf("%+v", e)
			}
		}},
	} {
		t.Run(x.what, func(t *testing.T) {
			x.play(disconnect(t, true, x.t1))
		})
	}
	t.Run("it rings on", func(t *testing.T) {
		r := disconnect(t, false, 0)
		r.back()
		if m := r.gets("INVITE"); m.String() != r.invite.String() {
			t.Errorf("another INVITE:\n%s\n%s", r.invite, m)
		}
	})
	t.Run("it rings on, and is given up meanwhile", func(t *testing.T) {
		r := disconnect(t, false, 0)
		r.leg.Hangup(Reason{SIP: 200})
		r.back()
		r.gets("CANCEL")
	})
	t.Run("it does not come back, ringing", func(t *testing.T) {
		r := disconnect(t, false, 20*time.Millisecond)
		if e := expect[Refused](listenTo(t, r.leg)); !e.Unreachable || e.Code != 503 {
			t.Errorf("%+v", e)
		}
	})
}

// reconnection is a phone that was in a call by TCP when the process died.
type reconnection struct {
	*house
	leg    *Leg
	invite *siptest.Message
	phone  *siptest.Phone // once it is back
}

func disconnect(t *testing.T, answered bool, t1 time.Duration) *reconnection {
	t.Helper()
	k := newMemory()
	h := openHouse(t, func(o *Options) { o.Keep, o.Registrar.kept, o.Registrar.places.keeps = k, k, true })
	p, _ := h.tcpPhone("127.0.0.1", siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm, Contact: "192.168.1.20:5060"})
	mustRegister(t, p)
	d := newDiary(t)
	if _, err := h.edge.Dial(Dial{To: h.reg.Bindings("bo")[0], SDP: []byte(ourSDP)}, d.sink); err != nil {
		t.Fatal(err)
	}
	c, err := p.WaitCall(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Ring(180, "")
	expect[Progress](d)
	if answered {
		c.Answer(offerA)
		expect[Answered](d)
	}
	k = k.next()
	if err := h.edge.Close(); err != nil {
		t.Fatal(err)
	}
	legs := map[string]*Leg{}
	next := openHouseAgain(t, func(o *Options) {
		o.Keep, o.Registrar.kept, o.Registrar.places.keeps = k, k, true
		o.T1 = t1
		for _, record := range k.left(BindingPrefix) {
			if err := o.Registrar.Resume(record); err != nil {
				t.Error(err)
			}
		}
	}, func(e *Edge) {
		for key, record := range k.left(LegPrefix) {
			if legs[key], err = e.Resume(record); err != nil {
				t.Fatal(err)
			}
		}
	})
	if all := next.reg.All(); len(all) != 1 || all[0].Reachable {
		t.Errorf("bindings %+v", all)
	}
	return &reconnection{house: next, leg: only(t, legs), invite: c.Invite()}
}

// back lets the phone connect and register again. It has forgotten its call: what it
// gets is looked at, and not answered.
func (r *reconnection) back() {
	r.t.Helper()
	r.phone, _ = r.tcpPhone("127.0.0.1", siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm, Contact: "192.168.1.20:5060", Passive: true})
	mustRegister(r.t, r.phone)
	if all := r.reg.All(); len(all) != 1 || !all[0].Reachable {
		r.t.Errorf("bindings %+v", all)
	}
}

// gets waits for a request in the call.
func (r *reconnection) gets(method string) *siptest.Message {
	r.t.Helper()
	m, err := r.phone.Wire().WaitMessage(soon(r.t), func(m *siptest.Message) bool { return m.Method == method })
	if err != nil {
		r.t.Fatal(err)
	}
	if m.Get("Call-ID") != r.invite.Get("Call-ID") || m.Tag("From") != r.invite.Tag("From") {
		r.t.Errorf("of another call: %s", m)
	}
	return m
}
