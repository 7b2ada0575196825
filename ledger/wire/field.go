package wire

import (
	"errors"
	"slices"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// field is a field of an event on the wire.
type field uint8

const (
	noField field = iota
	fieldID
	fieldSource
	fieldStream
	fieldSeqn
	fieldType
	fieldAccount
	fieldOccurredAt
	fieldCurrency
	fieldAmount
	fieldQuantity
	fieldMeasures
	fieldDimensions
	fieldCorrects
	fieldPayload
	fieldState
	fieldReason
	fieldReference
	fieldMaker
)

func (f field) String() string {
	return [...]string{
		"", "id", "source", "stream", "seqn", "type", "account", "occurred_at", "currency", "amount", "quantity",
		"measures", "dimensions", "corrects", "payload", "state", "reason", "reference", "maker",
	}[f]
}

// fieldOf is the field of that name, noField if there is none.
func fieldOf[S ~string | ~[]byte](name S) field {
	switch string(name) {
	case "id":
		return fieldID
	case "source":
		return fieldSource
	case "stream":
		return fieldStream
	case "seqn":
		return fieldSeqn
	case "type":
		return fieldType
	case "account":
		return fieldAccount
	case "occurred_at":
		return fieldOccurredAt
	case "currency":
		return fieldCurrency
	case "amount":
		return fieldAmount
	case "quantity":
		return fieldQuantity
	case "measures":
		return fieldMeasures
	case "dimensions":
		return fieldDimensions
	case "corrects":
		return fieldCorrects
	case "payload":
		return fieldPayload
	case "state":
		return fieldState
	case "reason":
		return fieldReason
	case "reference":
		return fieldReference
	case "maker":
		return fieldMaker
	}
	return noField
}

const (
	eventFields = "id, source, stream, seqn, type, account, occurred_at, currency, amount, quantity, measures, " +
		"dimensions, corrects, payload and state"
	adjustmentFields = "id, source, stream, type, account, occurred_at, currency, amount, quantity, measures, " +
		"dimensions, corrects, payload, reason, reference and maker"

	ruleUnknown = "is not a field: put it under dimensions to filter and group by it, or under payload to keep it; the fields are "
	ruleSeqn    = "must be an integer from 0 to 281474976710655"
	ruleString  = "must be a JSON string"
	ruleQuotes  = `must be a JSON string, so that no digit is lost on the way: write "12.50" in quotes`
	ruleTwice   = "must not be given twice"
	ruleOwn     = "is a field of the event itself: put it beside measures, not under it"
	ruleAlone   = "must not stand beside amount, quantity or measures: an event carries either changes or a state"
	ruleNoState = "must hold a value: amount, quantity or a declared measure"
)

// setText puts the text of a field that is kept as it is into e.
func setText(e *ledger.Event, f field, text string) {
	switch f {
	case fieldID:
		e.ID = text
	case fieldSource:
		e.Source = text
	case fieldStream:
		e.Stream = text
	case fieldType:
		e.Type = text
	case fieldAccount:
		e.Account = text
	case fieldCurrency:
		e.Currency = text
	case fieldCorrects:
		e.Corrects = text
	case fieldReason:
		e.Reason = text
	case fieldReference:
		e.Reference = text
	case fieldMaker:
		e.Maker = text
	}
}

func setTime(e *ledger.Event, text string) *ledger.FieldError {
	t, rule := parseTime(text)
	if rule != "" {
		return invalid(fieldOccurredAt.String(), text, rule)
	}
	e.OccurredAt = t
	return nil
}

// setSeqn takes plain digits, of which there may be any number in front of it that are 0.
func setSeqn[S ~string | ~[]byte](e *ledger.Event, digits S) *ledger.FieldError {
	n, good := int64(0), len(digits) > 0
	for i := 0; i < len(digits) && good; i++ {
		c := digits[i]
		n = 10*n + int64(c-'0')
		good = '0' <= c && c <= '9' && n <= ledger.MaxSeqn
	}
	if !good {
		return invalid(fieldSeqn.String(), string(digits), ruleSeqn)
	}
	e.Seqn, e.HasSeqn = n, true
	return nil
}

func parseAmount(name, text string) (ledger.Amount, *ledger.FieldError) {
	a, err := ledger.ParseAmount(text)
	if err == nil {
		return a, nil
	}
	if bad := new(ledger.FieldError); errors.As(err, &bad) {
		return a, invalid(name, text, bad.Rule)
	}
	return a, invalid(name, text, err.Error())
}

// undeclared is the error for a measure under f that the ledger has no column for.
func undeclared(f field, name, value string) *ledger.FieldError {
	return invalid(f.String()+"."+name, value, ledger.RuleUndeclared(name))
}

// insertMeasure adds m to measures that are sorted by name.
func insertMeasure(measures []ledger.Measure, m ledger.Measure) []ledger.Measure {
	i, _ := slices.BinarySearchFunc(measures, m.Name, func(a ledger.Measure, name string) int {
		return canonical.Compare(a.Name, name)
	})
	if measures == nil {
		measures = make([]ledger.Measure, 0, 4)
	}
	return slices.Insert(measures, i, m)
}
