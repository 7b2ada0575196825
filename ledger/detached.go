package ledger

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// DetachedMonth is a month of recorded_at, in UTC, whose partition was detached. Lists and aggregates don't read its
// events; everything else does: one event, streams, conflicts, invoices, files, seals.
type DetachedMonth struct {
	Month             string    `json:"month"`  // such as 2025-01
	Events            int64     `json:"events"` // in the month, whatever was asked
	FirstOccurredAt   time.Time `json:"first_occurred_at"`
	LastOccurredAt    time.Time `json:"last_occurred_at"`
	FirstBusinessDate string    `json:"first_business_date"`
	LastBusinessDate  string    `json:"last_business_date"`

	firstPosition int64
}

// The month of a detached partition is read in a statement after the one that it may be missing from: then what
// was detached before that one began is known here.
const sqlDetachedMonths = `
SELECT to_char(m.month, 'YYYY-MM'), m.rows, m.first_occurred_at, m.last_occurred_at, m.first_business_date, m.last_business_date, m.first_position
FROM ledger.detached_months m
ORDER BY m.month`

// DetachedMonths lists the months whose partitions are detached, oldest first.
func (l *Ledger) DetachedMonths(ctx context.Context) ([]DetachedMonth, error) {
	rows, err := l.pool.Query(ctx, sqlDetachedMonths)
	if err != nil {
		return nil, readError("read which months are detached", err)
	}
	months, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m DetachedMonth, err error) {
		var first, last time.Time
		err = row.Scan(&m.Month, &m.Events, &m.FirstOccurredAt, &m.LastOccurredAt, &first, &last, &m.firstPosition)
		m.FirstOccurredAt, m.LastOccurredAt = m.FirstOccurredAt.UTC(), m.LastOccurredAt.UTC()
		m.FirstBusinessDate, m.LastBusinessDate = first.Format(time.DateOnly), last.Format(time.DateOnly)
		return m, err
	})
	if err != nil {
		return nil, readError("read which months are detached", err)
	}
	return months, nil
}

// extent is what a question about events bounds.
type extent struct {
	asOf  int64
	zone  string // of the bounds that are dates
	dates bool   // zone is the reporting zone, in which business_date is a date
	span  Range
	where []Filter
}

// notCovered lists the detached months that a question may touch. It is called after the question was answered.
func (l *Ledger) notCovered(ctx context.Context, q extent) ([]DetachedMonth, error) {
	months, err := l.DetachedMonths(ctx)
	if err != nil || len(months) == 0 {
		return nil, err
	}
	zone, err := time.LoadLocation(q.zone)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(months, func(m DetachedMonth) bool { return !m.touches(q, zone) }), nil
}

// touches reports whether an event of the month may be what q asks for.
func (m DetachedMonth) touches(q extent, zone *time.Location) bool {
	if q.asOf < m.firstPosition || !q.span.reaches(m, q.dates, zone) {
		return false
	}
	for _, f := range q.where {
		if f.Key == "business_date" && !slices.ContainsFunc(f.Values, func(v string) bool { return v >= m.FirstBusinessDate && v <= m.LastBusinessDate }) {
			return false
		}
	}
	return true
}

// reaches reports whether an event of the month may lie within the range. The local date can go back by one where
// clocks are set back at midnight, so that in other zones than the reporting one a day more counts.
func (r Range) reaches(m DetachedMonth, dates bool, zone *time.Location) bool {
	first, last := m.FirstBusinessDate, m.LastBusinessDate
	if !dates {
		first, last = m.FirstOccurredAt.In(zone).AddDate(0, 0, -1).Format(time.DateOnly), m.LastOccurredAt.In(zone).AddDate(0, 0, 1).Format(time.DateOnly)
	}
	if date, err := parseDate(r.From); err == nil {
		if last < date.Format(time.DateOnly) {
			return false
		}
	} else if at, err := parseInstant(r.From); err == nil && m.LastOccurredAt.Before(at) {
		return false
	}
	if date, err := parseDate(r.To); err == nil {
		return first < date.Format(time.DateOnly)
	}
	at, err := parseInstant(r.To)
	return err != nil || m.FirstOccurredAt.Before(at)
}
