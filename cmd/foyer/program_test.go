package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"foyer/ledger"
	"foyer/ledger/sqltest"
	"foyer/recorder"
	"foyer/sip/siptest"
)

// The tests of this file run the built program as an operator does.

var built struct {
	once sync.Once
	path string
	err  error
}

// program builds the program once for all tests.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		dir, err := os.MkdirTemp("", "foyer-test-")
		if err != nil {
			built.err = err
			return
		}
		built.path = filepath.Join(dir, "foyer")
		out, err := exec.Command("go", "build", "-o", built.path, ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// slow leaves a test that waits long for real clocks to `make test`, so that
// `make check` is quick enough for every change.
func slow(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for real clocks for more than five seconds: make test runs it")
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Tests here wait for phones most of the time: more of them than there are
	// processors may run at once.
	if f := flag.Lookup("test.parallel"); f.Value.String() == fmt.Sprint(runtime.GOMAXPROCS(0)) {
		f.Value.Set("8")
	}
	code := sqltest.Main(m).Run()
	if built.path != "" {
		os.RemoveAll(filepath.Dir(built.path))
	}
	// On a busy machine what ends takes its time.
	leak := goleak.Find()
	for tries := 0; leak != nil && tries < 10; tries++ {
		leak = goleak.Find()
	}
	if leak != nil && code == 0 {
		fmt.Fprintln(os.Stderr, leak)
		code = 1
	}
	os.Exit(code)
}

// foyer runs a command to its end.
func foyer(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	path := program(t) // not on the time of the command
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// output is what a process writes; it may be read meanwhile.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// life is a switch running as a process of its own.
type life struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *output
	file string
	http string
	sip  string
}

// smallest is the smallest configuration that works, as the documentation has
// it, but for addresses and the data directory.
func smallest(t *testing.T, dir string) (file, sip, web string) {
	t.Helper()
	sip = fmt.Sprintf("127.0.0.1:%d", freePort(t, "127.0.0.1"))
	web = fmt.Sprintf("127.0.0.1:%d", freePort(t, "127.0.0.1"))
	text, err := os.ReadFile("testdata/smallest.yaml")
	if err != nil {
		t.Fatal(err)
	}
	yaml := strings.NewReplacer(
		"./data", filepath.Join(dir, "data"),
		"127.0.0.1:8080", web,
		"127.0.0.1:5060", sip,
		"20000-24999", freeRange(t),
		"max_calls: 1000", "max_calls: 20",
	).Replace(string(text))
	file = filepath.Join(dir, "foyer.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, sip, web
}

func startLife(t *testing.T, file, sip, web string) *life {
	t.Helper()
	l := &life{t: t, file: file, sip: sip, http: web, log: &output{}}
	l.cmd = exec.Command(program(t), "serve", "--alone", "-c", file, "--drain", "1s")
	l.cmd.Stdout, l.cmd.Stderr = l.log, l.log
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.kill(syscall.SIGKILL) })
	for end := time.Now().Add(15 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		res, err := http.Get("http://" + web + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == 200 {
				return l
			}
		}
		if time.Now().After(end) {
			l.kill(syscall.SIGKILL)
			t.Fatalf("the switch does not become ready:\n%s", l.log)
		}
	}
}

// kill ends the process and waits for it.
func (l *life) kill(sig os.Signal) int {
	if l.cmd.ProcessState == nil {
		l.cmd.Process.Signal(sig)
		l.cmd.Wait()
	}
	return l.cmd.ProcessState.ExitCode()
}

func (l *life) get(path string) (string, int) {
	l.t.Helper()
	res, err := http.Get("http://" + l.http + path)
	if err != nil {
		l.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b), res.StatusCode
}

// outsider is a phone of a test that has no switch in its own process.
func outsider(t *testing.T, server, host string, tone float64, o siptest.Options) *person {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	s := &stage{t: t, ctx: ctx, server: server, closed: true}
	return s.person(host, tone, o)
}

func TestSmallestConfigurationWorksAsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, sip, web := smallest(t, dir)
	if out, errs, code := foyer(t, "check", "-c", file); code != 0 || out+errs != "" {
		t.Fatalf("check: exit %d\n%s%s", code, out, errs)
	}
	l := startLife(t, file, sip, web)
	l.until("the banner names the number to call", func() bool { return strings.Contains(l.log.String(), "+33170000001") })
	ana := outsider(t, sip, "127.0.0.1", anaTone, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	if res, err := ana.Register(ana.s.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatalf("REGISTER: %v %v", res, err)
	}
	caller := outsider(t, sip, "127.0.0.2", callerTone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	out := caller.call("+33170000001")
	caller.expect(out, "200 INVITE")
	caller.voice.talkTo(t, out.RemoteSDP())
	in := ana.rings()
	ana.picksUp(in)
	caller.hears(anaTone)
	ana.hears(callerTone)
	l.until("half a second of talk", func() bool { return len(caller.voice.packets()) > 40 })

	calls, code := l.get("/api/v1/calls?live=1")
	if code != 200 || !strings.Contains(calls, `"talking"`) {
		t.Errorf("live calls: %d %s", code, calls)
	}
	in.Bye()
	caller.expect(out, "BYE")

	var rows []recorder.Info
	l.until("the recording is listed complete", func() bool {
		list, errs, code := foyer(t, "recording", "list", "-c", file, "-o", "json")
		if code != 0 {
			t.Fatalf("recording list: exit %d %s", code, errs)
		}
		if err := json.Unmarshal([]byte(list), &rows); err != nil {
			t.Fatalf("%v in %s", err, list)
		}
		return len(rows) == 1 && rows[0].State == "complete"
	})
	wav := filepath.Join(dir, "call.wav")
	if _, errs, code := foyer(t, "recording", "get", rows[0].ID, "-c", file, "--out", wav); code != 0 {
		t.Fatalf("recording get: exit %d %s", code, errs)
	}
	if i, err := os.Stat(wav); err != nil || i.Size() < 8000 {
		t.Errorf("call.wav: %v %v", i, err)
	}
	if out, errs, code := foyer(t, "recording", "verify", "-c", file); code != 0 || !strings.Contains(out, "whole") {
		t.Errorf("recording verify: exit %d %s%s", code, out, errs)
	}
	row := l.cdrs(1)[0]
	if row.Outcome != ledger.Answered || row.Agent != "ana" || row.RecordingID != rows[0].ID {
		t.Errorf("CDR: %s", asJSON(row))
	}
	journal := filepath.Join(dir, "journal.ndjson.gz")
	if _, errs, code := foyer(t, "journal", "export", journal, "-c", file); code != 0 {
		t.Fatalf("journal export of a running switch: exit %d %s", code, errs)
	}
	for _, cmd := range [][]string{{"replay"}, {"replay", journal}} { // running, and from the file
		if out, errs, code := foyer(t, append(cmd, "-c", file, "-o", "json")...); code != 0 || !strings.Contains(out, `"answered": 1,`) {
			t.Errorf("foyer %v: exit %d\n%s%s", cmd, code, out, errs)
		}
	}
	for _, cmd := range [][]string{{"explain", row.ID}, {"explain", "--agent", "ana"}, {"trace", row.ID}, {"status"}, {"agent", "list"}, {"call", "list"}} {
		out, errs, code := foyer(t, append(cmd, "-c", file)...)
		if code != 0 || !strings.Contains(out, "ana") && cmd[0] != "call" {
			t.Errorf("foyer %v: exit %d\n%s%s", cmd, code, out, errs)
		}
	}
	explainsAna(t, l)
	metrics, _ := l.get("/metrics")
	for _, want := range []string{`foyer_calls_total{client="essai",direction="inbound",outcome="answered"} 1`, "foyer_rtp_ports_used 0", `foyer_srtp_errors_total{kind="forged"} 0`, `foyer_ice_failures_total{reason="integrity"} 0`, `foyer_agents{state="ready"} 1`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if code := l.kill(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: exit %d\n%s", code, l.log)
	}
	out2, errs, code := foyer(t, "journal", "verify", "-c", file)
	if code != 0 || !strings.Contains(out2, "the same again") {
		t.Errorf("journal verify: exit %d %s%s", code, out2, errs)
	}
	if out, errs, code := foyer(t, "replay", "-c", file); code != 0 || !strings.Contains(out, "the same as recorded") {
		t.Errorf("replay without a switch: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := foyer(t, "explain", "--agent", "ana", "-c", file, "--lang", "en"); code != 0 || !strings.Contains(out, "ana was offered 1 call and answered 1") {
		t.Errorf("explain --agent without a switch: exit %d\n%s%s", code, out, errs)
	}
	if out, errs, code := foyer(t, "explain", row.ID, "-c", file, "--lang", "fr"); code != 0 || !strings.Contains(out, "ana") {
		t.Errorf("explain without a switch: exit %d\n%s%s", code, out, errs)
	}
	explainsAna(t, l)
	export := filepath.Join(dir, "day.ndjson.gz")
	if out, errs, code := foyer(t, "journal", "export", export, "-c", file); code != 0 || out+errs != "" {
		t.Fatalf("journal export: exit %d\n%s%s", code, out, errs)
	}
}

// explainsAna asks why an agent got what she got, as an operator does who has just
// been asked by her. Ana has had one call of a customer, and bo none: his phone
// never registered.
func explainsAna(t *testing.T, l *life) {
	t.Helper()
	for _, c := range []struct {
		agent, lang string
		says        []string
	}{
		{"ana", "en", []string{"ana was offered 1 call and answered 1", "FROM", "ready", "answered after", "in_call"}},
		{"ana", "fr", []string{"ana", "1 appel", "in_call"}},
	} {
		out, errs, code := foyer(t, "explain", "--agent", c.agent, "--lang", c.lang, "-c", l.file)
		for _, want := range c.says {
			if code != 0 || !strings.Contains(out, want) {
				t.Errorf("explain --agent %s --lang %s: exit %d, no %q in\n%s%s", c.agent, c.lang, code, want, out, errs)
			}
		}
	}
	for _, c := range []struct{ args, say string }{
		{"--agent nobody", "nobody"},
		{"--agent ana --from 14h", "--from: \"14h\" is neither a time of today (14:30)"},
		{"--agent ana --from 2026-01-02 --to 2026-01-01", "--from 2026-01-02 00:00:00 is not before --to 2026-01-01 00:00:00"},
		{"", "name a call, or an agent with --agent"},
		{"x --agent ana", "name a call, or an agent with --agent"},
	} {
		out, errs, code := foyer(t, append(append([]string{"explain"}, strings.Fields(c.args)...), "-c", l.file)...)
		if code != 1 || out != "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.say) {
			t.Errorf("explain %s: exit %d\n%s%s", c.args, code, out, errs)
		}
	}
}

func (l *life) until(what string, ok func() bool) {
	l.t.Helper()
	(&stage{t: l.t}).until(what, ok)
}

// cdrs waits for so many call records.
func (l *life) cdrs(n int) (rows []ledger.CDR) {
	l.t.Helper()
	l.until(fmt.Sprintf("%d CDRs", n), func() bool {
		out, errs, code := foyer(l.t, "cdr", "export", "-c", l.file, "--format", "ndjson")
		if code != 0 {
			l.t.Fatalf("cdr export: exit %d %s", code, errs)
		}
		rows = nil
		for line := range strings.Lines(out) {
			var c ledger.CDR
			if err := json.Unmarshal([]byte(line), &c); err != nil {
				l.t.Fatalf("%v in %s", err, line)
			}
			rows = append(rows, c)
		}
		return len(rows) == n
	})
	return rows
}

func TestKilledWithCallsUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, sip, web := smallest(t, dir)
	l := startLife(t, file, sip, web)
	ana := outsider(t, sip, "127.0.0.1", anaTone, siptest.Options{User: "ana", Password: "pw-ana", Domain: "lo.test"})
	if res, err := ana.Register(ana.s.ctx, time.Minute); err != nil || res.Status != 200 {
		t.Fatalf("REGISTER: %v %v", res, err)
	}
	caller := outsider(t, sip, "127.0.0.2", callerTone, siptest.Options{User: "+33612345678", Domain: "carrier.test"})
	talking := caller.call("+33170000001")
	caller.expect(talking, "200 INVITE")
	caller.voice.talkTo(t, talking.RemoteSDP())
	in := ana.rings()
	ana.picksUp(in)
	caller.hears(anaTone)
	waiting := caller.call("+33170000001")
	caller.expect(waiting, "200 INVITE")
	l.until("a second and a half of recording", func() bool {
		list, err := recorder.List(filepath.Join(dir, "data", "recordings"), recorder.Filter{})
		return err == nil && len(list) == 1 && list[0].DurationS >= 1.5
	})
	l.kill(syscall.SIGKILL)

	l = startLife(t, file, sip, web)
	rows := l.cdrs(2)
	for _, c := range rows {
		if c.Cause != "restart" || c.EndedBy != "switch" || c.Outcome != ledger.Broken {
			t.Errorf("CDR after the kill: %s", asJSON(c))
		}
	}
	list, err := recorder.List(filepath.Join(dir, "data", "recordings"), recorder.Filter{})
	// What was not written yet, a quarter of a second at most, is gone.
	if err != nil || len(list) != 1 || list[0].State != "interrupted" || list[0].DurationS < 1.2 {
		t.Fatalf("recordings after the kill: %s %v", asJSON(list), err)
	}
	wav := filepath.Join(dir, "cut.wav")
	if _, errs, code := foyer(t, "recording", "get", list[0].ID, "-c", file, "--out", wav); code != 0 {
		t.Errorf("recording get: %s", errs)
	}
	l.kill(syscall.SIGTERM)
	if out, errs, code := foyer(t, "journal", "verify", "-c", file); code != 0 || !strings.Contains(out, "2 lives") {
		t.Errorf("journal verify: exit %d %s%s", code, out, errs)
	}
}

func TestWhatAnOperatorDoesWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, sip, _ := smallest(t, dir)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.yaml")
	if err := os.WriteFile(bad, bytes.Replace(text, []byte("wrapup:"), []byte("wrapsup:"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.ListenPacket("udp", sip)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"no such file", []string{"check", "-c", filepath.Join(dir, "none.yaml")}, 3, []string{"none.yaml"}},
		{"wrong key", []string{"check", "-c", bad}, 3, []string{"bad.yaml:", `unknown key "wrapsup"`, `did you mean "wrapup"`, "1 error"}},
		{"serve on a wrong key", []string{"serve", "-c", bad}, 3, []string{"wrapsup"}},
		{"port in use", []string{"serve", "-c", file}, 1, []string{"listen.sip_udp", "in use"}},
		{"no switch", []string{"status", "-c", file}, 1, []string{"not running", "foyer serve"}},
		{"no recording", []string{"recording", "get", "nope", "-c", file}, 1, []string{"nope"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, errs, code := foyer(t, c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, want := range c.says {
				if !strings.Contains(out+errs, want) {
					t.Errorf("%q is not in\n%s%s", want, out, errs)
				}
			}
			if n := strings.Count(errs, "\n"); c.code == 1 && n > 1 {
				t.Errorf("%d lines where one sentence does:\n%s", n, errs)
			}
		})
	}
}
