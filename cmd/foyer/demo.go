package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"foyer/cmd/foyer/config"
	"foyer/console"
	"foyer/loadtest"
)

// demoCmd runs a switch and the world around it in one process: carriers and
// agents that speak real SIP and RTP over loopback, and a live table of what
// they do.
type demoCmd struct {
	Calls    string        `help:"How often callers ring: 20/min, 2/s, 600/h." default:"20/min"`
	Agents   int           `help:"How many agents work." default:"6"`
	Talk     time.Duration `help:"Mean time an agent talks." default:"20s"`
	Patience time.Duration `help:"Mean time a caller waits before giving up." default:"60s"`
	For      time.Duration `help:"Stop after this long; 0 runs until Ctrl-C." default:"0s"`
	Dir      string        `help:"Where the demo keeps its data; a new temporary directory when not given." type:"path"`
	Port     int           `help:"SIP port on loopback; the console is on 8080 or the next free one." default:"5060"`
}

const demoHead = `version: 1
demo: true
site: {name: Foyer demo, public_host: demo.foyer.test, timezone: Europe/Paris, locale: en, data_dir: %s}
listen:
  http: %s
  sip_udp: 127.0.0.1:%d
  sip_tcp: 127.0.0.1:%d
  rtp: {addr: 127.0.0.1, ports: 20000-24999}
registrar: {realm: demo.foyer.test, digest: md5, ban: {allow: [127.0.0.0/8]}}
observability: {log: {level: warn}}
trunks: [{id: carrier, auth: {mode: ip, allow: [127.0.0.2/32]}, max_calls: 1000}]
clients:
  - {id: boutik, name: Boutik SA, locale: fr, recording: tests}
  - {id: harbor, name: Harbor Ltd, locale: en, recording: tests}
recording_policies:
  - {id: tests, purpose: contract_proof, legal_basis: "demonstration, simulated calls only", select: {percent: 100}}
queues:
  - {id: boutik-sav, client: boutik, require: [fr], ring: {timeout: 15s}, wrapup: {seconds: 3}}
  - {id: boutik-ventes, client: boutik, require: [fr], priority: 30, ring: {timeout: 15s}}
  - {id: harbor-help, client: harbor, require: [en], ring: {timeout: 15s}, wrapup: {seconds: 5}}
dids:
  - {number: "+33170000001", client: boutik, to: boutik-sav, greeting: welcome}
  - {number: "+33170000002", client: boutik, to: boutik-ventes}
  - {number: "+442079460001", client: harbor, to: harbor-help, greeting: welcome}
agents:
`

func (d *demoCmd) Run() error {
	rate, err := perSecond(d.Calls)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if d.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.For)
		defer cancel()
	}
	cfg, agents, err := d.configure()
	if err != nil {
		return err
	}
	logFile, err := os.OpenFile(filepath.Join(cfg.Site.DataDir, "demo.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer logFile.Close()
	ex, err := openExchange(cfg, newLogger(cfg, logFile), tuning{})
	if err != nil {
		return err
	}
	defer ex.shut()
	if err := ex.start(); err != nil {
		return err
	}
	return d.play(ctx, ex, cfg, loadtest.Plan{
		Server:   cfg.Listen.SIPUDP.String(),
		Domain:   cfg.Registrar.Realm,
		Numbers:  []string{"+33170000001", "+33170000002", "+442079460001"},
		Agents:   agents,
		Rate:     rate,
		Seed:     rand.Uint64(),
		Talk:     loadtest.Lognormal(d.Talk, 0.6),
		Patience: loadtest.Exponential(d.Patience),
		// People take a moment to pick up, some decline, some are not there.
		AnswerAfter: loadtest.Lognormal(2*time.Second, 0.5),
		Decline:     0.05,
		AgentHangs:  0.5,
		Media:       true, Unmarked: true,
	})
}

// perSecond reads 20/min, 2/s or 600/h.
func perSecond(s string) (float64, error) {
	n, unit, ok := strings.Cut(s, "/")
	v, err := strconv.ParseFloat(n, 64)
	per := map[string]float64{"s": 1, "min": 60, "h": 3600}[unit]
	if !ok || err != nil || per == 0 || v <= 0 {
		return 0, fmt.Errorf("--calls %q: write a number over s, min or h, like 20/min", s)
	}
	return v / per, nil
}

// configure writes the demo's configuration and reads it as any other.
func (d *demoCmd) configure() (*config.Config, []loadtest.Agent, error) {
	dir := d.Dir
	var err error
	if dir == "" {
		if dir, err = os.MkdirTemp("", "foyer-demo-"); err != nil {
			return nil, nil, err
		}
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o750); err != nil {
		return nil, nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, demoHead, data, freeConsole(), d.Port, d.Port)
	var agents []loadtest.Agent
	for i := range d.Agents {
		id := fmt.Sprintf("agent%02d", i+1)
		agents = append(agents, loadtest.Agent{User: id, Password: "pw-" + id})
		skills, queues := "{fr: 4}", "[boutik-sav, boutik-ventes]"
		switch i % 3 {
		case 1:
			skills, queues = "{fr: 3, en: 4}", "[boutik-sav, harbor-help]"
		case 2:
			skills, queues = "{en: 5}", "[harbor-help]"
		}
		fmt.Fprintf(&b, "  - {id: %s, sip: {password: pw-%s}, skills: %s, queues: %s, ready_on_register: true}\n", id, id, skills, queues)
	}
	file := filepath.Join(dir, "demo.yaml")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return nil, nil, err
	}
	cfg, err := loadConfig(file)
	return cfg, agents, err
}

