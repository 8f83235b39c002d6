package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.uber.org/zap"

	"foyer/cmd/foyer/config"
	"foyer/cmd/foyer/keeper"
	"foyer/console"
	"foyer/ledger"
	"foyer/recorder"
	"foyer/rtp"
	"foyer/rtp/sound"
	"foyer/sip"
)

// serve is the switch, in this process, until SIGTERM or SIGINT and what is left of
// the calls then. With a keeper it takes over what the last life left there.
func serve(file string, patience time.Duration, kept *keeper.Client, ahead *readAhead) error {
	cfg, plan := ahead.keptConfig(kept, file)
	again := cfg != nil
	if !again {
		var err error
		if cfg, err = loadConfig(file); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // before anybody can take us for ready
	tuneRuntime(again)
	log := newLogger(cfg, os.Stderr)
	if !again {
		for _, w := range cfg.Warnings.List {
			log.Warn("configuration", zap.String("at", fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column)), zap.String("problem", w.Message))
		}
	}
	ex, err := openExchange(cfg, log, tuning{keeper: kept, plan: plan})
	if err != nil {
		return err
	}
	if err := ex.start(); err != nil {
		ex.shut()
		return err
	}
	ex.tellKeeper("ready", kept.Ready)
	if again {
		halve()
		collect(steadyGC)
	}
	ex.banner(os.Stdout, cfg)
	ex.forgetUnclaimed()
	if !again {
		ex.keepConfig()
	}
	for err = ex.serveUntil(ctx, hangup); errors.Is(err, errHandOver); err = ex.serveUntil(ctx, hangup) {
		fault := ex.handOver()
		if errors.Is(fault, keeper.ErrNoKeeper) {
			return exitRestart
		}
		ex.log.Error("not upgraded: the switch goes on as it is", zap.Error(fault))
		ex.upgrading.Store(false)
	}
	stop() // a second signal ends the process at once
	kept.Leave()
	ex.tellKeeper("stopping", ex.stopping)
	ex.drain(patience)
	ex.shut()
	return err
}

// actedOn is how long what has been read is given to be acted on.
const actedOn = 20 * time.Millisecond

// handOver puts down what is only in memory that dies with the process, and lets the
// other program take over. Everything else is kept, as it would be for a crash: calls go
// on until the last moment. It returns only when this process stays.
func (ex *exchange) handOver() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// A message that was read and not acted on would have to be sent again, half a
	// second later.
	ex.edge.Pause(true)
	defer ex.edge.Pause(false)
	time.Sleep(actedOn)
	ex.board.ask(ctx, func() {})
	if err := ex.cdrs.Flush(ctx); err != nil {
		ex.log.Error("call records not flushed; the next life does it", zap.Error(err))
	}
	ex.journal.diary.flush()
	_ = ex.journal.conn.FlushTimeout(time.Second)
	_ = ex.log.Sync()
	return ex.keeper.HandOver()
}

// serveUntil waits for the end of ctx, or for what makes serving impossible. SIGHUP
// reloads the configuration; how that went is in the log.
func (ex *exchange) serveUntil(ctx context.Context, hangup <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ex.failed:
			if !errors.Is(err, errHandOver) {
				ex.log.Error("serving stopped", zap.Error(err))
			}
			return err
		case <-hangup:
			changes, err := ex.reload(ctx, false)
			ex.reloaded("SIGHUP", changes, err)
		}
	}
}

// tuneRuntime suits Go's runtime to a switch. Half of the processors are for
// goroutines; the media shards take the other half (rtp.Open adds theirs). With
// one more than the machine has, messages between goroutines wake sleeping threads
// instead of passing from one to the next: 20 % more CPU a call at 200 calls a
// second, and no faster for it. A start that calls wait for takes them all until it
// is over, and hardly collects memory, which would take a third of it.
func tuneRuntime(waitedFor bool) {
	if waitedFor {
		collect(hastyGC)
		return
	}
	halve()
	collect(steadyGC)
}

// halve gives half of the processors away.
func halve() {
	if all := runtime.NumCPU(); os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0)-all+all/2, 1))
	}
}

