package sip

import (
	"errors"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"foyer/sip/siptest"
)

// A process that is killed says nothing more and remembers nothing more. Here that
// is done inside one process, where it can be done at any moment that matters: right
// after the n-th record was written, so that the message it was written for never
// leaves, and right after the n-th message left. kill_test.go does the same to real
// processes, at moments of chance.

// memory keeps records for as long as its process lives, and lets the next have them.
type memory struct {
	mu      sync.Mutex
	records map[string][]byte
	dead    bool
	puts    int
	bytes   int         // of their values
	put     func(n int) // after the n-th record; may be nil
	full    error       // what Put fails with
}

func newMemory() *memory { return &memory{records: map[string][]byte{}} }

func (m *memory) Put(key string, value []byte) error {
	m.mu.Lock()
	if m.dead || m.full != nil {
		defer m.mu.Unlock()
		return m.full
	}
	m.records[key] = append([]byte(nil), value...)
	m.puts++
	m.bytes += len(value)
	n, put := m.puts, m.put
	m.mu.Unlock()
	if put != nil && strings.HasPrefix(key, LegPrefix) {
		put(n)
	}
	return nil
}

func (m *memory) Delete(key string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.dead {
		delete(m.records, key)
	}
}

func (m *memory) Get(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.records[key]
	return v, ok
}

// left returns the records whose keys begin with a prefix.
func (m *memory) left(prefix string) map[string][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := maps.Clone(m.records)
	maps.DeleteFunc(all, func(key string, _ []byte) bool { return !strings.HasPrefix(key, prefix) })
	return all
}

// next is what the process after this one finds.
func (m *memory) next() *memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
	return &memory{records: maps.Clone(m.records), puts: m.puts, put: m.put}
}

// plug is a process's hold on a socket that outlives it.
type plug struct {
	*siptest.Endpoint
	gone  chan struct{} // closed when the process has let go
	mu    sync.Mutex
	dead  bool
	sends int
	sent  func(n int) // after the n-th message; may be nil
}

func (p *plug) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dead
}

func (p *plug) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := p.Endpoint.ReadFrom(b)
	if err != nil && p.isDead() {
		// What is still running of the process must not find its socket closed: the
		// library would open another.
		<-p.gone
		err = net.ErrClosed
	}
	return n, from, err
}

func (p *plug) WriteTo(b []byte, to net.Addr) (int, error) {
	p.mu.Lock()
	if p.dead {
		defer p.mu.Unlock()
		return len(b), nil
	}
	p.sends++
	n, sent := p.sends, p.sent
	written, err := p.Endpoint.WriteTo(b, to)
	p.mu.Unlock()
	if sent != nil {
		sent(n)
	}
	return written, err
}

// pull takes the socket away from the process.
func (p *plug) pull() {
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	if err := p.SetReadDeadline(time.Unix(1, 0)); err != nil {
		panic(err)
	}
}

func (p *plug) Close() error {
	p.pull()
	close(p.gone)
	return nil
}

func newPlug(socket *siptest.Endpoint) *plug {
	return &plug{Endpoint: socket, gone: make(chan struct{})}
}

// lives is a stage whose edge may be killed and come back.
type lives struct {
	*stage
	socket    *siptest.Endpoint
	mem       *memory
	plug      *plug
	options   Options
	owner     func(*Leg)            // is given each leg that was resumed
	registrar func(Keep) *Registrar // makes that of the next process; may be nil
	stood     map[*Leg]Standing     // when they were resumed
}

// live runs a test on a stage whose edge keeps its legs.
func live(t *testing.T, change func(*Options), test func(*lives)) {
	t.Helper()
	v := &lives{mem: newMemory(), owner: func(*Leg) {}}
	play(t, func(o *Options) {
		v.socket = o.UDP.(*siptest.Endpoint)
		v.plug = newPlug(v.socket)
		o.UDP, o.Keep = v.plug, v.mem
		if change != nil {
			change(o)
		}
		v.options = *o
	}, func(s *stage) {
		v.stage = s
		defer func() {
			// The stage closes the edge; the socket is ours.
			s.t.Cleanup(func() { _ = v.socket.Close() })
		}()
		test(v)
		s.settles()
		for key := range v.mem.left(LegPrefix) {
			s.t.Errorf("record of a leg that is over: %s", key)
		}
	})
}

