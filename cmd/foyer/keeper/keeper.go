package keeper

import (
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"
)

// Options say what is kept alive.
type Options struct {
	Program string   // path of the switch's program
	Args    []string // its arguments, the name of the program first
	Log     *zap.Logger
}

// keeper starts the switch and holds what must outlive it. It has no configuration,
// reads nothing from the network, and has one loop, which owns all of this.
type keeper struct {
	Options
	store  *store
	up     *Client // whoever started us, if they want to know
	deaths chan death
	born   chan struct{} // has something when a child was started
	again  *time.Timer   // the next start

	pid     int // 0 while no switch runs
	started time.Time
	died    time.Time // the last one; zero if none has
	told    said      // what is known of the one that runs
	served  bool      // one has been ready
	asked   int       // signals that ask for the end
	reload  bool      // SIGHUP came while no switch was ready
	soon    int       // deaths in a row soon after the start

	alive *uint32   // the futex that the switch holds (alive.go)
	dying chan int  // it has let go of it
	ended *lifetime // of one that is dead, and not gone; nil: none is

	standby  *standby      // waits for the death of the one that runs; nil if none does
	sparing  *time.Timer   // when it is to be started
	prepared chan *standby // can be let in

	upgrade // upgrade.go
}

// lifetime is what is told of a switch when it is gone.
type lifetime struct {
	pid   int
	lived time.Duration
	ready bool
}

// death is how a child ended, or that it was stopped.
type death struct {
	pid    int
	status syscall.WaitStatus
	used   syscall.Rusage
}

// pauses are the waits before a start when the switches before it died soon after
// theirs: the first is for a fault that comes once, the last for one that stays.
var pauses = [...]time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second, 5 * time.Second}

// soonAfter is how long a switch must live for the next one to be started at once.
const soonAfter = time.Second

// Run keeps a switch running until it ends of its own will, or is asked to, and
// returns its exit status. It takes over the process: its signals, its children, and
// GOMAXPROCS.
//
// SIGTERM and SIGINT are passed on, and the switch is given all the time it takes to
// drain; at a second one it is killed. SIGHUP is passed on too.
//
// A keeper that is killed does not take the switch with it: that one has its own
// descriptors, and goes on with nobody to start it again.
func Run(o Options) (code int, err error) {
	runtime.GOMAXPROCS(1)
	k := &keeper{
		Options: o, deaths: make(chan death), born: make(chan struct{}, 1), again: time.NewTimer(0),
		sparing: time.NewTimer(time.Hour), prepared: make(chan *standby), dying: make(chan int),
		upgrade: upgrade{before: noTrial, trial: time.NewTimer(time.Hour)},
	}
	if k.up, err = FromEnvironment(); err != nil {
		o.Log.Warn("whoever started us is not told how the switch is", zap.Error(err))
	}
	if k.store, err = openStore(o.Log); err != nil {
		return 1, err
	}
	defer k.store.close()
	if k.alive, err = newAlive(k.store); err != nil {
		return 1, err
	}
	go k.store.listen()
	go k.reap()
	signals := make(chan os.Signal, 16)
	// Signals that nobody should send are caught too: they would end the process.
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2)
	for {
		select {
		case <-k.again.C:
			if err := k.start(); err != nil && !k.served {
				return 1, err
			}
		case s := <-signals:
			k.signalled(s.(syscall.Signal))
		case <-k.store.news:
			k.listen()
		case <-k.sparing.C:
			k.spare()
		case s := <-k.prepared:
			k.canTakeOver(s)
		case pid := <-k.dying:
			k.isDying(pid)
		case <-k.trial.C:
			k.judge()
		case d := <-k.deaths:
			if code, end := k.childDied(d); end {
				return code, nil
			}
		}
		if k.pid == 0 && k.asked > 0 {
			return 0, nil
		}
	}
}

