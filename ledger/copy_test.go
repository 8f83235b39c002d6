package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A copy made while rows are being written is a whole one, of some moment between.
func TestCopyBesideAWriter(t *testing.T) {
	t.Parallel()
	d := inFile(t)
	s := open(t, d)
	s.Put(samples(500)...)
	flush(t, s)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 500; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.Put(sample(i))
			}
		}
	}()
	last := 500
	for range 3 {
		to := filepath.Join(t.TempDir(), "copy.db")
		if err := Copy(t.Context(), d, to); err != nil {
			t.Fatal(err)
		}
		n, err := Check(t.Context(), to)
		if err != nil || n < last {
			t.Errorf("%d rows after %d: %v", n, last, err)
		}
		last = n
		if left, err := filepath.Glob(to + "-*"); err != nil || len(left) > 0 {
			t.Errorf("beside the copy: %v %v", left, err)
		}
		if err := Copy(t.Context(), d, to); !errors.Is(err, os.ErrExist) {
			t.Errorf("over another copy: %v", err)
		}
	}
	close(stop)
	<-done
}

func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	d := inFile(t)
	s := open(t, d)
	s.Put(samples(300)...)
	flush(t, s)
	to := filepath.Join(t.TempDir(), "copy.db")
	if err := Copy(t.Context(), d, to); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(text) / 3; i < len(text)/3+4096; i++ {
		text[i] ^= 0x55
	}
	if err := os.WriteFile(to, text, 0o640); err != nil {
		t.Fatal(err)
	}
	if n, err := Check(t.Context(), to); err == nil {
		t.Errorf("%d rows in a damaged file, and nothing said", n)
	}
	if err := Copy(t.Context(), Database{Postgres: "postgres://nobody@127.0.0.1/x"}, to); !errors.Is(err, ErrPostgres) {
		t.Errorf("PostgreSQL: %v", err)
	}
	if err := Copy(t.Context(), Database{File: filepath.Join(t.TempDir(), "none.db")}, to+"2"); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "none.db") {
		t.Errorf("no books: %v", err)
	}
}
