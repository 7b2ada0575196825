package ledger

import (
	"context"
	"fmt"
	"strings"
)

// Filled says how many of the newest events have a value in a column.
type Filled struct {
	Column
	Filled  int64 `json:"filled"`  // events of the sample that have a value, in the column or, recorded before its declaration, as a dimension
	Sampled int64 `json:"sampled"` // events of the sample: the newest ones, at most 10,000
}

// Schema is the catalogue with how well each column is filled, by name. The sample is of the newest 10,000 events that
// this moment's snapshot shows: its cost doesn't grow with the ledger, it needs no statistics, and it says what
// producers send now.
func (l *Ledger) Schema(ctx context.Context) ([]Filled, error) {
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return nil, err
	}
	b := &builder{catalogue: catalogue}
	counts := make([]string, 0, len(catalogue.columns)+1)
	for _, c := range catalogue.columns {
		value := c.identifier()
		switch {
		case c.PII:
			value = "NULLIF(jsonb_exists(s.pii, " + b.arg(c.Name, "text") + "), false)"
		case !c.BuiltIn && !c.Measure():
			value = "COALESCE(" + c.identifier() + "::text, " + b.dimension(c.Name) + ")"
		}
		counts = append(counts, "count("+value+")")
	}
	sql := fmt.Sprintf("SELECT %s\nFROM (SELECT * FROM ledger.events WHERE kind IN ('upstream', 'adjustment') ORDER BY position DESC LIMIT %s) AS e%s",
		strings.Join(append(counts, "count(*)"), ", "), b.arg(newestEvents, "bigint"), privateOf(catalogue))
	numbers := make([]int64, len(counts)+1)
	into := make([]any, len(numbers))
	for i := range numbers {
		into[i] = &numbers[i]
	}
	if err := l.pool.QueryRow(ctx, sql, b.args...).Scan(into...); err != nil {
		return nil, readError("count the values of columns", err)
	}
	all := make([]Filled, len(catalogue.columns))
	for i, c := range catalogue.columns {
		all[i] = Filled{Column: c, Filled: numbers[i], Sampled: numbers[len(counts)]}
	}
	return all, nil
}

// privateOf joins the private content, if a private dimension needs it.
func privateOf(c Catalogue) string {
	if len(c.some(func(c Column) bool { return c.PII })) == 0 {
		return ""
	}
	return "\nLEFT JOIN ledger.private s ON s.position = e.position"
}
