package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/term"
)

// bar draws progress on a terminal, and nothing elsewhere. It uses no colours.
type bar struct {
	w     io.Writer
	start time.Time
	drawn time.Time
	label string
}

// newBar returns nil, which draws nothing, where w is no terminal.
func newBar(w io.Writer) *bar {
	f, ok := w.(interface{ Fd() uintptr })
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &bar{w: w}
}

const redraw = 100 * time.Millisecond

// show draws how many bytes are done, at most ten times a second. A new label starts a new line.
func (b *bar) show(label string, done, total int64) {
	if b == nil || total <= 0 {
		return
	}
	now := time.Now()
	if label != b.label {
		b.label, b.start, b.drawn = label, now, time.Time{}
	}
	if done < total && now.Sub(b.drawn) < redraw || b.start.IsZero() {
		return
	}
	b.drawn = now
	fmt.Fprint(b.w, "\r"+line(label, done, total, now.Sub(b.start)))
	if done >= total {
		fmt.Fprintln(b.w)
		b.start = time.Time{} // the line is done
	}
}

// status draws a line of text in the place of the one before, at most ten times a second.
func (b *bar) status(text string) {
	if b == nil {
		return
	}
	if now := time.Now(); now.Sub(b.drawn) >= redraw {
		b.drawn = now
		fmt.Fprintf(b.w, "\r%-*s", len(b.label), text)
	}
	b.label = text
}

// end draws the last status, whenever that was.
func (b *bar) end() {
	if b != nil && b.label != "" {
		fmt.Fprintf(b.w, "\r%s\n", b.label)
	}
}

// line is one state of the bar, always equally long for a label.
func line(label string, done, total int64, elapsed time.Duration) string {
	done = min(done, total)
	rate := 0.0
	if elapsed > 0 {
		rate = float64(done) / elapsed.Seconds() / 1e6
	}
	return fmt.Sprintf("%s [%-30s] %3d%% %7.1f MB/s", label, strings.Repeat("=", int(30*done/total)), 100*done/total, rate)
}
