package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// bar shows on a terminal how far something has come; elsewhere it shows nothing.
type bar struct {
	out   io.Writer // nil: nowhere
	shown time.Time
	wide  int
}

func newBar(f *os.File) *bar {
	if !isTerminal(f) {
		return &bar{}
	}
	return &bar{out: f}
}

// barPause is the time between two looks of the bar.
const barPause = 100 * time.Millisecond

func (b *bar) show(what string, done, of int64) {
	if b.out == nil || of <= 0 {
		return
	}
	now := time.Now()
	if now.Sub(b.shown) < barPause {
		return
	}
	b.shown = now
	const width = 40
	share := min(max(float64(done)/float64(of), 0), 1)
	n := int(share * width)
	text := fmt.Sprintf("%-9s [%s%s] %3.0f %%", what, strings.Repeat("#", n), strings.Repeat(".", width-n), 100*share)
	b.wide = max(b.wide, len(text))
	fmt.Fprint(b.out, "\r"+text)
}

// end takes the bar away.
func (b *bar) end() {
	if b.out != nil && b.wide > 0 {
		fmt.Fprint(b.out, "\r"+strings.Repeat(" ", b.wide)+"\r")
	}
}
