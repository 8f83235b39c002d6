package recorder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"foyer/rtp"

	"filippo.io/age"
	"pgregory.net/rapid"
)

func keys(t testing.TB) (identity, recipient string) {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return id.String(), id.Recipient().String()
}

func TestSealedRecording(t *testing.T) {
	identity, recipient := keys(t)
	stranger, _ := keys(t)
	b := running(t, Options{Recipient: recipient}, nil)
	id, info := b.record(Meta{CallID: "c1"}, talk(3*time.Second, caller, agent))
	if !info.Encrypted {
		t.Error("not said to be encrypted")
	}
	w := rendered(t, b.dir, id, "# a key file\n"+identity+"\n")
	if loudest(w.left) != 440 || loudest(w.right) != 1000 || w.length() != 3*time.Second {
		t.Error("what comes out is not what went in")
	}
	for name, key := range map[string]string{"none": "", "another": stranger} {
		if err := Render(&bytes.Buffer{}, b.dir, id, key); !errors.Is(err, ErrSealed) {
			t.Errorf("render with identity %s: %v", name, err)
		}
	}
	if _, _, err := Audio(b.dir, id, ""); !errors.Is(err, ErrSealed) {
		t.Errorf("audio: %v", err)
	}
	if err := Render(&bytes.Buffer{}, b.dir, id, "nonsense"); err == nil || errors.Is(err, ErrSealed) {
		t.Errorf("nonsense for a key: %v", err)
	}
	for _, key := range []string{"", identity} {
		if v, err := Verify(b.dir, id, key); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
	}
	if _, err := Verify(b.dir, id, stranger); !errors.Is(err, ErrSealed) {
		t.Errorf("verify with another key: %v", err)
	}
	// None of the payloads can be found in the file.
	rec, _ := parseID(id)
	file, err := os.ReadFile(audioPath(b.dir, rec))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range caller.packets(3 * time.Second) {
		if bytes.Contains(file, p.Payload[:16]) {
			t.Fatal("audio in the clear")
		}
	}
	if _, err := Open(Options{Dir: t.TempDir(), Recipient: "age1nobody"}); err == nil {
		t.Error("a recipient that is none was accepted")
	}
}

func TestListAndFind(t *testing.T) {
	b := running(t, Options{}, nil)
	day := time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)
	ids := map[string]string{}
	for i, m := range []Meta{
		{CallID: "a", Client: "x", Queue: "q", Agent: "ana", Started: day},
		{CallID: "b", Client: "x", Queue: "q", Agent: "bo", Started: day.Add(time.Hour)},
		{CallID: "c", Client: "y", Queue: "r", Agent: "ana", Started: day.AddDate(0, 0, 1), From: "+33123456789", Policy: "p"},
		{CallID: "d", Client: "y", Queue: "r", Agent: "bo", Started: day.AddDate(1, 0, 0)},
	} {
		id, _ := b.record(m, talk(time.Second, caller))
		ids[m.CallID] = id
		if i == 2 {
			info, err := Find(b.dir, id)
			if err != nil || info.From != m.From || info.Policy != "p" || !info.Started.Equal(m.Started) || info.State != stateComplete || info.DurationS != 1 || info.Bytes == 0 {
				t.Errorf("%+v, %v", info, err)
			}
		}
	}
	for _, c := range []struct {
		f    Filter
		want string
	}{
		{Filter{}, "dcba"},
		{Filter{Limit: 2}, "dc"},
		{Filter{Client: "x"}, "ba"},
		{Filter{Agent: "ana"}, "ca"},
		{Filter{Agent: "ana", Limit: 1}, "c"},
		{Filter{Queue: "r"}, "dc"},
		{Filter{CallID: "b"}, "b"},
		{Filter{From: day.Add(time.Hour)}, "dcb"},
		{Filter{From: day.Add(time.Hour), To: day.AddDate(0, 0, 1)}, "b"},
		{Filter{To: day.Add(time.Millisecond)}, "a"},
		{Filter{From: day.AddDate(2, 0, 0)}, ""},
	} {
		list, err := List(b.dir, c.f)
		got := ""
		for _, i := range list {
			got += i.CallID
		}
		if err != nil || got != c.want {
			t.Errorf("%+v: %q, want %q, %v", c.f, got, c.want, err)
		}
	}
	for _, id := range []string{"", "x", "../../etc/passwd", strings.Repeat("0", 24), strings.ToUpper(ids["a"]), ids["a"] + "/.."} {
		if _, err := Find(b.dir, id); !errors.Is(err, ErrNotFound) {
			t.Errorf("Find(%q): %v", id, err)
		}
		if err := Render(&bytes.Buffer{}, b.dir, id, ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("Render(%q): %v", id, err)
		}
		if _, err := Verify(b.dir, id, ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("Verify(%q): %v", id, err)
		}
	}
	if list, err := List(filepath.Join(b.dir, "none"), Filter{}); err != nil || len(list) != 0 {
		t.Errorf("of no directory: %v, %v", list, err)
	}
	// The names of the fields are a contract.
	info, _ := Find(b.dir, ids["a"])
	text, _ := json.Marshal(info)
	for _, key := range []string{"id", "call_id", "client", "queue", "agent", "started", "duration_s", "state", "encrypted", "bytes", "lost_ms"} {
		if !strings.Contains(string(text), `"`+key+`":`) {
			t.Errorf("no %q in %s", key, text)
		}
	}
}

func TestIDsSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "a"))
		b := time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "b"))
		x, y := newID(a), newID(b)
		if a.Before(b) != (x.String() < y.String()) && !a.Equal(b) {
			t.Fatalf("%v %v: %s %s", a, b, x, y)
		}
		if back, ok := parseID(x.String()); !ok || back != x || !x.time().Equal(a) {
			t.Fatalf("%s is %v", x, x.time())
		}
	})
}

func TestPolicy(t *testing.T) {
	t.Parallel()
	const calls = 100_000
	for _, percent := range []float64{0, 0.1, 1, 10, 33.3, 50, 99, 100} {
		p := Policy{ID: "quality", Percent: percent}
		taken, runs := 0, 0
		for n := range calls {
			id := fmt.Sprintf("call-%d", n)
			yes := p.Records(id)
			if yes != p.Records(id) {
				t.Fatal("not deterministic")
			}
			if yes {
				taken++
				runs++
			} else {
				runs = 0
			}
			if percent <= 50 && runs > 40 {
				t.Fatal("not spread evenly")
			}
		}
		want := percent / 100 * calls
		if d := math.Abs(float64(taken) - want); d > 5*math.Sqrt(want*(1-percent/100)) {
			t.Errorf("%v %%: %d of %d", percent, taken, calls)
		}
	}
	// Policies choose independently of each other.
	both := 0
	a, b := Policy{ID: "a", Percent: 50}, Policy{ID: "b", Percent: 50}
	for n := range calls {
		id := fmt.Sprint(n)
		if a.Records(id) && b.Records(id) {
			both++
		}
	}
	if both < calls*24/100 || both > calls*26/100 {
		t.Errorf("both policies took %d of %d", both, calls)
	}
	if (Policy{Percent: math.NaN()}).Records("x") || (Policy{Percent: -1}).Records("x") || !(Policy{Percent: 200}).Records("x") {
		t.Error("odd percentages")
	}
}

// FuzzChunks: no file makes the reader panic, and what it returns passed its
// checksum and lies in the file, in order.
func FuzzChunks(f *testing.F) {
	s := sealer{}
	c := newChunk(nil)
	c.mark(startRecord, 0, 5)
	c.packet(&rtp.TapRecord{Codec: rtp.PCMA, Payload: []byte("hello"), At: 1000})
	c.gap(1, 2, 3)
	b := s.seal(nil, c, audioChunk, 0)
	f.Add(slices.Clone(b))
	f.Add(append([]byte("FYR\x01FYR"), b...))
	f.Add(append(slices.Clone(b), b[:70]...))
	f.Fuzz(func(t *testing.T, file []byte) {
		in := newFrames(bytes.NewReader(file))
		at := 0
		total := int64(0)
		for {
			got, err := in.next()
			if err != nil {
				break
			}
			i := bytes.Index(file[at:], got.raw)
			if i < 0 {
				t.Fatal("a chunk that is not in the file")
			}
			at += i + len(got.raw)
			total += int64(len(got.raw))
			if again, ok := parseFrame(got.raw); !ok || again.head != got.head {
				t.Fatal("not the same when read again")
			}
			size := 0
			_ = packets(got.payload, got.first, func(r *rtp.TapRecord) { size += len(r.Payload) })
			if size > len(got.payload) {
				t.Fatal("more audio than payload")
			}
		}
		if total+in.skipped+in.tail != int64(len(file)) {
			t.Fatalf("%d of chunks, %d skipped, %d at the end of %d bytes", total, in.skipped, in.tail, len(file))
		}
	})
}

// Packets go in and come out as they were.
func TestRecordsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &chunk{b: make([]byte, headSize, chunkSize), first: rapid.Int64Range(1, 1<<60).Draw(t, "first")}
		var want []rtp.TapRecord
		for n := rapid.IntRange(0, 20).Draw(t, "n"); n > 0; n-- {
			r := rtp.TapRecord{
				Channel:   uint8(rapid.IntRange(0, 1).Draw(t, "channel")),
				Codec:     rtp.Codec(rapid.IntRange(1, 2).Draw(t, "codec")),
				SSRC:      uint32(rapid.IntRange(0, 1).Draw(t, "ssrc")),
				Seq:       rapid.Uint16().Draw(t, "seq"),
				Timestamp: rapid.Uint32().Draw(t, "ts"),
				At:        c.first + int64(time.Microsecond)*rapid.Int64Range(-1e6, 1e6).Draw(t, "at"),
				Payload:   rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "payload"),
			}
			if c.named == len(c.streams) || c.free() < streamSize+packetSize+len(r.Payload) {
				break
			}
			c.packet(&r)
			want = append(want, r)
		}
		i := 0
		err := packets(c.b[headSize:], c.first, func(got *rtp.TapRecord) {
			w := want[i]
			if !bytes.Equal(got.Payload, w.Payload) {
				t.Fatal("payload")
			}
			got.Payload, w.Payload = nil, nil
			if fmt.Sprint(*got) != fmt.Sprint(w) {
				t.Fatalf("%+v, want %+v", *got, w)
			}
			i++
		})
		if err != nil || i != len(want) {
			t.Fatalf("%d of %d, %v", i, len(want), err)
		}
	})
}
