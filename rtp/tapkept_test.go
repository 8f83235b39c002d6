package rtp

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	tapWriter = "FOYER_RTP_TAP_WRITER" // makes the test binary the process that is killed
	diesAfter = 64                     // bytes after the tap: how far the writer and the reader were
)

// mapped is memory that outlives whoever writes it.
func mapped(t testing.TB, fd int, size int) []byte {
	t.Helper()
	b, err := unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// counters are what a life has said to have put and taken.
func counters(memory []byte) (put, taken *atomic.Uint64) {
	tail := memory[len(memory)-diesAfter:]
	return (*atomic.Uint64)(unsafe.Pointer(&tail[0])), (*atomic.Uint64)(unsafe.Pointer(&tail[8]))
}

// TestTapOutlivesAKill kills a process that fills and empties a tap, and finds
// every record that was put and not taken, in order, in the next life.
func TestTapOutlivesAKill(t *testing.T) {
	const size = tapPage + 1<<16
	if os.Getenv(tapWriter) != "" {
		fillUntilKilled(mapped(t, 3, size+diesAfter))
	}
	fd, err := unix.MemfdCreate("tap", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "tap")
	defer file.Close()
	if err := file.Truncate(size + diesAfter); err != nil {
		t.Fatal(err)
	}
	memory := mapped(t, fd, size+diesAfter)
	put, taken := counters(memory)
	found := 0
	for range 20 {
		before := put.Load()
		self := exec.Command(os.Args[0], "-test.run=^TestTapOutlivesAKill$")
		self.Env = append(os.Environ(), tapWriter+"=1")
		self.ExtraFiles = []*os.File{file}
		if err := self.Start(); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); put.Load() < before+5000; time.Sleep(time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatal("the writer does not write")
			}
		}
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		_ = self.Process.Kill()
		_ = self.Wait()
		next := taken.Load() + 1
		first := true
		tapIn(memory[:size]).Read(func(r TapRecord) {
			if first && r.Recording == next-1 {
				next-- // the one that was being taken
			}
			if first = false; r.Recording != next || !sound(&r) {
				t.Fatalf("record %d (%d bytes) where %d should be", r.Recording, len(r.Payload), next)
			}
			next++
			found++
		})
		// The writer's last may have been put without its having said so.
		if said := put.Load(); next != said+1 && next != said+2 {
			t.Fatalf("the last record is %d, %d was put", next-1, said)
		}
		put.Store(next - 1)
		taken.Store(next - 1)
	}
	if found == 0 {
		t.Fatal("no kill found a record in the tap")
	}
	t.Logf("%d records found by 20 lives", found)
}

func sound(r *TapRecord) bool {
	for i := 0; i+8 <= len(r.Payload); i += 8 {
		if binary.NativeEndian.Uint64(r.Payload[i:]) != r.Recording {
			return false
		}
	}
	return r.At == int64(^r.Recording)
}

func fillUntilKilled(memory []byte) {
	put, taken := counters(memory)
	tap := tapIn(memory[:len(memory)-diesAfter])
	go func() {
		for {
			tap.Read(func(r TapRecord) { taken.Store(r.Recording) })
			time.Sleep(200 * time.Microsecond)
		}
	}()
	payload := make([]byte, 160)
	for n := put.Load() + 1; ; n++ {
		for i := 0; i < len(payload); i += 8 {
			binary.NativeEndian.PutUint64(payload[i:], n)
		}
		for !tap.put(&TapRecord{Recording: n, At: int64(^n), Payload: payload}) {
			tap.flush(true)
			time.Sleep(50 * time.Microsecond)
		}
		put.Store(n)
		if n%16 == 0 {
			tap.flush(true)
		}
	}
}

// What is no tap is not believed, and what was put in a life before is read.
func TestTapGoesOn(t *testing.T) {
	memory := make([]byte, tapPage+1<<10)
	for i := range memory {
		memory[i] = 0xA5
	}
	if n := tapIn(memory).Read(func(TapRecord) {}); n != 0 {
		t.Fatalf("%d records read of what is no tap", n)
	}
	for life := range 50 {
		tap := tapIn(memory)
		for i := range 3 {
			if !tap.put(&TapRecord{Seq: uint16(life*3 + i), Payload: make([]byte, 50+life)}) {
				t.Fatal("full")
			}
		}
		var got []uint16
		next := OldTap(memory) // never published
		next.Read(func(r TapRecord) { got = append(got, r.Seq) })
		if len(got) != 3 || got[0] != uint16(life*3) || got[2] != uint16(life*3+2) {
			t.Fatalf("life %d left %v", life, got)
		}
	}
}
