package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"foyer/acd"
)

// pages is a journal to be replayed: that of a data directory, or an exported file
// with one page a line. read gives the body of every page in order, and how much
// of size has been read by then.
type pages struct {
	name string
	size int64
	read func(ctx context.Context, each func(body []byte, done int64) error) error
}

// storedPages are those of an open journal.
func storedPages(ctx context.Context, j *journal, name string) (pages, error) {
	s, err := j.js.Stream(ctx, journalStream)
	if err != nil {
		return pages{}, err
	}
	return pages{name: name, size: int64(s.CachedInfo().State.Msgs), read: func(ctx context.Context, each func([]byte, int64) error) error {
		var n int64
		return j.whole(ctx, func(m *stored) error {
			n++
			return each(m.body, n)
		})
	}}, nil
}

// filedPages are those of an exported file, compressed if its name ends in .gz.
func filedPages(path string) (pages, error) {
	info, err := os.Stat(path)
	if err != nil {
		return pages{}, err
	}
	return pages{name: path, size: info.Size(), read: func(_ context.Context, each func([]byte, int64) error) error {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		counted := &countingReader{r: f}
		in := io.Reader(counted)
		if strings.HasSuffix(path, ".gz") {
			z, err := gzip.NewReader(bufio.NewReaderSize(counted, 1<<16))
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			in = z
		}
		lines := bufio.NewReaderSize(in, 1<<18)
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if len(line) > 1 {
				if err := each(line, counted.n); err != nil {
					return fmt.Errorf("%s line %d: %w", path, n, err)
				}
			}
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case err != nil:
				return fmt.Errorf("%s line %d: %w", path, n, err)
			}
		}
	}}, nil
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// bundle is how many pages are decoded together; bundlesAhead how many bundles may
// wait for the floor.
const (
	bundle       = 256
	bundlesAhead = 16
)

// decoding is a bundle on its way: read, then decoded by any goroutine, then used
// in the order it was read.
type decoding struct {
	bodies [][]byte
	pages  []page
	done   int64
	err    error
	ready  chan struct{}
}

// each decodes the pages on all processors, for that costs many times what the
// floor does with them, and gives them in order.
func (p pages) each(ctx context.Context, use func(p page, done int64) error) error {
	ctx, cancel := context.WithCancel(ctx)
	work, inOrder := make(chan *decoding), make(chan *decoding, bundlesAhead)
	defer func() { // the reader is gone when this returns
		cancel()
		for range inOrder {
		}
	}()
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for b := range work {
				b.decode()
			}
		}()
	}
	var failed error // read after inOrder is closed
	go func() {
		defer close(inOrder)
		defer close(work)
		next := &decoding{ready: make(chan struct{})}
		send := func() error {
			b := next
			next = &decoding{ready: make(chan struct{})}
			select {
			case inOrder <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
			select {
			case work <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
			return nil
		}
		failed = p.read(ctx, func(body []byte, done int64) error {
			next.bodies, next.done = append(next.bodies, body), done
			if len(next.bodies) < bundle {
				return ctx.Err()
			}
			return send()
		})
		if failed == nil {
			failed = send()
		}
	}()
	for b := range inOrder {
		select {
		case <-b.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		if b.err != nil {
			return fmt.Errorf("%s: %w", p.name, b.err)
		}
		for i := range b.pages {
			if err := use(b.pages[i], b.done); err != nil {
				return err
			}
		}
	}
	return failed
}

func (b *decoding) decode() {
	defer close(b.ready)
	b.pages = make([]page, len(b.bodies))
	for i, body := range b.bodies {
		if err := json.Unmarshal(body, &b.pages[i]); err != nil {
			b.err = fmt.Errorf("journal page: %w", err)
			return
		}
	}
	b.bodies = nil
}

// judge replays pages and compares, page by page, the hash of all decisions with the
// one the switch wrote down when it decided.
type judge struct {
	verdict
	floor *acd.Floor
	sum   *acd.Hash
	see   func(acd.Record, []acd.Action) // shown every record from the first beginning on; may be nil

	before []page // while there was no beginning: what a checkpoint may be of stands before it
}

// mostBefore bounds what is kept of pages without a beginning: a checkpoint stands no
// further behind the page it is of.
const mostBefore = 20_000

func (j *judge) page(p page) error {
	switch {
	case p.Checkpoint != nil:
		return j.begin(p.Checkpoint)
	case j.floor == nil && p.subject() != subjectStart:
		if len(j.before) == mostBefore {
			j.before = append(j.before[:0], j.before[mostBefore/2:]...)
		}
		j.before = append(j.before, p)
		return nil
	}
	return j.records(p)
}

// begin begins with a checkpoint, unless that cannot be read or somebody else was first.
func (j *judge) begin(c *checkpoint) error {
	if j.floor != nil {
		return nil
	}
	f, err := c.floor()
	if err != nil {
		return nil // another one will do, or the start of a switch
	}
	j.floor, j.sum = f, acd.ResumeHash(c.Hash)
	j.lives++
	if j.see != nil {
		seenAs(f, c.At, j.see)
	}
	before := j.before
	j.before = nil
	for _, p := range before {
		if len(p.Records) == 0 || p.Records[0].Seq <= c.Seq {
			continue
		}
		if err := j.records(p); err != nil {
			return err
		}
	}
	return nil
}

func (j *judge) records(p page) error {
	for i, r := range p.Records {
		if r.Event.Kind == acd.Started {
			j.floor, j.sum = acd.NewFloor(), acd.NewHash()
			j.lives++
		}
		if j.floor == nil {
			continue // the beginning of this life is older than the journal keeps
		}
		if i == 0 && r.Event.Kind != acd.Started && p.Decided != j.sum.Sum() {
			return fmt.Errorf("event %d of %s: the replay decides otherwise than the switch did (hash %016x, was %016x)",
				r.Seq, r.At.Format("2006-01-02 15:04:05.000"), j.sum.Sum(), p.Decided)
		}
		actions := j.floor.Step(r.At, r.Event)
		j.sum.Add(r, actions)
		j.hash = j.sum.Sum()
		j.events++
		j.decisions += len(actions)
		if j.see != nil {
			j.see(r, actions)
		}
	}
	return nil
}

// ended is what there is to say when all pages have been judged.
func (j *judge) ended() error {
	if j.sum == nil {
		return errors.New("the journal is empty, or reaches back to no start of the switch")
	}
	return nil
}
