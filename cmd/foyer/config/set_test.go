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
		"127.0.0.1:5060": "127.0.0.1:5060", ":5060": "0.0.0.0:5060", "[::1]:443": "[::1]:443", "[::]:1": "[::]:1",
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
