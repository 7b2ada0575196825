package billing

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// book holds versions of terms: those of the default, and the own ones of some accounts.
type book struct {
	newest   int64              // the newest version recorded for anybody when the book was read
	defaults *timeline          // of every account without terms of its own
	own      map[string][]Terms // in the order of their versions
}

const sqlNewestTerms = `
SELECT COALESCE(max(n), 0)
FROM billing.terms`

const sqlTermsOf = `
SELECT n, account, not_before, terms
FROM billing.terms
WHERE account IS NULL OR account = ANY($1)
ORDER BY n`

// readBook reads the default terms and those of the accounts. The number of the newest version is read
// first: what is recorded in between can only make the book look older than it is.
func (b *Billing) readBook(ctx context.Context, q querier, accounts ...string) (*book, error) {
	k := &book{own: map[string][]Terms{}}
	if err := q.QueryRow(ctx, sqlNewestTerms).Scan(&k.newest); err != nil {
		return nil, fmt.Errorf("read the newest terms: %w", err)
	}
	rows, err := q.Query(ctx, sqlTermsOf, accounts)
	if err != nil {
		return nil, fmt.Errorf("read terms: %w", err)
	}
	defer rows.Close()
	defaults := []Terms{DefaultTerms(b.zone)}
	for rows.Next() {
		var n int64
		var account *string
		var notBefore *time.Time
		var raw []byte
		if err := rows.Scan(&n, &account, &notBefore, &raw); err != nil {
			return nil, fmt.Errorf("read terms: %w", err)
		}
		zone := b.zone
		if account != nil {
			zone = defaults[len(defaults)-1].Zone // as it was when they were recorded: rows come by version
		}
		t, err := ParseTerms(raw, zone)
		if err != nil {
			return nil, fmt.Errorf("terms version %d: %w: %w", n, ledger.ErrCorrupt, err)
		}
		t.Version, t.NotBefore = n, utc(notBefore)
		if account == nil {
			defaults = append(defaults, t)
			continue
		}
		t.Account = *account
		k.own[*account] = append(k.own[*account], t)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read terms: %w", err)
	}
	if old := b.defaults.Load(); old != nil && old.newest == k.newest {
		k.defaults = old.defaults // with the calendars that it has computed
		return k, nil
	}
	k.defaults = &timeline{history: defaults}
	b.defaults.Store(&book{newest: k.newest, defaults: k.defaults})
	return k, nil
}

// timeline gives the terms of an account through time. Accounts without their own share one.
func (k *book) timeline(account string) *timeline {
	own := k.own[account]
	if len(own) == 0 {
		return k.defaults
	}
	history := slices.Concat(k.defaults.history, own)
	slices.SortFunc(history, func(a, b Terms) int { return cmp.Compare(a.Version, b.Version) })
	return &timeline{history: history}
}

// timeline is the history of an account's terms, with the calendars that it had as the history grew.
type timeline struct {
	history []Terms // that concern the account, by version; the first holds always

	mu        sync.Mutex
	calendars map[int]*Calendar     // by how many versions they go by
	covered   map[int64]coveredThen // by run
}

type coveredThen struct {
	end time.Time
	ok  bool
}

// calendar is the calendar by all versions.
func (t *timeline) calendar() (*Calendar, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.after(len(t.history))
}

// after is the calendar by the first n versions.
func (t *timeline) after(n int) (*Calendar, error) {
	if c, ok := t.calendars[n]; ok {
		return c, nil
	}
	c, err := NewCalendar(t.history[:n])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ledger.ErrCorrupt, err)
	}
	if t.calendars == nil {
		t.calendars = map[int]*Calendar{}
	}
	t.calendars[n] = c
	return c, nil
}

// through is how many versions of the history there were when version n was the newest of all.
func (t *timeline) through(n int64) int {
	count := 0
	for _, v := range t.history {
		if v.Version <= n {
			count++
		}
	}
	return count
}

const sqlInsertTerms = `
INSERT INTO billing.terms (account, effective_from, not_before, terms, recorded_by)
VALUES (NULLIF($1, ''), $2, $3, $4, $5)
RETURNING n`

