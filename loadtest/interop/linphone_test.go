package interop

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// linphone is one running linphonec, driven through its standard input.
type linphone struct {
	*process
	in  io.WriteCloser
	dir string
}

const linphoneConfig = `[sip]
sip_port=%[1]d
sip_tcp_port=-1
sip_tls_port=%[8]d
root_ca=%[9]s
verify_server_certs=1
verify_server_cn=1
default_proxy=0
register_only_when_network_is_up=0
store_ha1_passwd=0
inc_timeout=60
media_encryption=%[10]s
media_encryption_mandatory=%[11]d
[net]
mtu=1300
[rtp]
audio_rtp_port=%[2]d
[sound]
echocancellation=0
[video]
enabled=0
[proxy_0]
reg_proxy=<sip:%[3]s;transport=%[4]s>
reg_route=<sip:%[3]s;transport=%[4]s;lr>
reg_identity=<sip:%[5]s@%[6]s>
reg_expires=60
reg_sendregister=1
publish=0
[auth_info_0]
username=%[5]s
userid=%[5]s
passwd=%[7]s
realm=%[6]s
domain=%[6]s
`

func startLinphone(t *testing.T, p phone) *linphone {
	t.Helper()
	base, tls := ports(t), -1
	if p.transport == "tls" {
		tls = base + 1
	}
	encryption, must := "none", 0
	if p.media != "" {
		encryption, must = p.media, 1
	}
	return launchLinphone(t, fmt.Sprintf(linphoneConfig, base, base+10, p.server, p.transport, p.user, p.domain, p.password,
		tls, p.ca, encryption, must), p.tone)
}

// launchLinphone starts one with a configuration and waits until it has registered.
func launchLinphone(t *testing.T, config string, tone float64) *linphone {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, ".local", "share", "linphone"), 0o755); err != nil {
		t.Fatal(err)
	}
	writeTone(t, filepath.Join(dir, "tone.wav"), tone)
	rc := filepath.Join(dir, "linphonerc")
	if err := os.WriteFile(rc, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool(t, "linphonec"), "-c", rc, "-d", "6", "-l", filepath.Join(dir, "log"))
	cmd.Env = append(os.Environ(), "HOME="+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &linphone{in: in, dir: dir}
	l.process = start(t, cmd)
	l.do("soundcard use files")
	l.says("Using wav files")
	until(t, "linphone registers", l.registered, l.log)
	return l
}

// registered asks the telephone, which says nothing by itself.
func (l *linphone) registered() bool {
	l.do("status register")
	return strings.Contains(l.output(), "registered, identity")
}

func (l *linphone) do(command string) {
	l.t.Helper()
	if _, err := fmt.Fprintln(l.in, command); err != nil {
		l.t.Fatalf("linphonec %s: %v\n%s", command, err, l.output())
	}
}

// answer takes the call that rings, plays the telephone's tone and records what
// it hears.
func (l *linphone) answer() {
	l.t.Helper()
	l.says("Receiving new incoming call")
	l.do("answer")
	l.says("Media streams established")
	l.do("record " + filepath.Join(l.dir, "heard.wav"))
	l.do("play " + filepath.Join(l.dir, "tone.wav"))
}

// heard is what came out of the receiver. It is written in large pieces, the last
// when the call ends.
func (l *linphone) heard() []float64 { return readPCM(filepath.Join(l.dir, "heard.wav")) }

// log is what the telephone noted, its SIP messages included.
func (l *linphone) log() string {
	b, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil {
		l.t.Fatal(err)
	}
	return string(b)
}
