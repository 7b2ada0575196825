package imports

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// counted passes an object's bytes on, hashing them.
type counted struct {
	r     io.Reader
	hash  hash.Hash
	n     int64
	ended bool  // read to its end
	err   error // of the place
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	_, _ = c.hash.Write(p[:n]) // a hash never fails
	c.n += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		c.ended = true
	case err != nil:
		c.err = err
	}
	return n, err
}

// placeError is a failure of the place: the same file can be read later.
type placeError struct{ error }

func (e placeError) Unwrap() error { return e.error }

// process reads a file that was claimed, and leaves it finished or postponed. An error is one of the database's, or ctx
// ended; errLost says that somebody else has the file.
func (i *Importer) process(ctx context.Context, f File) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	kept := make(chan struct{})
	go func() { defer close(kept); i.keep(ctx, f, func() { cancel(errLost) }) }()
	defer func() { cancel(nil); <-kept }()
	e, seen, err := i.read(ctx, f)
	switch cause := context.Cause(ctx); {
	case err == nil:
		if err := i.finish(ctx, f, e); err != nil {
			return err
		}
		i.tell(f, e)
		return nil
	case errors.Is(err, errLost) || errors.Is(cause, errLost):
		return errLost
	case cause != nil:
		return errors.Join(cause, i.postpone(ctx, f, f.object(), f.Reason, f.failures, 0))
	case errors.Is(err, errAnew):
		return i.postpone(ctx, f, seen, "it changed before it was read", 0, i.c.Settle)
	}
	if failure := (placeError{}); errors.As(err, &failure) {
		i.c.Logger.Warn("a file can't be read now", "file", f.N, "name", f.Name, "error", err)
		i.stats.failures.Add(1)
		return i.postpone(ctx, f, f.object(), err.Error(), f.failures+1, patience(f.failures))
	}
	return err
}

// patience is how long to leave a file alone that couldn't be read several times.
func patience(failures int) time.Duration { return min(time.Second<<min(failures, 20), 5*time.Minute) }

func (f File) object() Object { return Object{f.Name, f.Size, f.ModifiedAt} }

// errAnew says that the object isn't the one that was registered, and nothing of that was read.
var errAnew = errors.New("the object changed before it was read")

// read reads a file and records its events; seen is the object that it found.
func (i *Importer) read(ctx context.Context, f File) (e ending, seen Object, err error) {
	rule := i.c.Rules.For(f.Name)
	format, ok := rule.format(f.Name)
	if !ok {
		return ending{state: Failed, reason: "the name doesn't tell the format, and no rule does: give its prefix one, then retry"}, seen, nil
	}
	o, err := i.c.Place.Open(ctx, f.Name)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return ending{state: Gone, reason: "it was taken away before it was read to its end"}, seen, nil
	case err != nil:
		return e, seen, placeError{err}
	}
	defer o.Close()
	switch {
	case o.same(f.object()):
	case f.Resume == 0:
		return e, o.Object, errAnew
	default:
		return ending{state: Failed, reason: "it was replaced while it was read: what was recorded of it stays; retry reads what is there now"}, seen, nil
	}
	raw := &counted{r: o, hash: sha256.New()}
	if f.Pass == 1 && f.Resume == 0 && f.Version > 1 {
		e, decided, err := i.compare(ctx, f, raw)
		if err != nil || decided {
			e.etag = o.ETag
			return e, seen, err
		}
		return i.again(ctx, f) // nothing is known of what was there before: read it from the beginning
	}
	e, err = i.record(ctx, f, rule, format, o, raw)
	return e, seen, err
}

// again opens a file anew after its bytes were compared.
func (i *Importer) again(ctx context.Context, f File) (ending, Object, error) {
	f.Version = 1
	return i.read(ctx, f)
}

// What was found under the same name before: the last of which anything was settled, and whether one had the same bytes.
const sqlBefore = `
SELECT COALESCE(max(n) FILTER (WHERE recorded + duplicate + conflict + invalid > 0), 0), COALESCE(bool_or(sha256 = $4), false)
FROM ledger.import_files
WHERE location = $1 AND name = $2 AND version < $3`

// compare holds an object against what was found under its name before; decided says that it isn't to be read.
func (i *Importer) compare(ctx context.Context, f File, raw *counted) (e ending, decided bool, err error) {
	if _, err := io.Copy(io.Discard, contextReader{ctx, raw}); err != nil {
		return e, false, placeError{err}
	}
	e.sha256 = raw.hash.Sum(nil)
	var n int64
	var same bool
	if err = i.pool.QueryRow(ctx, sqlBefore, f.Location, f.Name, f.Version, e.sha256).Scan(&n, &same); err != nil {
		return e, false, fmt.Errorf("look up what was read before: %w", err)
	}
	switch {
	case same:
		e.state = Same
	case n > 0:
		e.state = Changed
		e.reason = fmt.Sprintf("file %d was read under this name with other content, or in part: retry reads this one too, discard leaves it", n)
	}
	return e, same || n > 0, nil
}

// contextReader ends reading with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// record decodes an object and records what is behind the resume point of its file.
func (i *Importer) record(ctx context.Context, f File, rule Rule, format wire.Format, o *Opened, raw *counted) (ending, error) {
	measures, err := i.c.Ledger.DeclaredMeasures(ctx)
	if err != nil {
		return ending{}, err
	}
	options := wire.Options{Measures: measures, Mapping: rule.Mapping, PayloadColumns: rule.PayloadColumns, Workers: 2}
	if format != wire.CSV {
		options.PayloadColumns = nil
	}
	w := &recorder{i: i, f: f, at: f.Resume}
	r, err := wire.Decompress(raw)
	if err == nil {
		err = wire.Decode(ctx, bufio.NewReaderSize(r, 256<<10), format, options, func(b wire.Batch) error { return w.batch(ctx, b.Items) })
		r.Close()
	}
	e := ending{state: Done, etag: o.ETag, format: format, rule: rule}
	switch {
	case w.err != nil:
		return e, w.err
	case ctx.Err() != nil:
		return e, ctx.Err()
	case raw.err != nil:
		return e, placeError{raw.err}
	case err != nil:
		e.state, e.reason = Failed, ledger.Message(err)
	}
	// Behind the end of what was decoded there may be more, such as padding; the digest is that of all of it.
	if _, err := io.Copy(io.Discard, contextReader{ctx, raw}); err != nil {
		return e, placeError{err}
	}
	e.sha256 = raw.hash.Sum(nil)
	unchanged, err := o.Unchanged(ctx)
	switch {
	case err != nil:
		return e, placeError{err}
	case !unchanged || raw.n != o.Size:
		e.state, e.reason = Failed, "it changed while it was read: what was recorded of it stays; retry reads what is there now"
	}
	return e, nil
}
