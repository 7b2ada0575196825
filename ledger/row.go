package ledger

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Row is one recorded event as readers see it. Times are UTC, in JSON with microseconds and Z;
// numbers cross JSON as strings.
type Row struct {
	Position     int64             `json:"position"`
	RecordedAt   time.Time         `json:"recorded_at"`
	ID           string            `json:"id"`
	Source       string            `json:"source"`
	Stream       string            `json:"stream,omitempty"`
	Seqn         *int64            `json:"seqn,omitempty"`
	Type         string            `json:"type"`
	Account      string            `json:"account"`
	OccurredAt   time.Time         `json:"occurred_at"`
	BusinessDate string            `json:"business_date"` // in the reporting zone, such as 2026-01-31
	Currency     string            `json:"currency"`
	Amount       Amount            `json:"amount,omitzero"`
	Quantity     Amount            `json:"quantity,omitzero"`
	Measures     map[string]Amount `json:"measures,omitempty"`   // declared ones that the event has
	Dimensions   json.RawMessage   `json:"dimensions,omitempty"` // as sent, also those that have a column
	State        json.RawMessage   `json:"state,omitempty"`      // the absolute values that were sent
	Kind         Kind              `json:"kind"`
	CausedBy     *int64            `json:"caused_by,omitempty"` // position of the event that made the ledger write this row
	Corrects     string            `json:"corrects,omitempty"`
	Reason       string            `json:"reason,omitempty"`
	Reference    string            `json:"reference,omitempty"`
	Maker        string            `json:"maker,omitempty"`
	Payload      json.RawMessage   `json:"payload,omitempty"` // private; only where it was asked for
	PII          json.RawMessage   `json:"pii,omitempty"`     // private dimensions; as the payload
	Erased       *Erased           `json:"erased,omitempty"`  // its private content is gone: when, and why
}

// microLayout is how times stand in answers.
const microLayout = "2006-01-02T15:04:05.000000Z"

// MarshalJSON writes times with all their microseconds, so that they line up and sort as text.
func (r Row) MarshalJSON() ([]byte, error) {
	type fields Row
	return json.Marshal(struct {
		Position   int64  `json:"position"`
		RecordedAt string `json:"recorded_at"`
		OccurredAt string `json:"occurred_at"`
		fields
	}{r.Position, r.RecordedAt.UTC().Format(microLayout), r.OccurredAt.UTC().Format(microLayout), fields(r)})
}

// The columns that every event has, in the order of rowReader.scan.
const rowColumns = `e.position, e.recorded_at, e.event_id, e.source, e.stream, e.seqn, e.type, e.account, e.occurred_at, e.business_date,
       e.currency, trim_scale(e.amount)::text, trim_scale(e.quantity)::text, e.state, e.kind, e.caused_by, e.corrects, e.reason, e.reference, e.maker`

// rowReader reads rows with the columns that are declared now.
type rowReader struct {
	columns  string // of the SELECT
	measures []Column
}

// rows prepares to read whole events: it adds the parameters that its columns need.
func (b *builder) rows() rowReader {
	r := rowReader{measures: b.catalogue.declaredMeasures()}
	columns := []string{rowColumns, b.dimensions()}
	for _, m := range r.measures {
		columns = append(columns, "trim_scale("+m.identifier()+")::text")
	}
	r.columns = strings.Join(columns, ",\n       ")
	return r
}

// dimensions is one JSON object again of what was sent as one.
func (b *builder) dimensions() string {
	declared := b.catalogue.declaredDimensions()
	if len(declared) == 0 {
		return "e.dimensions"
	}
	pairs := make([]string, len(declared))
	for i, c := range declared {
		value := c.identifier()
		switch c.Type {
		case "date", "timestamptz", "uuid": // JSON would spell them by the session's settings
			value = fmt.Sprintf(term{sqlType: c.Type}.format(), value)
		}
		pairs[i] = b.arg(c.Name, "text") + ", " + value
	}
	return "NULLIF(COALESCE(e.dimensions, '{}') || jsonb_strip_nulls(jsonb_build_object(" + strings.Join(pairs, ", ") + ")), '{}')"
}

// scan reads one row, and further columns behind it into more.
func (r rowReader) scan(row pgx.CollectableRow, more ...any) (Row, error) {
	var (
		e                                  Row
		date                               time.Time
		stream, amount, quantity           *string
		corrects, reason, reference, maker *string
		state, dimensions                  []byte
		measures                           = make([]*string, len(r.measures))
	)
	into := []any{
		&e.Position, &e.RecordedAt, &e.ID, &e.Source, &stream, &e.Seqn, &e.Type, &e.Account, &e.OccurredAt, &date,
		&e.Currency, &amount, &quantity, &state, &e.Kind, &e.CausedBy, &corrects, &reason, &reference, &maker, &dimensions,
	}
	for i := range measures {
		into = append(into, &measures[i])
	}
	if err := row.Scan(append(into, more...)...); err != nil {
		return Row{}, err
	}
	e.RecordedAt, e.OccurredAt, e.BusinessDate = e.RecordedAt.UTC(), e.OccurredAt.UTC(), date.Format(time.DateOnly)
	e.Stream, e.Corrects, e.Reason, e.Reference, e.Maker = text(stream), text(corrects), text(reason), text(reference), text(maker)
	e.Amount, e.Quantity = Amount{text(amount)}, Amount{text(quantity)}
	e.State, e.Dimensions = state, dimensions
	for i, m := range r.measures {
		if measures[i] == nil {
			continue
		}
		if e.Measures == nil {
			e.Measures = map[string]Amount{}
		}
		e.Measures[m.Name] = Amount{*measures[i]}
	}
	return e, nil
}

// text is *s, empty for null.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// jsonOf is text that was sent as JSON; text of another form, which a loader of files may have kept,
// becomes a JSON string.
func jsonOf(s *string) (json.RawMessage, error) {
	if s == nil {
		return nil, nil
	}
	if json.Valid([]byte(*s)) {
		return json.RawMessage(*s), nil
	}
	return json.Marshal(*s)
}
