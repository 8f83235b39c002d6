package keeper

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func newMemory(t testing.TB) *Memory {
	t.Helper()
	m, err := NewMemory()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// reopened is what the next process finds.
func reopened(t testing.TB, m *Memory) *Memory {
	t.Helper()
	n, err := OpenMemory(m.FD())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func contents(m *Memory) map[string]string {
	all := map[string]string{}
	for key, value := range m.Under("") {
		all[key] = string(value)
	}
	return all
}

func TestMemoryIsFoundAgainAsItWasLeft(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMemory(t)
		want := map[string]string{}
		key := rapid.SampledFrom([]string{"a", "call/1", "call/2", "leg/1", "leg/2"})
		rt.Repeat(map[string]func(*rapid.T){
			"put": func(rt *rapid.T) {
				k, v := key.Draw(rt, "key"), string(rapid.SliceOfN(rapid.Byte(), 0, 3000).Draw(rt, "value"))
				if err := m.Put(k, []byte(v)); err != nil {
					rt.Fatal(err)
				}
				want[k] = v
			},
			"delete": func(rt *rapid.T) {
				k := key.Draw(rt, "key")
				m.Delete(k)
				delete(want, k)
			},
			"tidy": func(*rapid.T) { m.mu.Lock(); m.merge(); m.mu.Unlock() },
			"die":  func(rt *rapid.T) { m = reopened(t, m) },
			"": func(rt *rapid.T) {
				if got := contents(m); fmt.Sprint(got) != fmt.Sprint(want) {
					rt.Fatalf("there is %q, want %q", got, want)
				}
			},
		})
	})
}

func TestMemoryTidiesItself(t *testing.T) {
	m := newMemory(t)
	value := bytes.Repeat([]byte("x"), 1500)
	for i := range 100_000 {
		binary.LittleEndian.PutUint32(value, uint32(i))
		if err := m.Put(fmt.Sprint("call/", i%100), value); err != nil {
			t.Fatal(err)
		}
	}
	s := m.Stats()
	if s.Records != 100 || s.Merges == 0 || s.Written > 2*mergeFloor {
		t.Fatalf("%+v", s)
	}
	for i, again := 99_900, reopened(t, m); i < 100_000; i++ {
		v, ok := again.Get(fmt.Sprint("call/", i%100))
		if !ok || binary.LittleEndian.Uint32(v) != uint32(i) {
			t.Fatalf("call %d: %v", i%100, ok)
		}
	}
}

func TestMemoryThatIsFullKeepsWhatItHas(t *testing.T) {
	m := newMemory(t)
	big := make([]byte, 100<<20)
	for i, want := range []error{nil, nil, ErrFull, ErrFull} {
		if err := m.Put(fmt.Sprint(i), big); !errors.Is(err, want) {
			t.Fatalf("put %d: %v", i, err)
		}
	}
	m.Delete("0")
	if err := m.Put("2", big); err != nil {
		t.Fatal(err)
	}
	if got := reopened(t, m).Stats(); got.Records != 2 {
		t.Fatalf("%+v", got)
	}
	for range cellCount {
		if _, _, err := m.NewCell(); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := m.NewCell(); !errors.Is(err, ErrFull) {
		t.Fatal(err)
	}
}

func TestMemoryRefusesWhatItDidNotMake(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := OpenMemory(int(f.Fd())); err == nil {
		t.Error("an empty file was taken")
	}
	if err := f.Truncate(int64(memorySize)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenMemory(int(f.Fd())); err == nil {
		t.Error("a file of zeros was taken")
	}
}

// TestMemoryOutlivesAKill kills a process that writes as fast as it can, and finds
// everything that it had said to be written.
func TestMemoryOutlivesAKill(t *testing.T) {
	if os.Getenv("KEEPER_TEST_WRITER") != "" {
		writeUntilKilled()
	}
	m := newMemory(t)
	for round := range 20 {
		self := exec.Command(os.Args[0], "-test.run=^TestMemoryOutlivesAKill$")
		self.Env = append(os.Environ(), "KEEPER_TEST_WRITER=1")
		fd, err := unix.Dup(m.FD())
		if err != nil {
			t.Fatal(err)
		}
		shared := os.NewFile(uintptr(fd), "memory")
		self.ExtraFiles = []*os.File{shared}
		out, err := self.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := self.Start(); err != nil {
			t.Fatal(err)
		}
		_ = shared.Close()
		lines := bufio.NewScanner(out)
		time.AfterFunc(time.Duration(20+rand.IntN(60))*time.Millisecond, func() { _ = self.Process.Kill() })
		said := map[string]string{}
		for lines.Scan() {
			if key, value, ok := strings.Cut(lines.Text(), "="); ok && strings.HasSuffix(value, ".") {
				said[key] = value
			}
		}
		_ = self.Wait()
		again := reopened(t, m)
		for key, value := range said {
			got, ok := again.Get(key)
			// The next one may have been written and not said.
			if !ok || number(string(got)) < number(value) || number(string(got)) > number(value)+1 {
				t.Fatalf("round %d: %s is %.20q, %.20q was said", round, key, got, value)
			}
		}
		if len(said) == 0 {
			t.Logf("round %d: killed before it wrote", round)
		}
	}
}

func number(value string) (n int) {
	_, _ = fmt.Sscanf(value, "%d", &n)
	return n
}

func writeUntilKilled() {
	m, err := OpenMemory(3)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	filler := strings.Repeat("x", 1200)
	for i := 0; ; i++ {
		for _, key := range []string{"a", "b", "c"} {
			if err := m.Put(key, fmt.Appendf(nil, "%d%s", i, filler)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Printf("%s=%d.\n", key, i)
		}
	}
}

func BenchmarkPut(b *testing.B) {
	m := newMemory(b)
	value := make([]byte, 1500)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("call/", i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := m.Put(keys[i%len(keys)], value); err != nil {
			b.Fatal(err)
		}
	}
}
