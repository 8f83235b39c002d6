package interop

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

const browserTone = 1230

// browser is a Chromium without a screen in which the page of testdata/browser is
// a telephone. The page is worked over a WebSocket of its own.
type browser struct {
	*process
	events
	conn net.Conn

	mu      sync.Mutex
	samples []float64 // all that it has heard; guarded by mu
}

// servePage serves the page, and gives the connections by which it asks what to do.
func (h *house) servePage() (url string, joined <-chan net.Conn) {
	pages := make(chan net.Conn)
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(filepath.Join("testdata", "browser"))))
	mux.HandleFunc("/test", func(w http.ResponseWriter, r *http.Request) {
		conn, _, _, err := ws.UpgradeHTTP(r, w)
		if err != nil {
			h.t.Errorf("the page's WebSocket: %v", err)
			return
		}
		select {
		case pages <- conn:
		case <-h.ctx.Done():
			conn.Close()
		}
	})
	server := httptest.NewServer(mux)
	h.t.Cleanup(server.Close)
	return server.URL, pages
}

// startBrowser starts a Chromium with a tone in its microphone.
func (h *house) startBrowser() *browser {
	h.t.Helper()
	page, joined := h.servePage()
	dir := h.t.TempDir()
	wav := filepath.Join(dir, "tone.wav")
	writeTone(h.t, wav, browserTone)
	cmd := exec.Command(tool(h.t, "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
		"--disable-background-networking", "--disable-component-update", "--no-first-run", "--user-data-dir="+filepath.Join(dir, "profile"),
		"--enable-logging=stderr",
		"--autoplay-policy=no-user-gesture-required", "--use-fake-ui-for-media-stream",
		"--use-fake-device-for-media-stream", "--use-file-for-fake-audio-capture="+wav,
		"--allow-loopback-in-peer-connection",
		"--host-resolver-rules=MAP "+h.sw.Realm+" "+h.sw.IP, "--ignore-certificate-errors-spki-list="+h.pin(),
		page)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	b := &browser{process: start(h.t, cmd)}
	select {
	case b.conn = <-joined:
	case <-b.done:
		h.t.Fatalf("Chromium has ended\n%s", b.output())
	case <-time.After(patience):
		h.t.Fatalf("not within %v: Chromium opens the page\n%s", patience, b.output())
	}
	h.t.Cleanup(func() {
		b.conn.Close()
		if h.t.Failed() {
			h.t.Logf("Chromium's words:\n%s", b.output())
		}
	})
	go b.listen()
	b.wait("there")
	return b
}

// pin is by what Chromium knows the switch's certificate, and takes it and no other
// without knowing who signed it: the hash of its public key.
func (h *house) pin() string {
	h.t.Helper()
	raw, err := os.ReadFile(filepath.Join(h.sw.Dir, "cert.pem"))
	if err != nil {
		h.t.Fatal(err)
	}
	block, _ := pem.Decode(raw)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		h.t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// listen takes what the page tells: events as text, what it hears as samples.
func (b *browser) listen() {
	for {
		data, op, err := wsutil.ReadClientData(b.conn)
		if err != nil {
			return
		}
		if op == ws.OpBinary {
			b.mu.Lock()
			for ; len(data) >= 2; data = data[2:] {
				b.samples = append(b.samples, float64(int16(binary.LittleEndian.Uint16(data))))
			}
			b.mu.Unlock()
			continue
		}
		var e struct{ Event, Told string }
		if json.Unmarshal(data, &e) == nil {
			b.happened(e.Event, e.Told)
		}
	}
}

// wait takes the next event of a kind and gives what was told about it.
func (b *browser) wait(event string) (told string) {
	b.t.Helper()
	until(b.t, "browser: "+event, func() (ok bool) {
		if told, bad := b.take("error"); bad {
			b.t.Fatalf("the page: %s\n%s", told, b.output())
		}
		told, ok = b.take(event)
		return ok
	}, b.output)
	return told
}

// do gives the page a command, with parameters as name and value in turn.
func (b *browser) do(command string, params ...string) {
	b.t.Helper()
	msg := map[string]string{"command": command}
	for i := 0; i < len(params); i += 2 {
		msg[params[i]] = params[i+1]
	}
	raw, err := json.Marshal(msg)
	if err == nil {
		b.conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		err = wsutil.WriteServerText(b.conn, raw)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// heard is what came out of its receiver, in all its calls.
func (b *browser) heard() []float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]float64(nil), b.samples...)
}

// registerBrowser starts a browser as agent n's telephone, by wss or ws.
func (h *house) registerBrowser(n int, scheme string) *browser {
	h.t.Helper()
	b, a, port := h.startBrowser(), h.sw.Crew()[n], h.sw.WSSPort
	if scheme == "ws" {
		port = h.sw.HTTPPort
	}
	b.do("register", "server", fmt.Sprintf("%s://%s:%d/sip", scheme, h.sw.Realm, port),
		"user", a.User, "domain", h.sw.Realm, "password", a.Password)
	b.wait("registered")
	until(h.t, "the agent is reachable", func() bool { return h.agents()[a.User].Reachable }, h.sw.Tail)
	return b
}
