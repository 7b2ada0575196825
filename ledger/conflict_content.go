package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// contentJSON is the canonical form that AppendCanonical writes.
type contentJSON struct {
	Account    string            `json:"account"`
	Amount     string            `json:"amount"`
	Corrects   string            `json:"corrects"`
	Currency   string            `json:"currency"`
	Dimensions json.RawMessage   `json:"dimensions"`
	ID         string            `json:"id"`
	Kind       Kind              `json:"kind"`
	Maker      string            `json:"maker"`
	Measures   map[string]string `json:"measures"`
	OccurredAt time.Time         `json:"occurred_at"`
	Quantity   string            `json:"quantity"`
	Reason     string            `json:"reason"`
	Reference  string            `json:"reference"`
	Seqn       *int64            `json:"seqn"`
	Source     string            `json:"source"`
	State      map[string]string `json:"state"`
	Stream     string            `json:"stream"`
	Type       string            `json:"type"`
}

// eventOfContent reads canonical public content back. The event has no private content.
func eventOfContent(content []byte) (Event, error) {
	var c contentJSON
	if err := json.Unmarshal(content, &c); err != nil {
		return Event{}, fmt.Errorf("content that isn't canonical: %w: %w", ErrCorrupt, err)
	}
	e := Event{
		ID: c.ID, Source: c.Source, Stream: c.Stream, Type: c.Type, Account: c.Account, OccurredAt: c.OccurredAt.UTC(), Currency: c.Currency,
		Dimensions: c.Dimensions, Corrects: c.Corrects, Kind: c.Kind, Reason: c.Reason, Reference: c.Reference, Maker: c.Maker,
	}
	if e.Kind == "" {
		e.Kind = Upstream
	}
	if c.Seqn != nil {
		e.Seqn, e.HasSeqn = *c.Seqn, true
	}
	var broken error
	number := func(s string) Amount {
		a, err := ParseAmount(s)
		broken = errors.Join(broken, err)
		return a
	}
	if c.Amount != "" {
		e.Amount = number(c.Amount)
	}
	if c.Quantity != "" {
		e.Quantity = number(c.Quantity)
	}
	for _, name := range slices.Sorted(maps.Keys(c.Measures)) {
		e.Measures = append(e.Measures, Measure{name, number(c.Measures[name])})
	}
	for _, name := range slices.Sorted(maps.Keys(c.State)) {
		e.State = append(e.State, Measure{name, number(c.State[name])})
	}
	if broken != nil {
		return Event{}, fmt.Errorf("content that isn't canonical: %w: %w", ErrCorrupt, broken)
	}
	return e, nil
}

// namedText is one field of an event as text.
type namedText struct{ name, text string }

// fieldsOf are the fields that e has, in the order in which people read them.
func fieldsOf(e *Event) ([]namedText, error) {
	var all []namedText
	add := func(name, value string) {
		if value != "" {
			all = append(all, namedText{name, value})
		}
	}
	add("source", e.Source)
	add("id", e.ID)
	add("stream", e.Stream)
	if e.HasSeqn {
		add("seqn", strconv.FormatInt(e.Seqn, 10))
	}
	add("type", e.Type)
	add("account", e.Account)
	add("occurred_at", e.OccurredAt.UTC().Format(microLayout))
	add("currency", e.Currency)
	add("amount", e.Amount.String())
	add("quantity", e.Quantity.String())
	for _, m := range e.Measures {
		add("measures."+m.Name, m.Value.String())
	}
	for _, m := range e.State {
		add("state."+m.Name, m.Value.String())
	}
	d, err := scalars("dimensions.", e.Dimensions)
	all = append(all, d...)
	if e.Kind != Upstream {
		add("kind", string(e.Kind))
	}
	add("corrects", e.Corrects)
	add("reason", e.Reason)
	add("reference", e.Reference)
	add("maker", e.Maker)
	return all, err
}

// scalars are the members of a flat JSON object, by name. Texts stand without quotes unless they would read
// like another value.
func scalars(prefix string, object []byte) ([]namedText, error) {
	if len(object) == 0 {
		return nil, nil
	}
	canonical, err := CanonicalDimensions(object)
	if err != nil {
		return nil, err
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(canonical, &members); err != nil {
		return nil, err
	}
	all := make([]namedText, 0, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		raw := members[name]
		shown := string(raw)
		if plain := ""; raw[0] == '"' && json.Unmarshal(raw, &plain) == nil && !json.Valid([]byte(plain)) {
			shown = plain
		}
		all = append(all, namedText{prefix + name, shown})
	}
	return all, nil
}

// sideBySide puts the fields of both versions of v beside each other.
func sideBySide(v *ConflictView, arrived *Event) ([]ConflictField, error) {
	recorded, err := v.Recorded.event()
	if err != nil {
		return nil, err
	}
	left, err := fieldsOf(&recorded)
	if err != nil {
		return nil, err
	}
	right, err := fieldsOf(arrived)
	if err != nil {
		return nil, err
	}
	for _, s := range []struct {
		to           *[]namedText
		payload, pii []byte
	}{{&left, v.Recorded.Payload, v.Recorded.PII}, {&right, v.Payload, v.PII}} {
		if len(s.payload) > 0 {
			var b bytes.Buffer
			if err := json.Compact(&b, s.payload); err != nil {
				return nil, err
			}
			*s.to = append(*s.to, namedText{"payload", b.String()})
		}
		more, err := scalars("pii.", s.pii)
		if err != nil {
			return nil, err
		}
		*s.to = append(*s.to, more...)
	}
	return merge(left, right), nil
}

// merge joins two lists of fields; what only the second has stands where the second has it.
func merge(left, right []namedText) []ConflictField {
	var all []ConflictField
	for _, f := range left {
		all = append(all, ConflictField{Name: f.name, Recorded: &f.text, Differs: true})
	}
	at := 0
	for _, f := range right {
		i := slices.IndexFunc(all, func(c ConflictField) bool { return c.Name == f.name })
		if i < 0 {
			all = slices.Insert(all, at, ConflictField{Name: f.name, Arrived: &f.text, Differs: true})
			at++
			continue
		}
		all[i].Arrived, all[i].Differs = &f.text, *all[i].Recorded != f.text
		at = i + 1
	}
	return all
}