// SetTerms records a version of the terms of an account, or of the default ones, from JSON. It takes
// effect at the first boundary that isn't before effective_from and isn't closed yet. An account keeps
// its start and its contract until other terms give others. Terms that are word for word the newest ones of the account
// are not recorded again: that version is returned. What is wrong with raw is a *TermsError, all of it
// at once; by says who wants it so.
func (b *Billing) SetTerms(ctx context.Context, raw []byte, by string) (Terms, error) {
	return b.setTerms(ctx, raw, by, func(_ pgx.Tx, _ Terms, insert func() (Terms, error)) (Terms, error) { return insert() })
}

// setTerms checks terms and has record record them, by insert: it is given the terms, with their version if they are the
// newest already, and then insert does nothing.
func (b *Billing) setTerms(ctx context.Context, raw []byte, by string, record func(tx pgx.Tx, t Terms, insert func() (Terms, error)) (Terms, error)) (Terms, error) {
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return Terms{}, wrap(err, "record terms")
	}
	checked, _, err := b.checkTerms(ctx, b.pool, catalogue, raw)
	if err != nil {
		return Terms{}, err
	}
	if err := checkText("by", by, "must say who records the terms"); err != nil {
		return Terms{}, err
	}
	if err := b.indexFinalising(ctx, checked.Finalising); err != nil {
		return Terms{}, err
	}
	var recorded Terms
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlChangeTerms); err != nil {
			return err
		}
		t, k, err := b.checkTerms(ctx, tx, catalogue, raw) // again: what is left out may mean something else by now
		if err != nil {
			return err
		}
		if last := k.last(t.Account); last.Version > 0 && bytes.Equal(last.JSON(), t.JSON()) {
			recorded, err = record(tx, last, func() (Terms, error) { return last, nil })
			return err
		}
		recorded, err = record(tx, t, func() (Terms, error) { return b.insertTerms(ctx, tx, k, t, by) })
		return err
	})
	return recorded, wrap(err, "record terms")
}

func (b *Billing) insertTerms(ctx context.Context, tx pgx.Tx, k *book, t Terms, by string) (_ Terms, err error) {
	if t.NotBefore, err = b.closedForTerms(ctx, tx, k, t.Account); err != nil {
		return t, err
	}
	if t.Account != "" && !t.begins().IsZero() && (t.recurs() || t.left.charges) { // it may be billed without any event
		if _, err := tx.Exec(ctx, sqlKnowAccount, t.Account); err != nil {
			return t, err
		}
	}
	err = tx.QueryRow(ctx, sqlInsertTerms, t.Account, orNull(t.EffectiveFrom), orNull(t.NotBefore), t.JSON(), by).Scan(&t.Version)
	return t, err
}

// checkTerms reads terms as they would be recorded, with the start that the account has, and finds
// everything that is wrong with them. The book holds the versions before them.
func (b *Billing) checkTerms(ctx context.Context, q querier, catalogue ledger.Catalogue, raw []byte) (Terms, *book, error) {
	t, problems := parseTerms(raw, b.zone)
	k, err := b.readBook(ctx, q, t.Account)
	if err != nil {
		return Terms{}, nil, wrap(err, "record terms")
	}
	if t.Account != "" {
		t, problems = parseTerms(raw, k.last("").Zone)
		if old := k.last(t.Account).Start; !t.Start.Date.exists() && old.Date.exists() {
			t.Start = old
			t.begin()
		}
		if t.Contract == "" {
			t.Contract = k.last(t.Account).Contract
		}
		if !t.Start.Date.exists() && t.Anchor.Anniversary && !wrongAt(problems, "start") {
			problems = append(problems, Problem{Field: "start", Rule: "must be given: the anchor is the anniversary of the account's start"})
		}
	}
	for _, p := range checkMeasures(catalogue, t.Charges) {
		if !wrongAt(problems, p.Field) {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return Terms{}, nil, &TermsError{Problems: problems}
	}
	return t, k, nil
}

// wrongAt reports whether something is wrong with the field already.
func wrongAt(problems []Problem, field string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool { return p.Field == field })
}

// last is the newest version of the account's own terms (of the default's for no account); Version 0
// if there is none.
func (k *book) last(account string) Terms {
	own := k.own[account]
	if account == "" {
		own = k.defaults.history
	}
	if len(own) == 0 {
		return Terms{}
	}
	return own[len(own)-1]
}

