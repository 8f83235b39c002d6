package rtp

import (
	"cmp"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/logging"
	pion "github.com/pion/rtp"
	"github.com/pion/sdp/v3"
	"github.com/pion/srtp/v3"
	"github.com/pion/transport/v5/deadline"
)

// browser is the far end of a leg as a browser is one: full ICE in the controlling
// role, DTLS, SRTP, made of other people's code. Without ice it is a telephone with
// DTLS-SRTP.
type browser struct {
	t        testing.TB
	identity tls.Certificate
	agent    *ice.Agent
	wire     net.Conn // ice.Conn, or a socket
	lane     *handshake
	told     chan MediaEvent
	leg      *Leg
	session  *Session

	active  bool          // it begins the DTLS handshake
	profile string        // of its offers, "" for that of browsers
	prints  string        // what its SDP says its fingerprint is, "" for the truth
	step    time.Duration // after which it repeats a flight of the handshake, 0: 100 ms

	rewire func(net.Conn) net.Conn // what becomes of its wire after ICE; nil: nothing

	tx, rx *srtp.Context
	heard  chan pion.Packet
	seq    uint16
	run    sync.WaitGroup
}

func newBrowser(t testing.TB, m *Media, beside *Leg, withICE bool) *browser {
	t.Helper()
	identity, err := newIdentity(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, identity: identity, heard: make(chan pion.Packet, 100), told: make(chan MediaEvent, 100), active: true, seq: 100}
	b.leg, err = m.NewLeg(LegOptions{Role: AgentLeg, Beside: beside, Sink: func(e MediaEvent) {
		select {
		case b.told <- e:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	b.session = NewSession(b.leg.Addr(), 7)
	b.session.Protect(Protection{Offer: DTLS, Fingerprint: m.Fingerprint(), ICE: withICE})
	if withICE {
		b.agent, err = ice.NewAgentWithOptions(ice.WithIncludeLoopback(), ice.WithNetworkTypes([]ice.NetworkType{ice.NetworkTypeUDP4}),
			ice.WithMulticastDNSMode(ice.MulticastDNSModeDisabled), ice.WithCandidateTypes([]ice.CandidateType{ice.CandidateTypeHost}),
			ice.WithLoggerFactory(silent()), ice.WithIPFilter(func(ip net.IP) bool { return ip.IsLoopback() }))
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(b.close)
	return b
}

func silent() logging.LoggerFactory {
	return &logging.DefaultLoggerFactory{Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled}
}

func (b *browser) close() {
	if b.wire != nil {
		_ = b.wire.Close()
	}
	if b.agent != nil {
		_ = b.agent.Close()
	}
	if b.lane != nil {
		b.lane.end()
	}
	b.run.Wait()
}

// describe is its offer or answer.
func (b *browser) describe(setup string) []byte {
	b.t.Helper()
	profile, prints := "UDP/TLS/RTP/SAVPF", "sha-256 "+printOf(b.identity.Certificate[0], crypto.SHA256)
	if b.profile != "" {
		profile = b.profile
	}
	if b.prints != "" {
		prints = b.prints
	}
	head, media := []string{"v=0", "o=- 4611731400430051336 2 IN IP4 127.0.0.1", "s=-", "t=0 0"}, []string{}
	if b.agent != nil {
		name, password, err := b.agent.GetLocalUserCredentials()
		if err != nil {
			b.t.Fatal(err)
		}
		// As Chrome writes it: its own addresses are hidden.
		head = append(head, "a=group:BUNDLE 0", "a=extmap-allow-mixed", "a=msid-semantic: WMS x")
		media = append(media, "m=audio 9 "+profile+" 111 9 0 8 13 110 126", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0",
			"a=candidate:1 1 udp 2113937151 5ba9-11.local 50000 typ host generation 0", "a=ice-ufrag:"+name, "a=ice-pwd:"+password,
			"a=ice-options:trickle", "a=mid:0", "a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level", "a=rtcp-mux", "a=rtcp-rsize")
	} else {
		at := b.wire.LocalAddr().(*net.UDPAddr)
		media = append(media, "m=audio "+strconv.Itoa(at.Port)+" "+profile+" 8 0 126", "c=IN IP4 127.0.0.1")
	}
	media = append(media, "a=fingerprint:"+prints, "a=setup:"+setup, "a=sendrecv", "a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 transport-cc",
		"a=rtpmap:9 G722/8000", "a=rtpmap:0 PCMU/8000", "a=rtpmap:8 PCMA/8000", "a=rtpmap:13 CN/8000", "a=rtpmap:126 telephone-event/8000", "a=ssrc:1234 cname:abc")
	return []byte(strings.Join(append(head, media...), "\r\n") + "\r\n")
}

// dialTo is where it would go without ICE: the address of the leg.
func (b *browser) dialTo() {
	b.t.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(b.leg.Addr()))
	if err != nil {
		b.t.Fatal(err)
	}
	b.wire = conn
}

// calls makes an offer; isCalled answers ours.
func (b *browser) calls() Stream {
	b.t.Helper()
	if b.agent == nil {
		b.dialTo()
	}
	setup := "actpass"
	if !b.active {
		setup = "passive"
	}
	answer, st, err := b.session.Answer(b.describe(setup), NoCodec)
	if err != nil {
		b.t.Fatal(err)
	}
	b.meets(answer, st)
	return st
}

func (b *browser) isCalled() Stream {
	b.t.Helper()
	if b.agent == nil {
		b.dialTo()
	}
	offer := b.session.Offer(NoCodec)
	if !strings.Contains(string(offer), "a=setup:actpass\r\n") {
		b.t.Fatalf("offer\n%s", offer)
	}
	setup := "passive"
	if b.active {
		setup = "active"
	}
	st, err := b.session.Accept(b.describe(setup))
	if err != nil {
		b.t.Fatal(err)
	}
	b.meets(offer, st)
	return st
}

// meets takes our description, connects, and shakes hands.
func (b *browser) meets(ours []byte, st Stream) {
	b.t.Helper()
	d := checkWithPion(b.t, ours)
	st.Latch, st.SignalIP = Near, loopback
	b.leg.Set(st)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if b.agent != nil {
		b.connect(ctx, d)
	}
	if b.rewire != nil {
		b.wire = b.rewire(b.wire)
	}
	prints, _ := d.MediaDescriptions[0].Attribute("fingerprint")
	b.listen()
	if err := b.shake(ctx, prints); err != nil {
		b.t.Fatal(err)
	}
	// The side that speaks last is through before the other has heard it.
	until(b.t, "we have the keys too", func() bool { return b.report().Guard == DTLS })
}

// connect runs ICE with what our description says.
func (b *browser) connect(ctx context.Context, d *sdp.SessionDescription) {
	b.t.Helper()
	if _, lite := d.Attribute("ice-lite"); !lite {
		b.t.Fatal("we do not say that we are lite")
	}
	m := d.MediaDescriptions[0]
	name, _ := m.Attribute("ice-ufrag")
	password, _ := m.Attribute("ice-pwd")
	text, _ := m.Attribute("candidate")
	c, err := ice.UnmarshalCandidate(text)
	if err != nil {
		b.t.Fatalf("candidate %q: %v", text, err)
	}
	gathered := make(chan struct{})
	if err := b.agent.OnCandidate(func(c ice.Candidate) {
		if c == nil {
			close(gathered)
		}
	}); err != nil {
		b.t.Fatal(err)
	}
	if err := b.agent.GatherCandidates(); err != nil {
		b.t.Fatal(err)
	}
	<-gathered
	if err := b.agent.AddRemoteCandidate(c); err != nil {
		b.t.Fatal(err)
	}
	conn, err := b.agent.Dial(ctx, name, password)
	if err != nil {
		b.t.Fatalf("ICE: %v", err)
	}
	b.wire = conn
}

// listen sorts what comes (RFC 7983).
func (b *browser) listen() {
	b.lane = &handshake{leg: b.leg, name: net.UDPAddrFromAddrPort(b.leg.Addr()), in: make(chan []byte, 100), ended: make(chan struct{}), wait: deadline.New(), cancel: func() {}}
	keys := make(chan struct{})
	b.lane.cancel = sync.OnceFunc(func() { close(keys) })
	b.run.Go(func() {
		for {
			buf := make([]byte, 2000)
			n, err := b.wire.Read(buf)
			if err != nil {
				return
			}
			switch buf = buf[:n]; {
			case isHandshake(buf):
				select {
				case b.lane.in <- buf:
				default:
				}
			case isRTCP(buf):
			default:
				<-keys
				clear, err := b.rx.DecryptRTP(nil, buf, nil)
				var k pion.Packet
				if err != nil || k.Unmarshal(clear) != nil {
					b.t.Errorf("a packet that is not for us: %v", err)
					return
				}
				select {
				case b.heard <- k:
				default:
				}
			}
		}
	})
}

// lane is the handshake's way out, by the browser's wire.
type lane struct {
	*handshake
	wire net.Conn
}

func (l lane) WriteTo(p []byte, _ net.Addr) (int, error) { return l.wire.Write(p) }

func (b *browser) shake(ctx context.Context, prints string) error {
	both := []dtls.Option{
		dtls.WithCertificates(b.identity), dtls.WithLoggerFactory(silent()), dtls.WithFlightInterval(cmp.Or(b.step, 100*time.Millisecond)),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM),
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			if got := "sha-256 " + printOf(raw[0], crypto.SHA256); got != prints {
				return fmt.Errorf("fingerprint %s, promised was %s", got, prints)
			}
			return nil
		}),
	}
	var conn *dtls.Conn
	var err error
	if b.active {
		options := []dtls.ClientOption{dtls.WithInsecureSkipVerify(true)}
		for _, o := range both {
			options = append(options, o)
		}
		conn, err = dtls.ClientWithOptions(lane{b.lane, b.wire}, b.wire.RemoteAddr(), options...)
	} else {
		options := []dtls.ServerOption{dtls.WithClientAuth(dtls.RequireAnyClientCert)}
		for _, o := range both {
			options = append(options, o)
		}
		conn, err = dtls.ServerWithOptions(lane{b.lane, b.wire}, b.wire.RemoteAddr(), options...)
	}
	if err != nil {
		return err
	}
	b.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	k, err := keysOf(conn, b.active)
	if err != nil {
		return err
	}
	if b.tx, err = newContext(k.Suite, k.Ours, ""); err != nil {
		return err
	}
	if b.rx, err = newContext(k.Suite, k.Theirs, ""); err != nil {
		return err
	}
	b.lane.cancel()
	return nil
}

// say sends 20 ms of mu-law.
func (b *browser) say(payload []byte) {
	b.t.Helper()
	k := pion.Packet{Header: pion.Header{Version: 2, PayloadType: 0, SequenceNumber: b.seq, Timestamp: uint32(b.seq) * 160, SSRC: 1234}, Payload: payload}
	b.seq++
	sealed, err := b.tx.EncryptRTP(nil, marshal(b.t, k), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.wire.Write(sealed); err != nil {
		b.t.Fatal(err)
	}
}

func (b *browser) hear() pion.Packet {
	b.t.Helper()
	select {
	case k := <-b.heard:
		return k
	case <-time.After(10 * time.Second):
		b.t.Fatal("the browser hears nothing")
		return pion.Packet{}
	}
}

func (b *browser) report() Report {
	b.t.Helper()
	done := make(chan Report, 1)
	b.leg.Report(func(r Report) { done <- r })
	select {
	case r := <-done:
		return r
	case <-time.After(10 * time.Second):
		b.t.Fatal("the shard does not answer")
		return Report{}
	}
}
