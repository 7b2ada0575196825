package export

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// Frozen is one file of the chain, as it was frozen.
type Frozen struct {
	Span
	FormatVersion int       `json:"format_version"`
	Columns       []string  `json:"columns"`
	Rows          int64     `json:"rows"`
	LateRows      int64     `json:"late_rows"` // of other months than Month
	FirstPosition int64     `json:"first_position"`
	LastPosition  int64     `json:"last_position"`
	TZData        string    `json:"tzdata"`
	By            string    `json:"frozen_by"`
	Position      int64     `json:"position"`  // of the freeze itself
	At            time.Time `json:"frozen_at"` // UTC, by the clock of the database
}

// Name of the frozen file.
func (f Frozen) Name() string { return fileName(f.Month) }

// The whole chain has a row a month, so it is read whole.
const sqlChain = `
SELECT month, previous, watermark, previous_watermark, format_version, columns, rows, late_rows,
       first_position, last_position, tzdata, frozen_by, position, frozen_at
FROM export.freezes
WHERE position <= $1
ORDER BY month`

// chain reads the freezes up to a position, in order.
func chain(ctx context.Context, q querier, through int64) ([]Frozen, error) {
	rows, err := q.Query(ctx, sqlChain, through)
	if err != nil {
		return nil, fmt.Errorf("read freezes: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Frozen, error) {
		var f Frozen
		var month time.Time
		var previous *time.Time
		err := row.Scan(&month, &previous, &f.Watermark, &f.PreviousWatermark, &f.FormatVersion, &f.Columns, &f.Rows, &f.LateRows,
			&f.FirstPosition, &f.LastPosition, &f.TZData, &f.By, &f.Position, &f.At)
		f.Month, f.At = MonthOf(month), f.At.UTC()
		if previous != nil {
			f.Previous = MonthOf(*previous)
		}
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("read freezes: %w", err)
	}
	return all, nil
}

// tailOf is the chain's last file; zero if it has none.
func tailOf(chain []Frozen) Span {
	if len(chain) == 0 {
		return Span{}
	}
	return chain[len(chain)-1].Span
}

func frozenIn(chain []Frozen, m Month) (Frozen, bool) {
	for _, f := range chain {
		if f.Month == m {
			return f, true
		}
	}
	return Frozen{}, false
}

// Freezes lists the frozen months, oldest first.
func (e *Exporter) Freezes(ctx context.Context) ([]Frozen, error) {
	return chain(ctx, e.ledger.Pool(), maxPosition)
}

// maxPosition is above every position.
const maxPosition = 1<<63 - 1

// The window of occurred_at only narrows the search through its index: a business date is never more than
// a day off the date in UTC.
const sqlMonths = `
SELECT date_trunc('month', business_date::timestamp)::date, count(*), min(position), max(position)
FROM ledger.every_event
WHERE position <= $1
  AND occurred_at >= $2::date::timestamp AT TIME ZONE 'UTC' - interval '1 day'
  AND occurred_at < $3::date::timestamp AT TIME ZONE 'UTC' + interval '1 day'
  AND business_date >= $2 AND business_date < $3
GROUP BY 1
ORDER BY 1`

// monthsBetween finds the months after p, up to m, that hold events recorded up to w.
func monthsBetween(ctx context.Context, q querier, p, m Month, w int64) ([]found, error) {
	if p.Compare(m) >= 0 {
		return nil, nil
	}
	rows, err := q.Query(ctx, sqlMonths, w, p.Next().midnight(), m.Next().midnight())
	if err != nil {
		return nil, fmt.Errorf("count the events of months: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (found, error) {
		var f found
		var month time.Time
		err := row.Scan(&month, &f.rows, &f.first, &f.last)
		f.month = MonthOf(month)
		return f, err
	})
	if err != nil {
		return nil, fmt.Errorf("count the events of months: %w", err)
	}
	return all, nil
}

const sqlLate = `
SELECT count(*), COALESCE(min(position), 0), COALESCE(max(position), 0)
FROM ledger.every_event
WHERE position > $1 AND position <= $2 AND business_date < $3`

// lateAfter finds the events of frozen months that were recorded after the chain's last watermark, up to w.
func lateAfter(ctx context.Context, q querier, tail Span, w int64) (found, error) {
	if tail.Month.IsZero() || w <= tail.Watermark {
		return found{}, nil
	}
	var f found
	err := q.QueryRow(ctx, sqlLate, tail.Watermark, w, tail.Month.Next().midnight()).Scan(&f.rows, &f.first, &f.last)
	if err != nil {
		return found{}, fmt.Errorf("count late events: %w", err)
	}
	return f, nil
}

const sqlCatalogue = `
SELECT name, kind, type, since
FROM ledger.columns
WHERE NOT built_in AND NOT pii
ORDER BY kind = 'dimension', name`

// catalogue reads the columns that people declared, measures before dimensions, each by name. until leaves
// out those that were declared after it; zero leaves out none.
func catalogue(ctx context.Context, q querier, until time.Time) ([]column, error) {
	rows, err := q.Query(ctx, sqlCatalogue)
	if err != nil {
		return nil, fmt.Errorf("read the catalogue of columns: %w", err)
	}
	defer rows.Close()
	var all []column
	for rows.Next() {
		var name, role, sqlType string
		var since time.Time
		if err := rows.Scan(&name, &role, &sqlType, &since); err != nil {
			return nil, fmt.Errorf("read the catalogue of columns: %w", err)
		}
		c, err := declaredColumn(name, role, sqlType)
		if err != nil {
			return nil, err
		}
		if until.IsZero() || !since.After(until) {
			all = append(all, c)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the catalogue of columns: %w", err)
	}
	return all, nil
}

const sqlDecidedAt = `
SELECT taken_at
FROM ledger.watermarks
WHERE position >= $1
ORDER BY n
LIMIT 1`

// decidedAt is when the first watermark at or above w was taken: the same for ever.
func decidedAt(ctx context.Context, q querier, w int64) (time.Time, error) {
	var t time.Time
	if err := q.QueryRow(ctx, sqlDecidedAt, w).Scan(&t); err != nil {
		return time.Time{}, fmt.Errorf("find when watermark %d was taken: %w", w, err)
	}
	return t, nil
}

const sqlHolders = `
SELECT f.month, count(*)
FROM ledger.every_event e
LEFT JOIN export.freezes f ON f.previous > $1 AND e.position > f.previous_watermark AND e.position <= f.watermark
WHERE e.occurred_at >= $1::date::timestamp AT TIME ZONE 'UTC' - interval '1 day'
  AND e.occurred_at < $2::date::timestamp AT TIME ZONE 'UTC' + interval '1 day'
  AND e.business_date >= $1 AND e.business_date < $2
GROUP BY f.month
ORDER BY f.month`

// passedOver says where the events of a month are that the chain has no file for.
func passedOver(ctx context.Context, q querier, chain []Frozen, m Month) error {
	passed := &NoFileError{Month: m}
	for _, f := range chain {
		if f.Month.Compare(m) > 0 {
			passed.Passed = f.Month
			break
		}
	}
	rows, err := q.Query(ctx, sqlHolders, m.midnight(), m.Next().midnight())
	if err != nil {
		return fmt.Errorf("find the files of %s: %w", m, err)
	}
	defer rows.Close()
	for rows.Next() {
		var month *time.Time
		var n int64
		if err := rows.Scan(&month, &n); err != nil {
			return fmt.Errorf("find the files of %s: %w", m, err)
		}
		if month == nil {
			passed.Next = true
		} else {
			passed.In = append(passed.In, MonthOf(*month))
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("find the files of %s: %w", m, err)
	}
	return passed
}

// checkMonth refuses what is no month at all.
func checkMonth(m Month) error {
	if m.Year < 1 || m.Year > 9999 || m.Month < time.January || m.Month > time.December {
		return ledger.Invalid("month", fmt.Sprintf("%d-%d", m.Year, m.Month), "must be a month of the years 0001 to 9999")
	}
	return nil
}
