package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
)

// bar shows how far long work is, on standard error where that is a screen and the result is for people.
type bar struct{ shown *progressbar.ProgressBar }

// bytesBar is a bar over an input of size bytes; -1 where that isn't known.
func (s *session) bytesBar(what string, size int64) bar {
	if s.Quiet || s.Output != outputTable || !isTerminal(s.std.err) {
		return bar{}
	}
	return bar{progressbar.NewOptions64(size,
		progressbar.OptionSetWriter(s.std.err), progressbar.OptionSetDescription(what), progressbar.OptionShowBytes(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))}
}

// countBar is a bar over things that are counted.
func (s *session) countBar(what string) bar {
	if s.Quiet || s.Output != outputTable || !isTerminal(s.std.err) {
		return bar{}
	}
	return bar{progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(s.std.err), progressbar.OptionSetDescription(what), progressbar.OptionShowCount(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetWidth(30))}
}

// set says how many of all are done.
func (b bar) set(done, all int) {
	if b.shown != nil {
		b.shown.ChangeMax(all)
		_ = b.shown.Set(done) // as in clear
	}
}

// reader counts what is read from r.
func (b bar) reader(r io.Reader) io.Reader {
	if b.shown == nil {
		return r
	}
	reader := progressbar.NewReader(r, b.shown)
	return &reader
}

// clear takes the bar away for a line of text.
func (b bar) clear() {
	if b.shown != nil {
		_ = b.shown.Clear() // a bar that can't be drawn is no reason to fail
	}
}

func (b bar) done() {
	if b.shown != nil {
		_ = b.shown.Finish() // as in clear
	}
}
