package interop

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"foyer/loadtest"
	"foyer/sip/siptest"
)

// A carrier whose machines are Kamailio: the trunk registers there, answers its
// challenges, takes calls at its Contact and makes some.
func TestKamailioIsTheCarrier(t *testing.T) {
	const customer = "127.0.0.9"
	pc, err := net.ListenPacket("udp", customer+":0")
	if err != nil {
		t.Fatal(err)
	}
	dir, at := t.TempDir(), fmt.Sprintf("127.0.0.8:%d", ports(t))
	fragment := filepath.Join(dir, "carrier.yaml")
	text := fmt.Sprintf(`version: 1
trunks:
  - {id: account, host: %q, options_ping: 5s, called_number: to, number_format: national,
     auth: {mode: register, username: "33123", password: s3cret, realm: carrier.test, expires: 2m}}
outbound_routes: [{match: "+336*", trunks: [account]}]
queues: [{id: away, client: essai, overflow: [{after: 1s, to: "+33612345678"}]}]
dids: [{number: "+33170000002", client: essai, to: away}]
`, at)
	if err := os.WriteFile(fragment, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	startKamailio(t, at, customer, pc.LocalAddr().String())
	h := newHouse(t, loadtest.Setup{ExtraYAML: fmt.Sprintf("include: [%s]\n", fragment)})
	phone, err := siptest.NewPhone(pc, siptest.Options{User: "0612345678", Domain: "carrier.test", Server: at, Outbound: true})
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()

	until(t, "the trunk is up", func() bool { return h.trunk("account").State == "up" }, h.sw.Tail)
	if v := h.trunk("account"); v.Registration.Registrar != at || time.Until(v.Registration.Until) > time.Minute || v.Options.Code != 200 {
		t.Errorf("%+v", v)
	}

	// In: the Request-URI is our Contact, To the number. It waits there, and goes out
	// again by the same account, which is challenged.
	const sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.9\r\ns=-\r\nc=IN IP4 127.0.0.9\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n"
	in, err := phone.Invite(h.ctx, "sip:0170000002@"+at, sdp)
	if err != nil {
		t.Fatal(err)
	}
	wait := func(c *siptest.Call, what string) {
		t.Helper()
		if _, err := c.WaitFor(h.ctx, what); err != nil {
			t.Fatalf("%v\n%s\n%s", err, phone.Wire().Ladder(), h.sw.Tail())
		}
	}
	wait(in, "200 INVITE")
	out, err := phone.WaitCall(h.ctx)
	if err != nil {
		t.Fatalf("%v\n%s", err, h.sw.Tail())
	}
	if to := siptest.UserOf(out.Invite().URI); to != "0612345678" {
		t.Errorf("called %s", to)
	}
	out.Answer(sdp)
	wait(out, "ACK")
	out.Bye()
	wait(out, "200 BYE")
	wait(in, "BYE")
	if row := h.wantOutcome("overflow", "carrier"); !strings.HasSuffix(row.To, "170000002") {
		t.Errorf("call record: %+v", row)
	}
}

type trunkView struct {
	ID           string `json:"id"`
	State        string `json:"state"`
	Registration struct {
		Registrar string    `json:"registrar"`
		Until     time.Time `json:"until"`
	} `json:"registration"`
	Options struct {
		Code int `json:"code"`
	} `json:"options"`
}

// trunk is what the operator sees of a trunk.
func (h *house) trunk(id string) (v trunkView) {
	h.t.Helper()
	out, err := h.sw.Command(h.ctx, "trunk", "show", id, "-o", "json")
	if err == nil {
		err = json.Unmarshal(out, &v)
	}
	if err != nil {
		h.t.Fatalf("trunk show: %v\n%s", err, out)
	}
	return v
}

// startKamailio starts a carrier that calls its account for whoever calls from
// customers' address, and a phone for everybody else.
func startKamailio(t *testing.T, at, customers, phone string) {
	t.Helper()
	if testing.Short() {
		return // newHouse says why
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	cfg, err := os.ReadFile(filepath.Join("testdata", "kamailio.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(at, ":")
	text := strings.NewReplacer("@listen@", at, "@host@", host, "@customers@", customers, "@phone@", phone, "@arch@", arch).Replace(string(cfg))
	dir := t.TempDir()
	file := filepath.Join(dir, "kamailio.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, exec.Command(tool(t, "kamailio"), "-f", file, "-DD", "-E", "-m", "32", "-M", "4", "-Y", dir, "-P", filepath.Join(dir, "pid")))
}
