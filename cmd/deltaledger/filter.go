package main

import (
	"fmt"
	"time"

	"deltaledger/ledger"
)

// readAt says as of when a command answers.
type readAt struct {
	AsOf string `placeholder:"W|TIME" help:"Answer as of a watermark (a position) or an RFC 3339 time; the same question then has the same answer for ever."`
}

// eventFilter says which events a command looks at.
type eventFilter struct {
	Where []string `sep:"none" placeholder:"KEY=VALUE" help:"Only events whose column or dimension has the value; repeat it for further keys, or for further values of one key. An empty value means that there is none."`
	From  string   `placeholder:"DATE|TIME" help:"Only events that occurred at it or later; a date begins in the zone of the question."`
	To    string   `placeholder:"DATE|TIME" help:"Only events that occurred before it: the end is not included."`
}

func (f eventFilter) where() ([]ledger.Filter, error) {
	where, err := ledger.ParseWhere(f.Where)
	return where, usage(err)
}

// stampLayout is how times stand in tables: UTC, with all that the ledger keeps of them.
const stampLayout = "2006-01-02T15:04:05.999999Z"

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(stampLayout)
}

// or is the value behind p, as text, and the empty text for none.
func or[T any](p *T) string {
	if p == nil {
		return ""
	}
	return fmt.Sprint(*p)
}

// asOfNote says below a table how to get the same again.
func asOfNote(w ledger.Watermark) string {
	return fmt.Sprintf("as of watermark %d", w.Position)
}
