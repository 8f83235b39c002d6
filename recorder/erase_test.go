package recorder

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// An erased recording is gone: what was said, its key and the numbers. Who erased it,
// when and why stays.
func TestErase(t *testing.T) {
	t.Parallel()
	identity, recipient := keys(t)
	b := running(t, Options{Recipient: recipient}, nil)
	id, _ := b.record(Meta{CallID: "c1", Client: "x", Policy: "p", From: "+33123456789", To: "+33170000001"}, talk(2*time.Second, caller, agent))
	other, _ := b.record(Meta{CallID: "c2"}, talk(time.Second, caller))
	b.stop()
	rec, _ := parseID(id)
	own := recordingDir(b.dir, rec)
	// What was opened before reads nothing any more: the key is overwritten, not only unlinked.
	audio, err := os.Open(audioPath(b.dir, rec))
	if err != nil {
		t.Fatal(err)
	}
	defer audio.Close()
	w := Word{By: "nadia", At: callStart, Reason: "asked for by the caller"}
	if err := Erase(b.dir, id, w); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 2000)
	if _, err := audio.ReadAt(head, 0); err != nil || !bytes.Equal(head, make([]byte, 2000)) {
		t.Errorf("the head is still there: %v", err)
	}
	entries, err := os.ReadDir(own)
	if err != nil || len(entries) != 1 || entries[0].Name() != sheetFile {
		t.Errorf("left: %v, %v", entries, err)
	}
	text, _ := os.ReadFile(filepath.Join(own, sheetFile))
	if strings.Contains(string(text), "+33") {
		t.Errorf("the numbers are still there: %s", text)
	}
	info, err := Find(b.dir, id)
	if err != nil || info.State != stateErased || info.CallID != "c1" || *info.Erased != w || info.DurationS != 2 {
		t.Errorf("%+v, %v", info, err)
	}
	if err := Render(&bytes.Buffer{}, b.dir, id, identity); !errors.Is(err, ErrErased) {
		t.Errorf("render: %v", err)
	}
	if _, _, err := Audio(b.dir, id, identity); !errors.Is(err, ErrErased) {
		t.Errorf("audio: %v", err)
	}
	if v, err := Verify(b.dir, id, ""); err != nil || !v.OK || !strings.Contains(strings.Join(v.Notes, ""), "erased by nadia") {
		t.Errorf("%+v, %v", v, err)
	}
	for name, do := range map[string]func() error{
		"erase again": func() error { return Erase(b.dir, id, w) },
		"hold":        func() error { return Hold(b.dir, id, w) },
	} {
		if err := do(); !errors.Is(err, ErrErased) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := List(b.dir, Filter{}); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if v, err := Verify(b.dir, other, identity); err != nil || !v.OK {
		t.Errorf("the other: %+v, %v", v, err)
	}
	if err := Forget(b.dir, id); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(b.dir, id); !errors.Is(err, ErrNotFound) {
		t.Errorf("after it was forgotten: %v", err)
	}
	if err := Erase(b.dir, id, w); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// Killed in the midst of it, an erasure is found to be unfinished, and finished.
func TestEraseIsFinished(t *testing.T) {
	t.Parallel()
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{CallID: "c1"}, talk(time.Second, caller))
	b.stop()
	rec, _ := parseID(id)
	file, err := os.ReadFile(audioPath(b.dir, rec))
	if err != nil {
		t.Fatal(err)
	}
	w := Word{By: "nadia", At: callStart, Reason: "first"}
	if err := Erase(b.dir, id, w); err != nil {
		t.Fatal(err)
	}
	plant(t, b.dir, rec, file)
	if v, err := Verify(b.dir, id, ""); err != nil || v.OK {
		t.Errorf("nobody noticed: %+v, %v", v, err)
	}
	if err := Render(&bytes.Buffer{}, b.dir, id, ""); !errors.Is(err, ErrErased) {
		t.Errorf("render: %v", err)
	}
	if err := Erase(b.dir, id, Word{By: "bo", Reason: "second"}); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	if info, err := Find(b.dir, id); err != nil || *info.Erased != w {
		t.Errorf("the first word counts: %+v, %v", info, err)
	}
}

// A hold stops every erasure until it is released, and outlives the end of the call.
func TestHold(t *testing.T) {
	t.Parallel()
	b := running(t, Options{}, nil)
	handle, id := b.begin(Meta{CallID: "c1"})
	records := talk(time.Second, caller)
	b.feed(handle, records[:30])
	eventually(t, "there is a file", func() bool { _, err := Find(b.dir, id); return err == nil })
	w := Word{By: "nadia", At: callStart, Reason: "case 17"}
	if err := Erase(b.dir, id, w); !errors.Is(err, ErrInProgress) {
		t.Errorf("erased while it is recorded: %v", err)
	}
	if err := Hold(b.dir, id, w); err != nil {
		t.Fatal(err)
	}
	b.feed(handle, records[30:])
	b.End(handle)
	b.waitEnded()
	b.stop()
	info, err := Find(b.dir, id)
	if err != nil || info.State != stateComplete || info.Held == nil || *info.Held != w {
		t.Errorf("%+v, %v", info, err)
	}
	for name, do := range map[string]func(string, string, Word) error{
		"erase": Erase, "expire": Expire,
		"forget": func(dir, id string, _ Word) error { return Forget(dir, id) },
	} {
		if err := do(b.dir, id, w); !errors.Is(err, ErrHeld) {
			t.Errorf("%s: %v", name, err)
		}
	}
	rec, _ := parseID(id)
	hold := filepath.Join(recordingDir(b.dir, rec), holdFile)
	if err := os.WriteFile(hold, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Erase(b.dir, id, w); !errors.Is(err, ErrHeld) {
		t.Errorf("a hold that cannot be read: %v", err)
	}
	if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
	if err := Release(b.dir, id); err != nil {
		t.Fatal(err)
	}
	if err := Release(b.dir, id); !errors.Is(err, ErrNotHeld) {
		t.Errorf("released twice: %v", err)
	}
	if err := Expire(b.dir, id, w); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
		t.Errorf("%+v, %v", v, err)
	}
}
