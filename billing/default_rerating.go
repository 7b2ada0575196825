package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Terms of the default that were recorded for closed cycles concern many accounts. That they were, by whom and why, is one row of
// billing.default_reratings, committed with the terms. From it follows, account by account and in a transaction each, a row of
// billing.reratings, by which the next close of the account brings the difference; or one of billing.rerating_exceptions.
// What a crash left over, the same request again brings, and so does the next close before anything else.

// defaultRerating is a version of the default terms that was recorded for closed cycles.
type defaultRerating struct {
	terms   Terms
	why, by string
}

const sqlDefaultReratingKnown = `
SELECT EXISTS (SELECT FROM billing.default_reratings r WHERE r.terms = $1)`

// Its position is drawn last.
const sqlInsertDefaultRerating = `
INSERT INTO billing.default_reratings (terms, why, recorded_by, position, recorded_at)
SELECT $1, $2, $3, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

const sqlDefaultReratingEnd = `
SELECT e.accounts, e.left_out
FROM billing.default_rerating_ends e
WHERE e.terms = $1`

// recordDefaults records default terms, and that they count for closed cycles.
func (b *Billing) recordDefaults(ctx context.Context, raw []byte, why, by string) (Terms, error) {
	return b.setTerms(ctx, raw, by, func(tx pgx.Tx, t Terms, insert func() (Terms, error)) (Terms, error) {
		var known bool
		if err := tx.QueryRow(ctx, sqlDefaultReratingKnown, t.Version).Scan(&known); err != nil || known {
			return t, err
		}
		t, err := insert()
		if err == nil {
			err = reachesClosed(t)
		}
		if err != nil {
			return t, err
		}
		_, err = tx.Exec(ctx, sqlInsertDefaultRerating, t.Version, why, by)
		return t, err
	})
}

// adjustClosedDefaults is AdjustClosed for the default terms.
func (b *Billing) adjustClosedDefaults(ctx context.Context, raw []byte, why, by string) (ClosedTerms, error) {
	recorded, err := b.recordDefaults(ctx, raw, why, by)
	done := ClosedTerms{Terms: recorded}
	if err != nil {
		return done, err
	}
	if err := b.finishReratings(ctx); err != nil {
		return done, wrap(err, "version %d is recorded, but not every account has it for its closed cycles yet; the next close goes on, and so does the same request again", recorded.Version)
	}
	err = b.pool.QueryRow(ctx, sqlDefaultReratingEnd, recorded.Version).Scan(&done.Accounts, &done.LeftOut)
	return done, wrap(err, "record terms")
}

// reachesClosed refuses default terms that are wanted from no earlier than they act anyway.
func reachesClosed(t Terms) error {
	if t.EffectiveFrom.Before(t.NotBefore) {
		return nil
	}
	return &TermsError{Problems: []Problem{{
		Field: "effective_from", Value: t.effectiveText(), Rule: "must be before the end of a closed cycle of an account with the default terms: record the terms without adjusting closed cycles",
	}}}
}

const sqlUnfinishedReratings = `
SELECT r.terms, r.why, r.recorded_by
FROM billing.default_reratings r
WHERE NOT EXISTS (SELECT FROM billing.default_rerating_ends e WHERE e.terms = r.terms)
ORDER BY r.terms`

// unfinishedReratings are those that accounts are missing of.
func (b *Billing) unfinishedReratings(ctx context.Context) ([]defaultRerating, error) {
	rows, err := b.pool.Query(ctx, sqlUnfinishedReratings)
	if err != nil {
		return nil, err
	}
	versions := []int64{}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (defaultRerating, error) {
		var d defaultRerating
		var version int64
		err := row.Scan(&version, &d.why, &d.by)
		versions = append(versions, version)
		return d, err
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	k, err := b.readBook(ctx, b.pool)
	if err != nil {
		return nil, err
	}
	for i, version := range versions {
		n := slices.IndexFunc(k.defaults.history, func(t Terms) bool { return t.Version == version })
		if n < 0 {
			return nil, fmt.Errorf("terms version %d isn't one of the default: %w", version, ledger.ErrCorrupt)
		}
		all[i].terms = k.defaults.history[n]
	}
	return all, nil
}

const sqlAccountsToRerate = `
SELECT a.account
FROM billing.accounts a
WHERE a.account > $1
  AND NOT EXISTS (SELECT FROM billing.reratings r WHERE r.account = a.account AND r.terms = $2)
  AND NOT EXISTS (SELECT FROM billing.rerating_exceptions x WHERE x.account = a.account AND x.terms = $2)
ORDER BY a.account
LIMIT $3`

const sqlEndDefaultRerating = `
INSERT INTO billing.default_rerating_ends (terms, accounts, left_out)
SELECT $1, (SELECT count(*) FROM billing.reratings r WHERE r.terms = $1),
       (SELECT count(*) FROM billing.rerating_exceptions x WHERE x.terms = $1 AND x.problem IS NOT NULL)
