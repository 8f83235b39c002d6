package recorder

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"foyer/rtp"

	pion "github.com/pion/rtp"
	"golang.org/x/sys/unix"
)

const wirePackets = 100

// A switch is killed the moment it has read its packets: whether they are in the tap,
// in a chunk or in the file, the next life has them all.
func TestKilledBetweenWireAndFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds: not in make check")
	}
	t.Parallel()
	elsewhere := 0 // packets that were not in the file yet
	for range 3 {
		h := newHouse(t, "")
		tap := tapMemory(t)
		id := h.killedOnTheWire(tap)
		info, err := Find(h.dir, id)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere += wirePackets - heardOf(t, h.dir, id)
		var memory []byte
		if memory, err = unix.Mmap(int(tap.Fd()), 0, rtp.TapMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
			t.Fatal(err)
		}
		b := opened(t, Options{Dir: h.dir, Keep: shelfOf(h.shelf), Kept: shelfOf(h.shelf).all(), Memory: h.memory}, nil)
		if len(b.Resumed()) != 1 || b.Resumed()[0].ID != id {
			t.Fatalf("resumed %+v, want %+v", b.Resumed(), info)
		}
		ctx, stop := context.WithCancel(t.Context())
		var run sync.WaitGroup
		run.Go(func() { _ = b.Run(ctx, []*rtp.Tap{rtp.OldTap(memory)}) })
		b.End(b.Resumed()[0].Handle)
		b.waitEnded()
		stop()
		run.Wait()
		if n := heardOf(t, h.dir, id); n != wirePackets {
			t.Errorf("%d of %d packets are there", n, wirePackets)
		}
		if v, err := Verify(h.dir, id, ""); err != nil || !v.OK {
			t.Errorf("%+v, %v", v, err)
		}
		_ = unix.Munmap(memory)
	}
	if elsewhere == 0 {
		t.Error("every kill came when all was written")
	}
	t.Logf("%d of %d packets were not in the file when the process was killed", elsewhere, 3*wirePackets)
}

func tapMemory(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("tap", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "tap")
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(rtp.TapMemory); err != nil {
		t.Fatal(err)
	}
	return f
}

// killedOnTheWire runs a switch of one leg, speaks to it, and kills it when it has
// read everything; it gives the recording.
func (h *house) killedOnTheWire(tap *os.File) (id string) {
	h.t.Helper()
	phone, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		h.t.Fatal(err)
	}
	defer phone.Close()
	exe, err := os.Executable()
	if err != nil {
		h.t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), childEnv+"="+h.dir, childEnv+"_WIRE="+h.shelf, childEnv+"_PHONE="+phone.LocalAddr().String())
	child.ExtraFiles = []*os.File{h.file, tap}
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		h.t.Fatal(err)
	}
	defer time.AfterFunc(30*time.Second, func() { _ = child.Process.Kill() }).Stop()
	lines := bufio.NewReader(out)
	var port int
	if _, err := fmt.Fscanln(lines, &id, &port); err != nil {
		h.t.Fatalf("the child did not begin: %v", err)
	}
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	for n := range wirePackets {
		raw, err := (&pion.Packet{
			Header:  pion.Header{Version: 2, PayloadType: 8, SSRC: 7, SequenceNumber: uint16(n), Timestamp: uint32(n * 160)},
			Payload: bytes.Repeat([]byte{byte(n)}, 160),
		}).Marshal()
		if err == nil {
			_, err = phone.WriteTo(raw, to)
		}
		if err != nil {
			h.t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond) // life, four times as fast
	}
	if _, err := lines.ReadString('\n'); err != nil {
		h.t.Fatalf("the child did not read everything: %v", err)
	}
	_ = child.Process.Kill()
	_ = child.Wait()
	return id
}

// wireChild is that switch.
func wireChild(dir, shelf string) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	memory, err := unix.Mmap(3, 0, MemorySize+progress, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	fail(err)
	s, err := Open(Options{Dir: dir, Keep: shelfOf(shelf), Memory: memory[:MemorySize]})
	fail(err)
	m, err := rtp.Open(rtp.Options{
		Addr: netip.MustParseAddr("127.0.0.1"), MinPort: 20000, MaxPort: 60000, Shards: 1,
		TapMemory: func(int) ([]byte, error) {
			return unix.Mmap(4, 0, rtp.TapMemory, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		},
	})
	fail(err)
	go func() { _ = s.Run(context.Background(), m.Taps()) }()
	leg, err := m.NewLeg(rtp.LegOptions{Sink: func(rtp.MediaEvent) {}})
	fail(err)
	leg.Set(rtp.Stream{Remote: netip.MustParseAddrPort(os.Getenv(childEnv + "_PHONE")), Codec: rtp.PCMA, PT: 8, Receive: true})
	handle, id, err := s.Begin(Meta{CallID: "wire"})
	fail(err)
	leg.Tap(handle, 0)
	reports := make(chan rtp.Report)
	leg.Report(func(r rtp.Report) { reports <- r }) // the tap has begun
	<-reports
	fmt.Println(id, leg.Addr().Port())
	for {
		leg.Report(func(r rtp.Report) { reports <- r })
		if r := <-reports; r.Received >= wirePackets {
			fmt.Println("read")
			select {}
		}
		time.Sleep(time.Millisecond)
	}
}

// heardOf counts the packets of the wire that a recording holds.
func heardOf(t *testing.T, dir, id string) int {
	t.Helper()
	rec, _ := parseID(id)
	f, err := openTape(dir, rec)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	there := map[uint16]bool{}
	for in := newFrames(f); ; {
		c, err := in.next()
		if err == io.EOF {
			return len(there)
		}
		if err != nil {
			t.Fatal(err)
		}
		if c.kind != audioChunk {
			continue
		}
		if err := packets(c.payload, c.first, func(r *rtp.TapRecord) { there[r.Seq] = true }); err != nil {
			t.Fatal(err)
		}
	}
}
