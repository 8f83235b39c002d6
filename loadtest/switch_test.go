package loadtest

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"foyer/cmd/foyer/config"
)

// TestMain also plays the switch: the driver's tests start this very program with
// fakeSwitch set.
func TestMain(m *testing.M) {
	if how := os.Getenv(fakeSwitch); how != "" {
		os.Exit(playSwitch(how))
	}
	goleak.VerifyTestMain(m)
}

const fakeSwitch = "FOYER_LOADTEST_FAKE"

func playSwitch(how string) int {
	switch strings.Join(os.Args[1:3], " ") {
	case "cdr export":
		fmt.Printf(`{"id":"c1","from":%q,"outcome":"answered","agent":"ana","ended_by":"caller","talk_s":2,"recording_id":"r1"}`+"\n", CallerNumber(1))
		return 0
	case "recording list":
		fmt.Println(`[{"id":"r1","call_id":"c1","state":"complete","duration_s":2}]`)
		return 0
	}
	if how == "refuses" {
		fmt.Println("port 5060 is in use")
		return 1
	}
	raw, err := os.ReadFile(os.Args[len(os.Args)-1])
	if err != nil {
		return 2
	}
	_, rest, _ := strings.Cut(string(raw), "http: ")
	addr, _, _ := strings.Cut(rest, "\n")
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return 3
	}
	ready := time.Now().Add(50 * time.Millisecond)
	http.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if time.Now().Before(ready) {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "go_goroutines 12") })
	go http.Serve(l, nil)
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	<-term
	return 0
}

func TestSwitchIsStartedReadAuditedAndStopped(t *testing.T) {
	t.Setenv(fakeSwitch, "ok")
	ctx := soon(t)
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s, err := StartSwitch(ctx, bin, Setup{Dir: t.TempDir(), Agents: 1, Record: true})
	if err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage()
	if err != nil || u.RSS < 1<<20 || u.Threads < 2 || u.Files < 3 {
		t.Errorf("usage %+v, %v", u, err)
	}
	before, err := s.Readings(ctx)
	if err != nil || before["go_goroutines"] != 12 {
		t.Errorf("readings %v, %v", before, err)
	}
	at := time.Now()
	call := Call{Number: 1, Caller: CallerNumber(1), Outcome: Answered, Agent: "ana", EndedBy: "caller",
		Answered: at, Hungup: at.Add(2 * time.Second)}
	if found, err := s.Audit(ctx, []Call{call}, before); err != nil || len(found) != 0 {
		t.Errorf("audit: %v, %v", found, err)
	}
	if found, err := s.Audit(ctx, []Call{call, {Number: 2, Outcome: Answered, Ringing: at}}, before); err != nil || len(found) != 1 {
		t.Errorf("audit with a call the switch does not know: %v, %v", found, err)
	}
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestSwitchThatDoesNotStartSaysWhy(t *testing.T) {
	t.Setenv(fakeSwitch, "refuses")
	bin, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, err = StartSwitch(soon(t), bin, Setup{Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "port 5060 is in use") {
		t.Errorf("got %v", err)
	}
}

// TestSetupIsAConfiguration lets the switch's own reader judge what is generated.
func TestSetupIsAConfiguration(t *testing.T) {
	s, err := Setup{Dir: t.TempDir(), Agents: 3, Record: true, WrapUp: 5 * time.Second}.complete()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.Dir, "foyer.yaml")
	if err := os.WriteFile(path, []byte(s.YAML()), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Agents) != 3 || c.RecordingPolicies[0].Select.Percent != 100 || len(c.Queues) != 1 {
		t.Errorf("%d agents, %+v", len(c.Agents), c.RecordingPolicies)
	}
}

func TestUsageCountsWorkAndChildren(t *testing.T) {
	before, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end); {
	}
	after, err := UsageOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if cores, used := after.Since(before); used < 20*time.Millisecond || cores <= 0 {
		t.Errorf("150 ms of work counted as %v, %.2f cores", used, cores)
	}
	if _, err := UsageOf(1 << 30); err == nil {
		t.Error("a process that does not exist was read")
	}
	if _, err := descendants(os.Getpid()); err != nil {
		t.Error(err)
	}
}
