package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"foyer/loadtest"
)

// kamailioConfig is a registrar without passwords and a stateful proxy that stays
// in the path: signalling of the same calls with nothing decided, queued or
// recorded.
const kamailioConfig = `#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:%s:%d
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib64/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
modparam("tm", "fr_timer", 5000)
request_route {
	if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
	if (is_method("REGISTER")) { save("location"); exit; }
	if (is_method("CANCEL")) { if (t_check_trans()) { t_relay(); } exit; }
	if (has_totag()) {
		if (loose_route()) { t_relay(); exit; }
		if (is_method("ACK")) { if (t_check_trans()) { t_relay(); } exit; }
		sl_send_reply("404", "Not here"); exit;
	}
	t_check_trans();
	record_route();
	if (!lookup("location")) { sl_send_reply("404", "Not Found"); exit; }
	t_relay();
}
`

// kamailioRegistrar is a registrar that wants a digest, locations in memory.
const kamailioRegistrar = `#!KAMAILIO
debug=0
log_stderror=yes
fork=yes
children=2
disable_tcp=yes
auto_aliases=no
listen=udp:%s:%d
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/:/usr/lib64/kamailio/modules/"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "auth.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
modparam("usrloc", "db_mode", 0)
modparam("auth", "nonce_expire", 60)
modparam("auth", "qop", "auth")
request_route {
	if (!mf_process_maxfwd_header("10")) { sl_send_reply("483", "Too Many Hops"); exit; }
	if (!is_method("REGISTER")) { sl_send_reply("405", "Not here"); exit; }
	$var(password) = "pw-" + $(tU{s.substr,5,0});
	if (!pv_www_authenticate("lo.test", "$var(password)", "0")) { www_challenge("lo.test", "1"); exit; }
	save("location");
	exit;
}
`

// kamailio is the proxy of the Debian package as a child process.
type kamailio struct {
	cmd   *exec.Cmd
	ended chan struct{}
}

func (b *bench) startKamailio(ip string, port int, config string) (*kamailio, error) {
	dir := filepath.Join(b.dir, "kamailio")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	cfg := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(cfg, fmt.Appendf(nil, config, ip, port), 0o600); err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	k := &kamailio{cmd: exec.Command("kamailio", "-DD", "-E", "-f", cfg, "-Y", dir, "-m", "256", "-M", "16"), ended: make(chan struct{})}
	var log bytes.Buffer
	k.cmd.Stdout, k.cmd.Stderr = &log, &log
	k.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := k.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start kamailio: %w", err)
	}
	go func() { k.cmd.Wait(); close(k.ended) }()
	select {
	case <-k.ended:
		return nil, fmt.Errorf("start kamailio: it ended\n%s", log.String())
	case <-time.After(1500 * time.Millisecond):
		return k, nil
	}
}

func (k *kamailio) stop() {
	k.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-k.ended:
	case <-time.After(5 * time.Second):
		k.cmd.Process.Kill()
		<-k.ended
	}
}

// proxy measures Kamailio with calls of the same generator, each to an agent of
// its own.
func (b *bench) proxy(ctx context.Context, rate float64) (cpu float64, res loadtest.Result, err error) {
	b.systems++
	ip, port := fmt.Sprintf("127.%d.%d.1", 20+os.Getpid()%200, b.systems), 5060
	k, err := b.startKamailio(ip, port, kamailioConfig)
	if err != nil {
		return 0, res, err
	}
	defer k.stop()
	crew := loadtest.Setup{Agents: max(20, int(rate))}.Crew()
	numbers := make([]string, len(crew))
	for i, a := range crew {
		numbers[i] = a.User
	}
	length := min(b.window, 10*time.Second)
	r, err := loadtest.Start(ctx, loadtest.Plan{Server: fmt.Sprintf("%s:%d", ip, port), Numbers: numbers, Agents: crew,
		Rate: rate, Even: true, Calls: int(rate * length.Seconds()), Talk: loadtest.Fixed(400 * time.Millisecond), AgentHangs: 0.5})
	if err != nil {
		return 0, res, err
	}
	defer r.Close()
	before, err := loadtest.UsageOf(k.cmd.Process.Pid)
	if err != nil {
		return 0, res, err
	}
	r.Arrive(ctx)
	ending, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	if err := r.Until(ending, func(t loadtest.Status) bool { return t.Active == 0 }); err != nil {
		say("kamailio: %v", err)
	}
	if err := r.Drain(ctx); err != nil {
		return 0, res, err
	}
	after, err := loadtest.UsageOf(k.cmd.Process.Pid)
	if err != nil {
		return 0, res, err
	}
	_, used := after.Since(before)
	res = r.Result()
	return used.Seconds() * 1000 / float64(max(res.Started, 1)), res, nil
}
