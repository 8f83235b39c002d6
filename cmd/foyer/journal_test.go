package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"foyer/acd"
)

func TestJournalKeepsItsPagesInOrderAcrossLives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := context.Background()
	for life := range 2 {
		j, err := openJournal(dir, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1500 { // more than one fetch of the reader
			kind := acd.Gone
			if i == 0 {
				kind = acd.Started
			}
			ev := acd.Event{Kind: kind, Call: acd.CallID(fmt.Sprintf("%d-%d", life, i)), Config: &acd.Config{}}
			r := acd.Record{Seq: uint64(life*1500 + i + 1), At: time.Now(), Event: ev}
			if err := j.append(page{Decided: uint64(i), Records: []acd.Record{r}}); err != nil {
				t.Fatal(err)
			}
		}
		j.close()
	}
	j, err := openJournal(dir, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	defer j.close()
	for _, c := range []struct {
		all  bool
		want int
	}{{true, 3000}, {false, 1500}} {
		n, last, from := 0, uint64(0), uint64(1)
		if !c.all {
			if from, err = j.lastLife(ctx); err != nil {
				t.Fatal(err)
			}
		}
		err := j.read(ctx, from, func(p page) error {
			for _, r := range p.Records {
				if last != 0 && r.Seq != last+1 {
					return fmt.Errorf("event %d after %d", r.Seq, last)
				}
				last = r.Seq
				n++
			}
			return nil
		})
		if err != nil || n != c.want {
			t.Errorf("read(all=%v): %d events, %v; want %d", c.all, n, err, c.want)
		}
	}
}

// BenchmarkJournalAppend is the price of one event kept before it is acted on.
func BenchmarkJournalAppend(b *testing.B) {
	j, err := openJournal(b.TempDir(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	defer j.close()
	p := page{Records: []acd.Record{{Seq: 1, At: time.Now(), Event: acd.Event{Kind: acd.Answered, Call: "06d8q3k4w2x5y7z8a9b0c1d", Agent: "agent0001", Offer: 1}}}}
	b.ReportAllocs()
	for b.Loop() {
		if err := j.append(p); err != nil {
			b.Fatal(err)
		}
	}
}
