package recorder

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whatever is done to a closed recording is found.
func TestTampering(t *testing.T) {
	_, recipient := keys(t)
	for _, to := range []string{"", recipient} {
		b := running(t, Options{Recipient: to}, nil)
		id, _ := b.record(Meta{CallID: "c1"}, talk(2*time.Second, caller, agent))
		other, _ := b.record(Meta{CallID: "c1"}, talk(2*time.Second, caller, agent))
		rec, _ := parseID(id)
		foreign, _ := parseID(other)
		chunks, theirs := split(t, b.dir, rec), split(t, b.dir, foreign)
		n := len(chunks)
		if n < 6 {
			t.Fatalf("only %d chunks", n)
		}
		forged := slices.Clone(chunks[3])
		forged[headSize+40] ^= 1
		reseal(forged)
		for name, file := range map[string][][]byte{
			"removed":            slices.Delete(slices.Clone(chunks), 2, 3),
			"first removed":      chunks[1:],
			"swapped":            {chunks[0], chunks[2], chunks[1], chunks[3], chunks[4], chunks[5]},
			"twice":              slices.Insert(slices.Clone(chunks), 2, chunks[2]),
			"spliced":            slices.Replace(slices.Clone(chunks), 2, 3, theirs[2]),
			"of another":         slices.Insert(slices.Clone(chunks), 2, theirs[2]),
			"end cut off":        chunks[:n-1],
			"much cut off":       chunks[:2],
			"end in the middle":  slices.Insert(slices.Clone(chunks), 2, chunks[n-1]),
			"something after":    append(slices.Clone(chunks), []byte("xx")),
			"something between":  slices.Insert(slices.Clone(chunks), 2, []byte("FYR\x01")),
			"half a chunk":       slices.Replace(slices.Clone(chunks), n-1, n, chunks[n-1][:20]),
			"forged, checksum":   slices.Replace(slices.Clone(chunks), 3, 4, forged),
			"forged, all chunks": rechain(slices.Replace(slices.Clone(chunks), 3, 4, forged)),
			"the other's file":   theirs,
			"empty":              {},
		} {
			plant(t, b.dir, rec, slices.Concat(file...))
			if v, err := Verify(b.dir, id, ""); err != nil || v.OK {
				t.Errorf("%s (sealed %v): not found: %+v, %v", name, to != "", v, err)
			}
		}
		plant(t, b.dir, rec, slices.Concat(chunks...))
		if v, err := Verify(b.dir, id, ""); err != nil || !v.OK {
			t.Fatalf("put back: %+v, %v", v, err)
		}
		// And its sheet.
		sheet := filepath.Join(recordingDir(b.dir, rec), sheetFile)
		text, _ := os.ReadFile(sheet)
		for name, bad := range map[string]string{"another call": strings.Replace(string(text), `"c1"`, `"c2"`, 1), "not JSON": "{", "another chain": strings.Replace(string(text), `"chunks": `, `"chunks": 1`, 1)} {
			if err := os.WriteFile(sheet, []byte(bad), 0o640); err != nil {
				t.Fatal(err)
			}
			if v, err := Verify(b.dir, id, ""); err != nil || v.OK {
				t.Errorf("%s: not found: %+v, %v", name, v, err)
			}
		}
		if err := os.Remove(sheet); err != nil {
			t.Fatal(err)
		}
		// Without its sheet a recording still tells what it is.
		if info, err := Find(b.dir, id); err != nil || info.State != stateComplete || info.CallID != "c1" || info.DurationS != 2 {
			t.Errorf("from the chunks: %+v, %v", info, err)
		}
	}
}

