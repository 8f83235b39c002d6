package ledger

import (
	"bufio"
	"context"
	"encoding/json"
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

	"foyer/ledger/sqltest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if where := os.Getenv("LEDGER_TEST_WRITER"); where != "" {
		writeUntilKilled(where)
	}
	goleak.VerifyTestMain(sqltest.Main(m))
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

// everywhere runs a test on every database, empty.
func everywhere(t *testing.T, run func(t *testing.T, d Database)) {
	sqltest.Each(t, func(t *testing.T, postgres string) {
		if postgres != "" {
			run(t, Database{Postgres: postgres})
			return
		}
		run(t, inFile(t))
	})
}

func inFile(t testing.TB) Database {
	return Database{File: filepath.Join(t.TempDir(), "a dir, 100% odd?", "ledger.db")}
}

func open(t testing.TB, d Database) *Store {
	t.Helper()
	s, err := OpenStore(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
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

func TestStoreKeepsWhatItWasGiven(t *testing.T) { everywhere(t, keepsWhatItWasGiven) }

func keepsWhatItWasGiven(t *testing.T, d Database) {
	s := open(t, d)
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
	if d.File != "" {
		if info, err := os.Stat(d.File); err != nil || info.Mode().Perm()&0o007 != 0 {
			t.Errorf("the file is open to others: %v %v", info.Mode(), err)
		}
	}
	if st := s.Status(); st.Written != 4 || st.Lost != 0 || st.Err != nil {
		t.Errorf("status %+v", st)
	}
}

func TestQueries(t *testing.T) { everywhere(t, findsWhatIsAsked) }

func findsWhatIsAsked(t *testing.T, d Database) {
	s := open(t, d)
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

func TestEachGoesThroughEveryPage(t *testing.T) { everywhere(t, goesThroughEveryPage) }

func goesThroughEveryPage(t *testing.T, d Database) {
	s := open(t, d)
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

func TestCloseWritesWhatIsQueued(t *testing.T) { everywhere(t, writesWhatIsQueued) }

func writesWhatIsQueued(t *testing.T, d Database) {
	s, err := OpenStore(t.Context(), d)
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
	r, err := ReadOnly(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if all, err := r.List(t.Context(), Query{}); err != nil || len(all) != 450 {
		t.Errorf("%d rows, %v", len(all), err)
	}
}

func TestReadOnlyBesideAWriter(t *testing.T) { everywhere(t, readsBesideAWriter) }

func readsBesideAWriter(t *testing.T, d Database) {
	s := open(t, d)
	r, err := ReadOnly(t.Context(), d)
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
	if _, err := ReadOnly(t.Context(), Database{File: filepath.Join(t.TempDir(), "none.db")}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestAStuckDiskLosesNothing holds the database's write lock from elsewhere, as a
// backup may: what was put meanwhile is written when the lock goes.
func TestAStuckDiskLosesNothing(t *testing.T) { everywhere(t, losesNothing) }

func losesNothing(t *testing.T, d Database) {
	s := open(t, d)
	tx, err := s.DB().BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if d.Postgres != "" { // which locks no more than it is asked to
		if _, err := tx.Exec("LOCK TABLE cdr"); err != nil {
			t.Fatal(err)
		}
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
func TestRowsThatWereFlushedSurviveAKill(t *testing.T) { everywhere(t, survivesAKill) }

func survivesAKill(t *testing.T, d Database) {
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), "LEDGER_TEST_WRITER="+asJSON(d))
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
	s, err := OpenStore(t.Context(), d)
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

func writeUntilKilled(where string) {
	var d Database
	var s *Store
	err := json.Unmarshal([]byte(where), &d)
	if err == nil {
		s, err = OpenStore(context.Background(), d)
	}
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
	s := open(b, inFile(b))
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

// Two programs may open the books for the first time at the same moment.
func TestOpeningAtOnce(t *testing.T) {
	everywhere(t, func(t *testing.T, d Database) {
		if d.File != "" { // its migrations are for one writer at a time; a second one waits for the file's lock
			open(t, d)
		}
		errs := make(chan error)
		for range 4 {
			go func() {
				s, err := OpenStore(t.Context(), d)
				if err == nil {
					err = s.Close()
				}
				errs <- err
			}()
		}
		for range 4 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// What comes in a SIP message may be no text at all; it must not stop the books.
func TestAnyTextIsStored(t *testing.T) {
	everywhere(t, func(t *testing.T, d Database) {
		s := open(t, d)
		odd := sample(1)
		odd.From, odd.DID, odd.To = "+33\x00\xff'\"\\", "\x00", "é\xc3\x28\x00"
		s.Put(odd)
		flush(t, s)
		all, err := s.List(t.Context(), Query{Caller: odd.From})
		if err != nil || len(all) != 1 || !strings.HasPrefix(all[0].From, "+33\x00") {
			t.Errorf("%+v, %v", all, err)
		}
	})
}

func TestAPasswordIsNotToldInErrors(t *testing.T) {
	for _, dsn := range []string{
		"postgres://foyer:s3cret@127.0.0.1:1/foyer?connect_timeout=2", "postgres://foyer:s3cret@127.0.0.1:x/foyer",
		"host=127.0.0.1 port=1 user=foyer password=s3cret connect_timeout=2",
	} {
		_, err := OpenStore(t.Context(), Database{Postgres: dsn})
		if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "postgres") {
			t.Errorf("%v", err)
		}
	}
}

// counted are rows of two quarters, two queues and an agent who works for two clients.
func counted() []Interval {
	start := quarterOf(At(day()))
	queue := func(n Instant, life Instant, id, client string, calls int) Interval {
		q := &QueueCounts{Offered: calls, Calls: Calls{Answered: calls, AnsweredWithin: calls}, WaitAnswered: Millis(calls) * 3000, Within: 20_000}
		for range calls {
			q.Waits.count(3000)
		}
		return Interval{Start: start + n*quarter, Life: life, Subject: OfQueue, ID: id, Client: client, Queue: q}
	}
	agent := func(client string, a AgentCounts) Interval {
		return Interval{Start: start, Life: 7, Subject: OfAgent, ID: "ana", Client: client, Agent: &a}
	}
	return []Interval{
		queue(0, 7, "sales", "acme", 3), queue(0, 9, "sales", "acme", 2), queue(0, 7, "tier1", "bank", 1), queue(1, 9, "sales", "acme", 4),
		agent("", AgentCounts{Idle: 300_000, Paused: 100_000, Scheduled: 900_000, Adhered: 600_000}),
		agent("acme", AgentCounts{Offers: 2, Accepted: 1, Handled: 1, Talked: 200_000, Rung: 20_000}),
		agent("bank", AgentCounts{Offers: 1, Accepted: 1, Handled: 1, Talked: 100_000, WrappedUp: 50_000, Rung: 10_000}),
	}
}

func TestIntervalsAreKept(t *testing.T) {
	everywhere(t, func(t *testing.T, d Database) {
		s := open(t, d)
		for range 2 { // folded again after a restart: the same rows
			s.PutIntervals(counted()...)
			flush(t, s)
		}
		more := counted()[:1]
		more[0].Queue.Offered = 5 // a call that ended later
		s.PutIntervals(more...)
		flush(t, s)
		from := quarterOf(At(day())).Time()
		for _, tt := range []struct {
			name string
			q    IntervalQuery
			want string
		}{
			{"queues", IntervalQuery{Subject: OfQueue}, "sales/7/5 sales/9/2 tier1/7/1 sales/9/4"},
			{"from included, to not", IntervalQuery{Subject: OfQueue, From: from.Add(Quarter), To: from.Add(2 * Quarter)}, "sales/9/4"},
			{"to not included", IntervalQuery{Subject: OfQueue, To: from.Add(Quarter)}, "sales/7/5 sales/9/2 tier1/7/1"},
			{"one queue", IntervalQuery{Subject: OfQueue, ID: "tier1"}, "tier1/7/1"},
			{"one client", IntervalQuery{Subject: OfQueue, Client: "bank"}, "tier1/7/1"},
			{"may see one client", IntervalQuery{Subject: OfQueue, Clients: []string{"acme"}}, "sales/7/5 sales/9/2 sales/9/4"},
			{"asks for a client it may not see", IntervalQuery{Subject: OfQueue, Client: "bank", Clients: []string{"acme"}}, ""},
			{"may see none", IntervalQuery{Subject: OfAgent, Clients: []string{}}, ""},
			{"an agent, for one client", IntervalQuery{Subject: OfAgent, Clients: []string{"acme", "other"}}, "ana/7/2"},
			{"an agent", IntervalQuery{Subject: OfAgent}, "ana/7/0 ana/7/2 ana/7/1"},
		} {
			var got []string
			err := s.EachInterval(t.Context(), tt.q, func(i *Interval) error {
				n := 0
				if i.Queue != nil {
					n = i.Queue.Offered
				} else {
					n = i.Agent.Offers
				}
				got = append(got, fmt.Sprintf("%s/%d/%d", i.ID, i.Life, n))
				return nil
			})
			if strings.Join(got, " ") != tt.want || err != nil {
				t.Errorf("%s: %q, want %q, %v", tt.name, got, tt.want, err)
			}
		}
	})
}

func TestEveryPageOfIntervals(t *testing.T) {
	everywhere(t, func(t *testing.T, d Database) {
		s := open(t, d)
		row := counted()[0]
		for n := range 2*page + 7 {
			i := row
			i.Start += Instant(n/3) * quarter
			i.ID = []string{"a", "b", "c"}[n%3]
			s.PutIntervals(i)
		}
		flush(t, s)
		seen := map[string]bool{}
		err := s.EachInterval(t.Context(), IntervalQuery{Subject: OfQueue}, func(i *Interval) error {
			seen[rowName(*i)] = true
			return nil
		})
		if err != nil || len(seen) != 2*page+7 {
			t.Errorf("%d rows, %v", len(seen), err)
		}
	})
}
