package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// baresip is one running baresip, driven over its control socket.
type baresip struct {
	*process
	events
	dir  string
	conn net.Conn
}

const baresipConfig = `sip_listen %[1]s:%[2]d
call_max_calls 4
audio_player aubridge,null-%[3]s
audio_source aufile,%[4]s
audio_alert aufile,/dev/null
ausrc_srate 8000
auplay_srate 8000
ausrc_channels 1
auplay_channels 1
rtp_ports %[5]d-%[6]d
jitter_buffer_delay 2-10
rtp_stats yes
net_interface 127.0.0.1
module_path /usr/lib/baresip/modules
module g711.so
module g722.so
module opus.so
module aufile.so
module aubridge.so
module sndfile.so
module srtp.so
module dtls_srtp.so
module ice.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:%[7]d
snd_path %[8]s
`

func startBaresip(t *testing.T, p phone) *baresip {
	t.Helper()
	dir := t.TempDir()
	heard := filepath.Join(dir, "heard")
	if err := os.Mkdir(heard, 0o755); err != nil {
		t.Fatal(err)
	}
	tone, base := filepath.Join(dir, "tone.wav"), ports(t)
	writeTone(t, tone, p.tone)
	config := fmt.Sprintf(baresipConfig, p.host, base, p.user, tone, base+10, base+98, base+2, heard)
	if p.transport == "tls" {
		config += "sip_cafile " + p.ca + "\nsip_verify_server yes\n"
	}
	for name, text := range map[string]string{"config": config, "accounts": p.account(), "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b := &baresip{dir: dir, process: start(t, exec.Command(tool(t, "baresip"), "-4", "-f", dir))}
	until(t, "baresip's control socket", func() (ok bool) {
		var err error
		b.conn, err = net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", base+2))
		return err == nil
	}, b.output)
	t.Cleanup(func() { b.conn.Close() })
	go b.listen()
	if p.password != "" {
		// Printed, while the event of it may come before we listen.
		b.says("200 OK () [1 binding]")
	}
	return b
}

// account is the line of baresip's accounts file.
func (p phone) account() string {
	options := ";regint=0"
	if p.password != "" {
		options = fmt.Sprintf(";auth_user=%s;auth_pass=%s;regint=60", p.user, p.password)
	}
	if p.auto {
		options += ";answermode=auto"
	}
	if p.media != "" {
		options += ";mediaenc=" + p.media
	}
	if p.nat != "" {
		options += ";medianat=" + p.nat
	}
	codecs := p.codecs
	if codecs == "" {
		codecs = "PCMA/8000/1,PCMU/8000/1"
	}
	return fmt.Sprintf("<sip:%s@%s;transport=%s>%s;outbound=\"sip:%s;transport=%s\";audio_codecs=%s\n",
		p.user, p.domain, p.transport, options, p.server, p.transport, codecs)
}

// listen collects events: netstrings of JSON.
func (b *baresip) listen() {
	r := bufio.NewReader(b.conn)
	for {
		head, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(head, ":"))
		if err != nil {
			return
		}
		body := make([]byte, n+1) // and the comma
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		var e struct {
			Event bool   `json:"event"`
			Type  string `json:"type"`
		}
		if json.Unmarshal(body[:n], &e) == nil && e.Event {
			b.happened(e.Type, "")
		}
	}
}

// wait takes the next event of a type.
func (b *baresip) wait(event string) {
	b.t.Helper()
	until(b.t, "baresip: "+event, func() bool { _, ok := b.take(event); return ok }, b.output)
}

// do sends a command: dial, accept, hangup, hold, resume.
func (b *baresip) do(command, params string) {
	b.t.Helper()
	msg, err := json.Marshal(map[string]string{"command": command, "params": params})
	if err != nil {
		b.t.Fatal(err)
	}
	b.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := fmt.Fprintf(b.conn, "%d:%s,", len(msg), msg); err != nil {
		b.t.Fatal(err)
	}
}

// heard is what came out of the receiver in the last call.
func (b *baresip) heard() []float64 {
	files, _ := filepath.Glob(filepath.Join(b.dir, "heard", "*-dec.wav"))
	if len(files) == 0 {
		return nil
	}
	return readPCM(files[len(files)-1])
}

// packets is how many the telephone sent and got in the call it has ended, by
// what it prints about it.
func (b *baresip) packets() (sent, got int) {
	b.t.Helper()
	b.says("packets:")
	_, rest, _ := strings.Cut(b.output(), "packets:")
	if _, err := fmt.Sscan(rest, &sent, &got); err != nil {
		b.t.Fatalf("packets of a call: %v\n%s", err, b.output())
	}
	return sent, got
}
