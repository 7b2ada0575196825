package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// A close run closes the cycles of one account or of all, through a date. Its law:
//
//   - It takes one watermark W beforehand, in a transaction of its own, for all its accounts. What is
//     above W doesn't exist for it, whatever its recorded_at says.
//   - An account is closed through E, W: the furthest that its own rows of closes and the ended runs
//     for all accounts say. The run closes it through E', the last boundary that is due, cycle by
//     cycle, if E' is after E. W never goes back: an account that was closed at a later watermark is
//     left to another run.
//   - On time are the events of the cycles in [E, E') at any position up to W', the run's watermark.
//     They are billed in their own cycle.
//   - Late are the events before E at positions in (W, W']. They are billed in the first open cycle,
//     the one that begins at E, on lines for the cycle where they belong. An account of which
//     nothing was known when a run for all accounts passed its cycle is no exception.
//   - An event that no charge of the terms of its own cycle selects is not pinned.
//   - Where terms bill by order, the cycle of an event is that in which its order is final, and what is known of
//     that decides too what is late; see order.go.
//   - An account is done in one transaction. What goes wrong with one account is recorded, and the run
//     goes on. If an invariant doesn't hold, or the database refuses what it holds, the account is parked:
//     runs leave it out, and say so, until a person releases it. A run that is stopped leaves whole
//     accounts behind, and running it again does the rest.

// CloseRequest says what to close.
type CloseRequest struct {
	Through Date   // a local date: cycles that end by the day after it are closed; see Calendar.LastBoundary
	Account string // empty: all accounts
	By      string // who asks
	Review  bool   // the invoices stay ready until a person approves them; see Approve
	// Progress, if set, is told how many of the accounts to look at are done. It may be called from
	// several goroutines, but not at the same time.
	Progress func(done, total int)
}

// CloseResult is what a run did.
type CloseResult struct {
	Run       int64            `json:"run"`
	Watermark int64            `json:"watermark"`
	Cycles    int64            `json:"cycles"`   // closed with something in them
	Invoices  int64            `json:"invoices"` // written
	Pinned    int64            `json:"pinned"`   // events on them
	Late      int64            `json:"late"`     // of those, from cycles that were closed before
	Totals    map[string]Money `json:"totals"`   // of the invoices, by currency
	Skipped   []SkippedCycle   `json:"skipped"`  // not due yet; at most 1,000
	Failed    []FailedAccount  `json:"failed"`   // left as they were
	Parked    []ParkedAccount  `json:"parked"`   // left out: an earlier run parked them, and nobody released them
}

// SkippedCycle is a cycle that ended by the date but is inside its grace, of an account with something
// to bill.
type SkippedCycle struct {
	Account      string    `json:"account"`
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
	ClosableFrom time.Time `json:"closable_from"`
}

// FailedAccount is an account that a run couldn't close.
type FailedAccount struct {
	Account string `json:"account"`
	Reason  string `json:"reason"`
	Parked  bool   `json:"parked"` // from now on runs leave it out until a person releases it
}

// maxSkipped bounds the cycles that a result lists.
const maxSkipped = 1000

// Close closes every cycle that ends by the date and whose grace is over, and issues the invoices.
// Closing what is closed does nothing. Problems of single accounts are in the result; an error means
// that the run didn't come to its end, and may be run again. If only the issuing failed, the result is
// returned beside the error.
func (b *Billing) Close(ctx context.Context, r CloseRequest) (CloseResult, error) {
	if !r.Through.exists() {
		return CloseResult{}, ledger.Invalid("through", r.Through.String(), "must be an existing date as YYYY-MM-DD")
	}
	if err := problems(checkNote("account", r.Account), checkText("by", r.By, "must say who closes")); err != nil {
		return CloseResult{}, err
	}
	if err := b.finishReratings(ctx); err != nil {
		return CloseResult{}, wrap(err, "close: default terms for closed cycles")
	}
	w, err := b.ledger.TakeWatermark(ctx)
	if err != nil {
		return CloseResult{}, wrap(err, "close")
	}
	if err := b.DeriveAccounts(ctx, w); err != nil {
		return CloseResult{}, wrap(err, "close")
	}
	run, err := b.beginRun(ctx, r, w)
	if err != nil {
		return CloseResult{}, wrap(err, "close: begin the run")
	}
	c := &closing{Billing: b, run: run, request: r, result: CloseResult{
		Run: run.n, Watermark: w.Position, Totals: map[string]Money{}, Skipped: []SkippedCycle{}, Failed: []FailedAccount{}, Parked: []ParkedAccount{},
	}}
	if err := c.all(ctx); err != nil {
		return CloseResult{}, wrap(err, "close run %d", run.n)
	}
	if err := c.end(ctx); err != nil {
		return CloseResult{}, wrap(err, "close run %d: end it", run.n)
	}
	if _, err := b.Issue(ctx); err != nil {
		return c.result, wrap(err, "close run %d is done, but its invoices aren't issued", run.n)
	}
	return c.result, nil
}

