package sip

import (
	"strings"
	"testing"
)

func TestTracesHaveNoMediaKeys(t *testing.T) {
	const key = "WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz"
	body := "v=0\r\nm=audio 1 RTP/SAVP 8\r\n" +
		"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key + "|2^20|1:4\r\n" +
		"a=crypto:2 F8_128_HMAC_SHA1_80 INLINE:" + key + "|2^20|1:4;inline:" + key + "|2^20|2:4 KDR=0\r\n" +
		"a=ice-pwd:" + key + "\r\na=fingerprint:sha-256 AA:BB\r\na=sendrecv\r\n"
	head := "INVITE sip:a@b SIP/2.0\r\nProxy-Authorization: Digest response=\"secret\"\r\nContent-Length: 5\r\n\r\n"
	got := string(redacted([]byte(head + body)))
	if strings.Contains(got, key) || strings.Contains(got, "secret") || strings.Count(got, "redacted") != 4 {
		t.Errorf("traced\n%s", got)
	}
	for _, kept := range []string{"a=crypto:1 AES_CM_128_HMAC_SHA1_80 redacted\r\n", "a=fingerprint:sha-256 AA:BB\r\n", "a=sendrecv\r\n"} {
		if !strings.Contains(got, kept) {
			t.Errorf("%q is gone from\n%s", kept, got)
		}
	}
	plain := "INVITE sip:a@b SIP/2.0\r\n\r\nv=0\r\na=sendrecv\r\n"
	if got := string(redacted([]byte(plain))); got != plain {
		t.Errorf("a message without secrets became\n%s", got)
	}
}
