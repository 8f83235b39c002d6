package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"foyer/loadtest"
)

// The programs that knock at every SIP port of the Internet, with a switch whose
// agents exist and whose passwords are in their dictionaries: they find no switch,
// no extension and no password, and no agent or carrier notices.
func TestScannersFindNothing(t *testing.T) {
	h := newHouse(t, loadtest.Setup{Allow: "192.0.2.0/24"})
	home := t.TempDir()
	write := func(name string, lines ...string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	crew := h.sw.Crew()
	users := write("users", "100", "admin", crew[0].User, crew[1].User, "nobody")
	passwords := write("passwords", "1234", "admin", crew[0].Password)
	ip, port := h.sw.IP, fmt.Sprint(h.sw.SIPPort)
	for i, args := range [][]string{
		{"svmap", "-p", port, ip},
		{"svmap", "-p", port, "-m", "INVITE", ip},
		{"svmap", "-p", port, "-m", "REGISTER", ip},
		{"svwar", "-p", port, "--force", "-d", users, ip},
		{"svwar", "-p", port, "--force", "-m", "INVITE", "-d", users, "--domain", h.sw.Realm, ip},
		{"svwar", "-p", port, "--force", "-m", "OPTIONS", "-d", users, ip},
		{"svcrack", "-p", port, "-u", crew[0].User, "-d", passwords, ip},
		{"sipsak", "-s", "sip:" + crew[0].User + "@" + h.server("udp")},
	} {
		cmd := exec.Command(tool(t, args[0]), args[1:]...)
		if args[0] != "sipsak" {
			cmd.Args = append(cmd.Args, "-b", "127.0.0.1", "-x", "127.0.0.1", "-P", fmt.Sprint(ports(t)))
		}
		cmd.Dir, cmd.Env = home, append(os.Environ(), "HOME="+home, "PYTHONUNBUFFERED=1", "TERM=dumb", "COLUMNS=200")
		p := start(t, cmd)
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			p.stop()
		}
		said := strings.ToLower(p.output())
		for _, found := range []string{strings.ToLower(crew[0].User) + " ", "reqauth", "noauth", "authentication", "password is", crew[0].Password, "foyer", "401", "403", "200 ok"} {
			if strings.Contains(strings.ReplaceAll(said, strings.ToLower(strings.Join(args, " ")), ""), found) {
				t.Errorf("%d %v found %q:\n%s", i, args, found, p.output())
			}
		}
	}
	r, err := h.sw.Readings(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if n := r["foyer_sip_shed_total"]; n < 8 {
		t.Errorf("%v messages of scanners shed", n)
	}
	if n := r["foyer_sip_responses_total"]; n != 0 {
		t.Errorf("%v answers", n)
	}
	// A real phone from the same place is let in all the same.
	startBaresip(t, h.agent(0, "udp", baresipTone)) // waits until it is registered
}