// Memory is collected at half again what lives, not at double: calls live long and
// little is thrown away while they talk.
const (
	steadyGC = 50
	hastyGC  = 400
)

// collect says when Go collects memory, in percent of what lives.
func collect(percent int) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}

// running is what an exchange owns while it serves: its sockets, its goroutines
// and their ends.
type running struct {
	sockets *sockets
	lock    *os.File
	servers []*http.Server
	wait    sync.WaitGroup
	failed  chan error

	memory    *keeper.Memory // what outlives the process; nil where nobody keeps it
	revival   *revival       // until start
	poison    *poison
	continued bool // the floor is the last life's
	replayed  int  // events of the last life that this one went over

	stopBoard, stopEdge, stopTaps context.CancelFunc
	boardDone, tapsDone           chan struct{}
}

// openExchange puts the switch together on disk and sockets; nothing runs yet.
func openExchange(cfg *config.Config, log *zap.Logger, t tuning) (*exchange, error) {
	ex := &exchange{
		log: log, calls: newCallTable(), homes: newHomeLines(), metrics: newMetrics(version), toll: newToll(), tuning: t,
		rehour: make(chan struct{}, 1),
	}
	ex.failed = make(chan error, 4)
	if ex.read == nil {
		ex.read = readApart
	}
	dir := cfg.Site.DataDir
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("site.data_dir: %w", err)
	}
	var err error
	defer func() {
		if err != nil {
			ex.shut()
		}
	}()
	p := t.plan
	if p == nil {
		if p, err = newPlan(cfg); err != nil {
			return nil, err
		}
	}
	ex.plan.Store(p)
	ex.metrics.reloaded(cfg.Sum, time.Now(), nil)
	ex.ringback = sound.Ringback()
	begun := time.Now()
	if ex.memory, err = ex.keeper.Memory(); err != nil {
		log.Error("the calls of the last life cannot be taken up", zap.Error(err))
	}
	ex.letGo()
	// Who talks goes on talking before anything else is looked at.
	if err = ex.openMedia(cfg); err != nil {
		return nil, err
	}
	heard := time.Now()
	ex.revival = ex.reviveMedia()
	var patience time.Duration
	if t.keeper.LetIn() || len(ex.revival.calls) > 0 {
		patience = lockPatience // the last life is dead, and may not be gone
	}
	if ex.lock, err = lockDir(dir, patience); err != nil {
		return nil, err
	}
	if ex.sockets, err = openSockets(cfg, log, t.keeper); err != nil {
		return nil, err
	}
	if err = ex.openStores(cfg, dir); err != nil {
		return nil, err
	}
	read := time.Now()
	if ex.poison, err = ex.openPoison(); err != nil {
		return nil, err
	}
	if err = ex.openSignalling(cfg, p); err != nil {
		return nil, err
	}
	ex.reviveLegs(ex.revival)
	if n := len(ex.revival.calls); n > 0 {
		log.Info("the last life is taken up", zap.Int("calls", n), zap.Duration("media", heard.Sub(begun)),
			zap.Duration("stores", read.Sub(heard)), zap.Duration("signalling", time.Since(read)))
	}
	return ex, nil
}

// openStores opens the journal, the CDRs and the recordings, and closes the
// books of whatever the last life left open.
func (ex *exchange) openStores(cfg *config.Config, dir string) error {
	var err error
	if ex.journal, err = openJournal(dir, cfg.Observability.SIPTrace.RingBuffer); err != nil {
		return err
	}
	if ex.cdrs, err = ledger.OpenStore(context.Background(), books(cfg)); err != nil {
		return fmt.Errorf("call records: %w", err)
	}
	ex.board = newBoard(ex.journal, ex.log.Named("board"))
	ex.board.carry, ex.board.cdr = ex.carry, ex.keep
	ex.board.tally, ex.board.counted = ledger.NewTally(shiftsOf(cfg)), ex.cdrs.PutIntervals
	ex.board.checkpoints = newCheckpoints(ex.journal, ex.cdrs.Flush, ex.apart, ex.least, ex.log.Named("checkpoints"))
	if err := ex.recover(); err != nil {
		return err
	}
	if err := ex.loadAccounts(context.Background(), cfg.Registrar.Realm); err != nil {
		return err
	}
	o := recorder.Options{
		Dir:       cfg.Recording.Store.Dir,
		Recipient: cfg.Recording.Encrypt.Recipient,
		Ended:     ex.recordingEnded,
		Log:       ex.log.Named("recorder"),
	}
	if ex.memory != nil {
		o.Keep, o.Kept = ex.memory, ex.memory.Under("")
		if o.Memory, err = ex.keeper.Shared("recordings", recorder.MemorySize); err != nil {
			return err
		}
	}
	if ex.recordings, err = recorder.Open(o); err != nil {
		return fmt.Errorf("recording.store.dir: %w", err)
	}
	ex.reserve = newReserve(cfg.Site.DataDir, int64(cfg.Site.DiskReserve), ex.log.Named("reserve"))
	if sameDisk(cfg.Site.DataDir, cfg.Recording.Store.Dir) {
		ex.reserve.suspend = ex.recordings.Suspend
	}
	return nil
}

