package recorder

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childEnv makes the test binary the writer that is killed; it holds the
// directory to record into.
const childEnv = "FOYER_RECORDER_CHILD"

// childCalls run at a time in the child.
const childCalls = 4

// childMain records calls for ever, in real time, and says on standard output
// what is in the files: "ID N" when all up to the Nth packet of a call is.
func childMain() {
	dir := os.Getenv(childEnv)
	if dir == "" {
		return
	}
	if shelf := os.Getenv(childEnv + "_SHELF"); shelf != "" {
		resumingChild(dir, shelf)
	}
	if shelf := os.Getenv(childEnv + "_WIRE"); shelf != "" {
		wireChild(dir, shelf)
	}
	s, err := Open(Options{Dir: dir, Recipient: os.Getenv(childEnv + "_TO")})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	s.wrote = func(r *recording, k kind, last int64) {
		if k == audioChunk {
			// One write(2) a line: it is out before the next chunk is.
			fmt.Printf("%s %d\n", r.id, last)
		}
	}
	go func() { _ = s.Run(context.Background(), nil) }()
	packets := talk(10*time.Second, caller, agent)
	for n := range childCalls {
		handle, _, err := s.Begin(Meta{CallID: fmt.Sprint("c", n)})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		go func() {
			began := time.Now()
			for _, p := range packets {
				// Ten times faster than life.
				time.Sleep(time.Until(began.Add(time.Duration(p.At-callStart.UnixNano()) / 10)))
				p.Recording = handle
				s.take(p)
			}
		}()
	}
	select {}
}

// killed runs a child for a while, kills it, and says what it had acknowledged:
// the time of the last record in the file of each recording.
func killed(t *testing.T, dir, recipient string, life time.Duration) map[string]int64 {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(exe)
	child.Env = append(os.Environ(), childEnv+"="+dir, childEnv+"_TO="+recipient)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child.Stderr = os.Stderr
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	written := map[string]int64{}
	var timer *time.Timer
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if timer == nil { // the first chunk is there: now it may die
			timer = time.AfterFunc(life, func() { _ = child.Process.Kill() })
		}
		line := lines.Text()
		var id string
		var last int64
		if _, err := fmt.Sscan(line, &id, &last); err != nil {
			t.Errorf("child says %q", line)
			continue
		}
		written[id] = last
	}
	if err := child.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("child ended by itself: %v", err)
	}
	return written
}
