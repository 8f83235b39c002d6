package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"foyer/loadtest"
)

const (
	number       = "+33170000001"
	carrierTone  = 440
	baresipTone  = 1000
	linphoneTone = 1620
)

// built is where the switch is compiled to, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	if err := os.MkdirAll(builtDir(), 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return loadtest.Build(ctx, builtDir())
})

func builtDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("foyer-interop-%d", os.Getpid()))
}

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(builtDir())
	os.Exit(code)
}

// house is a running switch and its agents' accounts.
type house struct {
	t   *testing.T
	sw  *loadtest.Switch
	ctx context.Context
}

var houses atomic.Int32

// newHouse is openHouse for a switch that records everything.
func newHouse(t *testing.T, setup loadtest.Setup) *house {
	t.Helper()
	setup.Record = true
	return openHouse(t, setup)
}

// openHouse starts, beside those of other tests, a switch with two agents, or as setup
// says. At the end of the test it must be at rest, stop by itself and have
// a journal that replays to the same decisions.
func openHouse(t *testing.T, setup loadtest.Setup) *house {
	t.Helper()
	if testing.Short() {
		t.Skip("real phones take their time: not in make check")
	}
	t.Parallel() // they wait more than they work
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	// An address of its own, so that its ports are nobody else's.
	setup.IP = fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()%128, os.Getpid()/128%256, 1+houses.Add(1)%250)
	setup.Dir, setup.RTPPorts = t.TempDir(), [2]int{20000, 20399}
	if setup.Agents == 0 {
		setup.Agents = 2
	}
	if setup.MaxCalls == 0 {
		setup.MaxCalls = 100
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	sw, err := loadtest.StartSwitch(ctx, bin, setup)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{t: t, sw: sw, ctx: ctx}
	t.Cleanup(func() {
		h.close()
		cancel()
	})
	return h
}

// close wants the switch to leave nothing behind.
func (h *house) close() {
	if !h.t.Failed() {
		ctx, cancel := context.WithTimeout(h.ctx, patience)
		defer cancel()
		r, err := h.sw.AtRest(ctx)
		if err != nil {
			h.t.Error(err)
		}
		for _, gauge := range []string{"foyer_calls_active", "foyer_sip_legs", "foyer_rtp_ports_used", "foyer_recordings_active"} {
			if r[gauge] != 0 {
				h.t.Errorf("at the end %s is %v", gauge, r[gauge])
			}
		}
	}
	if err := h.sw.Stop(h.ctx); err != nil {
		h.t.Error(err)
	}
	if out, err := h.sw.Command(h.ctx, "journal", "verify"); err != nil {
		h.t.Errorf("%v\n%s", err, out)
	}
	if h.t.Failed() {
		h.t.Logf("the switch's last words:\n%s", h.sw.Tail())
	}
}

// server is where a transport is served.
func (h *house) server(transport string) string {
	switch transport {
	case "tls":
		return fmt.Sprintf("%s:%d", h.sw.IP, h.sw.TLSPort)
	case "udp6", "tcp6":
		return fmt.Sprintf("[::1]:%d", h.sw.SIPPort6)
	}
	return fmt.Sprintf("%s:%d", h.sw.IP, h.sw.SIPPort)
}

// agent describes agent n's telephone.
func (h *house) agent(n int, transport string, tone float64) phone {
	a := h.sw.Crew()[n]
	return phone{user: a.User, password: a.Password, domain: h.sw.Realm, server: h.server(transport), host: "127.0.0.1", transport: transport, tone: tone,
		ca: h.sw.CA()}
}

// callFromBaresip lets a baresip call the queue as the carrier would.
func (h *house) callFromBaresip(codecs string) *baresip {
	h.t.Helper()
	p := h.carrier()
	p.codecs = codecs
	return h.callFrom(p)
}

// carrier describes a telephone that calls as the carrier would.
func (h *house) carrier() phone {
	return phone{user: "+33612345678", domain: "carrier.test", server: h.server("udp"), host: h.sw.CallerIP,
		transport: "udp", tone: carrierTone}
}

