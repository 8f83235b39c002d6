package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// rtpengine is the userspace relay of the Debian package, driven over its ng
// control socket. It carries media only: no signalling, no queue.
type rtpengine struct {
	cmd   *exec.Cmd
	ended chan struct{}
	ctl   *net.UDPConn
	next  int
}

// startRTPEngine starts it on an address of its own, recording to pcap if dir is
// not empty.
func startRTPEngine(ctx context.Context, ip, dir string) (*rtpengine, error) {
	const port = 2223
	args := []string{"--foreground", "--table=-1", "--interface=" + ip, fmt.Sprintf("--listen-ng=%s:%d", ip, port),
		"--port-min=20000", "--port-max=29999", "--log-stderr", "--log-level=2", "--delete-delay=0"}
	if dir != "" {
		args = append(args, "--recording-dir="+dir, "--recording-method=pcap", "--recording-format=eth")
	}
	r := &rtpengine{cmd: exec.Command("rtpengine", args...), ended: make(chan struct{})}
	var log bytes.Buffer
	r.cmd.Stdout, r.cmd.Stderr = &log, &log
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := r.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start rtpengine: %w", err)
	}
	go func() { r.cmd.Wait(); close(r.ended) }()
	var err error
	if r.ctl, err = net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.ParseIP(ip), Port: port}); err != nil {
		r.stop()
		return nil, fmt.Errorf("control rtpengine: %w", err)
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		if _, err = r.ask("command", "ping"); err == nil {
			return r, nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			r.stop()
			return nil, fmt.Errorf("start rtpengine: %w\n%s", err, log.String())
		}
		pause(ctx, 50*time.Millisecond)
	}
}

func (r *rtpengine) stop() {
	if r.ctl != nil {
		r.ctl.Close()
	}
	r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.ended:
	case <-time.After(5 * time.Second):
		r.cmd.Process.Kill()
		<-r.ended
	}
}

// ask sends one ng command, pairs of key and value, and returns the sdp of the
// answer.
func (r *rtpengine) ask(pairs ...string) (string, error) {
	r.next++
	cookie := strconv.Itoa(r.next)
	var b strings.Builder
	b.WriteString(cookie + " d")
	for _, s := range pairs {
		fmt.Fprintf(&b, "%d:%s", len(s), s)
	}
	b.WriteString("e")
	if _, err := r.ctl.Write([]byte(b.String())); err != nil {
		return "", fmt.Errorf("rtpengine %s: %w", pairs[1], err)
	}
	buf := make([]byte, 65536)
	r.ctl.SetReadDeadline(time.Now().Add(time.Second))
	for {
		n, err := r.ctl.Read(buf)
		if err != nil {
			return "", fmt.Errorf("rtpengine %s: %w", pairs[1], err)
		}
		got, body, _ := strings.Cut(string(buf[:n]), " ")
		if got != cookie {
			continue
		}
		if result := bencoded(body, "result"); result != "ok" && result != "pong" {
			return "", fmt.Errorf("rtpengine %s: %s", pairs[1], body)
		}
		return bencoded(body, "sdp"), nil
	}
}

// bencoded finds the string value of a key in a flat bencoded dictionary.
func bencoded(body, key string) string {
	_, rest, ok := strings.Cut(body, fmt.Sprintf("%d:%s", len(key), key))
	if !ok {
		return ""
	}
	size, rest, _ := strings.Cut(rest, ":")
	n, err := strconv.Atoi(size)
	if err != nil || n > len(rest) {
		return ""
	}
	return rest[:n]
}

// join makes a call of two ends and returns where each is to send.
func (r *rtpengine) join(id string, caller, agent *net.UDPAddr, record bool) (callerTo, agentTo *net.UDPAddr, err error) {
	extra := []string{}
	if record {
		extra = []string{"record call", "yes"}
	}
	offer, err := r.ask(append([]string{"command", "offer", "call-id", id, "from-tag", "a" + id,
		"sdp", siptest.SDP{Addr: caller.IP.String(), Port: caller.Port, Payloads: []int{siptest.PCMA}}.String()}, extra...)...)
	if err != nil {
		return nil, nil, err
	}
	answer, err := r.ask(append([]string{"command", "answer", "call-id", id, "from-tag", "a" + id, "to-tag", "b" + id,
		"sdp", siptest.SDP{Addr: agent.IP.String(), Port: agent.Port, Payloads: []int{siptest.PCMA}}.String()}, extra...)...)
	if err != nil {
		return nil, nil, err
	}
	toAgent, err1 := siptest.ParseSDP(offer)
	toCaller, err2 := siptest.ParseSDP(answer)
	if err := errors.Join(err1, err2); err != nil {
		return nil, nil, fmt.Errorf("rtpengine call %s: %w", id, err)
	}
	return toCaller.Target(), toAgent.Target(), nil
}

// relay measures rtpengine with n calls of the same generator.
func (b *bench) relay(ctx context.Context, n int, record bool) (cpu float64, memory int64, m loadtest.MediaTotals, err error) {
	dir := ""
	if record {
		dir = filepath.Join(b.dir, fmt.Sprintf("pcap%d", n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return 0, 0, m, fmt.Errorf("bench: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	b.systems++
	r, err := startRTPEngine(ctx, fmt.Sprintf("127.%d.%d.1", 20+os.Getpid()%200, b.systems), dir)
	if err != nil {
		return 0, 0, m, err
	}
	defer r.stop()
	idle, err := loadtest.UsageOf(r.cmd.Process.Pid)
	if err != nil {
		return 0, 0, m, err
	}
	p, err := loadtest.OpenPairs(n, "127.0.0.2", "127.0.0.3")
	if err != nil {
		return 0, 0, m, err
	}
	defer p.Close()
	for i := range n {
		caller, agent := p.Addrs(i)
		callerTo, agentTo, err := r.join(fmt.Sprintf("call%d", i), caller, agent, record)
		if err != nil {
			return 0, 0, m, err
		}
		p.Connect(i, callerTo, agentTo)
	}
	pause(ctx, 3*time.Second)
	before, err := loadtest.UsageOf(r.cmd.Process.Pid)
	if err != nil {
		return 0, 0, m, err
	}
	mark, own := p.Mark(), ownCPU()
	pause(ctx, b.window)
	m = p.Since(mark)
	say("the generator itself used %.2f cores and was up to %v late", (ownCPU()-own).Seconds()/b.window.Seconds(), m.Slipped)
	after, err := loadtest.UsageOf(r.cmd.Process.Pid)
	if err != nil {
		return 0, 0, m, err
	}
	_, used := after.Since(before)
	return used.Seconds() * 1000 / b.window.Seconds() / float64(n), (after.RSS - idle.RSS) / int64(n), m, nil
}
