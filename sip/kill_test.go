package sip

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// A switch that is killed: a process of its own, which inherits its socket and its
// memory, and does what it reads. Its memory is a file here; what matters of it is
// that a record is there when Put returns, however the process ends after that.

const asSwitch = "FOYER_SIP_TEST_SWITCH"

// fileMemory is a Keep in a file to which each change is appended by one write.
type fileMemory struct {
	memory
	file *os.File
}

type change struct {
	Key   string
	Value []byte // nil: deleted
}

func openFileMemory(f *os.File) (*fileMemory, error) {
	m := &fileMemory{memory: memory{records: map[string][]byte{}}, file: f}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	all, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(all) {
		var c change
		if err := json.Unmarshal(line, &c); err != nil {
			return nil, fmt.Errorf("%q: %w", line, err)
		}
		if c.Value == nil {
			m.memory.Delete(c.Key)
		} else if err := m.memory.Put(c.Key, c.Value); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *fileMemory) Put(key string, value []byte) error {
	return errors.Join(m.memory.Put(key, value), m.write(change{key, value}))
}

func (m *fileMemory) Delete(key string) {
	if _, there := m.Get(key); there {
		m.memory.Delete(key)
		_ = m.write(change{key, nil})
	}
}

func (m *fileMemory) write(c change) error {
	line, err := json.Marshal(c)
	if err == nil {
		_, err = m.file.Write(append(line, '\n'))
	}
	return err
}

// plan is what a switch is told when it starts. What it was told before it was killed
// it is told again, as a floor would by its journal.
type plan struct {
	Phone   string // that it rings, if it was not rung before
	Want    string // the description that the peer shall have
	Leave   bool
	Rings   bool // it never answers
	Session time.Duration
}

func switchUntilKilled() error {
	var p plan
	if err := json.Unmarshal([]byte(os.Getenv(asSwitch)), &p); err != nil {
		return err
	}
	socket, err := net.FilePacketConn(os.NewFile(3, "socket"))
	if err != nil {
		return err
	}
	mem, err := openFileMemory(os.NewFile(4, "memory"))
	if err != nil {
		return err
	}
	o := &owner{leave: p.Leave, rings: p.Rings, delay: 100 * time.Millisecond}
	if p.Want != "" {
		o.want = []byte(p.Want)
	}
	edge, err := NewEdge(Options{
		UDP: socket, Keep: mem,
		Trunks:  []Trunk{{ID: "carrier", Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}},
		Invite:  func(l *Leg) { o.take(l); l.Wait() },
		Session: SessionPolicy{Expires: p.Session, Min: time.Second},
	})
	if err != nil {
		return err
	}
	var legs []*Leg
	for _, record := range mem.left(LegPrefix) {
		l, err := edge.Resume(record)
		if err != nil {
			return err
		}
		legs = append(legs, l)
	}
	go func() { _ = edge.Serve(context.Background()) }()
	for _, l := range legs {
		o.take(l)
	}
	if p.Phone != "" && len(legs) == 0 {
		l, err := edge.Dial(Dial{SDP: []byte(ourSDP), Caller: Caller{User: "+33612345678"}, To: Binding{
			User: "ana", Contact: "sip:ana@" + p.Phone, Transport: "udp", Source: netip.MustParseAddrPort(p.Phone)}}, nil)
		if err != nil {
			return err
		}
		o.take(l)
	}
	fmt.Printf("serving %d\n", len(legs))
	for orders := bufio.NewScanner(os.Stdin); orders.Scan(); {
		switch orders.Text() {
		case "reoffer":
			o.reoffer(newSDP)
		case "hang up":
			o.hangUp()
		}
	}
	return nil
}

// killable is a switch that runs, and its peers.
type killable struct {
	t       *testing.T
	socket  *os.File
	mem     *os.File
	carrier *siptest.Phone
	phone   *siptest.Phone

	mu      sync.Mutex
	plan    plan
	process *exec.Cmd
	orders  io.WriteCloser
}

func newKillable(t *testing.T, p plan) *killable {
	t.Helper()
	k := &killable{t: t, plan: p}
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := c.LocalAddr().String()
	if k.socket, err = c.(*net.UDPConn).File(); err != nil {
		t.Fatal(err)
	}
	c.Close()
	t.Cleanup(func() { k.socket.Close() })
	if k.mem, err = os.OpenFile(filepath.Join(t.TempDir(), "memory"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.mem.Close() })
	phone := func(from, user string) *siptest.Phone {
		c, err := net.ListenPacket("udp", from)
		if err != nil {
			t.Fatal(err)
		}
		p, err := siptest.NewPhone(c, siptest.Options{User: user, Server: at, Domain: "lo.test", Outbound: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { p.Close() })
		return p
	}
	k.carrier, k.phone = phone("127.0.0.2:0", "carrier"), phone("127.0.0.1:0", "ana")
	if p.Phone != "" {
		k.plan.Phone = k.phone.Wire().LocalAddr().String()
	}
	k.start()
	t.Cleanup(k.kill)
	return k
}

// start starts the switch and returns how many legs it resumed.
func (k *killable) start() (legs int) {
	k.t.Helper()
	legs, err := k.run()
	if err != nil {
		k.t.Errorf("switch: %v", err)
	}
	return legs
}

func (k *killable) run() (legs int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.phone.Wire().Count("INVITE", false) > 0 {
		k.plan.Phone = "" // it is rung once, whatever happens
	}
	text, err := json.Marshal(k.plan)
	if err != nil {
		return 0, err
	}
	k.process = exec.Command(os.Args[0])
	k.process.Env = append(os.Environ(), asSwitch+"="+string(text))
	k.process.ExtraFiles = []*os.File{k.socket, k.mem}
	if k.orders, err = k.process.StdinPipe(); err != nil {
		return 0, err
	}
	out, err := k.process.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := k.process.Start(); err != nil {
		return 0, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if n, _ := fmt.Sscanf(line, "serving %d", &legs); n != 1 {
		return 0, fmt.Errorf("it said %q: %w", line, err)
	}
	return legs, nil
}

func (k *killable) kill() {
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.process.Process.Kill()
	_ = k.process.Wait()
	k.orders.Close()
}

// dies kills the switch and starts the next.
func (k *killable) dies(down time.Duration) (legs int) {
	k.t.Helper()
	k.kill()
	time.Sleep(down)
	return k.start()
}

func (k *killable) order(what string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch what {
	case "hang up":
		k.plan.Leave = true
	case "reoffer":
		k.plan.Want = newSDP
	}
	// It fails on a switch that has just died; the next one knows by its plan.
	_, _ = io.WriteString(k.orders, what+"\n")
}

func (k *killable) saw(c *siptest.Call, what string) *siptest.Message {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	m, err := c.WaitFor(ctx, what)
	if err != nil {
		k.t.Fatalf("%v\ncarrier:\n%s\nphone:\n%s", err, k.carrier.Wire().Ladder(), k.phone.Wire().Ladder())
	}
	return m
}

func (k *killable) ended(c *siptest.Call) {
	k.t.Helper()
	k.saw(c, "ended")
	consistent(k.t, c.Phone(), c.ID())
	select {
	case other := <-c.Phone().Calls():
		k.t.Errorf("rung again: %s", other.Invite())
	default:
	}
}

func (k *killable) calls(extra ...siptest.Header) *siptest.Call {
	k.t.Helper()
	c, err := k.carrier.Invite(context.Background(), number, offerA, extra...)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

func (k *killable) rung() *siptest.Call {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	c, err := k.phone.WaitCall(ctx)
	if err != nil {
		k.t.Fatal(err)
	}
	c.Ring(180, "")
	return c
}

// talks goes through what may be said in a call.
func (k *killable) talks(c *siptest.Call) {
	k.t.Helper()
	c.Reinvite(offerB)
	k.saw(c, "200 INVITE")
	c.Update(offerA)
	k.saw(c, "200 UPDATE")
	c.Info("application/dtmf-relay", "Signal=5\r\nDuration=160\r\n")
	k.saw(c, "200 INFO")
	k.order("reoffer")
	k.saw(c, "INVITE")
	k.saw(c, "ACK")
}

// wants checks how many legs were resumed.
func (k *killable) wants(legs, want int) {
	k.t.Helper()
	if legs != want {
		k.t.Fatalf("%d legs resumed, want %d", legs, want)
	}
}

func TestKilledInACall(t *testing.T) {
	for _, x := range []struct {
		what string
		ours bool
		end  func(k *killable, c *siptest.Call)
	}{
		{"they called and hang up", false, func(_ *killable, c *siptest.Call) { c.Bye() }},
		{"they called, we hang up", false, func(k *killable, c *siptest.Call) { k.order("hang up"); k.saw(c, "BYE") }},
		{"we called, they hang up", true, func(_ *killable, c *siptest.Call) { c.Bye() }},
		{"we called and hang up", true, func(k *killable, c *siptest.Call) { k.order("hang up"); k.saw(c, "BYE") }},
	} {
		t.Run(x.what, func(t *testing.T) {
			t.Parallel()
			var k *killable
			var c *siptest.Call
			if x.ours {
				k = newKillable(t, plan{Phone: "the phone"})
				c = k.rung()
				c.Answer(offerA)
				k.saw(c, "ACK")
			} else {
				k = newKillable(t, plan{})
				c = k.calls()
				k.saw(c, "200 INVITE")
			}
			k.wants(k.dies(200*time.Millisecond), 1)
			k.talks(c)
			k.wants(k.dies(0), 1)
			x.end(k, c)
			k.ended(c)
		})
	}
	t.Run("the session is refreshed in time", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, plan{Session: 20 * time.Second})
		c := k.calls(siptest.H("Supported", "timer"), siptest.H("Session-Expires", "20;refresher=uas"))
		k.saw(c, "200 INVITE")
		began := time.Now()
		k.wants(k.dies(time.Second), 1)
		k.saw(c, "UPDATE")
		if after := time.Since(began); after < 9*time.Second { // a third of the session before its end it would be a BYE
			t.Errorf("refreshed after %v, want 10 s", after)
		}
		c.Bye()
		k.ended(c)
	})
	t.Run("between 200 and ACK", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, plan{})
		k.carrier.Manual(true, "ACK")
		c := k.calls()
		k.saw(c, "200 INVITE")
		k.wants(k.dies(100*time.Millisecond), 1)
		had := k.carrier.Wire().Count("200 INVITE", false)
		until(t, "the 200 is repeated", func() bool { return k.carrier.Wire().Count("200 INVITE", false) > had+1 })
		c.Ack("")
		k.carrier.Manual(false, "ACK")
		k.talks(c)
		c.Bye()
		k.ended(c)
	})
}