// checkMeasures holds the charges against the catalogue of columns.
func checkMeasures(catalogue ledger.Catalogue, charges []Charge) []Problem {
	var problems []Problem
	for i, c := range charges {
		for _, f := range c.Filters {
			if rule := filterable(catalogue, f.Dimension); rule != "" {
				problems = append(problems, Problem{Field: "charges[" + strconv.Itoa(i) + "].filters." + f.Dimension, Rule: rule})
			}
		}
		if c.Sums() == "" {
			continue
		}
		if column, ok := catalogue.Column(c.Measure); !ok || !column.Measure() {
			problems = append(problems, Problem{
				Field: "charges[" + strconv.Itoa(i) + "].measure", Value: shorten(c.Measure),
				Rule: "must be amount, quantity, or a measure that the ledger has declared",
			})
		}
	}
	return problems
}

// The default's versions act on every account without terms of its own, so on all that were closed.
const sqlDefaultClosed = `
SELECT max(c.through_at)
FROM billing.closes c
WHERE NOT EXISTS (SELECT FROM billing.terms t WHERE t.account = c.account)`

const sqlOwnTerms = `
SELECT DISTINCT t.account
FROM billing.terms t
WHERE t.account IS NOT NULL`

// closedForTerms is the boundary before which new terms can't act: that through which the account is
// closed, for the default's the furthest of any account that went by them until there.
func (b *Billing) closedForTerms(ctx context.Context, tx pgx.Tx, k *book, account string) (time.Time, error) {
	runs, err := b.readRuns(ctx, tx)
	if err != nil {
		return time.Time{}, err
	}
	if account != "" {
		state, err := b.readState(ctx, tx, runs, account)
		if err != nil {
			return time.Time{}, err
		}
		closed, err := runs.closed(k.timeline(account), account, state.explicit)
		return closed.end, err
	}
	var furthest *time.Time
	if err := tx.QueryRow(ctx, sqlDefaultClosed).Scan(&furthest); err != nil {
		return time.Time{}, err
	}
	closed, err := runs.closed(k.defaults, "", passage{end: utc(furthest)})
	if err != nil {
		return time.Time{}, err
	}
	partly, err := b.closedByDefault(ctx, tx, runs)
	if partly.After(closed.end) {
		return partly, err
	}
	return closed.end, err
}

// closedByDefault is the furthest boundary through which accounts with terms of their own are closed
// by cycles in which the default terms had a say: before their own began, or where these leave things out.
func (b *Billing) closedByDefault(ctx context.Context, tx pgx.Tx, runs *runs) (furthest time.Time, err error) {
	rows, err := tx.Query(ctx, sqlOwnTerms)
	if err != nil {
		return time.Time{}, err
	}
	accounts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || len(accounts) == 0 {
		return time.Time{}, err
	}
	k, err := b.readBook(ctx, tx, accounts...)
	if err != nil {
		return time.Time{}, err
	}
	closes := map[string]time.Time{}
	var account string
	var through time.Time
	err = pg.ForEach(ctx, tx, []any{&account, &through}, func() error {
		closes[account] = through.UTC()
		return nil
	}, sqlCloses, accounts)
	if err != nil {
		return time.Time{}, err
	}
	for _, account := range accounts {
		line := k.timeline(account)
		closed, err := runs.closed(line, account, passage{end: closes[account]})
		if err != nil {
			return time.Time{}, err
		}
		cal, err := line.calendar()
		if err != nil {
			return time.Time{}, err
		}
		if until := cal.defaultUntil(closed.end); until.After(furthest) {
			furthest = until
		}
	}
	return furthest, nil
}

// TermsView is how an account is billed, was and will be.
type TermsView struct {
	Account string  // empty: the default terms
	InForce Terms   // now, with what the account's own leave out filled in
	History []Terms // versions that concern the account, as they were recorded, those of the default among them
	Coming  []Cycle // the cycle of now and the two after it
}

// TermsOf returns the terms of an account, of the default for no account. An account that was never
// heard of has the default's.
func (b *Billing) TermsOf(ctx context.Context, account string) (TermsView, error) {
	k, err := b.readBook(ctx, b.pool, account)
	if err != nil {
		return TermsView{}, wrap(err, "terms of %q", account)
	}
	line := k.timeline(account)
	cal, err := line.calendar()
	if err != nil {
		return TermsView{}, wrap(err, "terms of %q", account)
	}
	cy := cal.Cycle(b.now())
	next := cal.Next(cy)
	return TermsView{
		Account: account, InForce: cal.TermsAt(cy.Start), History: line.history,
		Coming: []Cycle{cy, next, cal.Next(next)},
	}, nil
}
