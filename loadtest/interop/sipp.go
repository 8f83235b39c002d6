package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zaf/g711"
)

// sippScenario is a carrier's test call: INVITE, provisional, 200, ACK, a tone for
// a while, BYE.
const sippScenario = `<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="carrier calls">
  <send retrans="500"><![CDATA[
INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
From: <sip:+3361200[call_number]@carrier.test>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 INVITE
Contact: <sip:carrier@[local_ip]:[local_port]>
Max-Forwards: 70
Content-Type: application/sdp
Content-Length: [len]

v=0
o=carrier 1 1 IN IP4 [media_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 8
a=rtpmap:8 PCMA/8000
]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[
ACK [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:+3361200[call_number]@carrier.test>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Max-Forwards: 70
Content-Length: 0

]]></send>
  <nop><action><exec rtp_stream="%[1]s,-1,8,PCMA/8000"/></action></nop>
  <pause milliseconds="%[2]d"/>
  <send retrans="500"><![CDATA[
BYE [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
[routes]
From: <sip:+3361200[call_number]@carrier.test>;tag=[pid]-[call_number]
To: <sip:[service]@[remote_ip]>[peer_tag_param]
Call-ID: [call_id]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send>
  <recv response="200"/>
</scenario>
`

// startSipp lets sipp make calls to a number, each lasting so long.
func startSipp(t *testing.T, server, number string, tone float64, calls int, each time.Duration) *process {
	t.Helper()
	dir := t.TempDir()
	var pcm bytes.Buffer
	for _, s := range tonePCM(tone) {
		pcm.Write([]byte{byte(s), byte(s >> 8)})
	}
	sound := filepath.Join(dir, "tone.al")
	if err := os.WriteFile(sound, bytes.Repeat(g711.EncodeAlaw(pcm.Bytes()), 10), 0o600); err != nil {
		t.Fatal(err)
	}
	scenario := filepath.Join(dir, "carrier.xml")
	if err := os.WriteFile(scenario, []byte(fmt.Sprintf(sippScenario, sound, each.Milliseconds())), 0o600); err != nil {
		t.Fatal(err)
	}
	media := freeRange()
	cmd := exec.Command(tool(t, "sipp"), "-sf", scenario, "-s", number, "-i", "127.0.0.2", "-mi", "127.0.0.2",
		"-p", strconv.Itoa(freePort(t)), "-m", strconv.Itoa(calls), "-l", strconv.Itoa(calls), "-r", "5",
		"-min_rtp_port", strconv.Itoa(media), "-max_rtp_port", strconv.Itoa(media+99),
		"-nostdin", "-trace_err", "-timeout", "60s", server)
	cmd.Dir = dir
	return start(t, cmd)
}

// succeeded waits for sipp's end and wants no failed call.
func (p *process) succeeded() {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(60 * time.Second):
		p.t.Fatalf("sipp does not end\n%s", p.output())
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		errs, _ := filepath.Glob(filepath.Join(p.cmd.Dir, "*_errors.log"))
		var all strings.Builder
		for _, f := range errs {
			b, _ := os.ReadFile(f)
			all.Write(b)
		}
		p.t.Fatalf("sipp: exit %d\n%s\n%s", code, p.output(), all.String())
	}
}
