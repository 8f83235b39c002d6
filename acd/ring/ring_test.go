package ring

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSizeIsRoundedUpToAPowerOfTwo(t *testing.T) {
	for asked, want := range map[int]int{-1: 2, 0: 2, 1: 2, 2: 2, 3: 4, 4: 4, 5: 8, 1000: 1024, 1024: 1024} {
		if got := New[int](asked).Cap(); got != want {
			t.Errorf("New(%d) holds %d, want %d", asked, got, want)
		}
	}
}

func TestFullRefusesAndEmptyGivesNothing(t *testing.T) {
	r := New[int](4)
	for lap := range 3 {
		for i := range 4 {
			if !r.TryPost(lap*10 + i) {
				t.Fatalf("lap %d: refused event %d of 4", lap, i)
			}
		}
		if r.TryPost(99) {
			t.Fatal("took a fifth event into four places")
		}
		if r.Len() != 4 {
			t.Fatalf("Len = %d, want 4", r.Len())
		}
		for i := range 4 {
			if v, ok := r.Take(); !ok || v != lap*10+i {
				t.Fatalf("took %d, %v; want %d", v, ok, lap*10+i)
			}
		}
		if v, ok := r.Take(); ok || v != 0 || r.Len() != 0 {
			t.Fatalf("took %d, %v from an empty ring of length %d", v, ok, r.Len())
		}
	}
	if r.Full() != 0 {
		t.Errorf("Full = %d: TryPost does not wait", r.Full())
	}
}

// One goroutine alone must see a plain bounded queue, whatever it does.
func TestAgreesWithASlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := New[int](rapid.IntRange(1, 9).Draw(t, "size"))
		var model []int
		for n := range rapid.IntRange(0, 200).Draw(t, "steps") {
			if rapid.Bool().Draw(t, "post") {
				if ok := r.TryPost(n); ok != (len(model) < r.Cap()) {
					t.Fatalf("TryPost = %v with %d of %d", ok, len(model), r.Cap())
				} else if ok {
					model = append(model, n)
				}
				continue
			}
			v, ok := r.Take()
			if ok != (len(model) > 0) || ok && v != model[0] {
				t.Fatalf("Take = %d, %v; want the first of %v", v, ok, model)
			}
			if ok {
				model = model[1:]
			}
			if r.Len() != len(model) {
				t.Fatalf("Len = %d, want %d", r.Len(), len(model))
			}
		}
	})
}

func TestPostWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](2)
		r.Post(1)
		r.Post(2)
		posted := make(chan int, 3)
		for _, v := range []int{3, 4, 5} {
			go func() { r.Post(v); posted <- v }()
		}
		synctest.Wait()
		if len(posted) != 0 || r.Full() != 3 {
			t.Fatalf("%d posts went through a full ring; Full = %d, want 3", len(posted), r.Full())
		}
		for room := 1; room <= 3; room++ {
			if _, ok := r.Take(); !ok {
				t.Fatal("nothing to take")
			}
			synctest.Wait()
			if len(posted) != room || r.Len() != 2 {
				t.Fatalf("after %d places: %d posted, %d inside", room, len(posted), r.Len())
			}
		}
	})
}

// The consumer frees two places before the first of two sleepers has run, and
// never takes again: both must wake nevertheless.
func TestEveryParkedProducerWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](2)
		r.Post(1)
		r.Post(2)
		done := make(chan struct{}, 2)
		for range 2 {
			go func() { r.Post(3); done <- struct{}{} }()
		}
		synctest.Wait()
		r.Take()
		r.Take()
		synctest.Wait()
		if len(done) != 2 {
			t.Fatalf("%d of 2 parked producers woke", len(done))
		}
	})
}

func TestConsumerSleepsUntilSomethingComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New[int](8)
		var got []int
		go func() {
			for len(got) < 3 {
				if v, ok := r.Take(); ok {
					got = append(got, v)
					continue
				}
				<-r.Ready()
			}
		}()
		for v := range 3 {
			synctest.Wait() // the consumer is parked
			r.Post(v)
		}
		synctest.Wait()
		if fmt.Sprint(got) != "[0 1 2]" {
			t.Fatalf("took %v", got)
		}
	})
}

// event says who posted it and as which of theirs; the padding makes it as
// large as what the switch posts, so that a torn copy would show.
type event struct {
	producer, number int
	_                [16]int
	end              int
}

// consume takes n events by polling or by parking, and fails if one is lost,
// doubled, torn or out of its producer's order.
func consume(t *testing.T, r *Ring[event], producers, each int) {
	t.Helper()
	next := make([]int, producers)
	for n := 0; n < producers*each; {
		ev, ok := r.Take()
		if !ok {
			<-r.Ready()
			continue
		}
		if ev.number != next[ev.producer] || ev.end != ev.number {
			t.Fatalf("producer %d: took event %d (end %d), want %d", ev.producer, ev.number, ev.end, next[ev.producer])
		}
		next[ev.producer]++
		n++
	}
	if ev, ok := r.Take(); ok {
		t.Fatalf("one event too many: %+v", ev)
	}
}

func TestManyProducersLoseNothing(t *testing.T) {
	for _, size := range []int{2, 4, 64, 1024} {
		for _, producers := range []int{1, 3, 16} {
			t.Run(fmt.Sprintf("%d places, %d producers", size, producers), func(t *testing.T) {
				each := 20_000 / producers
				if testing.Short() {
					each /= 10
				}
				r := New[event](size)
				var working sync.WaitGroup
				for p := range producers {
					working.Go(func() {
						for n := range each {
							r.Post(event{producer: p, number: n, end: n})
						}
					})
				}
				consume(t, r, producers, each)
				working.Wait()
				if r.Len() != 0 {
					t.Errorf("%d left inside", r.Len())
				}
			})
		}
	}
}

// Producers that never wait and one that does share a ring of two places.
func TestTryPostAndPostTogether(t *testing.T) {
	const each = 3000
	r := New[event](2)
	var working sync.WaitGroup
	for p := range 4 {
		working.Go(func() {
			for n := range each {
				ev := event{producer: p, number: n, end: n}
				if p == 0 {
					r.Post(ev)
					continue
				}
				for !r.TryPost(ev) {
					runtime.Gosched()
				}
			}
		})
	}
	consume(t, r, 4, each)
	working.Wait()
}

func TestNothingIsAllocatedPerEvent(t *testing.T) {
	r := New[event](8)
	if n := testing.AllocsPerRun(1000, func() {
		r.Post(event{number: 1})
		r.TryPost(event{number: 2})
		r.Take()
		r.Take()
		r.Take()
	}); n != 0 {
		t.Errorf("%v allocations for two events", n)
	}
}

func TestTakenEventsAreForgotten(t *testing.T) {
	r := New[*int](2)
	r.Post(new(int))
	r.Take()
	for i := range r.slots {
		if r.slots[i].val != nil {
			t.Errorf("slot %d still holds what was taken", i)
		}
	}
}
