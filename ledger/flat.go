package ledger

import (
	"bytes"
	"encoding/json"
)

// FlatRow is a group of an aggregate as one JSON object: its keys in the order asked, null where the events
// have none; its sums as strings; and the count.
type FlatRow struct {
	By, Measures []string
	Row          AggregateRow
}

// Flat is group i of the result.
func (r AggregateResult) Flat(i int) FlatRow { return FlatRow{r.By, r.Measures, r.Rows[i]} }

// MarshalJSON writes the members in their order, and every sign as it was sent.
func (f FlatRow) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	add := func(name string, value any) error {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		if err := enc.Encode(name); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1) // the encoder's line feed
		b.WriteByte(':')
		if err := enc.Encode(value); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1)
		return nil
	}
	b.WriteByte('{')
	for k, name := range f.By {
		if err := add(name, f.Row.Key[k]); err != nil {
			return nil, err
		}
	}
	for k, name := range f.Measures {
		if err := add(name, f.Row.Sum[k]); err != nil {
			return nil, err
		}
	}
	err := add("count", f.Row.Count)
	b.WriteByte('}')
	return b.Bytes(), err
}