// openMedia makes the media side.
func (ex *exchange) openMedia(cfg *config.Config) error {
	r := cfg.Listen.RTP
	o := rtp.Options{
		Addr: r.Addr, Public: r.PublicIP, MinPort: r.Ports.Min, MaxPort: r.Ports.Max,
		MediaTimeout: r.MediaTimeout, Log: ex.log.Named("rtp"),
	}
	if ex.memory != nil {
		o.Memory, o.Sockets = ex.memory, ex.keeper
		o.TapMemory = func(shard int) ([]byte, error) { return ex.keeper.Shared(fmt.Sprint("tap", shard), rtp.TapMemory) }
	}
	var err error
	if ex.media, err = rtp.Open(o); err != nil {
		return fmt.Errorf("listen.rtp: %w", err)
	}
	return nil
}

// openSignalling makes the signalling side.
func (ex *exchange) openSignalling(cfg *config.Config, p *plan) (err error) {
	reg := cfg.Registrar
	var keep sip.Keep
	if ex.memory != nil {
		keep = ex.memory
	}
	ex.registrar = sip.NewRegistrar(sip.RegistrarOptions{
		Realm: reg.Realm, Default: algorithm(reg.Digest), Accounts: ex.accounts.over(p),
		ExpiresUDP: reg.Expires.UDP, ExpiresTCP: reg.Expires.TCP, ExpiresTLS: reg.Expires.TLS, ExpiresWSS: reg.Expires.WSS,
		Probe:   reg.Keepalive.UDPOptions,
		Ban:     sip.BanPolicy{Failures: reg.Ban.Failures, Window: reg.Ban.Window, Duration: reg.Ban.Duration, Allow: reg.Ban.Allow},
		Guess:   sip.GuessPolicy{After: reg.Slowdown.After, Longest: reg.Slowdown.Longest, Alarm: reg.Slowdown.Alarm},
		Changed: ex.phoneChanged, Asked: ex.phoneAsked, Log: ex.log.Named("registrar"), Keep: keep,
	})
	ex.edge, err = sip.NewEdge(sip.Options{
		UserAgent: "Foyer/" + version,
		UDP:       ex.sockets.udp, TCP: ex.sockets.tcp, TLS: ex.sockets.tls,
		UDP6: ex.sockets.udp6, TCP6: ex.sockets.tcp6, TLS6: ex.sockets.tls6,
		TLSConfig: ex.sockets.tlsOfSIP(), Web: cfg.Listen.HTTP.IsValid() || cfg.Listen.HTTPS.Addr.IsValid(),
		PerSource: cfg.Listen.PerSource, StreamPing: reg.Keepalive.StreamCRLF,
		Host:   cfg.Site.PublicHost,
		Trunks: p.sipTrunks, Registrar: ex.registrar,
		Flood: ex.floodPolicy(cfg),
		Log:   ex.log.Named("sip"),
		Trace: ex.journal.traceMessage, Traces: belongsToCall,
		Count:       ex.metrics,
		Session:     ex.session,
		T1:          ex.t1,
		Invite:      ex.invite,
		AgentInvite: ex.agentInvite,
		Draining:    ex.draining.Load,
		Keep:        keep,
		Look:        ex.poison.read,
	})
	return err
}

