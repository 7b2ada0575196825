package wire

import (
	"context"
	"errors"
	"io"
	"sync"

	"deltaledger/ledger/pace"
)

// pipeline reads on one goroutine, decodes on several, and hands batches on in order (or, if they may be
// concurrent, from where they were decoded). What is under way is bounded by its channels.
type pipeline struct {
	options Options
	each    func(Batch) error
	free    chan *chunk // buffers that nobody uses
	work    chan *job   // for the workers
	order   chan *job   // the same jobs in the order of the input; unused if concurrent
	read    chan error  // what ended the reading; nil at the end of the input

	once sync.Once
	err  error // the first error of each
	stop context.CancelFunc
}

// job is a chunk, and its batch once done is closed.
type job struct {
	n     int
	chunk *chunk
	batch Batch
	done  chan struct{}
}

func newPipeline(o Options, each func(Batch) error) *pipeline {
	buffers := o.Workers + 2
	p := &pipeline{
		options: o, each: each,
		free: make(chan *chunk, buffers), work: make(chan *job), order: make(chan *job, o.Workers), read: make(chan error, 1),
	}
	for range buffers {
		p.free <- &chunk{}
	}
	return p
}

func (p *pipeline) run(ctx context.Context, r io.Reader, s splitter) error {
	ctx, p.stop = context.WithCancel(ctx)
	defer p.stop()
	go p.readAll(ctx, r, s)
	var workers sync.WaitGroup
	for range p.options.Workers {
		workers.Go(func() { p.decode(ctx) })
	}
	if !p.options.Concurrent {
		p.deliver(ctx)
	}
	workers.Wait()
	if p.err != nil {
		return p.err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return <-p.read
}

// readAll cuts the input into jobs.
func (p *pipeline) readAll(ctx context.Context, r io.Reader, s splitter) {
	defer close(p.order)
	defer close(p.work)
	f := &feed{ctx: ctx, r: r, size: p.options.Size}
	defer func() {
		if errors.Is(f.err, io.EOF) {
			f.err = nil
		}
		p.read <- f.err
	}()
	n, blank := 0, 0
	for more := true; more; {
		var c *chunk
		select {
		case c = <-p.free:
		case <-ctx.Done():
			f.err = ctx.Err()
			return
		}
		f.begin(c)
		for more && len(c.records) < p.options.BatchSize && f.pos < maxChunk {
			more = s.split(f, c)
		}
		f.finish(c)
		if len(c.records) == 0 { // a long stretch of nothing counts with what follows it
			blank += c.size
			p.free <- c
			continue
		}
		c.size, blank = c.size+blank, 0
		if !p.send(ctx, &job{n: n, chunk: c, done: make(chan struct{})}) {
			f.err = ctx.Err()
			return
		}
		n++
	}
}

func (p *pipeline) send(ctx context.Context, j *job) bool {
	if !p.options.Concurrent {
		select {
		case p.order <- j:
		case <-ctx.Done():
			return false
		}
	}
	select {
	case p.work <- j:
		return true
	case <-ctx.Done():
		return false
	}
}

// decode works until there are no more jobs.
func (p *pipeline) decode(ctx context.Context) {
	w := newWorker(p.options)
	w.steps = pace.Of(ctx)
	for {
		select {
		case j, more := <-p.work:
			if !more {
				return
			}
			j.batch = w.batch(j.n, j.chunk)
			p.free <- j.chunk
			j.chunk = nil
			if p.options.Concurrent {
				p.hand(ctx, j.batch)
			}
			close(j.done)
		case <-ctx.Done():
			return
		}
	}
}

// deliver hands batches on in the order of the input.
func (p *pipeline) deliver(ctx context.Context) {
	for {
		select {
		case j, more := <-p.order:
			if !more {
				return
			}
			select {
			case <-j.done:
				p.hand(ctx, j.batch)
			case <-ctx.Done():
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// hand calls each, unless all was stopped, and stops all if it fails.
func (p *pipeline) hand(ctx context.Context, b Batch) {
	if ctx.Err() != nil {
		return
	}
	if err := p.each(b); err != nil {
		p.once.Do(func() { p.err = err })
		p.stop()
	}
}