// freeConsole is the first free console port from 8080 on.
func freeConsole() string {
	for port := 8080; port < 8100; port++ {
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if l, err := net.Listen("tcp", addr); err == nil {
			l.Close()
			return addr
		}
	}
	return "127.0.0.1:8080"
}

// play lets the calls come and shows them until ctx ends.
func (d *demoCmd) play(ctx context.Context, ex *exchange, cfg *config.Config, plan loadtest.Plan) error {
	run, err := loadtest.Start(ctx, plan)
	if err != nil {
		return err
	}
	defer run.Close()
	arrived := make(chan struct{})
	go func() { defer close(arrived); run.Arrive(ctx) }()

	terminal := isTerminal(os.Stdout)
	view := &demoView{ex: ex, cfg: cfg, desk: &desk{ex: ex, cfg: cfg}, run: run, plan: d}
	period := time.Second / 2
	if !terminal {
		period = 5 * time.Second
		fmt.Printf("console http://%s/\n", cfg.Listen.HTTP)
	}
	tick := time.NewTicker(period)
	defer tick.Stop()
	for ctx.Err() == nil {
		if terminal {
			// Drawn at once over what stood there: a screen wiped first would flicker.
			var b strings.Builder
			view.table(&b)
			fmt.Print("\x1b[H" + strings.ReplaceAll(b.String(), "\n", "\x1b[K\n") + "\x1b[J")
		} else {
			fmt.Println(run.Status())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	<-arrived
	end, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	err = run.Drain(end)
	fmt.Println(run.Status())
	fmt.Printf("recordings, call records and the log are in %s\n", filepath.Dir(cfg.Files[0]))
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil // calls cut short by the end of the demo
	}
	return err
}

func isTerminal(f *os.File) bool {
	i, err := f.Stat()
	return err == nil && i.Mode()&os.ModeCharDevice != 0
}

// demoView draws the live table.
type demoView struct {
	ex   *exchange
	cfg  *config.Config
	desk *desk
	run  *loadtest.Running
	plan *demoCmd
}

func (v *demoView) table(out io.Writer) {
	ctx := context.Background()
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "Foyer demo   console http://%s/   calls %s, %d agents   Ctrl-C ends\n\n", v.cfg.Listen.HTTP, v.plan.Calls, v.plan.Agents)
	fmt.Fprintln(w, "QUEUE\tWAITING\tOLDEST\tREADY\tANSWERED\tABANDONED")
	for _, q := range v.desk.Queues(ctx) {
		fmt.Fprintf(w, "%s\t%d\t%.0fs\t%d of %d\t%d\t%d\n", q.ID, q.Waiting, q.OldestWaitS, q.Ready, q.LoggedIn, q.Answered, q.Abandoned)
	}
	fmt.Fprintln(w)
	printAgents(w, v.desk.Agents(ctx))
	fmt.Fprintln(w)
	calls := v.desk.Calls(ctx)
	printCalls(w, calls[:min(len(calls), 12)])
	w.Flush()
	v.recordings(out)
	fmt.Fprintf(out, "\n%s\n", v.run.Status())
}

func (v *demoView) recordings(out io.Writer) {
	shelf := &shelf{v.desk}
	list, err := shelf.List(context.Background(), console.RecordingQuery{Limit: 4})
	if err != nil || len(list) == 0 {
		return
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "\nRECORDING\tQUEUE\tAGENT\tSECONDS\tSTATE")
	for _, r := range list {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.0f\t%s\n", r.ID, r.Queue, r.Agent, r.DurationS, r.State)
	}
	w.Flush()
}
