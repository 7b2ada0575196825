package billing

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/shopspring/decimal"

	"deltaledger/ledger/currency"
)

// Limit is an amount of money above which a person has to look. The zero value
// is no limit.
type Limit struct {
	// Every is the limit in every currency; nil: By says which have one.
	Every *decimal.Decimal
	// By are the limits of some currencies; the others have none.
	By map[string]decimal.Decimal
}

// Of returns the limit in a currency; ok is false if there is none.
func (l Limit) Of(code string) (limit decimal.Decimal, ok bool) {
	if l.Every != nil {
		return *l.Every, true
	}
	limit, ok = l.By[code]
	return limit, ok
}

// exceededBy reports whether an amount, without its sign, is above the limit in
// its currency.
func (l Limit) exceededBy(amount Money) bool {
	limit, ok := l.Of(amount.Currency)
	return ok && amount.Amount.Abs().GreaterThan(limit)
}

// noLimit is how terms of an account write that they have no limit, whatever the default terms have.
const noLimit = "none"

// json is how terms write the limit. The default terms leave out what is none.
func (l Limit) json(byDefault bool) json.RawMessage {
	if l.Every != nil {
		return json.RawMessage(`"` + l.Every.String() + `"`)
	}
	if len(l.By) == 0 && byDefault {
		return nil
	}
	if len(l.By) == 0 {
		return json.RawMessage(`"` + noLimit + `"`)
	}
	b := []byte("{")
	for i, code := range slices.Sorted(maps.Keys(l.By)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `"`+code+`":"`+l.By[code].String()+`"`...)
	}
	return append(b, '}')
}

// limit reads a limit: a text for every currency, an object of them, or none.
func (p *termsParser) limit(f fields, name string) Limit {
	n, written := f.values[name]
	switch {
	case !written:
		return Limit{}
	case n.kind == stringNode && n.text == noLimit:
		return Limit{}
	case n.kind == stringNode:
		return Limit{Every: ptr(f.number(name, notNegative))}
	case n.kind != objectNode || len(n.keys) == 0:
		p.refuse(f.path(name), n.shown(), `must be an amount in quotes such as "1000", an object of currencies and their amounts such as {"EUR":"1000"}, or "none"`)
		return Limit{}
	}
	by := fields{p: p, prefix: f.path(name), values: map[string]node{}}
	out := Limit{By: map[string]decimal.Decimal{}}
	for i, code := range n.keys {
		by.values[code] = n.values[i]
		if _, known := currency.Digits(code); !known {
			p.refuse(by.path(code), n.values[i].shown(), "must be the code of a currency by ISO 4217, such as EUR")
			continue
		}
		out.By[code] = by.number(code, notNegative)
	}
	return out
}
