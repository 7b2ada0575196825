package export

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Tuples travel through the pipeline in chunks of about this size, a few at a time: all the memory that a
// file takes, however long it is.
const (
	chunkSize = 256 << 10
	inFlight  = 4
)

// streamed is what came out of the pipeline.
type streamed struct {
	tally tally
	bytes int64
	sum   []byte // SHA-256
}

// stream sends the file through three stages that run at the same time: rows from PostgreSQL, lines made of
// them, and their hash on the way to w.
func (f File) stream(ctx context.Context, w io.Writer) (streamed, error) {
	enc := newEncoder(f.columns, f.Month)
	out := &hashed{to: w, hash: sha256.New()}
	if _, err := out.Write(appendHeader(nil, f.Header)); err != nil {
		return streamed{}, err
	}
	if f.Rows > 0 {
		if err := f.pipe(ctx, enc, out); err != nil {
			return streamed{}, err
		}
	}
	return streamed{tally: enc.tally, bytes: out.bytes, sum: out.hash.Sum(nil)}, nil
}

func (f File) pipe(parent context.Context, enc *encoder, out io.Writer) error {
	group, ctx := errgroup.WithContext(parent)
	tuples, lines := newPipe(ctx.Done()), newPipe(ctx.Done())
	group.Go(func() error { return f.read(ctx, &rowWriter{pipe: tuples}) })
	group.Go(func() error { return encode(enc, tuples, lines) })
	group.Go(func() error {
		for {
			b, err := lines.receive()
			if b == nil || err != nil {
				return err
			}
			if _, err := out.Write(b); err != nil {
				return err
			}
			lines.give(b)
		}
	})
	if err := group.Wait(); !errors.Is(err, errStopped) {
		return err
	}
	return parent.Err() // only its end stops a stage before any has failed
}

// encode makes lines of tuples until there are no more. That the trailer came is what tells the end from
// an interruption.
func encode(enc *encoder, tuples, lines *pipe) error {
	for started := false; ; started = true {
		b, err := tuples.receive()
		if err != nil {
			return err
		}
		if b == nil {
			break
		}
		in := b
		if !started {
			var ok bool
			if in, ok = bytes.CutPrefix(in, []byte(copyHead)); !ok {
				return enc.fail(errTuple)
			}
		}
		out, err := enc.rows(lines.take(), in)
		if err != nil {
			return err
		}
		tuples.give(b)
		if len(out) == 0 {
			continue
		}
		if err := lines.send(out); err != nil {
			return err
		}
	}
	if !enc.done {
		return enc.fail(errTuple)
	}
	return lines.end()
}

// A client that reads slowly is no dead peer: the pool's limits for statements and for silence don't hold.
// The rows come in the order of the primary key, partition beside partition: sorting a month would go to
// disk, and nothing could be sent before its end.
const sqlStreaming = `
SELECT set_config('statement_timeout', '0', true), set_config('tcp_user_timeout', '0', true),
       set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`

// read copies the file's rows out of the database.
func (f File) read(ctx context.Context, w *rowWriter) error {
	err := pg.InTxWith(ctx, f.e.ledger.Pool(), pgx.TxOptions{IsoLevel: pg.ReadCommitted, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlStreaming); err != nil {
			return err
		}
		_, err := pg.CopyOut(ctx, tx, w, f.copyStatement())
		if err != nil && w.any {
			return once(err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.pipe.end()
}

// once hides from InTx that a transaction could be run again: rows of this try have left already.
func once(err error) error {
	if !pg.IsRetryable(err) {
		return err
	}
	return fmt.Errorf("interrupted: %v: %w", err, ledger.ErrBusy) //nolint:errorlint // hiding it is the point
}

// copyStatement selects the file's rows. COPY takes no parameters: what goes into its text are numbers, dates,
// and names out of the catalogue, quoted.
func (f File) copyStatement() string {
	var b strings.Builder
	b.WriteString("COPY (SELECT " + selectList(f.columns) + " FROM ledger.every_event")
	b.WriteString(" WHERE position >= " + strconv.FormatInt(f.first, 10) + " AND position <= " + strconv.FormatInt(f.last, 10))
	b.WriteString(" AND business_date < '" + f.Month.Next().First().String() + "'")
	if !f.span.Previous.IsZero() {
		b.WriteString(" AND (business_date >= '" + f.span.Previous.Next().First().String() + "'")
		b.WriteString(" OR position > " + strconv.FormatInt(f.span.PreviousWatermark, 10) + ")")
	}
	b.WriteString(" ORDER BY position) TO STDOUT (FORMAT binary)")
	return b.String()
}

// errStopped ends a stage because another one failed, whose error is the one that counts.
var errStopped = errors.New("stopped")

// pipe hands filled buffers on and takes emptied ones back.
type pipe struct {
	stop  <-chan struct{} // frees whoever waits
	full  chan []byte
	empty chan []byte
}

func newPipe(stop <-chan struct{}) *pipe {
	return &pipe{stop: stop, full: make(chan []byte, inFlight), empty: make(chan []byte, inFlight)}
}

func (p *pipe) send(b []byte) error {
	select {
	case p.full <- b:
		return nil
	case <-p.stop:
		return errStopped
	}
}

// end says that nothing more comes.
func (p *pipe) end() error { return p.send(nil) }

// receive waits for a filled buffer; nil is the end.
func (p *pipe) receive() ([]byte, error) {
	select {
	case b := <-p.full:
		return b, nil
	case <-p.stop:
		return nil, errStopped
	}
}

// take gives an empty buffer.
func (p *pipe) take() []byte {
	select {
	case b := <-p.empty:
		return b[:0]
	default:
		return make([]byte, 0, chunkSize+chunkSize/4)
	}
}

func (p *pipe) give(b []byte) {
	select {
	case p.empty <- b:
	default:
	}
}

// rowWriter gathers what the server sends into chunks. Each write is a whole row: the protocol sends one
// in each message.
type rowWriter struct {
	pipe *pipe
	buf  []byte
	any  bool
}

func (w *rowWriter) Write(p []byte) (int, error) {
	if len(w.buf)+len(p) > chunkSize && len(w.buf) > 0 {
		if err := w.flush(); err != nil {
			return 0, err
		}
	}
	if w.buf == nil {
		w.buf = w.pipe.take()
	}
	w.buf, w.any = append(w.buf, p...), true
	return len(p), nil
}

func (w *rowWriter) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	b := w.buf
	w.buf = nil
	return w.pipe.send(b)
}

// hashed counts and hashes what it passes on.
type hashed struct {
	to    io.Writer
	hash  hash.Hash
	bytes int64
}

func (h *hashed) Write(p []byte) (int, error) {
	_, _ = h.hash.Write(p) // a hash never fails
	n, err := h.to.Write(p)
	h.bytes += int64(n)
	if err == nil && n < len(p) {
		err = errors.New("short write")
	}
	return n, err
}
