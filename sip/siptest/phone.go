package siptest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Options are one account and how its phone behaves.
type Options struct {
	User     string // the account; also the digest user unless AuthUser is set
	AuthUser string
	Password string
	Name     string // display name
	Domain   string // host part of From and To; "" means the server's address
	Server   string // IP:port that requests are sent to; on a stream not needed
	// Contact is the host:port written into Via and Contact instead of the
	// socket's own, e.g. the private address of a phone behind a router.
	Contact string
	NoRport bool // leave rport (RFC 3581) out of Via
	// Outbound sends also in-dialog requests to Server instead of the address in
	// the other side's Contact.
	Outbound bool
	// Manual names methods that the phone only reports and never answers by
	// itself; "ACK" switches off acknowledging. The test answers with
	// Call.Respond.
	Manual []string
	// Passive turns everything automatic off: the wire's trace is all there is.
	Passive bool
	// OnCall takes incoming calls instead of the channel of Calls. It must not
	// block.
	OnCall func(*Call)
	// OnRequest takes requests outside any dialog that Manual names (REGISTER,
	// OPTIONS, ...), to be answered with Phone.Respond, at once or later: this
	// makes a carrier or a registrar of the phone. It must not block.
	OnRequest func(*Message)
	// OnEvent sees every event of every call, after it was recorded. It must not
	// block.
	OnEvent func(*Call, Event)
	// Forgetful keeps no history of events: for load, where WaitFor is not used.
	Forgetful bool
}

// Phone is one account on a wire.
type Phone struct {
	w     *Wire
	o     Options
	own   bool // the wire was opened for this phone alone
	calls chan *Call
	gone  chan struct{} // closed when the wire is

	// Guarded by the wire's lock.
	manual     map[string]bool
	challenges map[string]*challenge // by header that answers: nonces in use
	cseq       uint32                // of REGISTER
	regID      string                // Call-ID of registrations
	serverAddr net.Addr
}

// NewPhone opens a phone that has a packet socket for itself. Close closes the
// socket.
func NewPhone(pc net.PacketConn, o Options) (*Phone, error) {
	return only(packetWire(pc, WireOptions{}), o)
}

// NewStreamPhone opens a phone on a connection to its server: TCP, a *tls.Conn, or
// what DialWebSocket returned.
func NewStreamPhone(c net.Conn, o Options) (*Phone, error) {
	return only(streamWire(c, WireOptions{}), o)
}

// only makes a phone the single one of a wire and then begins to read: what the
// socket holds already is for that phone.
func only(w *Wire, o Options) (*Phone, error) {
	p, err := w.Phone(o)
	if err == nil {
		p.own, w.only = true, p
	}
	go w.read()
	if err != nil {
		w.Close()
	}
	return p, err
}

// Phone adds an account to a shared wire. Incoming calls find it by the user of
// the Request-URI, which is the Contact it registered.
func (w *Wire) Phone(o Options) (*Phone, error) {
	p := &Phone{w: w, o: o, calls: make(chan *Call, 64), gone: make(chan struct{}),
		manual: map[string]bool{}, challenges: map[string]*challenge{}, regID: token()}
	if o.Contact == "" {
		p.o.Contact = w.local
	}
	if o.AuthUser == "" {
		p.o.AuthUser = o.User
	}
	if w.stream != nil {
		p.serverAddr = w.stream.RemoteAddr()
	} else if o.Server != "" {
		addr, err := net.ResolveUDPAddr("udp", o.Server)
		if err != nil {
			return nil, fmt.Errorf("phone %s: server: %w", o.User, err)
		}
		p.serverAddr = addr
	}
	if o.Domain == "" && p.serverAddr != nil {
		p.o.Domain = p.serverAddr.String()
	}
	for _, m := range o.Manual {
		p.manual[m] = true
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return nil, fmt.Errorf("phone %s: %w", o.User, net.ErrClosed)
	}
	if w.phones[o.User] != nil {
		return nil, fmt.Errorf("phone %s: already on this wire", o.User)
	}
	w.phones[o.User] = p
	return p, nil
}

// Close closes the wire if it was opened for this phone alone, else it only
// takes the phone off it.
func (p *Phone) Close() error {
	if p.own {
		return p.w.Close()
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	if p.w.phones[p.o.User] == p {
		delete(p.w.phones, p.o.User)
		close(p.gone)
	}
	return nil
}

// Wire returns the socket the phone is on, for its trace and raw messages.
func (p *Phone) Wire() *Wire { return p.w }

// User returns the account's name.
func (p *Phone) User() string { return p.o.User }

// AOR returns the account's public address.
func (p *Phone) AOR() string { return "sip:" + p.o.User + "@" + p.o.Domain }

// Manual changes, while running, which methods the phone leaves to the test.
func (p *Phone) Manual(on bool, methods ...string) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, m := range methods {
		p.manual[m] = on
	}
}

// Calls delivers incoming calls when OnCall is not set. With 64 waiting further
// ones are refused with 486.
func (p *Phone) Calls() <-chan *Call { return p.calls }

// WaitCall waits for the next incoming call.
func (p *Phone) WaitCall(ctx context.Context) (*Call, error) {
	select {
	case c := <-p.calls:
		return c, nil
	case <-p.gone:
		return nil, fmt.Errorf("wait for a call to %s: %w", p.o.User, net.ErrClosed)
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a call to %s: %w; seen:\n%s", p.o.User, context.Cause(ctx), p.w.Ladder())
	}
}

// ContactURI is the address the phone wants to be called at.
func (p *Phone) ContactURI() string {
	uri := "sip:" + p.o.User + "@" + p.o.Contact
	switch t := strings.ToLower(p.w.transport()); t {
	case "udp":
	case "wss":
		uri += ";transport=ws" // RFC 7118 section 5.2
	default:
		uri += ";transport=" + t
	}
	return uri
}