// start lets the standby in, or starts a switch. It fails when the program cannot be
// run, and tries that again later.
func (k *keeper) start() error {
	k.told, k.started = said{}, time.Now()
	if s := k.standby; s != nil {
		k.standby = nil
		if err := k.store.admit(s); err == nil {
			k.pid = s.pid
			return nil
		}
	}
	err := k.store.begin(func(fds []int, names []string) (pid int, err error) {
		k.pid, err = k.spawn(k.path(), fds, names)
		return k.pid, err
	})
	if err != nil {
		k.pid = 0
		wait := k.pause(0)
		if k.before != noTrial {
			k.rollBack("it cannot be started: " + err.Error())
			wait = 0
		}
		k.Log.Error("the switch cannot be started", zap.String("program", k.path()), zap.Error(err), zap.Duration("again_in", wait))
		k.again.Reset(wait)
		return fmt.Errorf("start %s: %w", k.path(), err)
	}
	return nil
}

// spawn starts a program with descriptors.
func (k *keeper) spawn(program string, fds []int, names []string) (pid int, err error) {
	files := []uintptr{0, 1, 2}
	for _, fd := range fds {
		files = append(files, uintptr(fd))
	}
	pid, _, err = syscall.StartProcess(program, k.Args, &syscall.ProcAttr{
		Env:   k.environment(names),
		Files: files,
		// A group of its own: Ctrl-C is ours to pass on.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, err
	}
	preferVictim(pid)
	select {
	case k.born <- struct{}{}:
	default:
	}
	return pid, nil
}

// environment is ours, with what a switch must know of us. LISTEN_PID is left out:
// it would be the number of a process that is yet to come.
func (k *keeper) environment(names []string) []string {
	env := append(os.Environ(), "NOTIFY_SOCKET="+k.store.address(), "FDSTORE="+strconv.Itoa(k.store.limit),
		keeperVariable+"="+strconv.Itoa(os.Getpid()))
	if len(names) > 0 {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	}
	return env
}

// preferVictim lets the kernel, when memory is short, end the switch before us: we
// would start it again. It fails where that may not be set, and no harm is done.
func preferVictim(pid int) {
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return
	}
	score, err := strconv.Atoi(strings.TrimSpace(string(own)))
	if err != nil {
		return
	}
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte(strconv.Itoa(min(score+100, 1000))), 0)
}

// reap tells of every child that dies or stops: as the first process of a container we
// inherit those of others.
func (k *keeper) reap() {
	for {
		var d death
		var err error
		switch d.pid, err = syscall.Wait4(-1, &d.status, syscall.WUNTRACED, &d.used); err {
		case nil:
			k.deaths <- d
		case syscall.ECHILD:
			<-k.born
		}
	}
}

// signalled passes a signal on.
func (k *keeper) signalled(s syscall.Signal) {
	switch s {
	case syscall.SIGTERM, syscall.SIGINT:
		k.asked++
		if k.asked > 1 {
			s = syscall.SIGKILL
		}
	case syscall.SIGHUP:
		if !k.told.ready { // it would die of it
			k.reload = true
			return
		}
	case syscall.SIGQUIT: // Go's way to say what every goroutine does, and to die
	default:
		return
	}
	if k.pid != 0 {
		_ = syscall.Kill(k.pid, s)
	}
}

// listen acts on what the switch has said, and passes it on to who has started us.
func (k *keeper) listen() {
	was, is := k.told, k.store.heard()
	k.told = is
	if program, ok := k.store.take(ProgramName); ok {
		k.prepare(program)
	}
	if is.ready && !was.ready {
		k.ready()
	}
	if is.stopping && !was.stopping {
		_ = k.up.Stopping()
	}
	if is.handOver && !was.handOver {
		k.freeze()
	}
	if is.status != was.status {
		_ = k.up.Status(is.status)
	}
}

func (k *keeper) ready() {
	k.served = true
	_ = k.up.Ready()
	fields := []zap.Field{zap.Int("pid", k.pid), zap.Duration("after", time.Since(k.started))}
	if !k.died.IsZero() {
		fields = append(fields, zap.Duration("without_a_switch", time.Since(k.died)))
		k.died = time.Time{}
	}
	k.Log.Info("the switch serves", fields...)
	if k.before != noTrial {
		k.trial.Reset(trialTime)
	}
	k.sparing.Reset(standbyPause)
	go k.attend(k.pid)
	if k.reload {
		k.reload = false
		_ = syscall.Kill(k.pid, syscall.SIGHUP)
	}
}

