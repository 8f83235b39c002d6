package interop

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"foyer/loadtest"
)

const (
	carrierTone  = 440
	baresipTone  = 1000
	linphoneTone = 1620
)

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// house is a switch with two agents, and what it left behind.
type house struct {
	t   *testing.T
	sw  *loadtest.Switch
	ctx context.Context
}

func newHouse(t *testing.T) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("real phones take their time: not in make check")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "foyer-interop-"); built.err == nil {
			built.path, built.err = loadtest.Build(ctx, built.dir)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	ports := 30000 + 400*int(nextRange.Add(100)/100%20)
	sw, err := loadtest.StartSwitch(ctx, built.path, loadtest.Setup{Dir: t.TempDir(), Agents: 2, Record: true, RTPPorts: [2]int{ports, ports + 399}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, sw: sw, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the switch's last words:\n%s", sw.Tail())
		}
		sw.Stop(ctx)
		cancel()
	})
	return h
}

func (h *house) server() string { return fmt.Sprintf("%s:%d", h.sw.IP, h.sw.SIPPort) }

// agent describes agent n's telephone.
func (h *house) agent(n int, transport string, tone float64) phone {
	a := h.sw.Crew()[n]
	return phone{user: a.User, password: a.Password, domain: h.sw.Realm, server: h.server(), host: "127.0.0.1", transport: transport, tone: tone}
}

// recorded waits for the only recording and gives its channels.
func (h *house) recorded() (left, right []float64) {
	h.t.Helper()
	var id string
	until(h.t, "a complete recording", func() bool {
		list, err := h.sw.Recordings(h.ctx)
		if err != nil || len(list) != 1 || list[0].State != "complete" {
			return false
		}
		id = list[0].ID
		return true
	}, h.sw.Tail)
	wav := filepath.Join(h.t.TempDir(), "call.wav")
	if out, err := h.sw.Command(h.ctx, "recording", "get", id, "--out", wav); err != nil {
		h.t.Fatalf("recording get: %v\n%s", err, out)
	}
	return split(readPCM(h.t, wav))
}

// wantChannels checks that each party is in their own channel and only there.
func (h *house) wantChannels(caller, agent float64) {
	h.t.Helper()
	left, right := h.recorded()
	for _, c := range []struct {
		name        string
		x           []float64
		own, others float64
	}{{"left (caller)", left, caller, agent}, {"right (agent)", right, agent, caller}} {
		if p := loudest(c.x, c.own); p < 0.9 {
			h.t.Errorf("%s channel: %.2f of its energy at its own %.0f Hz", c.name, p, c.own)
		}
		if p := loudest(c.x, c.others); p > 0.05 {
			h.t.Errorf("%s channel: %.2f of its energy at the other party's %.0f Hz", c.name, p, c.others)
		}
	}
}

func hears(t *testing.T, who string, heard func() []float64, tone float64, why func() string) {
	t.Helper()
	until(t, who+" hears the other party", func() bool { return loudest(heard(), tone) > 0.9 }, why)
}

func TestSippCallsBaresip(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		t.Run(transport, func(t *testing.T) {
			h := newHouse(t)
			agent := startBaresip(t, h.agent(0, transport, baresipTone))
			sipp := startSipp(t, h.server(), "+33170000001", carrierTone, 1, 5*time.Second)
			agent.wait("CALL_INCOMING")
			agent.do("accept", "")
			agent.wait("CALL_ESTABLISHED")
			hears(t, "baresip", agent.heard, carrierTone, agent.output)
			sipp.succeeded()
			agent.wait("CALL_CLOSED")
			h.wantChannels(carrierTone, baresipTone)
		})
	}
}

func TestSippCallsLinphone(t *testing.T) {
	h := newHouse(t)
	agent := startLinphone(t, h.agent(0, "udp", linphoneTone))
	sipp := startSipp(t, h.server(), "+33170000001", carrierTone, 1, 6*time.Second)
	agent.says("Receiving new incoming call")
	agent.do("answer")
	agent.says("Media streams established")
	agent.talk()
	hears(t, "linphone", agent.heard, carrierTone, agent.output)
	sipp.succeeded()
	h.wantChannels(carrierTone, linphoneTone)
}

func TestBaresipCallsLinphone(t *testing.T) {
	h := newHouse(t)
	agent := startLinphone(t, h.agent(0, "udp", linphoneTone))
	caller := startBaresip(t, phone{user: "+33612345678", domain: "carrier.test", server: h.server(), host: "127.0.0.2", transport: "udp", tone: carrierTone})
	caller.do("dial", "sip:+33170000001@"+h.server())
	caller.wait("CALL_ESTABLISHED") // with the queue
	agent.says("Receiving new incoming call")
	agent.do("answer")
	agent.says("Media streams established")
	agent.talk()
	hears(t, "linphone", agent.heard, carrierTone, agent.output)
	hears(t, "baresip", caller.heard, linphoneTone, caller.output)
	caller.do("hangup", "")
	caller.wait("CALL_CLOSED")
	h.wantChannels(carrierTone, linphoneTone)
}

func TestBaresipHoldsTheCaller(t *testing.T) {
	h := newHouse(t)
	agent := startBaresip(t, h.agent(0, "udp", baresipTone))
	caller := startBaresip(t, phone{user: "+33612345678", domain: "carrier.test", server: h.server(), host: "127.0.0.2", transport: "udp", tone: carrierTone})
	caller.do("dial", "sip:+33170000001@"+h.server())
	agent.wait("CALL_INCOMING")
	agent.do("accept", "")
	agent.wait("CALL_ESTABLISHED")
	hears(t, "caller", caller.heard, baresipTone, caller.output)
	agent.do("hold", "")
	before := len(caller.heard())
	until(t, "the caller hears music instead of the agent", func() bool {
		x := caller.heard()
		return len(x) > before+2*rate && share(x[len(x)-rate:], baresipTone) < 0.1
	}, caller.output)
	agent.do("resume", "")
	before = len(caller.heard())
	until(t, "the caller hears the agent again", func() bool {
		x := caller.heard()
		return len(x) > before+rate && share(x[len(x)-rate:], baresipTone) > 0.9
	}, caller.output)
	agent.do("hangup", "")
	caller.wait("CALL_CLOSED")
	rows, err := h.sw.CDRs(h.ctx)
	if err != nil || len(rows) != 1 {
		t.Fatalf("CDRs: %v %v", rows, err)
	}
}

func TestSippFloodOfShortCalls(t *testing.T) {
	h := newHouse(t)
	agents := []*baresip{startBaresip(t, h.agent(0, "udp", baresipTone)), startBaresip(t, h.agent(1, "tcp", linphoneTone))}
	sipp := startSipp(t, h.server(), "+33170000001", carrierTone, 20, 2*time.Second)
	for _, a := range agents {
		a.wait("CALL_INCOMING")
		a.do("accept", "")
		a.wait("CALL_ESTABLISHED")
	}
	sipp.succeeded()
	until(t, "20 call records", func() bool {
		rows, err := h.sw.CDRs(h.ctx)
		return err == nil && len(rows) == 20
	}, h.sw.Tail)
	out, err := h.sw.Command(h.ctx, "status")
	if err != nil || !strings.Contains(string(out), "accueil") {
		t.Errorf("status: %v\n%s", err, out)
	}
}
