package siptest

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Event is something that happened to a call. Its name is the method of a
// request received ("BYE"), code and method of an answer received ("200
// INVITE"), or one of: "timeout INVITE" (no final answer, any method), "no-ack"
// (our answer was never acknowledged), "ended" (last event of every call).
type Event struct {
	At   time.Time
	Name string
	Msg  *Message // nil for a timeout and for "ended"
}

// Call is one dialog of a phone, from the INVITE on. Methods that send do not
// wait: what comes back is an event. They send whatever they are asked to, in
// any state, as long as there is something to send it in.
type Call struct {
	p        *Phone
	began    time.Time
	Incoming bool
	// Data belongs to whoever uses the phone; set it before the call can have
	// events (Options.OnCall, or Invite's caller before it returns to the wire).
	Data any

	// Guarded by the wire's lock.
	id        dialogID
	remoteTag string
	localURI  string // From or To value of this side, with tag
	remoteURI string // of the other side, with its tag once known
	target    string // where the other side wants requests: its Contact
	routes    []string
	peer      net.Addr // where requests of the dialog are sent
	cseq      uint32
	invite    *Message             // the INVITE that opened the call
	first     *serverTx            // the same, incoming and not yet answered finally
	invites   map[uint32]*serverTx // incoming INVITEs by CSeq, for their ACK
	outgoing  *clientTx            // our INVITE that waits for a final answer
	acks      map[uint32]*Message  // ACKs sent for 2xx, to repeat
	local     string               // our last session description
	remote    string               // theirs
	state     State
	signed    bool // the INVITE was sent again with credentials
	cancel    bool // Cancel was asked for before a provisional answer
	history   []Event
	taken     []bool
	waiting   chan struct{} // closed and replaced at each event; nil until somebody waits
}

// State is how far a call has come.
type State int

// The states of a call.
const (
	Calling State = iota // INVITE sent or received, no final answer
	Talking              // answered with a 2xx
	Ended                // refused, cancelled, timed out or hung up
)

func (s State) String() string { return [...]string{"calling", "talking", "ended"}[s] }

// Phone returns the phone the call belongs to.
func (c *Call) Phone() *Phone { return c.p }

// ID returns the Call-ID.
func (c *Call) ID() string { return c.id.callID }

// Began is when the INVITE was sent or arrived.
func (c *Call) Began() time.Time { return c.began }

// Invite returns the INVITE that opened the call, as received or first sent.
func (c *Call) Invite() *Message { return c.invite }

// State returns how far the call has come.
func (c *Call) State() State {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	return c.state
}

// RemoteSDP returns the last session description the other side sent, "" before.
func (c *Call) RemoteSDP() string {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	return c.remote
}

// LocalSDP returns the last session description this side sent, "" before.
func (c *Call) LocalSDP() string {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	return c.local
}

// Tags returns the two tags of the dialog; remote is "" before the first answer
// with a tag.
func (c *Call) Tags() (local, remote string) {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	return c.id.localTag, c.remoteTag
}

// Target returns where the other side wants requests of the dialog.
func (c *Call) Target() string {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	return c.target
}

// Events returns everything that happened so far.
func (c *Call) Events() []Event {
	c.p.w.mu.Lock()
	defer c.p.w.mu.Unlock()
	return append([]Event(nil), c.history...)
}

// WaitFor waits for an event and takes it: the next wait for the same name waits
// for the next such event. The pattern is a name, its first word ("200"), or a
// class ("18x", "4xx", "200 BYE"). Events of other names stay for later waits.
// It fails only with ctx or a closed wire, not with the end of the call: an
// answer may still come after that. The error tells what was seen instead.
func (c *Call) WaitFor(ctx context.Context, pattern string) (*Message, error) {
	w := c.p.w
	for {
		w.mu.Lock()
		for i, e := range c.history {
			if !c.taken[i] && fits(pattern, e.Name) {
				c.taken[i] = true
				w.mu.Unlock()
				return e.Msg, nil
			}
		}
		if c.waiting == nil {
			c.waiting = make(chan struct{})
		}
		more, seen := c.waiting, names(c.history)
		w.mu.Unlock()
		select {
		case <-more:
		case <-c.p.gone:
			return nil, fmt.Errorf("wait for %s: %w; seen %v", pattern, net.ErrClosed, seen)
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w; seen %v", pattern, context.Cause(ctx), seen)
		}
	}
}

