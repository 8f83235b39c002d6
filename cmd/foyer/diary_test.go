package main

import (
	"bytes"
	"fmt"
	"testing"
)

// A page comes back as it was written, in a fraction of its size.
func TestDiaryPageIsPacked(t *testing.T) {
	var got []byte
	d := newDiary(func(page []byte) { got = page })
	var want []byte
	for i := range 20 {
		text := fmt.Appendf(nil, "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK%d\r\nFrom: <sip:ana@example.com>;tag=%d\r\nCSeq: %d INVITE\r\n\r\n", i, i*7, i)
		key := fmt.Sprintf("call-%d", i)
		d.note(wireEntry, key, text[:9], text[9:])
		want = append(append(want, byte(wireEntry), byte(len(key))), key...)
		want = append(append(want, byte(len(text))), text...)
	}
	d.close() // writes what has gathered
	page, err := unpackPage(got)
	if err != nil || !bytes.Equal(page, want) {
		t.Errorf("%d bytes became %d: %v", len(want), len(page), err)
	}
	if len(got) > len(want)/2 {
		t.Errorf("%d bytes packed into %d", len(want), len(got))
	}
}

func TestDiaryPagesOfBefore(t *testing.T) {
	for _, kind := range []entryKind{wireEntry, threadEntry, endEntry} {
		plain := []byte{byte(kind), 1, 'k', 0}
		if page, err := unpackPage(plain); err != nil || !bytes.Equal(page, plain) {
			t.Errorf("a page not packed: %q, %v", page, err)
		}
	}
	if page, err := unpackPage(nil); err != nil || len(page) != 0 {
		t.Errorf("an empty page: %q, %v", page, err)
	}
	damaged := packPage(bytes.Repeat([]byte("abcdefgh"), 100))
	if _, err := unpackPage(damaged[:len(damaged)/2]); err == nil {
		t.Error("a damaged page was taken")
	}
}