const sqlAccountKnown = `
SELECT EXISTS (SELECT FROM billing.accounts a WHERE a.account = $1)
    OR EXISTS (SELECT FROM billing.terms t WHERE t.account = $1)`

// One run begins at a time, so that runs become visible in the order of their numbers: who knows the
// highest number knows of all before it.
const sqlLockRuns = `SELECT pg_advisory_xact_lock(17484, 9)`

const sqlInsertRun = `
INSERT INTO billing.close_runs (account, through, watermark, taken_at, terms, ran_at, ran_by)
SELECT NULLIF($1, ''), $2, $3, $4, (SELECT COALESCE(max(t.n), 0) FROM billing.terms t), $5, $6
RETURNING n`

// beginRun records the run, with the terms that it goes by for the accounts without a row.
func (b *Billing) beginRun(ctx context.Context, r CloseRequest, w ledger.Watermark) (*closeRun, error) {
	if r.Account != "" {
		var known bool
		if err := b.pool.QueryRow(ctx, sqlAccountKnown, r.Account).Scan(&known); err != nil {
			return nil, err
		}
		if !known {
			return nil, fmt.Errorf("account %q has neither events nor terms: %w", r.Account, ledger.ErrNotFound)
		}
	}
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return nil, err
	}
	run := &closeRun{through: r.Through, review: r.Review, watermark: w, catalogue: catalogue, ranAt: b.now().UTC().Truncate(time.Microsecond)}
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlHoldTerms); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlLockRuns); err != nil {
			return err
		}
		return tx.QueryRow(ctx, sqlInsertRun, r.Account, r.Through.String(), w.Position, w.TakenAt, run.ranAt, r.By).Scan(&run.n)
	})
	return run, err
}

// closing is a run under way.
type closing struct {
	*Billing
	run     *closeRun
	request CloseRequest

	mu     sync.Mutex // guards what follows while several accounts are closed at once
	result CloseResult
	done   int
	total  int
}

// job is an account to close, with what is known of its terms and of other runs.
type job struct {
	account string
	known   known
}

