package imports

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/ledger/wire"
)

// MaxProblems is how many bad rows of a pass of a file are kept. All are counted.
const MaxProblems = 10_000

// recorder records the batches of a file, one after the other.
type recorder struct {
	i   *Importer
	f   File  // as it was taken up, with the counts so far
	n   int64 // items that were decoded
	at  int64 // items that are settled
	err error // of a batch: not the file's fault
}

// batch settles the items of a batch that aren't settled yet.
func (w *recorder) batch(ctx context.Context, items []wire.Item) error {
	first := w.n
	w.n += int64(len(items))
	if w.n <= w.at {
		return nil
	}
	if first < w.at {
		items = items[w.at-first:]
	}
	for wait := leastPause; ; wait = min(2*wait, mostPause) {
		err := w.write(ctx, items)
		if err == nil {
			return nil
		}
		if w.err = w.heal(ctx, err, int64(len(items)), wait); w.err != nil {
			return w.err
		}
		if w.at == w.n { // it was done, and only the answer was lost
			return nil
		}
	}
}

// A database that is away, or full, is asked again within these spans.
const (
	leastPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

const sqlPlace = `SELECT resume, recorded, duplicate, conflict, invalid, attempt, state FROM ledger.import_files WHERE n = $1`

// heal waits after a batch that failed, and finds out whether it was recorded all the same. An error ends the file.
func (w *recorder) heal(ctx context.Context, failed error, n int64, wait time.Duration) error {
	if pg.IsRefused(failed) || pg.IsUndefined(failed) || errors.Is(failed, errLost) || ctx.Err() != nil {
		return failed
	}
	w.i.c.Logger.Warn("events of a file can't be recorded; trying again", "file", w.f.N, "name", w.f.Name, "error", failed)
	for {
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		var attempt int
		var state State
		f := w.f
		err := w.i.pool.QueryRow(ctx, sqlPlace, w.f.N).Scan(&f.Resume, &f.Recorded, &f.Duplicate, &f.Conflict, &f.Invalid, &attempt, &state)
		if err != nil {
			continue
		}
		if attempt != w.f.Attempt || state != Running || f.Resume != w.at && f.Resume != w.at+n {
			return errLost
		}
		w.f, w.at = f, f.Resume
		return nil
	}
}

// Sees that the file is still ours, and keeps it so until the transaction ends: whoever wants to take it over passes it by.
const sqlHold = `
SELECT FROM ledger.import_files
WHERE n = $1 AND attempt = $2 AND state = 'running' AND resume = $3
FOR UPDATE`

const sqlSettle = `
UPDATE ledger.import_files
SET resume = resume + $3 + $4 + $5 + $6, recorded = recorded + $3, duplicate = duplicate + $4, conflict = conflict + $5, invalid = invalid + $6,
    leased_until = clock_timestamp() + $7::interval, failures = 0, reason = NULL
WHERE n = $1 AND attempt = $2`

// write records items, with their problems and the file's new resume point, in one transaction.
func (w *recorder) write(ctx context.Context, items []wire.Item) error {
	events := make([]ledger.Event, 0, len(items))
	for k := range items {
		if items[k].Err == nil {
			events = append(events, items[k].Event)
		}
	}
	b, err := w.i.c.Ledger.Prepare(ctx, events)
	if err != nil {
		return err
	}
	var sum wire.Summary
	err = w.i.c.Ledger.WriteAlong(ctx, b, ledger.Along{
		First: func(ctx context.Context, tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, sqlHold, w.f.N, w.f.Attempt, w.at)
			if err == nil && tag.RowsAffected() == 0 {
				err = errLost
			}
			return err
		},
		Last: func(ctx context.Context, tx pgx.Tx, outcomes []ledger.Outcome) error {
			var bad []numbered
			sum, bad = w.sum(items, outcomes)
			if err := w.keepBad(ctx, tx, bad); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, sqlSettle, w.f.N, w.f.Attempt, sum.Recorded, sum.Duplicate, sum.Conflict, sum.Invalid, w.i.c.Lease)
			return err
		},
	})
	if err != nil {
		return err
	}
	w.at += int64(len(items))
	w.f.Resume, w.f.Conflict, w.f.Invalid = w.at, w.f.Conflict+sum.Conflict, w.f.Invalid+sum.Invalid
	w.i.stats.settled(sum)
	return nil
}

// numbered is a bad row and its number in the file.
type numbered struct {
	item int64
	wire.Problem
}

// sum counts what became of items.
func (w *recorder) sum(items []wire.Item, outcomes []ledger.Outcome) (sum wire.Summary, bad []numbered) {
	k := 0
	for n := range items {
		o := ledger.Outcome{Status: ledger.Rejected, Err: items[n].Err}
		if items[n].Err == nil {
			o = outcomes[k]
			k++
		}
		switch o.Status {
		case ledger.Recorded:
			sum.Recorded++
			continue
		case ledger.Duplicate:
			sum.Duplicate++
			continue
		case ledger.Conflict:
			sum.Conflict++
		default:
			sum.Invalid++
		}
		bad = append(bad, numbered{w.at + int64(n) + 1, wire.ProblemOf(&items[n], o)})
	}
	return sum, bad
}

const sqlKeepBad = `
INSERT INTO ledger.import_problems (file, pass, item, line, status, event_id, field, value, rule, differs, existing_position)
SELECT $1, $2, p.item, p.line, p.status, NULLIF(p.event_id, ''), NULLIF(p.field, ''), NULLIF(p.value, ''), NULLIF(p.rule, ''),
       string_to_array(NULLIF(p.differs, ''), ','), NULLIF(p.existing, 0)
FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::bigint[])
    AS p (item, line, status, event_id, field, value, rule, differs, existing)`

// keepBad keeps bad rows, as far as there is room.
func (w *recorder) keepBad(ctx context.Context, tx pgx.Tx, bad []numbered) error {
	if room := max(0, MaxProblems-w.f.Bad()); int64(len(bad)) > room {
		bad = bad[:room]
	}
	if len(bad) == 0 {
		return nil
	}
	var items, lines, existing []int64
	var status, ids, fields, values, rules, differs []string
	for _, b := range bad {
		items, lines, existing = append(items, b.item), append(lines, b.Line), append(existing, b.Position)
		status, ids, fields = append(status, string(b.Status)), append(ids, b.ID), append(fields, b.Field)
		values, rules, differs = append(values, b.Value), append(rules, b.Rule), append(differs, strings.Join(b.Differs, ","))
	}
	if _, err := tx.Exec(ctx, sqlKeepBad, w.f.N, w.f.Pass, items, lines, status, ids, fields, values, rules, differs, existing); err != nil {
		return fmt.Errorf("keep bad rows: %w", err)
	}
	return nil
}