func (p *Phone) via() string {
	v := "SIP/2.0/" + p.w.transport() + " " + p.o.Contact + ";branch=z9hG4bK" + token()
	if !p.o.NoRport {
		v += ";rport"
	}
	return v
}

func (p *Phone) from(tag string) string {
	v := "<" + p.AOR() + ">;tag=" + tag
	if p.o.Name != "" {
		v = `"` + p.o.Name + `" ` + v
	}
	return v
}

// NewRequest builds a request outside any dialog, addressed to target, ready to
// be changed and sent with Do.
func (p *Phone) NewRequest(method, target, body string, extra ...Header) *Message {
	m := &Message{Method: method, URI: target, Body: body}
	m.Headers = append(make([]Header, 0, 12+len(extra)),
		Header{"Via", p.via()}, Header{"Max-Forwards", "70"},
		Header{"From", p.from(token())}, Header{"To", "<" + target + ">"},
		Header{"Call-ID", token() + token()}, Header{"CSeq", "1 " + method},
		Header{"Contact", "<" + p.ContactURI() + ">"})
	return p.finish(m, extra)
}

// finish adds the body's type and the extra headers. An extra header replaces
// the one that would be written; with an empty value it removes it.
func (p *Phone) finish(m *Message, extra []Header) *Message {
	if m.Body != "" {
		m.Add("Content-Type", "application/sdp")
	}
	m.Add("User-Agent", "siptest")
	override(m, extra)
	return m
}

func override(m *Message, extra []Header) {
	single := []string{"Via", "From", "To", "Call-ID", "CSeq", "Contact", "Content-Type", "Max-Forwards", "User-Agent", "Allow", "Supported"}
	for _, h := range extra {
		switch {
		case h.Value == "":
			m.Del(h.Name)
		case slices.Contains(single, h.Name):
			m.Set(h.Name, h.Value)
		default:
			m.Add(h.Name, h.Value)
		}
	}
}

// Do sends a request outside any dialog and waits for its final answer. One
// challenge is answered if the phone has a password.
func (p *Phone) Do(ctx context.Context, req *Message) (*Message, error) {
	res, err := p.once(ctx, req)
	if err != nil || (res.Status != 401 && res.Status != 407) || p.o.Password == "" {
		return res, err
	}
	c, err := findChallenge(res)
	if err != nil {
		return res, err
	}
	p.resign(req, c)
	return p.once(ctx, req)
}

// resign makes a challenged request a new one: next CSeq, new branch, signed.
func (p *Phone) resign(req *Message, c *challenge) {
	num, method := req.CSeq()
	req.Set("CSeq", fmt.Sprintf("%d %s", num+1, method))
	req.Set("Via", p.via())
	c.sign(req, p.o.AuthUser, p.o.Password)
}

func (p *Phone) once(ctx context.Context, req *Message) (*Message, error) {
	type result struct {
		res *Message
		err error
	}
	done := make(chan result, 1)
	var tx *clientTx
	if p.serverAddr == nil {
		return nil, fmt.Errorf("%s by %s: no server address", req.Method, p.o.User)
	}
	sent := req.Clone()
	p.w.do(func() {
		if p.w.closed {
			done <- result{nil, net.ErrClosed}
			return
		}
		tx = p.w.start(sent, p.serverAddr, func(res *Message, err error) {
			if err != nil || res.Status >= 200 {
				done <- result{res, err}
			}
		})
	})
	select {
	case r := <-done:
		if r.err != nil {
			return nil, fmt.Errorf("%s by %s: %w", req.Method, p.o.User, r.err)
		}
		return r.res, nil
	case <-p.gone:
		return nil, fmt.Errorf("%s by %s: %w", req.Method, p.o.User, net.ErrClosed)
	case <-ctx.Done():
		p.w.do(func() {
			if tx != nil {
				tx.stop()
				delete(p.w.pending, tx.key)
			}
		})
		return nil, fmt.Errorf("%s by %s: %w", req.Method, p.o.User, context.Cause(ctx))
	}
}

// incoming takes a request that opens a dialog or stands alone.
func (p *Phone) incoming(tx *serverTx) {
	if p.o.Passive {
		return
	}
	m := tx.req
	if m.Method == "INVITE" {
		p.ringing(tx)
		return
	}
	if p.manual[m.Method] {
		if f := p.o.OnRequest; f != nil {
			p.w.later(func() { f(m) })
		}
		return
	}
	switch m.Method {
	case "OPTIONS":
		tx.reply(tx.build(200, "", H("Allow", allowed), H("Accept", "application/sdp")))
	case "NOTIFY", "MESSAGE", "INFO":
		tx.reply(tx.build(200, ""))
	case "BYE", "UPDATE", "PRACK", "REFER":
		tx.reply(tx.build(481, ""))
	default:
		tx.reply(tx.build(501, ""))
	}
}

// Respond answers a request outside any dialog that the phone was told to leave
// to the test.
func (p *Phone) Respond(req *Message, code int, body string, extra ...Header) error {
	err := fmt.Errorf("respond %d to %s: no such request", code, req.Method)
	p.w.do(func() {
		if tx := p.w.answered[serverKey(req, req.Method)]; tx != nil {
			res := tx.build(code, body)
			override(res, extra)
			tx.reply(res)
			err = nil
		}
	})
	return err
}

const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY, PRACK, MESSAGE"

// seconds writes a duration the way Expires wants it.
func seconds(d time.Duration) string { return fmt.Sprint(int(d / time.Second)) }
