package ring

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/puzpuzpuz/xsync/v4"
)

// payload is as large as an event of the floor.
type payload struct {
	kind uint8
	_    [4]string
	_    [6]int
	_    *int
}

// BenchmarkQueues moves b.N events from producers to one consumer that sleeps
// when there is nothing, through the ring, a Go channel and the bounded queue of
// xsync, which offers no way to sleep and is polled.
func BenchmarkQueues(b *testing.B) {
	const size = 1 << 12
	for _, producers := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("producers=%d/ring", producers), func(b *testing.B) {
			r := New[payload](size)
			move(b, producers, r.Post, func() {
				for range b.N {
					for _, ok := r.Take(); !ok; _, ok = r.Take() {
						<-r.Ready()
					}
				}
			})
		})
		b.Run(fmt.Sprintf("producers=%d/channel", producers), func(b *testing.B) {
			c := make(chan payload, size)
			move(b, producers, func(v payload) { c <- v }, func() {
				for range b.N {
					<-c
				}
			})
		})
		b.Run(fmt.Sprintf("producers=%d/xsync", producers), func(b *testing.B) {
			q := xsync.NewMPMCQueue[payload](size)
			move(b, producers, func(v payload) {
				for !q.TryEnqueue(v) {
					runtime.Gosched()
				}
			}, func() {
				for range b.N {
					for _, ok := q.TryDequeue(); !ok; _, ok = q.TryDequeue() {
						runtime.Gosched()
					}
				}
			})
		})
	}
}

func move(b *testing.B, producers int, post func(payload), consume func()) {
	b.ReportAllocs()
	var working sync.WaitGroup
	for p := range producers {
		n := b.N / producers
		if p < b.N%producers {
			n++
		}
		working.Go(func() {
			for range n {
				post(payload{kind: 1})
			}
		})
	}
	consume()
	working.Wait()
}

// BenchmarkAlone is the cost of one event with nobody in the way.
func BenchmarkAlone(b *testing.B) {
	b.Run("ring", func(b *testing.B) {
		r := New[payload](1 << 12)
		b.ReportAllocs()
		for b.Loop() {
			r.Post(payload{kind: 1})
			r.Take()
		}
	})
	b.Run("channel", func(b *testing.B) {
		c := make(chan payload, 1<<12)
		b.ReportAllocs()
		for b.Loop() {
			c <- payload{kind: 1}
			<-c
		}
	})
	b.Run("xsync", func(b *testing.B) {
		q := xsync.NewMPMCQueue[payload](1 << 12)
		b.ReportAllocs()
		for b.Loop() {
			q.TryEnqueue(payload{kind: 1})
			q.TryDequeue()
		}
	})
}