// Who knows the format and can write everywhere, but does not have the key, is found
// out by whoever has it.
func TestForgedThroughout(t *testing.T) {
	t.Parallel()
	identity, recipient := keys(t)
	b := running(t, Options{Recipient: recipient}, nil)
	id, _ := b.record(Meta{CallID: "c1"}, talk(2*time.Second, caller, agent))
	other, _ := b.record(Meta{CallID: "c1"}, talk(2*time.Second, caller, agent))
	b.stop()
	rec, _ := parseID(id)
	foreign, _ := parseID(other)
	chunks, theirs := split(t, b.dir, rec), split(t, b.dir, foreign)
	own := recordingDir(b.dir, rec)
	as := func(c []byte, change func(c []byte)) []byte { c = slices.Clone(c); change(c); return c }
	n := len(chunks)
	number := func(c []byte, n int) []byte {
		return as(c, func(c []byte) { binary.LittleEndian.PutUint32(c[20:], uint32(n)) })
	}
	resumed := as(number(chunks[4], 4), func(c []byte) { c[4] = byte(resumeChunk) })
	for name, forged := range map[string][][]byte{
		"changed":                      slices.Replace(slices.Clone(chunks), 3, 4, as(chunks[3], func(c []byte) { c[headSize+9] ^= 1 })),
		"removed, said to be left out": append(append(slices.Clone(chunks[:3]), resumed), chunks[5:]...),
		"removed, numbered anew":       append(append(slices.Clone(chunks[:n-2]), number(chunks[n-1], n-2)), nil),
		"cut off, with another's end":  append(slices.Clone(chunks[:n-1]), as(theirs[len(theirs)-1], func(c []byte) { copy(c[8:20], rec[:]) })),
		"swapped":                      append([][]byte{chunks[0], number(chunks[2], 1), number(chunks[1], 2)}, chunks[3:]...),
		"less audio lost":              slices.Replace(slices.Clone(chunks), 3, 4, as(chunks[3], func(c []byte) { c[40] ^= 1 })),
	} {
		forged = rechain(slices.DeleteFunc(slices.Clone(forged), func(c []byte) bool { return c == nil }))
		plant(t, b.dir, rec, slices.Concat(forged...))
		sh, err := readSheet(own)
		if err != nil {
			t.Fatal(err)
		}
		last, _ := parseFrame(forged[len(forged)-1])
		sum := sha256.Sum256(last.raw)
		sh.Chunks, sh.Chain = int(last.number)+1, hex.EncodeToString(sum[:])
		if err := writeSheet(linux{}, own, sh); err != nil {
			t.Fatal(err)
		}
		if v, err := Verify(b.dir, id, identity); err != nil || v.OK {
			t.Errorf("%s: not found: %+v, %v", name, v, err)
		}
	}
	// The end cut off, and the sheet made to say that it was never written.
	plant(t, b.dir, rec, slices.Concat(chunks[:n-1]...))
	sh, _ := readSheet(own)
	sh.State, sh.Chunks, sh.Chain = stateRecording, 0, ""
	if err := writeSheet(linux{}, own, sh); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(b.dir, id, ""); err != nil || v.OK {
		t.Errorf("an end that was cut off: %+v, %v", v, err)
	}
}

// Of a sealed recording every bit counts, with its key and without.
func TestEveryFlippedBitSealed(t *testing.T) {
	t.Parallel()
	identity, recipient := keys(t)
	b := running(t, Options{Recipient: recipient}, nil)
	id, _ := b.record(Meta{CallID: "c1"}, talk(100*time.Millisecond, caller))
	rec, _ := parseID(id)
	v, err := look(b.dir, rec)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := v.keyOf(identity)
	if err != nil {
		t.Fatal(err)
	}
	file := slices.Concat(split(t, b.dir, rec)...)
	for bit := range len(file) * 8 {
		file[bit/8] ^= 1 << (bit % 8)
		for _, key := range []cipher.AEAD{nil, aead} {
			c := check{Verdict: Verdict{ID: id}, id: rec, aead: key}
			if err := c.file(bytes.NewReader(file)); err != nil {
				t.Fatal(err)
			}
			c.against(b.dir)
			if len(c.Problems) == 0 {
				t.Fatalf("bit %d of %d flipped, nobody noticed", bit, len(file)*8)
			}
		}
		file[bit/8] ^= 1 << (bit % 8)
	}
}

func TestEveryFlippedBit(t *testing.T) {
	t.Parallel()
	b := running(t, Options{}, nil)
	id, _ := b.record(Meta{CallID: "c1"}, talk(300*time.Millisecond, caller))
	rec, _ := parseID(id)
	file := slices.Concat(split(t, b.dir, rec)...)
	for bit := range len(file) * 8 {
		file[bit/8] ^= 1 << (bit % 8)
		c := check{Verdict: Verdict{ID: id}, id: rec}
		if err := c.file(bytes.NewReader(file)); err != nil {
			t.Fatal(err)
		}
		c.against(b.dir)
		if len(c.Problems) == 0 {
			t.Fatalf("bit %d of %d flipped, nobody noticed", bit, len(file)*8)
		}
		file[bit/8] ^= 1 << (bit % 8)
	}
}

// split gives the chunks of a recording's file.
func split(t *testing.T, dir string, id recID) (chunks [][]byte) {
	t.Helper()
	file, err := os.ReadFile(audioPath(dir, id))
	if err != nil {
		t.Fatal(err)
	}
	for len(file) > 0 {
		f, ok := parseFrame(file)
		if !ok {
			t.Fatal("no chunk")
		}
		chunks = append(chunks, f.raw)
		file = file[len(f.raw):]
	}
	return chunks
}

// reseal gives a changed chunk a checksum that fits.
func reseal(chunk []byte) {
	end := len(chunk) - crcSize
	binary.LittleEndian.PutUint32(chunk[end:], crc32.Checksum(chunk[:end], castagnoli))
}

// rechain makes every chunk follow from the one before, as a forger would who
// knows the format.
func rechain(chunks [][]byte) (out [][]byte) {
	prev := [sha256.Size]byte{}
	for _, c := range chunks {
		c = slices.Clone(c)
		copy(c[48:], prev[:])
		reseal(c)
		prev = sha256.Sum256(c)
		out = append(out, c)
	}
	return out
}

func plant(t *testing.T, dir string, id recID, file []byte) {
	t.Helper()
	if err := os.WriteFile(audioPath(dir, id), file, 0o640); err != nil {
		t.Fatal(err)
	}
}