// kill ends the process between two instructions.
func (v *lives) kill() {
	v.plug.pull()
	v.mem.mu.Lock()
	v.mem.dead = true
	v.mem.mu.Unlock()
}

// revive starts the next process and returns the legs that it resumed, by key.
func (v *lives) revive() map[string]*Leg {
	v.t.Helper()
	if err := v.edge.Close(); err != nil {
		v.t.Error(err)
	}
	<-v.ended
	sends, sent := v.plug.sends, v.plug.sent
	v.plug = newPlug(v.socket)
	v.plug.sends, v.plug.sent = sends, sent
	if err := v.socket.SetReadDeadline(time.Time{}); err != nil {
		v.t.Error(err)
	}
	v.mem = v.mem.next()
	o := v.options
	o.UDP, o.Keep = v.plug, v.mem
	if v.registrar != nil {
		o.Registrar = v.registrar(v.mem)
		for key, record := range v.mem.left(BindingPrefix) {
			if err := o.Registrar.Resume(record); err != nil {
				v.t.Errorf("%s: %v", key, err)
			}
		}
	}
	edge, err := NewEdge(o)
	if err != nil {
		v.t.Error(err)
		return nil
	}
	legs := map[string]*Leg{}
	v.stood = map[*Leg]Standing{}
	for key, record := range v.mem.left(LegPrefix) {
		l, err := edge.Resume(record)
		if err != nil {
			v.t.Errorf("%s: %v", key, err)
			continue
		}
		if l.Key() != key {
			v.t.Errorf("resumed %s from %s", l.Key(), key)
		}
		legs[key] = l
		v.stood[l] = l.Standing()
	}
	v.edge = edge
	go func() { v.ended <- edge.Serve(v.t.Context()) }()
	for _, l := range legs {
		v.owner(l)
	}
	synctest.Wait()
	return legs
}

// dieAfter kills the process and starts the next when it has been dead for a while.
func (v *lives) dieAfter(down time.Duration) map[string]*Leg {
	v.t.Helper()
	v.kill()
	time.Sleep(down)
	return v.revive()
}

// only returns the one leg there is.
func only(t *testing.T, legs map[string]*Leg) *Leg {
	t.Helper()
	if len(legs) != 1 {
		t.Fatalf("%d legs resumed, want 1", len(legs))
	}
	for _, l := range legs {
		return l
	}
	return nil
}

// consistent checks what a phone has seen of a call: no number of ours was used twice
// with another content, our tag never changed, it was rung once, and no INVITE of ours
// came again after its ACK, when nobody would answer it.
func consistent(t *testing.T, p *siptest.Phone, callID string) {
	t.Helper()
	ours := ""
	numbers, acked := map[uint32]string{}, map[uint32]bool{}
	branches := map[string]bool{}
	for _, e := range p.Wire().Trace() {
		m := e.Msg
		if e.Out || m == nil || m.Get("Call-ID") != callID {
			continue
		}
		tag := m.Tag("To")
		if m.IsRequest() {
			tag = m.Tag("From")
		} else if m.Status == 100 {
			continue
		}
		if ours == "" {
			ours = tag
		}
		if tag != ours {
			t.Errorf("our tag was %q, is %q in %s", ours, tag, m)
		}
		number, _ := m.CSeq()
		if m.IsRequest() && m.Method == "ACK" {
			acked[number] = true
		}
		if !m.IsRequest() || m.Method == "ACK" || m.Method == "CANCEL" {
			continue
		}
		if m.Method == "INVITE" && acked[number] {
			t.Errorf("INVITE %d after its ACK", number)
		}
		if m.Method == "INVITE" && m.Tag("To") == "" {
			branches[siptest.Param(m.Get("Via"), "branch")] = true
		}
		if was, used := numbers[number]; used && was != m.String() {
			t.Errorf("number %d used twice:\n%s\n%s", number, was, m)
		}
		numbers[number] = m.String()
	}
	if len(branches) > 1 {
		t.Errorf("rung %d times", len(branches))
	}
	if t.Failed() {
		t.Logf("wire:\n%s", p.Wire().Ladder())
	}
}

var errFull = errors.New("no room")
