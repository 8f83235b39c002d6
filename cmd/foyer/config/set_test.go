package config

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute,
		"180d": 180 * 24 * time.Hour, "1d12h": 36 * time.Hour, "300ms": 300 * time.Millisecond,
		"0s": 0, "1.5h": 90 * time.Minute,
	} {
		if d, err := parseDuration(text); err != nil || d != want {
			t.Errorf("%s is %s, %v; want %s", text, d, err, want)
		}
	}
	for _, text := range []string{"", "0", "30", "s", "-1s", "+1s", "1d-1h", "d", "1d5", "99999999d", "1w", "1 s", "9999999h9999999h"} {
		if d, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as %s", text, d)
		}
	}
}

func TestAddrPort(t *testing.T) {
	for text, want := range map[string]string{
		"127.0.0.1:5060": "127.0.0.1:5060", ":5060": "[::]:5060", "[::1]:443": "[::1]:443", "[::]:1": "[::]:1",
	} {
		var a netip.AddrPort
		if err := setAddrPort(&a, text); err != nil || a.String() != want {
			t.Errorf("%s is %s, %v", text, a, err)
		}
	}
	for _, text := range []string{"", ":", "5060", "::1:5060", "[127.0.0.1]:5060", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:sip", "[::1]"} {
		var a netip.AddrPort
		if err := setAddrPort(&a, text); err == nil {
			t.Errorf("%q was read as %s", text, a)
		}
	}
}

func TestHost(t *testing.T) {
	for text, want := range map[string]Host{
		"sip.carrier.test": {"sip.carrier.test", 0}, "sip.carrier.test:5070": {"sip.carrier.test", 5070}, "a": {"a", 0},
		"192.0.2.1": {"192.0.2.1", 0}, "192.0.2.1:5070": {"192.0.2.1", 5070}, "1.a": {"1.a", 0},
		"2001:db8::1": {"2001:db8::1", 0}, "[2001:db8::1]:5070": {"2001:db8::1", 5070},
	} {
		var h Host
		if err := setHost(&h, text); err != nil || h != want {
			t.Errorf("%s is %+v, %v", text, h, err)
		}
	}
	for _, text := range []string{"", ":", ":5060", "a:", "a:0", "a:65536", "a:b", "a:1:2", "[2001:db8::1]", "[a]:1", "[192.0.2.1]:5060", "192.0.2", "1:5060",
		"fe80::1%lo", "[fe80::1%lo]:5060", "a b", "a;b", "-a", "a-", "a..b", "a.", "sip:a", "a/b", "é", strings.Repeat("a.", 127) + "a"} {
		h := Host{}
		if err := setHost(&h, text); err == nil {
			t.Errorf("%q was read as %+v", text, h)
		}
	}
}

func TestMeant(t *testing.T) {
	known := []string{"strategy", "require", "ring", "to", "id"}
	for word, want := range map[string]string{
		"startegy": "strategy", "requires": "require", "rign": "ring", "Ring": "ring", "ot": "to", "zzz": "", "x": "",
		strings.Repeat("ring", 100): "",
	} {
		got := meant(word, known)
		if want == "" && got != "" || want != "" && got != fmt.Sprintf(" — did you mean %q?", want) {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