// Ended waits until the call is over.
func (c *Call) Ended(ctx context.Context) error {
	_, err := c.WaitFor(ctx, "ended")
	return err
}

func names(events []Event) []string {
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = e.Name
	}
	return all
}

// emit records an event and hands it to OnEvent once the lock is free.
func (c *Call) emit(name string, m *Message) {
	e := Event{At: time.Now(), Name: name, Msg: m}
	if !c.p.o.Forgetful {
		c.history = append(c.history, e)
		c.taken = append(c.taken, false)
		if c.waiting != nil {
			close(c.waiting)
			c.waiting = nil
		}
	}
	if f := c.p.o.OnEvent; f != nil {
		c.p.w.later(func() { f(c, e) })
	}
}

// end closes the call once; its dialog is forgotten, so that later requests for
// it get 481.
func (c *Call) end() {
	if c.state == Ended {
		return
	}
	c.state = Ended
	delete(c.p.w.calls, c.id)
	c.emit("ended", nil)
}

// request builds a request of the dialog. ACK is not built here: it has the
// number of its INVITE.
func (c *Call) request(method, body string, extra []Header) *Message {
	c.cseq++
	return c.numbered(method, c.cseq, body, extra)
}

func (c *Call) numbered(method string, num uint32, body string, extra []Header) *Message {
	m := &Message{Method: method, URI: c.target, Body: body}
	m.Headers = append(make([]Header, 0, 12+len(extra)),
		Header{"Via", c.p.via()}, Header{"Max-Forwards", "70"})
	for _, r := range c.routes {
		m.Add("Route", r)
	}
	m.Headers = append(m.Headers, Header{"From", c.localURI}, Header{"To", c.remoteURI},
		Header{"Call-ID", c.id.callID}, Header{"CSeq", strconv.FormatUint(uint64(num), 10) + " " + method},
		Header{"Contact", "<" + c.p.ContactURI() + ">"})
	return c.p.finish(m, extra)
}

// send starts a request of the dialog; its answers become events.
func (c *Call) send(req *Message, also func(*Message, error)) {
	c.p.w.start(req, c.peer, func(res *Message, err error) {
		if err != nil {
			c.emit("timeout "+req.Method, nil)
		} else {
			c.emit(eventName(res), res)
		}
		if also != nil {
			also(res, err)
		}
	})
}

// retarget takes over where the other side wants requests from now on (RFC 3261
// section 12.2.1.2), and with routes their path when the dialog begins.
func (c *Call) retarget(m *Message, learnRoutes bool) {
	if contact := m.Get("Contact"); contact != "" {
		c.target = URIOf(contact)
	}
	if learnRoutes {
		c.routes = m.Values("Record-Route")
		if !m.IsRequest() {
			for i, j := 0, len(c.routes)-1; i < j; i, j = i+1, j-1 {
				c.routes[i], c.routes[j] = c.routes[j], c.routes[i]
			}
		}
	}
	c.peer = c.nextHop()
}

// nextHop is where requests of the dialog go: to the first route or the target
// if that is a literal address and this phone has no outbound server, else to
// the server.
func (c *Call) nextHop() net.Addr {
	p := c.p
	if p.w.stream != nil || (p.o.Outbound && p.serverAddr != nil) {
		return p.serverAddr
	}
	uri := c.target
	if len(c.routes) > 0 {
		uri = URIOf(c.routes[0])
	}
	host, port, err := net.SplitHostPort(HostOf(uri))
	if err != nil {
		host, port = HostOf(uri), "5060"
	}
	ip := net.ParseIP(host)
	n, err := strconv.Atoi(port)
	if ip == nil || err != nil {
		if p.serverAddr != nil {
			return p.serverAddr
		}
		return c.peer
	}
	return &net.UDPAddr{IP: ip, Port: n}
}