func (h *house) callFrom(p phone) *baresip {
	h.t.Helper()
	b := startBaresip(h.t, p)
	b.do("dial", "sip:"+number+"@"+h.server("udp"))
	return b
}

// agents lists the agents with their state.
func (h *house) agents() map[string]agentView {
	h.t.Helper()
	var list []agentView
	out, err := h.sw.Command(h.ctx, "agent", "list", "-o", "json")
	if err == nil {
		err = json.Unmarshal(out, &list)
	}
	if err != nil {
		h.t.Fatalf("agent list: %v\n%s", err, out)
	}
	all := map[string]agentView{}
	for _, a := range list {
		all[a.ID] = a
	}
	return all
}

type agentView struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Reachable bool   `json:"reachable"`
}

// cdrs waits for the records of n calls.
func (h *house) cdrs(n int) []loadtest.CDR {
	h.t.Helper()
	var rows []loadtest.CDR
	until(h.t, fmt.Sprintf("%d call records", n), func() bool {
		var err error
		rows, err = h.sw.CDRs(h.ctx)
		return err == nil && len(rows) >= n
	}, h.sw.Tail)
	if len(rows) != n {
		h.t.Fatalf("%d call records instead of %d: %+v", len(rows), n, rows)
	}
	return rows
}

// wantOutcome wants one call, and this to have become of it.
func (h *house) wantOutcome(outcome, endedBy string) loadtest.CDR {
	h.t.Helper()
	row := h.cdrs(1)[0]
	if row.Outcome != outcome || row.EndedBy != endedBy {
		h.t.Errorf("call record: %s, ended by %s; want %s, ended by %s\n%+v", row.Outcome, row.EndedBy, outcome, endedBy, row)
	}
	return row
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
	return split(readPCM(wav))
}

// wantChannels checks that each party is in their own channel and only there.
func (h *house) wantChannels(caller, agent float64) {
	h.t.Helper()
	left, right := h.recorded()
	for _, c := range []struct {
		name       string
		x          []float64
		own, other float64
	}{{"left (caller)", left, caller, agent}, {"right (agent)", right, agent, caller}} {
		if p := loudest(c.x, c.own, rate); p < 0.9 {
			h.t.Errorf("%s channel, %d samples: %.2f of its energy at its own %.0f Hz", c.name, len(c.x), p, c.own)
		}
		if p := loudest(c.x, c.other, rate); p > 0.05 {
			h.t.Errorf("%s channel: %.2f of its energy at the other party's %.0f Hz", c.name, p, c.other)
		}
	}
}

// logged waits for a line of the switch's log with all of these words.
func (h *house) logged(words ...string) {
	h.t.Helper()
	until(h.t, "the log says "+strings.Join(words, " "), func() bool {
		raw, _ := os.ReadFile(filepath.Join(h.sw.Dir, "foyer.log"))
	lines:
		for line := range strings.Lines(string(raw)) {
			for _, w := range words {
				if !strings.Contains(line, w) {
					continue lines
				}
			}
			return true
		}
		return false
	}, h.sw.Tail)
}

// hears waits until a party hears the other one, for a quarter of a second: a
// telephone that adapts its jitter buffer on a busy machine jumps in the tone, and
// the phase before is not that after.
func hears(t *testing.T, who string, heard func() []float64, tone float64, why func() string) {
	t.Helper()
	until(t, fmt.Sprintf("%s hears %.0f Hz", who, tone), func() bool { return loudest(heard(), tone, rate/4) > 0.9 }, func() string {
		return describe(heard(), tone) + why()
	})
}

// describe says, a line for each second, how loud samples are and how much of
// that is at hz.
func describe(x []float64, hz float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d samples\n", len(x))
	for second := range slices.Chunk(x, rate) {
		fmt.Fprintf(&b, "energy %.0f, %.2f of it at %.0f Hz\n", energy(second), share(second, hz), hz)
	}
	return b.String()
}
