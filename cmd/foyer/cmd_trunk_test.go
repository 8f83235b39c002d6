package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"foyer/console"
	"foyer/sip/siptest"
)

// The operator asks about trunks: one that answers, one that does not, one that
// only brings calls, and one whose registration is refused.
func TestOperatorLooksAtTrunks(t *testing.T) {
	slow(t)
	t.Parallel()
	file, sipAt, web := smallest(t, t.TempDir())
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// answers is a carrier's machine, which takes OPTIONS and refuses REGISTER.
	answers := func(host string) string {
		pc, err := net.ListenPacket("udp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		made := make(chan *siptest.Phone, 1)
		phone, err := siptest.NewPhone(pc, siptest.Options{User: "carrier", Server: sipAt, Manual: []string{"REGISTER"},
			OnRequest: func(m *siptest.Message) {
				phone := <-made
				_ = phone.Respond(m, 403, "")
				made <- phone
			}})
		if err != nil {
			t.Fatal(err)
		}
		made <- phone
		t.Cleanup(func() { phone.Close() })
		return pc.LocalAddr().String()
	}
	good, strict := answers("127.0.0.4"), answers("127.0.0.6")
	yaml := strings.Replace(string(text), "trunks:\n", fmt.Sprintf("trunks:\n"+
		"  - {id: good, host: %q, options_ping: 5s, auth: {allow: [127.0.0.4/32]}}\n"+
		"  - {id: dead, host: \"127.0.0.5:9\", auth: {allow: [127.0.0.5/32]}}\n"+
		"  - {id: account, host: %q, auth: {mode: register, username: \"33\", password: x}}\n", good, strict), 1)
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	l := startLife(t, file, sipAt, web)
	l.until("the trunk is up and the account refused", func() bool {
		text, _ := l.get("/api/v1/trunks")
		return strings.Contains(text, `"id":"good","state":"up"`) && strings.Contains(text, "REGISTER was refused with 403")
	})
	l.types(0, words("trunk list"), "good", "up", "dead", "unwatched", "carrier", "account", "down", "REGISTER was refused with 403", good)
	l.types(0, words("trunk show good"), "up for", "ip", "0 of 100", good+" udp", "200 after")
	l.types(0, words("trunk show account"), "register", "registered  no", "refused with 403")
	l.types(0, words("trunk ping good"), "trunk good answers 200 after")
	l.types(1, words("trunk ping dead"), "trunk dead does not answer at 127.0.0.5:9")
	l.types(1, words("trunk ping carrier"), "has no host to ask")
	l.types(1, words("trunk show nothing"), "nothing")
	var list []console.TrunkView
	if err := json.Unmarshal([]byte(l.types(0, words("trunk list -o json"))), &list); err != nil || len(list) != 4 || list[0].Options == nil || list[0].Options.Code != 200 {
		t.Errorf("%v %+v", err, list)
	}
}