// all finds the accounts that have something to close and closes them.
func (c *closing) all(ctx context.Context) error {
	parked, err := c.leaveOut(ctx)
	if err != nil {
		return err
	}
	jobs, err := c.plan(ctx, parked)
	if err != nil {
		return err
	}
	c.total = len(jobs)
	c.progress()
	g, working := errgroup.WithContext(ctx)
	g.SetLimit(c.workers())
	for _, j := range jobs {
		if working.Err() != nil {
			break
		}
		g.Go(func() error { return c.one(working, j) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(c.result.Failed, func(a, b FailedAccount) int { return strings.Compare(a.Account, b.Account) })
	return ctx.Err() // a run that left accounts out must not come to its end
}

// workers is how many accounts are closed at once: enough to share the waits for the disk, and not
// so many that the others who use the pool wait.
func (c *closing) workers() int {
	const most = 8
	return int(max(1, min(most, c.pool.Config().MaxConns-2)))
}

// page is how many accounts are planned at once.
const page = 1000

// plan lists the accounts that have something to close. An account that isn't listed is closed
// all the same, without a row: by the end of the run. Those that are parked are left out.
func (c *closing) plan(ctx context.Context, parked map[string]bool) ([]job, error) {
	all, err := c.readRuns(ctx, c.pool)
	if err != nil {
		return nil, err
	}
	var jobs []job
	for after := ""; ; {
		found, err := c.pendingAfter(ctx, after, c.request.Account, page)
		if err != nil {
			return nil, fmt.Errorf("find accounts: %w", err)
		}
		if c.request.Account != "" && len(found) == 0 { // its row of closes is all that says it is closed
			found = []pending{{account: c.request.Account}}
		}
		names := make([]string, len(found))
		for i, p := range found {
			names[i] = p.account
		}
		k, err := c.readBook(ctx, c.pool, names...)
		if err != nil {
			return nil, err
		}
		for _, p := range found {
			if parked[p.account] {
				continue
			}
			j := job{account: p.account, known: known{line: k.timeline(p.account), terms: k.newest, runs: all}}
			if todo, err := c.worthwhile(p, j.known); err != nil || todo {
				jobs = append(jobs, j) // an error will show again, and be recorded
			}
		}
		if len(found) < page || c.request.Account != "" {
			return jobs, nil
		}
		after = found[len(found)-1].account
	}
}

// worthwhile reports whether a run has to look at the account's events, and notes the cycles that
// aren't due.
func (c *closing) worthwhile(p pending, k known) (bool, error) {
	cal, err := k.line.calendar()
	if err != nil {
		return false, err
	}
	closed, err := k.runs.closed(k.line, p.account, p.explicit)
	if err != nil {
		return false, err
	}
	waits := !p.from.IsZero() || p.adjusts // something came since the last close
	if waits || p.through.After(closed.end) {
		c.skipped(p, cal, closed, waits)
	}
	last := cal.LastBoundary(c.run.through, c.run.ranAt)
	if !last.After(closed.end) {
		return false, nil
	}
	if known := !closed.end.IsZero() || !cal.recursFrom().IsZero(); known && cal.recursBetween(closed.end, last) {
		return true, nil
	}
	return c.request.Account != "" || waits || p.carries || !p.through.Before(closed.end), nil
}

// skipped notes the cycles of the account that have ended by the date but are inside their grace, from
// the first that holds or will hold something.
func (c *closing) skipped(p pending, cal *Calendar, closed passage, waits bool) {
	for _, cy := range cal.Skipped(c.run.through, c.run.ranAt) {
		bills := !p.through.Before(cy.Start) || waits && cy.Start.Equal(closed.end)
		if !bills || !cy.End.After(closed.end) || len(c.result.Skipped) == maxSkipped {
			continue
		}
		c.result.Skipped = append(c.result.Skipped,
			SkippedCycle{Account: p.account, Start: cy.Start, End: cy.End, ClosableFrom: cal.Due(cy)})
	}
}

// one closes an account and adds up what was done, or records why it can't be closed.
func (c *closing) one(ctx context.Context, j job) error {
	done, err := c.closeAccount(ctx, c.run, j.account, j.known)
	var parked []ParkedAccount
	if err != nil {
		if err := c.fail(ctx, j.account, err); err != nil {
			return err
		}
	}
	if errors.Is(err, errParked) {
		var unread error
		if parked, unread = readParked(ctx, c.pool, j.account); unread != nil {
			return fmt.Errorf("account %q: read why it is parked: %w", j.account, unread)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.progress()
	switch {
	case errors.Is(err, errParked):
		c.result.Parked = append(c.result.Parked, parked...)
		return nil
	case err != nil:
		c.result.Failed = append(c.result.Failed, FailedAccount{Account: j.account, Reason: err.Error(), Parked: parks(err)})
		return nil
	}
	c.result.Cycles += done.cycles
	c.result.Invoices += done.invoices
	c.result.Pinned += done.pinned
	c.result.Late += done.late
	for currency, total := range done.totals {
		c.result.Totals[currency] = c.result.Totals[currency].plus(total, currency)
	}
	return nil
}

func (c *closing) progress() {
	if c.request.Progress != nil {
		c.request.Progress(c.done, c.total)
	}
}

// fail records that the run couldn't close an account, and parks it where the next run would find the same. What isn't
// about this account alone is returned, and ends the run.
func (c *closing) fail(ctx context.Context, account string, why error) error {
	record := c.note
	switch {
	case parks(why):
		record = c.parkAccount
	case !errors.Is(why, ledger.ErrConflict) && !errors.Is(why, errParked):
		return fmt.Errorf("account %q: %w", account, why)
	}
	if err := record(ctx, account, why.Error()); err != nil {
		return fmt.Errorf("account %q: record why it isn't closed: %w", account, err)
	}
	return nil
}

// parks reports whether an error is about one account alone and will be there again: an invariant that doesn't
// hold, or a statement that the server refused. Another run that was quicker is none, nor is a server that is
// away or has too much to do.
func parks(err error) bool {
	switch {
	case pg.IsUnavailable(err), pg.IsRetryable(err), pg.IsTimeout(err), errors.Is(err, ledger.ErrBusy), errors.Is(err, ledger.ErrConflict):
		return false
	case errors.Is(err, ledger.ErrCorrupt), errors.Is(err, ledger.ErrInvalid):
		return true
	}
	return pg.Message(err) != ""
}

const sqlInsertFailure = `
INSERT INTO billing.close_failures (run, account, reason)
VALUES ($1, $2, $3)
ON CONFLICT (run, account) DO NOTHING`

// note records why the run didn't close the account. Without the row the end of the run would.
func (c *closing) note(ctx context.Context, account, why string) error {
	_, err := c.pool.Exec(ctx, sqlInsertFailure, c.run.n, account, why)
	return err
}

const sqlEndRun = `
INSERT INTO billing.close_run_ends (run, terms, cycles, invoices, pinned, late, failed)
SELECT $1, (SELECT COALESCE(max(t.n), 0) FROM billing.terms t), $2, $3, $4, $5, $6`

// end records that the run is over: from now on it has closed every account that it didn't fail for.
func (c *closing) end(ctx context.Context) error {
	return pg.InTx(ctx, c.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlHoldTerms); err != nil {
			return err
		}
		s := &c.result
		_, err := tx.Exec(ctx, sqlEndRun, c.run.n, s.Cycles, s.Invoices, s.Pinned, s.Late, len(s.Failed)+len(s.Parked))
		return err
	})
}
