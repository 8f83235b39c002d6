package lab

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"foyer/loadtest"
)

// baresipConfig is a telephone that answers by itself, plays a tone and keeps what
// it hears.
const baresipConfig = `sip_listen %[1]s:5070
call_max_calls 4
audio_player aubridge,null
audio_source aufile,%[2]s/tone.wav
audio_alert aufile,/dev/null
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports 4100-4199
jitter_buffer_delay 2-10
net_interface home0
module_path /usr/lib/baresip/modules
module stdio.so
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
snd_path %[2]s
`

// realPhone plays a call to a baresip that lives behind the router.
func realPhone(ctx context.Context, s *Scene, dir string) error {
	address := fmt.Sprintf("192.168.%d.30", s.number)
	house, err := OpenHouse(s.router, address)
	if err != nil {
		return err
	}
	defer house.Close()
	who := s.lab.sw.Crew()[s.number]
	account := fmt.Sprintf("<sip:%s@%s;transport=udp>;auth_user=%s;auth_pass=%s;regint=60;answermode=auto;outbound=\"sip:%s;transport=udp\";audio_codecs=PCMA/8000/1\n",
		who.User, s.lab.sw.Realm, who.User, who.Password, s.lab.server)
	for name, text := range map[string]string{"config": fmt.Sprintf(baresipConfig, address, dir), "accounts": account, "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	if out, err := exec.Command("sox", "-n", "-r", "8000", "-c", "1", "-b", "16", filepath.Join(dir, "tone.wav"), "synth", "30", "sine", "1000").CombinedOutput(); err != nil {
		return fmt.Errorf("tone: %w: %s", err, out)
	}
	phone := &program{cmd: exec.Command("baresip", "-4", "-f", dir)}
	phone.cmd.Stdout, phone.cmd.Stderr = phone, phone
	if err := house.Start(phone.cmd); err != nil {
		return err
	}
	defer phone.end()
	defer func() {
		if len(s.Faults) > 0 {
			s.note("%s", phone.said())
		}
	}()
	if err := s.dial(ctx); err != nil {
		return err
	}
	if !s.until(ctx, "baresip has answered", 30*time.Second, func() bool { return strings.Contains(phone.said(), "Call established") }) {
		return nil
	}
	s.account.Answered, s.account.Outcome = time.Now(), loadtest.Answered
	before := s.caller.Heard().Music
	s.until(ctx, "the caller hears baresip", usual, func() bool { return s.caller.Heard().Music >= before+50 })
	s.until(ctx, "baresip hears the caller", usual, func() bool { return loud(dir) })
	// Its router gives the media away, and the call goes on.
	for port := range uint16(100) {
		s.router.Forget(netip.AddrPortFrom(netip.MustParseAddr(address), 4100+port))
	}
	pause(ctx, time.Second)
	before = s.caller.Heard().Music
	s.until(ctx, "the caller hears baresip again", usual, func() bool { return s.caller.Heard().Music >= before+50 })
	s.account.Hungup, s.account.EndedBy = time.Now(), "caller"
	if err := s.caller.call.Hangup(ctx); err != nil {
		return err
	}
	s.until(ctx, "baresip knows that the call is over", usual, func() bool { return strings.Contains(phone.said(), "session closed") })
	pause(ctx, 200*time.Millisecond) // its 200 is on the way
	return nil
}

// loud tells whether the telephone has written down a second of sound.
func loud(dir string) bool {
	files, _ := filepath.Glob(filepath.Join(dir, "*-dec.wav"))
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil || len(raw) < 44 {
			continue
		}
		n := 0
		for i := 44; i+1 < len(raw); i += 2 {
			if v := int16(uint16(raw[i]) | uint16(raw[i+1])<<8); v > 1000 || v < -1000 {
				n++
			}
		}
		if n > 4000 {
			return true
		}
	}
	return false
}

// program is a running program and what it has printed.
type program struct {
	cmd *exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer // guarded by mu
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *program) end() {
	p.cmd.Process.Kill()
	_ = p.cmd.Wait() // it was killed
}

func TestRealPhoneBehindEveryKindOfRouter(t *testing.T) {
	if testing.Short() {
		t.Skip("real phones take their time: not in make check")
	}
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	if os.Getenv(world) == "" {
		t.Parallel()
		again(t)
		return
	}
	for _, command := range []string{"ip link set lo up", "ip addr add 198.51.100.1/32 dev lo"} {
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, out)
		}
	}
	var cases []Case
	for _, kind := range kinds {
		dir := t.TempDir()
		cases = append(cases, Case{Name: kind.String() + ": baresip", Kind: kind, Limit: 2 * time.Minute,
			Play: func(ctx context.Context, s *Scene) error { return realPhone(ctx, s, dir) },
			Judge: func(s *Scene, row *loadtest.CDR) {
				if row.Outcome != "answered" || row.Quality.Agent.Packets < 50 {
					s.fault("record: %s, %d packets of the phone", row.Outcome, row.Quality.Agent.Packets)
				}
			}})
	}
	mustRun(t, Options{IP: "198.51.100.1", Desk: "127.0.0.1", Cases: cases})
}

// world is set, to the program of the switch, in the process that has a network of
// its own.
const world = "FOYER_LAB_WORLD"

// again runs the test once more in a network of its own, where the switch can have
// an address that is not loopback without this machine knowing.
func again(t *testing.T) {
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	cmd.Env = append(os.Environ(), world+"="+bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	} else if !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("it was not run:\n%s", out)
	}
	t.Logf("%s", out)
}
