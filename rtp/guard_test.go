package rtp

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// key64 is a key of n bytes as SDP has it.
func key64(n int, fill byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(rune(fill)), n)))
}

const (
	somePrint = "sha-256 12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0:12:34:56:78:9A:BC:DE:F0"
	ourPrint  = "sha-256 AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA"
)

// What of an offer is taken, and how the answer looks, under each policy.
func TestAnswersToProtectedOffers(t *testing.T) {
	cm, gcm := key64(30, 'k'), key64(28, 'g')
	all := Among(Plain, SDES, DTLS)
	secure := Among(SDES, DTLS)
	for _, c := range []struct {
		name    string
		takes   Guards
		ice     bool
		offer   []string
		guard   Guard
		suite   Suite
		err     error
		lines   []string // that the answer must have
		without []string // and must not
	}{
		{"SDES", all, false, []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, SDES, CM80, nil,
			[]string{"m=audio 20000 RTP/SAVP 8", "a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:"}, []string{cm, "a=fingerprint", "a=ice-"}},
		{"SDES with feedback", all, false, []string{"m=audio 4000 RTP/SAVPF 8", "a=rtcp-fb:* nack", "a=crypto:1 AES_CM_128_HMAC_SHA1_32 inline:" + cm + "|2^20"}, SDES, CM32, nil,
			[]string{"m=audio 20000 RTP/SAVPF 8"}, []string{"rtcp-fb"}},
		{"the first cipher we have", all, false, []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:" + key64(46, 'x'), "a=crypto:2 AEAD_AES_128_GCM inline:" + gcm, "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, SDES, GCM128, nil,
			[]string{"a=crypto:2 AEAD_AES_128_GCM inline:"}, []string{"a=crypto:1", "a=crypto:3"}},
		{"parameters we cannot serve", all, false, []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + " UNENCRYPTED_SRTP", "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|2^20|1:4;inline:" + cm + "|2^20|2:4",
			"a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" + cm + " KDR=3", "a=crypto:4 AES_CM_128_HMAC_SHA1_80 inline:" + cm + " WSH=100 -OWN KDR=0"}, SDES, CM80, nil, []string{"a=crypto:4 "}, nil},
		{"a key of another length", all, false, []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + gcm}, 0, 0, ErrTransport, nil, nil},
		{"SAVP without keys", all, false, []string{"m=audio 4000 RTP/SAVP 8"}, 0, 0, ErrTransport, nil, nil},
		{"may encrypt", all, false, []string{"m=audio 4000 RTP/AVP 8", "a=crypto:1 AEAD_AES_256_GCM inline:" + key64(44, 'z')}, SDES, GCM256, nil,
			[]string{"m=audio 20000 RTP/AVP 8", "a=crypto:1 AEAD_AES_256_GCM"}, nil},
		{"may encrypt, and we must not", Among(Plain), false, []string{"m=audio 4000 RTP/AVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, Plain, 0, nil,
			[]string{"m=audio 20000 RTP/AVP 8"}, []string{"a=crypto"}},
		{"must, and we must not", Among(Plain), false, []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, 0, 0, ErrTransport, nil, nil},
		{"plain where we must", secure, false, []string{"m=audio 4000 RTP/AVP 8"}, 0, 0, ErrTransport, nil, nil},
		{"plain", all, false, []string{"m=audio 4000 RTP/AVP 8"}, Plain, 0, nil, nil, []string{"a=crypto", "a=fingerprint"}},
		{"both, the better second", all, false, []string{"m=audio 4000 RTP/AVP 8", "m=audio 4002 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, SDES, CM80, nil,
			[]string{"m=audio 0 RTP/AVP 8", "m=audio 20000 RTP/SAVP 8"}, nil},
		{"DTLS", all, false, []string{"m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:" + somePrint, "a=setup:actpass"}, DTLS, 0, nil,
			[]string{"m=audio 20000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:" + ourPrint, "a=setup:passive"}, []string{"a=crypto"}},
		{"DTLS, the peer waits", all, false, []string{"m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:" + somePrint, "a=setup:passive"}, DTLS, 0, nil, []string{"a=setup:active"}, nil},
		{"DTLS, nothing said of roles", all, false, []string{"m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:" + somePrint}, DTLS, 0, nil, []string{"a=setup:passive"}, nil},
		{"DTLS with a broken hash", all, false, []string{"m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:md5 " + somePrint[8:55], "a=setup:actpass"}, 0, 0, ErrTransport, nil, nil},
		{"DTLS put off", all, false, []string{"m=audio 4000 UDP/TLS/RTP/SAVP 8", "a=fingerprint:" + somePrint, "a=setup:holdconn"}, 0, 0, ErrTransport, nil, nil},
		{"keys and fingerprint, by the profile of keys", all, false, []string{"m=audio 4000 RTP/SAVPF 8", "a=fingerprint:" + somePrint, "a=setup:actpass", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, SDES, CM80, nil,
			[]string{"a=crypto:1"}, []string{"a=fingerprint"}},
		{"a browser", all, true, []string{"m=audio 9 UDP/TLS/RTP/SAVPF 111 8", "a=mid:audio0", "a=rtcp-mux", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901", "a=fingerprint:" + somePrint, "a=setup:actpass", "a=candidate:1 1 udp 1 192.0.2.1 9 typ host"}, DTLS, 0, nil,
			[]string{"a=mid:audio0", "a=rtcp-mux", "a=ice-lite", "a=ice-ufrag:", "a=ice-pwd:", "a=candidate:1 1 UDP 2130706431 192.0.2.9 20000 typ host"}, []string{"a=candidate:1 2"}},
		{"ICE without a shared port", all, true, []string{"m=audio 9 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm, "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901"}, SDES, CM80, nil,
			[]string{"a=candidate:1 1 UDP 2130706431 192.0.2.9 20000 typ host", "a=candidate:1 2 UDP 2130706430 192.0.2.9 20001 typ host"}, nil},
		{"ICE in the clear", all, true, []string{"m=audio 4000 RTP/AVP 8", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901"}, Plain, 0, nil, nil, []string{"a=ice-"}},
		{"ICE that is off", all, false, []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm, "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901"}, SDES, CM80, nil, nil, []string{"a=ice-"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSession(sdpLocal, 1)
			s.Protect(Protection{Offer: Plain, Answer: c.takes, ICE: c.ice, Fingerprint: ourPrint})
			answer, st, err := s.Answer(peerSDP(c.offer...), NoCodec)
			if c.err != nil || err != nil {
				if !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				return
			}
			checkWithPion(t, answer)
			text := string(answer)
			for _, l := range c.lines {
				if !strings.Contains(text, l) {
					t.Errorf("no %q in\n%s", l, text)
				}
			}
			for _, l := range c.without {
				if strings.Contains(text, l) {
					t.Errorf("%q in\n%s", l, text)
				}
			}
			if st.Guard != c.guard || (st.Keys != nil) != (c.guard == SDES) || (st.DTLS != nil) != (c.guard == DTLS) {
				t.Fatalf("agreed %+v", st)
			}
			if st.Keys != nil && (st.Keys.Suite != c.suite || len(st.Keys.Ours) != len(st.Keys.Theirs) || st.Keys.Ours == st.Keys.Theirs) {
				t.Errorf("keys of %s", st.Keys.Suite)
			}
		})
	}
}

// A browser's whole offer, with video: what is refused stays out of the bundle.
func TestBundleWithVideo(t *testing.T) {
	offer := []byte("v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a v\r\n" +
		"a=fingerprint:" + somePrint + "\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n" +
		"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=rtcp-mux\r\na=sendrecv\r\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=rtcp-mux\r\na=sendrecv\r\na=rtpmap:96 VP8/90000\r\n")
	s := NewSession(sdpLocal, 1)
	s.Protect(Protection{Offer: DTLS, ICE: true, Fingerprint: ourPrint})
	answer, st := answerTo(t, s, offer, NoCodec)
	for _, l := range []string{"a=group:BUNDLE a\r\n", "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:v\r\n", "a=mid:a\r\n", "a=setup:passive\r\n"} {
		if !strings.Contains(answer, l) {
			t.Errorf("no %q in\n%s", l, answer)
		}
	}
	if !st.Send || !st.Receive || st.ICE == nil || st.ICE.TheirName != "abcd" || st.DTLS.Prints != somePrint || st.Remote.IsValid() {
		t.Errorf("agreed %+v", st)
	}
	// The fingerprint said twice, as some phones do in a re-INVITE, is the same one.
	twice := strings.Replace(string(offer), "a=mid:a\r\n", "a=mid:a\r\na=fingerprint:"+somePrint+"\r\n", 1)
	if _, same := answerTo(t, s, []byte(twice), NoCodec); *same.DTLS != *st.DTLS {
		t.Errorf("a fingerprint said twice: %q", same.DTLS.Prints)
	}
	// The same again: a refresh. With another name: ICE is restarted, the handshake is not.
	again, same := answerTo(t, s, offer, NoCodec)
	if again != answer || *same.ICE != *st.ICE || *same.DTLS != *st.DTLS {
		t.Error("a refresh changes something")
	}
	restart, fresh := answerTo(t, s, []byte(strings.ReplaceAll(string(offer), "abcd", "efgh")), NoCodec)
	if fresh.ICE.OurName == st.ICE.OurName || fresh.ICE.OurPassword == st.ICE.OurPassword || *fresh.DTLS != *st.DTLS {
		t.Errorf("after an ICE restart\n%s", restart)
	}
}

// Our offer with keys, and what may come back.
func TestAnswersToOurProtectedOffer(t *testing.T) {
	cm, gcm := key64(30, 'k'), key64(28, 'g')
	for _, c := range []struct {
		name   string
		answer []string
		guard  Guard
		suite  Suite
		active bool
		fails  bool
	}{
		{"its choice", []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, SDES, CM80, false, false},
		{"its other choice", []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AEAD_AES_128_GCM inline:" + gcm}, SDES, GCM128, false, false},
		{"a tag that was not offered", []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:9 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, 0, 0, false, true},
		{"a tag of another cipher", []string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + cm}, 0, 0, false, true},
		{"no key", []string{"m=audio 4000 RTP/SAVP 8"}, 0, 0, false, true},
		{"in the clear", []string{"m=audio 4000 RTP/AVP 8"}, 0, 0, false, true},
		{"a fingerprint instead", []string{"m=audio 4000 RTP/SAVP 8", "a=fingerprint:" + somePrint, "a=setup:active"}, DTLS, 0, false, false},
		{"a fingerprint, and it waits", []string{"m=audio 4000 RTP/SAVP 8", "a=fingerprint:" + somePrint, "a=setup:passive"}, DTLS, 0, true, false},
		{"a fingerprint without a role", []string{"m=audio 4000 RTP/SAVP 8", "a=fingerprint:" + somePrint, "a=setup:actpass"}, 0, 0, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewSession(sdpLocal, 1)
			s.Protect(Protection{Offer: SDES, Answer: Among(Plain, SDES, DTLS), Fingerprint: ourPrint})
			offer := string(s.Offer(NoCodec))
			if strings.Count(offer, "a=crypto:") != len(suites) || !strings.Contains(offer, "m=audio 20000 RTP/SAVP ") {
				t.Errorf("offer\n%s", offer)
			}
			st, err := s.Accept(peerSDP(c.answer...))
			if (err != nil) != c.fails {
				t.Fatalf("error %v", err)
			}
			if c.fails {
				if !errors.Is(err, ErrTransport) {
					t.Errorf("error %v", err)
				}
				return
			}
			if st.Guard != c.guard || c.guard == SDES && (st.Keys.Suite != c.suite || !strings.Contains(offer, base64.StdEncoding.EncodeToString([]byte(st.Keys.Ours)))) {
				t.Errorf("agreed %+v", st)
			}
			if c.guard == DTLS && st.DTLS.Active != c.active {
				t.Errorf("we begin: %v", st.DTLS.Active)
			}
			// A later offer of ours keeps to what was agreed.
			next := string(s.Offer(PCMA))
			if strings.Contains(next, "a=crypto") != (c.guard == SDES) || strings.Contains(next, "a=fingerprint") != (c.guard == DTLS) {
				t.Errorf("the next offer\n%s", next)
			}
		})
	}
}

// While a peer keeps its key we keep ours; when it comes with another, so do we.
func TestKeysOfReoffers(t *testing.T) {
	s := NewSession(sdpLocal, 1)
	s.Protect(Protection{Answer: Among(Plain, SDES)})
	offer := func(key string, more ...string) []byte {
		return peerSDP(append([]string{"m=audio 4000 RTP/SAVP 8", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + key}, more...)...)
	}
	first, a := answerTo(t, s, offer(key64(30, 'a')), NoCodec)
	second, b := answerTo(t, s, offer(key64(30, 'a')), NoCodec)
	if first != second || *a.Keys != *b.Keys {
		t.Error("a refresh changes keys")
	}
	_, held := answerTo(t, s, offer(key64(30, 'a'), "a=sendonly"), NoCodec)
	if *held.Keys != *a.Keys {
		t.Error("hold changes keys")
	}
	_, other := answerTo(t, s, offer(key64(30, 'b')), NoCodec)
	if other.Keys.Ours == a.Keys.Ours || other.Keys.Theirs == a.Keys.Theirs {
		t.Error("the peer begins anew and we do not")
	}
	_, plain := answerTo(t, s, peerSDP("m=audio 4000 RTP/AVP 8"), NoCodec)
	if plain.Guard != Plain || plain.Keys != nil {
		t.Errorf("in the clear: %+v", plain)
	}
	_, back := answerTo(t, s, offer(key64(30, 'b')), NoCodec)
	if back.Keys == nil || back.Keys.Ours == other.Keys.Ours {
		t.Error("a key is used again after it was given up")
	}
}

// MKI, and the ways to write a key.
func TestReadCrypto(t *testing.T) {
	cm := key64(30, 'k')
	for value, want := range map[string]string{ // the MKI in hex, "no" for a line that is not ours
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm:                 "",
		"1 aes_cm_128_hmac_sha1_80 INLINE:" + cm:                 "",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|2^31":       "",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|1:1":        "01",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|2^20|258:4": "00000102",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|2^20|1:0":   "no",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|2^20|1:200": "no",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + "|2^20|x:4":   "no",
		"x AES_CM_128_HMAC_SHA1_80 inline:" + cm:                 "no",
		"-1 AES_CM_128_HMAC_SHA1_80 inline:" + cm:                "no",
		"1 AES_CM_128_HMAC_SHA1_80 inline:":                      "no",
		"1 AES_CM_128_HMAC_SHA1_80 uri:" + cm:                    "no",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm[:39]:            "no",
		"1 AES_CM_128_HMAC_SHA1_80 inline:" + cm + " KDR":        "no",
		"1 AES_CM_128_HMAC_SHA1_80":                              "no",
		"1 NULL_HMAC_SHA1_80 inline:" + cm:                       "no",
		"":                                                       "no",
	} {
		c, ok := readCrypto(value)
		got := fmt.Sprintf("%x", c.mki)
		if !ok {
			got = "no"
		}
		if got != want {
			t.Errorf("%.60q: %s, want %s", value, got, want)
		}
	}
}

// Whatever a peer writes: no panic, no offer taken that the policy forbids, keys of
// the right length, a text of ours that says what was agreed, and the same to the same
// offer again.
func FuzzProtectedOffer(f *testing.F) {
	cm := key64(30, 'k')
	f.Add("m=audio 4000 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:"+cm+"|2^20|1:4", uint8(7))
	f.Add("m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:"+somePrint+"\r\na=setup:active", uint8(6))
	f.Add("m=audio 4000 RTP/AVP 8\r\na=crypto:1 AEAD_AES_128_GCM inline:"+key64(28, 'g'), uint8(1))
	f.Add("m=audio 1 RTP/AVP 0\na=crypto:0 AEAD_AES_128_GCM inline:00 =", uint8(20)) // once a panic
	f.Fuzz(func(t *testing.T, media string, takes uint8) {
		s := NewSession(sdpLocal, 1)
		s.Protect(Protection{Answer: Guards(takes & 7), Fingerprint: ourPrint, ICE: true})
		answer, st, err := s.Answer(peerSDP(media), NoCodec)
		if err != nil {
			return
		}
		if !s.protection.takes().has(st.Guard) {
			t.Fatalf("%s was taken, allowed is %b", st.Guard, takes&7)
		}
		d, err := readSDP(answer)
		if err != nil || !d.media[s.agreed.audio].guards().has(st.Guard) {
			t.Fatalf("our answer does not say %s: %v\n%s", st.Guard, err, answer)
		}
		switch st.Guard {
		case SDES:
			c := new(shield)
			if err := c.rekey(*st.Keys); err != nil {
				t.Fatal(err)
			}
		case DTLS:
			if st.DTLS.Prints == "" {
				t.Fatal("nothing to hold a certificate against")
			}
		}
		if st.ICE != nil && (len(st.ICE.TheirName) < 4 || st.Guard == Plain) {
			t.Fatalf("ICE %+v under %s", st.ICE, st.Guard)
		}
		if again, _, err := s.Answer(peerSDP(media), NoCodec); err != nil || string(again) != string(answer) {
			t.Fatalf("the same offer again: %v\n%s\n%s", err, answer, again)
		}
	})
}