// childDied is told of every child.
func (k *keeper) childDied(d death) (code int, end bool) {
	switch {
	case d.status.Stopped():
		if d.pid == k.pid {
			k.frozen()
		}
	case d.pid == k.pid:
		return k.bury(d)
	case k.ended != nil && d.pid == k.ended.pid:
		k.tell(k.ended, d, 0)
		k.ended = nil
	case k.standby != nil && d.pid == k.standby.pid:
		k.Log.Warn("the switch that waited for the death of this one died itself", zap.Int("pid", d.pid), zap.String("how", how(d.status)))
		k.dismiss(k.standby)
		k.standby = nil
		k.sparing.Reset(standbyAgain)
	case k.next != nil && d.pid == k.next.pid:
		k.refuse("it died: " + how(d.status))
	case k.fallback != nil && d.pid == k.fallback.pid:
		k.dismiss(k.fallback)
		k.fallback = nil
	}
	return 0, false
}

// bury decides what comes after a death: the end, with an exit status, or a start.
func (k *keeper) bury(d death) (code int, end bool) {
	k.store.settle()
	k.listen()
	pid, lived := k.pid, time.Since(k.started)
	k.pid = 0
	if k.ends(d.status) {
		return exitCode(d.status), true
	}
	if k.died.IsZero() {
		k.died = time.Now()
	}
	if k.freezing && k.next != nil {
		k.handOver()
		return 0, false
	}
	k.freezing = false
	wait := k.pause(lived)
	if k.before != noTrial {
		k.rollBack("it died: " + how(d.status))
		wait = 0
	}
	k.tell(&lifetime{pid, lived, k.told.ready}, d, wait)
	k.again.Reset(wait)
	return 0, false
}

// isDying lets the standby in when the switch is dead and the kernel not done with it.
// Whatever else a death may mean waits for that.
func (k *keeper) isDying(pid int) {
	lived := time.Since(k.started)
	handsOver := k.freezing && k.next != nil
	standsBy := k.standby != nil && k.next == nil && k.before == noTrial && lived >= soonAfter
	if pid != k.pid || k.asked > 0 || k.ended != nil || !handsOver && !standsBy {
		return
	}
	k.store.settle()
	k.listen()
	k.ended, k.pid, k.soon = &lifetime{pid, lived, k.told.ready}, 0, 0
	if handsOver {
		k.handOver()
		return
	}
	if k.died.IsZero() {
		k.died = time.Now()
	}
	_ = k.start() // it tries again by itself
}

// tell says how a switch died.
func (k *keeper) tell(l *lifetime, d death, wait time.Duration) {
	k.Log.Error("the switch died; it is started again", zap.Int("pid", l.pid), zap.String("how", how(d.status)), zap.Bool("serving", l.ready),
		zap.Duration("lived", l.lived), zap.Duration("user", time.Duration(d.used.Utime.Nano())), zap.Duration("system", time.Duration(d.used.Stime.Nano())),
		zap.Int64("peak_kb", d.used.Maxrss), zap.Duration("in", wait))
}

// ends says whether a death is the end of the keeper too: it was asked for, the
// switch wanted it, or none has ever served and this one says why, as of a
// configuration that is wrong or a port in use.
func (k *keeper) ends(s syscall.WaitStatus) bool {
	return k.asked > 0 || s.Exited() && (s.ExitStatus() == 0 || !k.served)
}

// pause is how long the next start waits after a switch that lived for so long.
func (k *keeper) pause(lived time.Duration) time.Duration {
	if lived >= soonAfter {
		k.soon = 0
		return 0
	}
	k.soon++
	return pauses[min(k.soon, len(pauses))-1]
}

// exitCode is the status a shell would give.
func exitCode(s syscall.WaitStatus) int {
	if s.Signaled() {
		return 128 + int(s.Signal())
	}
	return s.ExitStatus()
}

func how(s syscall.WaitStatus) string {
	switch {
	case s.Signaled() && s.CoreDump():
		return "signal: " + s.Signal().String() + ", core dumped"
	case s.Signaled():
		return "signal: " + s.Signal().String()
	}
	return "exit status " + strconv.Itoa(s.ExitStatus())
}
