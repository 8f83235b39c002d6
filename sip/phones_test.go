package sip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/sip/siptest"
)

// counter is a registrar behind an edge, with a diary.
type counter struct {
	*Registrar
	t     *testing.T
	tcp   net.Addr
	mu    sync.Mutex
	diary []string
	grew  chan struct{}
}

func openCounter(t *testing.T, udp net.PacketConn, o RegistrarOptions) *counter {
	t.Helper()
	c := &counter{t: t, grew: make(chan struct{}, 1)}
	o.Realm, o.Default, o.Accounts = testRealm, MD5, testAccounts
	also := o.Changed
	o.Changed = func(e RegEvent) {
		if also != nil {
			also(e)
		}
		c.mu.Lock()
		c.diary = append(c.diary, told([]RegEvent{e}))
		c.mu.Unlock()
		select {
		case c.grew <- struct{}{}:
		default:
		}
	}
	c.Registrar = NewRegistrar(o)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.tcp = tcp.Addr()
	e, err := NewEdge(Options{UDP: udp, TCP: tcp, Registrar: c.Registrar})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, e)
	return c
}

// serve serves until the test ends.
func serve(t testing.TB, e *Edge) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// reads waits until the diary holds exactly what is wanted.
func (c *counter) reads(want ...string) {
	c.t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		c.mu.Lock()
		got := strings.Join(c.diary, ", ")
		c.mu.Unlock()
		if got == strings.Join(want, ", ") {
			return
		}
		select {
		case <-c.grew:
		case <-deadline:
			c.t.Fatalf("diary: %s\nwant:  %s", got, strings.Join(want, ", "))
		}
	}
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func mustRegister(t *testing.T, p *siptest.Phone) *siptest.Message {
	t.Helper()
	res, err := p.Register(soon(t), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if res.Status != 200 {
		t.Fatalf("REGISTER of %s: %s", p.User(), res)
	}
	return res
}

// A phone behind a home router, with and without rport: it registers, is told
// our expiry, keeps its nonce, is probed through the router, is lost with it,
// and comes back.
func TestPhoneBehindRouter(t *testing.T) {
	for _, rport := range []bool{true, false} {
		t.Run(fmt.Sprintf("rport=%v", rport), func(t *testing.T) {
			network := siptest.NewNet(1)
			udp, err := network.Listen("10.0.0.1:5060")
			if err != nil {
				t.Fatal(err)
			}
			c := openCounter(t, udp, RegistrarOptions{Probe: 100 * time.Millisecond})
			router, err := network.NAT("203.0.113.7", siptest.NATRules{})
			if err != nil {
				t.Fatal(err)
			}
			inside, err := router.Listen("192.168.1.10:5060")
			if err != nil {
				t.Fatal(err)
			}
			p, err := siptest.NewPhone(inside, siptest.Options{User: "ana", Password: "pw-ana", Domain: testRealm, Server: "10.0.0.1:5060", NoRport: !rport})
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			res := mustRegister(t, p)
			if got := p.Granted(res); got != time.Minute {
				t.Errorf("granted %v", got)
			}
			if n := p.Wire().Count("401", false); n != 1 {
				t.Errorf("%d challenges", n)
			}
			mustRegister(t, p)
			if n := p.Wire().Count("401", false); n != 1 {
				t.Errorf("%d challenges after a refresh with the same nonce", n)
			}
			at, _ := router.Public(netip.MustParseAddrPort("192.168.1.10:5060"), netip.MustParseAddrPort("10.0.0.1:5060"))
			b := c.Bindings("ana")[0]
			if b.Source != at || b.Contact != "sip:ana@192.168.1.10:5060" {
				t.Errorf("binding %+v, the router says %v", b, at)
			}
			if _, err := p.Wire().WaitMessage(soon(t), func(m *siptest.Message) bool { return m.Method == "OPTIONS" }); err != nil {
				t.Fatal(err)
			}
			c.reads("added ana@192.168.1.10:5060 *", "refreshed ana@192.168.1.10:5060 *")

			router.Forget()
			c.ReportUnreachable(b) // a call got no answer
			c.reads("added ana@192.168.1.10:5060 *", "refreshed ana@192.168.1.10:5060 *", "lost ana@192.168.1.10:5060")
			mustRegister(t, p) // from another port: its nonce was for the old one
			c.reads("added ana@192.168.1.10:5060 *", "refreshed ana@192.168.1.10:5060 *", "lost ana@192.168.1.10:5060", "regained ana@192.168.1.10:5060 *")
			if n := p.Wire().Count("401", false); n != 2 {
				t.Errorf("%d challenges after the flow changed", n)
			}
			if res, err := p.Unregister(soon(t)); err != nil || res.Status != 200 || len(res.Values("Contact")) != 0 {
				t.Errorf("unregister: %v %v", res, err)
			}
		})
	}
}

func connect(t *testing.T, c *counter, instance string) *siptest.Phone {
	t.Helper()
	conn, err := net.Dial("tcp", c.tcp.String())
	if err != nil {
		t.Fatal(err)
	}
	p, err := siptest.NewStreamPhone(conn, siptest.Options{User: "bo", Password: "pw-bo", Domain: testRealm, Contact: "192.168.1.20:5060"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	res, err := p.Register(soon(t), time.Hour, siptest.H("Contact", "<"+p.ContactURI()+`>;+sip.instance="`+instance+`"`))
	if err != nil || res.Status != 200 {
		t.Fatalf("%v %v", res, err)
	}
	if got := p.Granted(res); got != 5*time.Minute {
		t.Errorf("granted %v", got)
	}
	return p
}

func onConnection(t *testing.T, probe time.Duration) (*counter, *siptest.Phone) {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := openCounter(t, udp, RegistrarOptions{Probe: probe})
	return c, connect(t, c, "<urn:uuid:1>")
}

const boURI = "bo@192.168.1.20:5060;transport=tcp"

func TestPhoneIsProbedOverItsConnection(t *testing.T) {
	c, p := onConnection(t, 100*time.Millisecond)
	if _, err := p.Wire().WaitMessage(soon(t), func(m *siptest.Message) bool { return m.Method == "OPTIONS" }); err != nil {
		t.Fatal(err)
	}
	c.reads("added " + boURI + " *")
}

// A phone on TCP is lost the moment its connection closes, without any probe,
// and takes its own place when it comes back.
func TestPhoneIsLostWithItsConnection(t *testing.T) {
	c, p := onConnection(t, -1)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	c.reads("added "+boURI+" *", "lost "+boURI)
	connect(t, c, "<urn:uuid:1>")
	c.reads("added "+boURI+" *", "lost "+boURI, "added "+boURI+" *")
	if list := c.Bindings("bo"); len(list) != 1 || !list[0].Reachable {
		t.Errorf("%+v", list)
	}
}