// start sets every goroutine going. See ARCHITECTURE.md, "Threads".
func (ex *exchange) start() error {
	boardCtx, stopBoard := context.WithCancel(context.Background())
	edgeCtx, stopEdge := context.WithCancel(context.Background())
	tapCtx, stopTaps := context.WithCancel(context.Background())
	ex.stopBoard, ex.stopEdge, ex.stopTaps = stopBoard, stopEdge, stopTaps
	ex.boardDone, ex.tapsDone = make(chan struct{}), make(chan struct{})

	// Before anything a peer can do.
	ex.beginLife()
	go func() { defer close(ex.boardDone); ex.board.run(boardCtx) }()
	if err := ex.markLife(); err != nil {
		return err
	}
	ex.attach(ex.revival)
	go func() {
		defer close(ex.tapsDone)
		if err := ex.recordings.Run(tapCtx, ex.media.Taps()); err != nil {
			ex.fail(fmt.Errorf("recorder: %w", err))
		}
	}()
	ex.wait.Go(func() {
		if err := ex.edge.Serve(edgeCtx); err != nil && edgeCtx.Err() == nil {
			ex.fail(fmt.Errorf("sip: %w", err))
		}
	})
	ex.reviveCalls(ex.revival)
	ex.revival = nil
	ex.wait.Go(func() { ex.hours(edgeCtx) })
	ex.wait.Go(func() { ex.watchBoard(edgeCtx) })
	ex.wait.Go(func() { ex.board.checkpoints.run(edgeCtx) })
	ex.wait.Go(func() { ex.watchToll(edgeCtx) })
	ex.wait.Go(func() { ex.watchKeeper(edgeCtx) })
	ex.wait.Go(func() { ex.reserve.keep(edgeCtx) })
	ex.wait.Go(func() { ex.retain(edgeCtx) })
	ex.metrics.registry.MustRegister(newGauges(ex))
	return ex.startConsole()
}

func (ex *exchange) fail(err error) {
	select {
	case ex.failed <- err:
	default:
	}
}

func (ex *exchange) startConsole() error {
	p := ex.plan.Load()
	handler, err := console.New(ex.consoleOptions(p))
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	ex.serveHTTP(ex.sockets.http, ex.withPhones(handler, false), nil)
	ex.serveHTTP(ex.sockets.https, ex.withPhones(handler, true), ex.sockets.secureCert)
	ex.serveHTTP(ex.sockets.admin, withProfiles(ex.withUpgrade(console.Admin(handler))), nil)
	if ex.sockets.metrics != nil {
		ex.serveHTTP(ex.sockets.metrics, ex.metrics.handler(), nil)
	}
	return nil
}

// withProfiles adds Go's profiles for whoever may open the admin socket:
// curl --unix-socket data/admin.sock http://admin/debug/pprof/profile
func withProfiles(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// withPhones takes phones in browsers beside the console. Without TLS anybody on the
// way could take over what they say, so then only those of this machine are taken:
// a demonstration, or what a TLS proxy before us passes on.
func (ex *exchange) withPhones(h http.Handler, secure bool) http.Handler {
	phones := ex.edge.WebSocket(secure)
	mux := http.NewServeMux()
	mux.Handle("/", h)
	mux.HandleFunc("/sip", func(w http.ResponseWriter, r *http.Request) {
		if from, err := netip.ParseAddrPort(r.RemoteAddr); !secure && (err != nil || !from.Addr().Unmap().IsLoopback()) {
			http.Error(w, "phones in browsers are served by TLS: wss, at the address of listen.https", http.StatusForbidden)
			return
		}
		phones.ServeHTTP(w, r)
	})
	return mux
}

// serveHTTP serves a listener; with a certificate by TLS.
func (ex *exchange) serveHTTP(l net.Listener, h http.Handler, cert *sip.Certificate) {
	if l == nil {
		return
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: zap.NewStdLog(ex.log.Named("http"))}
	serve := srv.Serve
	if cert != nil {
		srv.TLSConfig = cert.Config()
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	ex.servers = append(ex.servers, srv)
	ex.wait.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			ex.fail(fmt.Errorf("http %s: %w", l.Addr(), err))
		}
	})
}
