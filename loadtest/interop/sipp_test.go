package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"foyer/loadtest"
)

// carrier is what a sipp is to do.
type carrier struct {
	scenario string // of testdata, without .xml
	number   string // "" is the queue's
	calls    int    // 0 is one
	atOnce   int    // at most so many of them; 0 is all
	pause    time.Duration
	code     int // of the refusal the scenario expects, if it does

	from, transport string // "" is the trunk's address and udp
}

// startSipp lets sipp be the carrier.
func (h *house) startSipp(c carrier) *process {
	h.t.Helper()
	if c.number == "" {
		c.number = number
	}
	if c.from == "" {
		c.from, c.transport = h.sw.CallerIP, "udp"
	}
	c.calls = max(c.calls, 1)
	if c.atOnce == 0 {
		c.atOnce = c.calls
	}
	dir, base := h.t.TempDir(), ports(h.t)
	scenario, err := os.ReadFile(filepath.Join("testdata", c.scenario+".xml"))
	if err != nil {
		h.t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		c.scenario + ".xml": bytes.ReplaceAll(scenario, []byte("@code@"), []byte(strconv.Itoa(c.code))),
		"tone.al":           bytes.Repeat(loadtest.Tone(carrierTone, loadtest.PCMA), 10),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			h.t.Fatal(err)
		}
	}
	cmd := exec.Command(tool(h.t, "sipp"), "-sf", c.scenario+".xml", "-s", c.number, "-i", c.from, "-mi", h.sw.CallerIP,
		"-p", strconv.Itoa(base), "-m", strconv.Itoa(c.calls), "-l", strconv.Itoa(c.atOnce), "-r", "5",
		"-d", strconv.FormatInt(c.pause.Milliseconds(), 10),
		"-mp", strconv.Itoa(base+10),
		"-nostdin", "-trace_err", "-timeout", "60s", "-timeout_error", "-t", sippTransport(c.transport), h.server(c.transport))
	cmd.Dir = dir
	return start(h.t, cmd)
}

// sippTransport is what sipp calls one socket of a transport.
func sippTransport(t string) string {
	if strings.HasPrefix(t, "tcp") {
		return "t1"
	}
	return "u1"
}

// succeeded waits for sipp's end and wants no failed call.
func (p *process) succeeded() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(70 * time.Second):
		p.t.Fatalf("sipp does not end\n%s", p.output())
	}
	code := p.cmd.ProcessState.ExitCode()
	if code == 0 {
		return
	}
	var all strings.Builder
	files, _ := filepath.Glob(filepath.Join(p.cmd.Dir, "*_errors.log"))
	for _, f := range files {
		b, err := os.ReadFile(f)
		fmt.Fprintf(&all, "%s%v\n", b, err)
	}
	p.t.Fatalf("sipp: exit %d\n%s\n%s", code, p.output(), all.String())
}
