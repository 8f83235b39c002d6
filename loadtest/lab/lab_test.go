package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"foyer/loadtest"
)

// built is where the switch is compiled to, once for all tests.
var built = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv(world); bin != "" {
		return bin, nil
	}
	if err := os.MkdirAll(builtDir(), 0o755); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	return loadtest.Build(ctx, builtDir())
})

func builtDir() string { return filepath.Join(os.TempDir(), fmt.Sprintf("foyer-lab-%d", os.Getpid())) }

func TestMain(m *testing.M) {
	code := m.Run()
	os.RemoveAll(builtDir())
	os.Exit(code)
}

// mustRun plays cases against a switch of their own; nothing may be wrong with any.
func mustRun(t *testing.T, o Options) []Row {
	t.Helper()
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(context.Background(), 5*time.Minute)
	defer stop()
	o.Bin, o.Dir, o.Seed = bin, t.TempDir(), 1
	rows, found, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		for _, f := range r.Faults {
			t.Errorf("%s: %s", r.Name, f)
		}
	}
	for _, f := range found {
		t.Errorf("audit: %s", f)
	}
	Print(testWriter{t}, rows)
	if t.Failed() {
		raw, _ := os.ReadFile(filepath.Join(o.Dir, "foyer.log"))
		t.Logf("the switch's log:\n%s", raw)
	}
	return rows
}

// testWriter writes a table into the log of a test.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log("\n" + string(b))
	return len(b), nil
}

func TestCallsBehindEveryKindOfRouter(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole switch and 28 homes: not in make check")
	}
	t.Parallel()
	mustRun(t, Options{Cases: Kinds(6*time.Second, 2500*time.Millisecond)})
}

func TestCallsSurviveWhatHappensToTheLine(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole switch and lines that go dark: not in make check")
	}
	t.Parallel()
	mustRun(t, Options{Cases: Mishaps(3*time.Second, 8*time.Second, 20*time.Second), AtOnce: 18})
}

func TestCallsBehindRoutersThatMeddle(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole switch: not in make check")
	}
	t.Parallel()
	mustRun(t, Options{Cases: append(Meddlers(), Turns(10)...)})
}

func TestCallsOnBadLines(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole switch: not in make check")
	}
	t.Parallel()
	mustRun(t, Options{Cases: Lines(8 * time.Second), AtOnce: 18})
}