func TestKilledWhileItRings(t *testing.T) {
	t.Run("they called, and give up", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, plan{Rings: true})
		c := k.calls()
		k.saw(c, "180 INVITE")
		k.wants(k.dies(100*time.Millisecond), 1)
		c.Cancel()
		k.saw(c, "200 CANCEL")
		k.saw(c, "487 INVITE")
		k.ended(c)
	})
	t.Run("they called, and are answered", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, plan{Rings: true})
		c := k.calls()
		k.saw(c, "180 INVITE")
		k.plan.Rings = false
		k.wants(k.dies(100*time.Millisecond), 1)
		k.saw(c, "200 INVITE")
		k.talks(c)
		c.Bye()
		k.ended(c)
	})
	t.Run("we called, and give up", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, plan{Phone: "the phone"})
		c := k.rung()
		k.wants(k.dies(100*time.Millisecond), 1)
		until(t, "the phone was asked again", func() bool { return k.phone.Wire().Count("INVITE", false) > 1 })
		k.order("hang up")
		k.saw(c, "CANCEL")
		k.ended(c)
	})
	t.Run("we called, and are answered meanwhile", func(t *testing.T) {
		t.Parallel()
		k := newKillable(t, plan{Phone: "the phone"})
		c := k.rung()
		k.kill()
		c.Answer(offerA)
		k.wants(k.start(), 1)
		k.saw(c, "ACK")
		k.talks(c)
		k.order("hang up")
		k.saw(c, "BYE")
		k.ended(c)
	})
}

// TestKilledAtAnyMoment kills the switch at a moment of chance in a whole call, again
// and again.
func TestKilledAtAnyMoment(t *testing.T) {
	for round := range 30 {
		t.Run(fmt.Sprint(round), func(t *testing.T) {
			t.Parallel()
			p := plan{}
			if round%2 == 1 {
				p.Phone = "the phone"
			}
			k := newKillable(t, p)
			killed := make(chan struct{})
			time.AfterFunc(time.Duration(rand.IntN(200))*time.Millisecond, func() {
				defer close(killed)
				k.dies(time.Duration(rand.IntN(300)) * time.Millisecond)
			})
			var c *siptest.Call
			if round%2 == 1 {
				c = k.rung()
				c.Answer(offerA)
				k.saw(c, "ACK")
			} else {
				c = k.calls()
				k.saw(c, "200 INVITE")
			}
			k.talks(c)
			<-killed
			if round%4 < 2 {
				c.Bye()
			} else {
				k.order("hang up")
				k.saw(c, "BYE")
			}
			k.ended(c)
		})
	}
}