ON CONFLICT (terms) DO NOTHING`

// finishReratings gives every account that is known its row of what default terms were recorded for closed cycles.
func (b *Billing) finishReratings(ctx context.Context) error {
	unfinished, err := b.unfinishedReratings(ctx)
	if err != nil || len(unfinished) == 0 {
		return err
	}
	w, err := b.ledger.TakeWatermark(ctx)
	if err != nil {
		return err
	}
	if err := b.DeriveAccounts(ctx, w); err != nil {
		return err
	}
	for _, d := range unfinished {
		for after := ""; ; {
			rows, err := b.pool.Query(ctx, sqlAccountsToRerate, after, d.terms.Version, page)
			if err != nil {
				return err
			}
			accounts, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			for _, account := range accounts {
				if err := b.rerateAccount(ctx, d, account); err != nil {
					return fmt.Errorf("account %q: %w", account, err)
				}
			}
			if len(accounts) < page {
				break
			}
			after = accounts[len(accounts)-1]
		}
		if _, err := b.pool.Exec(ctx, sqlEndDefaultRerating, d.terms.Version); err != nil {
			return err
		}
	}
	return nil
}

const sqlExceptionKnown = `
SELECT EXISTS (SELECT FROM billing.rerating_exceptions x WHERE x.account = $1 AND x.terms = $2)`

const sqlInsertException = `
INSERT INTO billing.rerating_exceptions (account, terms, problem)
VALUES ($1, $2, NULLIF($3, ''))`

// rerateAccount gives one account its row, unless somebody was quicker.
func (b *Billing) rerateAccount(ctx context.Context, d defaultRerating, account string) error {
	return pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.hold(ctx, tx, account, known{})
		if err != nil {
			return err
		}
		var excepted bool
		if err := tx.QueryRow(ctx, sqlExceptionKnown, account, d.terms.Version).Scan(&excepted); err != nil || excepted {
			return err
		}
		if slices.ContainsFunc(v.reratings, func(r rerating) bool { return r.terms.Version == d.terms.Version }) {
			return nil
		}
		s, err := v.defaultSpan(ctx, tx, d.terms)
		if err != nil {
			return err
		}
		if !s.concerned || s.problem != "" {
			_, err = tx.Exec(ctx, sqlInsertException, account, d.terms.Version, s.why())
			return err
		}
		_, err = tx.Exec(ctx, sqlInsertRerating, account, d.terms.Version, s.from, s.through, d.why, d.by, true)
		return err
	})
}

// defaultSpan is what a version of the default terms does to the cycles of an account before it acts.
type defaultSpan struct {
	concerned      bool // some of them have charges of the default terms
	from, through  time.Time
	field, problem string // why they can't get others
}

// why is what is wrong, with the field of the terms; empty for nothing.
func (s defaultSpan) why() string {
	if s.problem == "" {
		return ""
	}
	return s.field + ": " + s.problem
}

// defaultSpan finds the cycles of the account that get the charges of a version of the default terms: those from effective_from on
// that have charges of older default terms, up to where the version acts anyway. They need not be closed: another account is why
// the version doesn't act in them.
func (v *view) defaultSpan(ctx context.Context, q querier, d Terms) (s defaultSpan, err error) {
	from, err := v.firstCycle(ctx, q)
	if err != nil || from.IsZero() {
		return s, err
	}
	history := slices.Clone(v.line.history)
	if !slices.ContainsFunc(history, func(t Terms) bool { return t.Version == d.Version }) {
		history = append(history, d)
	}
	cal, err := NewCalendar(history)
	if err != nil {
		return s, errors.Join(ledger.ErrCorrupt, err)
	}
	is := *v
	is.plain = cal.with(v.reratings, true)
	if d.EffectiveFrom.After(from) {
		from = cal.boundaryFrom(d.EffectiveFrom)
	}
	wanted, until := d, cal.boundaryFrom(d.target())
	wanted.Version, wanted.NotBefore = history[len(history)-1].Version+1, time.Time{}
	would, err := NewCalendar(append(history, wanted))
	if err != nil {
		return s, errors.Join(ledger.ErrCorrupt, err)
	}
	for cy := cal.Cycle(from); cy.Start.Before(until); cy = cal.Next(cy) {
		if t := is.plain.TermsAt(cy.Start); !t.chargesOfDefault() || t.chargesVersion() >= d.Version {
			continue
		}
		if field, rule := is.closedProblem(cy, would); field != "" {
			s.field, s.problem = field, rule+" (the cycle from "+dayIn(cy.Start, d.Zone)+")"
			return s, nil
		}
		if !s.concerned {
			s.concerned, s.from = true, is.reach(would, d.EffectiveFrom, cy.Start)
		}
		s.through = cy.End
	}
	return s, nil
}
