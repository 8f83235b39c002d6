package ledger

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if path := os.Getenv("LEDGER_TEST_WRITER"); path != "" {
		writeUntilKilled(path)
	}
	goleak.VerifyTestMain(m)
}

// sample is the nth call of a floor with two clients.
func sample(n int) CDR {
	start := At(day()) + Instant(n*1000)
	client := []string{"acme", "bank"}[n%2]
	return CDR{
		ID: fmt.Sprintf("c%05d", n), Client: client, DID: "+33170000001", Direction: "inbound",
		From: fmt.Sprintf("+336%08d", n), To: "+33170000001", Queue: client + "-help", Trunk: "carrier",
		Started: start, Answered: start + 3250, Ended: start + 63300,
		QueuedFor: 3250, RungFor: 3250, TalkedFor: 60050, Duration: 63300,
		Agent: "ana", Agents: []string{"ana"}, Outcome: Answered, EndedBy: "caller", Cause: "hangup",
		SIPCode: 200, ServiceLevelMet: true, RecordingID: "r" + strconv.Itoa(n), RecordedFor: 60050,
		Codec: "PCMA", Transport: "udp", MOSMin: 4.31, LossRatio: 0.001, JitterMS: 2.5,
		Segments: []Segment{
			{Kind: InQueue, Start: start, End: start + 3250, Duration: 3250, Queue: client + "-help", Result: "answered"},
			{Kind: Offering, Start: start, End: start + 3250, Duration: 3250, Queue: client + "-help", Agent: "ana", Offer: 1, Alerted: start + 90, Result: "answered"},
			{Kind: Talking, Start: start + 3250, End: start + 63300, Duration: 60050, Queue: client + "-help", Agent: "ana"},
		},
	}
}

func samples(n int) []CDR {
	all := make([]CDR, n)
	for i := range all {
		all[i] = sample(i)
	}
	return all
}

func open(t testing.TB) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a dir, 100% odd?", "ledger.db")
	s, err := OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, path
}

