package ledger

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"deltaledger/ledger/canonical"
	"deltaledger/ledger/currency"
)

var (
	dimensionLimits = canonical.Limits{Depth: 1, Decimal: true, ScalarsOnly: true}
	payloadLimits   = canonical.Limits{}
)

// earliest and latest bound occurred_at: years 0001 to 9999, which every reader of RFC 3339 takes.
var (
	earliest = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)
)

// validate checks e against every rule that doesn't need the database, and puts it in canonical form:
// UTC, measures sorted, dimensions canonical. horizon is the latest occurred_at that is accepted, zone
// that of business dates.
func validate(e *Event, horizon time.Time, zone *time.Location) *FieldError {
	if err := validateTexts(e); err != nil {
		return err
	}
	if err := validatePlace(e); err != nil {
		return err
	}
	if err := validateTime(e, horizon, zone); err != nil {
		return err
	}
	if !currency.Known(e.Currency) {
		return Invalid("currency", e.Currency, "must be an ISO 4217 code in use, such as EUR")
	}
	if err := validateMeasures(e); err != nil {
		return err
	}
	return validateContent(e)
}

func validateTexts(e *Event) *FieldError {
	if e.Kind != Upstream && e.Kind != Adjustment {
		return Invalid("kind", string(e.Kind), "must be upstream or adjustment: rows of other kinds are made by the ledger")
	}
	for _, f := range [...]struct {
		name, value string
		most        int
		required    bool
	}{
		{"id", e.ID, MaxID, true},
		{"source", e.Source, MaxSource, true},
		{"stream", e.Stream, MaxStream, false},
		{"type", e.Type, MaxType, true},
		{"account", e.Account, MaxAccount, true},
		{"corrects", e.Corrects, MaxID, false},
		{"reason", e.Reason, MaxText, e.Kind == Adjustment},
		{"reference", e.Reference, MaxText, e.Kind == Adjustment},
		{"maker", e.Maker, MaxText, e.Kind == Adjustment},
	} {
		switch {
		case f.value == "" && f.required:
			return Invalid(f.name, "", "is missing")
		case len(f.value) > f.most:
			return invalidf(f.name, f.value, "must have at most %d bytes, not %d", f.most, len(f.value))
		case !utf8.ValidString(f.value):
			return Invalid(f.name, f.value, "must be valid UTF-8")
		case strings.IndexByte(f.value, 0) >= 0:
			return Invalid(f.name, f.value, "must not contain the character NUL")
		}
	}
	if e.Kind == Upstream && e.Reason+e.Reference+e.Maker != "" {
		return Invalid("reason", e.Reason, "reason, reference and maker belong to adjustments: record one with POST /v1/adjustments or the command adjust")
	}
	if e.Source == ReservedSource || strings.HasPrefix(e.Source, ReservedSource+".") {
		return Invalid("source", e.Source, "is reserved for rows that the ledger makes itself")
	}
	return nil
}

// validatePlace checks stream and seqn. That a source may leave seqn out is checked with its declaration.
func validatePlace(e *Event) *FieldError {
	switch {
	case e.HasSeqn && (e.Seqn < 0 || e.Seqn > MaxSeqn):
		return invalidf("seqn", "", "must be between 0 and %d, not %d", int64(MaxSeqn), e.Seqn)
	case e.HasSeqn && e.Stream == "":
		return Invalid("stream", "", "is missing: seqn orders events within a stream")
	case e.HasSeqn && e.Kind == Adjustment:
		return Invalid("seqn", "", "must be left out: an adjustment has no upstream number")
	}
	return nil
}

func validateTime(e *Event, horizon time.Time, zone *time.Location) *FieldError {
	text := func() string { return e.OccurredAt.Format(time.RFC3339Nano) }
	switch {
	case e.OccurredAt.IsZero():
		return Invalid("occurred_at", "", "is missing")
	case e.OccurredAt.Nanosecond()%1000 != 0:
		return Invalid("occurred_at", text(), "must not be finer than microseconds: it would have to be rounded")
	}
	e.OccurredAt = e.OccurredAt.UTC()
	local := e.OccurredAt.In(zone).Year()
	switch {
	case e.OccurredAt.Before(earliest) || !e.OccurredAt.Before(latest) || local < 1 || local > 9999:
		return Invalid("occurred_at", text(), "must lie in the years 0001 to 9999, in UTC and in the reporting zone")
	case e.OccurredAt.After(horizon):
		return invalidf("occurred_at", text(), "must not be later than %s: that is too far in the future", horizon.UTC().Format(time.RFC3339))
	}
	return nil
}

// validateMeasures checks what doesn't need the catalogue, see declarations.check.
func validateMeasures(e *Event) *FieldError {
	byName := func(a, b Measure) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortFunc(e.Measures, byName)
	slices.SortFunc(e.State, byName)
	for _, f := range [...]struct {
		name string
		all  []Measure
	}{{"measures", e.Measures}, {"state", e.State}} {
		for i, m := range f.all {
			if i > 0 && f.all[i-1].Name == m.Name {
				return Invalid(f.name+"."+shown(m.Name), m.Value.String(), "must not be given twice")
			}
			if !m.Value.Valid() {
				return Invalid(f.name+"."+shown(m.Name), "", "has no value")
			}
		}
	}
	if e.State == nil {
		return nil
	}
	switch {
	case e.Amount.Valid() || e.Quantity.Valid() || len(e.Measures) > 0:
		return Invalid("state", "", "must not stand beside amount, quantity or measures: an event has either changes or the values after it")
	case len(e.State) == 0:
		return Invalid("state", "", "must hold a value: amount, quantity or a declared measure")
	case e.Kind == Adjustment:
		return Invalid("state", "", "must be left out: an adjustment carries changes")
	case !e.HasSeqn:
		return Invalid("seqn", "", "is missing: what a state changes depends on the events before it in its stream")
	}
	return nil
}

// validateContent checks dimensions and payload as JSON, and the size of both.
func validateContent(e *Event) *FieldError {
	if len(e.Dimensions) > 0 {
		d, err := CanonicalDimensions(e.Dimensions)
		if err != nil {
			return jsonError("dimensions", err)
		}
		if len(d) > MaxDimensions {
			return invalidf("dimensions", "", "must have at most %d bytes, not %d", MaxDimensions, len(d))
		}
		if e.Dimensions = d; len(d) == len("{}") {
			e.Dimensions = nil
		}
	}
	if len(e.Payload) > MaxEvent {
		return invalidf("payload", "", "must have at most %d bytes, not %d", MaxEvent, len(e.Payload))
	}
	return nil
}

// CanonicalDimensions puts a JSON object of scalars in canonical form.
func CanonicalDimensions(object []byte) ([]byte, error) {
	return canonical.Append(make([]byte, 0, len(object)), object, dimensionLimits)
}

func jsonError(field string, err error) *FieldError {
	if e, ok := errors.AsType[*canonical.Error](err); ok {
		if e.Path != "" {
			field += "." + e.Path
		}
		return Invalid(field, "", e.Rule)
	}
	return Invalid(field, "", err.Error())
}

// RuleUndeclared says of a measure that the ledger has no column for how to declare it.
func RuleUndeclared(name string) string {
	const rule = "is not a measure of this ledger: send amount or quantity, or declare it with: deltaledger schema add measure "
	if checkColumnName(name) != nil {
		return rule + "NAME --kind money (this name can't be declared: it " + ruleColumnName + ")"
	}
	return rule + name + " --kind money (or: POST /v1/schema/columns)"
}