func flush(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func ids(all []CDR) string {
	var b []string
	for _, c := range all {
		b = append(b, strings.TrimLeft(c.ID, "c0"))
	}
	return strings.Join(b, " ")
}

func TestStoreKeepsWhatItWasGiven(t *testing.T) {
	s, path := open(t)
	s.Put(samples(3)...)
	flush(t, s)
	got, err := s.Get(t.Context(), "c00002")
	if err != nil || !reflect.DeepEqual(got, sample(2)) {
		t.Fatalf("got %+v, %v", got, err)
	}
	if _, err := s.Get(t.Context(), "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
	again := sample(2)
	again.WrappedUpIn, again.Client = 20000, "acme" // the same call, wrapped up
	s.Put(again)
	flush(t, s)
	if got, _ := s.Get(t.Context(), "c00002"); !reflect.DeepEqual(got, again) {
		t.Errorf("not replaced: %+v", got)
	}
	all, err := s.List(t.Context(), Query{})
	if err != nil || ids(all) != "2 1 " {
		t.Errorf("list %q, %v", ids(all), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("the file is open to others: %v %v", info.Mode(), err)
	}
	if st := s.Status(); st.Written != 4 || st.Lost != 0 || st.Err != nil {
		t.Errorf("status %+v", st)
	}
}

func TestQueries(t *testing.T) {
	s, _ := open(t)
	s.Put(samples(10)...)
	flush(t, s)
	at := func(n int) time.Time { return day().Add(time.Duration(n) * time.Second) }
	tests := []struct {
		name string
		q    Query
		want string
	}{
		{"newest first", Query{Limit: 3}, "9 8 7"},
		{"oldest first", Query{Limit: 3, OldestFirst: true}, " 1 2"},
		{"from included, to not", Query{From: at(2), To: at(5)}, "4 3 2"},
		{"client", Query{Client: "bank", Limit: 2}, "9 7"},
		{"queue", Query{Queue: "acme-help", Limit: 2}, "8 6"},
		{"agent", Query{Agent: "bo"}, ""},
		{"outcome", Query{Outcome: Abandoned}, ""},
		{"caller", Query{Caller: "+33600000004"}, "4"},
		{"number called", Query{DID: "+33170000001", Limit: 1}, "9"},
		{"may see one client", Query{Clients: []string{"acme"}, Limit: 2}, "8 6"},
		{"asks for a client it may not see", Query{Client: "bank", Clients: []string{"acme"}}, ""},
		{"may see none", Query{Clients: []string{}}, ""},
		{"after a cursor", Query{After: sample(3).Cursor()}, "2 1 "},
		{"after a cursor, forward", Query{After: sample(7).Cursor(), OldestFirst: true}, "8 9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.List(t.Context(), tt.q)
			if err != nil || ids(got) != tt.want {
				t.Errorf("got %q, want %q, %v", ids(got), tt.want, err)
			}
		})
	}
	for _, bad := range []string{"x", "!!", "AAAA"} {
		if _, err := s.List(t.Context(), Query{After: bad}); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

func TestEachGoesThroughEveryPage(t *testing.T) {
	s, _ := open(t)
	s.Put(samples(2*page + 7)...)
	flush(t, s)
	for limit, want := range map[int]int{0: 2*page + 7, page: page, page + 1: page + 1, 3 * page: 2*page + 7} {
		seen := map[string]bool{}
		err := s.Each(t.Context(), Query{Limit: limit}, func(c CDR) error { seen[c.ID] = true; return nil })
		if err != nil || len(seen) != want {
			t.Errorf("limit %d: %d rows, %v", limit, len(seen), err)
		}
	}
	stop := errors.New("stop")
	if err := s.Each(t.Context(), Query{}, func(CDR) error { return stop }); err != stop {
		t.Errorf("got %v", err)
	}
}

func TestCloseWritesWhatIsQueued(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	s, err := OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range samples(450) {
		s.Put(c)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s.Put(sample(999)) // says nothing, does nothing
	if err := s.Flush(t.Context()); err == nil {
		t.Error("a closed store flushed")
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	r, err := ReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if all, err := r.List(t.Context(), Query{}); err != nil || len(all) != 450 {
		t.Errorf("%d rows, %v", len(all), err)
	}
}

func TestReadOnlyBesideAWriter(t *testing.T) {
	s, path := open(t)
	r, err := ReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := range 20 {
		s.Put(sample(n))
		flush(t, s)
		if c, err := r.Get(t.Context(), sample(n).ID); err != nil || c.ID != sample(n).ID {
			t.Fatalf("row %d: %v", n, err)
		}
	}
	r.Put(sample(99)) // nothing
	if err := r.Flush(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := r.DB().Exec("DELETE FROM cdr"); err == nil {
		t.Error("a read-only store deleted")
	}
	if _, err := ReadOnly(t.Context(), filepath.Join(t.TempDir(), "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestAStuckDiskLosesNothing holds the database's write lock from elsewhere, as a
// backup may: what was put meanwhile is written when the lock goes.
func TestAStuckDiskLosesNothing(t *testing.T) {
	s, _ := open(t)
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range samples(300) {
		s.Put(c)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("flushed into a locked database: %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	flush(t, s)
	if all, err := s.List(t.Context(), Query{}); err != nil || len(all) != 300 {
		t.Errorf("%d rows, %v", len(all), err)
	}
}

// TestRowsThatWereFlushedSurviveAKill runs a writer as a child, kills it without
// warning while it goes on writing, and looks for every row it had been told was safe.
func TestRowsThatWereFlushedSurviveAKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "LEDGER_TEST_WRITER="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	safe := -1
	for lines := bufio.NewScanner(out); lines.Scan() && safe < 200; {
		if safe, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("the child said %q", lines.Text())
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	child.Wait()
	if safe < 200 {
		t.Fatalf("the child wrote %d rows", safe)
	}
	s, err := OpenStore(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range safe + 1 {
		if got, err := s.Get(t.Context(), sample(n).ID); err != nil || !reflect.DeepEqual(got, sample(n)) {
			t.Fatalf("row %d of %d: %v", n, safe, err)
		}
	}
}

func writeUntilKilled(path string) {
	s, err := OpenStore(context.Background(), path)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for n := 0; ; n++ {
		s.Put(sample(n))
		if n%20 == 0 {
			if err := s.Flush(context.Background()); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(n)
		}
	}
}

// BenchmarkPut is the cost of a CDR from Put to commit, in CPU time of the whole
// process: the writer's, the garbage collector's, the kernel's.
func BenchmarkPut(b *testing.B) {
	s, _ := open(b)
	all := samples(5000)
	b.ReportAllocs()
	before := cpu(b)
	for n := 0; b.Loop(); n++ {
		c := all[n%len(all)]
		c.ID = "c" + strconv.Itoa(n)
		c.Started += Instant(n)
		s.Put(c)
	}
	flush(b, s)
	b.ReportMetric(float64((cpu(b)-before).Microseconds())/float64(b.N), "cpu-us/op")
}

func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkFold(b *testing.B) {
	f := NewFold()
	b.ReportAllocs()
	for b.Loop() {
		if got := run(f, []rec{
			arrived(1000, "sales", ring("ana", "sales", 1)), answered(4250, "ana", 1),
			gone(64300, 1, 1), closed(64320, 200),
		}); len(got) != 1 {
			b.Fatal(len(got))
		}
	}
}
