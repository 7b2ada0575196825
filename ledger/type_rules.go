package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// extends checks that t, the next version of old, keeps what readers rely on: each required dimension and measure stays
// required; the sign of a measure stays ruled, and no sign that was excluded comes in; a schema stays, each
// top-level property that it requires stays required, and a top-level property whose type it names keeps a type that
// is among those. Descriptions, owners and whether the type is billable may change. The error is ErrConflict.
func (t *Type) extends(old *Type) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("type %s: version %d %s; a new version may add and tighten: %w", t.Name, old.Version, fmt.Sprintf(format, args...), ErrConflict)
	}
	for _, key := range old.RequiredDimensions {
		if !slices.Contains(t.RequiredDimensions, key) {
			return refuse("requires the dimension %s, which the new one doesn't", key)
		}
	}
	for _, name := range old.RequiredMeasures {
		if !slices.Contains(t.RequiredMeasures, name) {
			return refuse("requires the measure %s, which the new one doesn't", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(old.Signs)) {
		if before, now := old.Signs[name], t.Signs[name]; !narrows(before, now) {
			return refuse("has %s %s, which the new one doesn't keep", name, before)
		}
	}
	if len(old.Schema) == 0 {
		return nil
	}
	if len(t.Schema) == 0 {
		return refuse("has a schema of the payload, which the new one hasn't")
	}
	required, types := requiredOf(old.Schema)
	requiredNow, typesNow := requiredOf(t.Schema)
	for _, name := range required {
		if !slices.Contains(requiredNow, name) {
			return refuse("requires payload.%s, which the new one doesn't", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(types)) {
		now, named := typesNow[name]
		if !named || slices.ContainsFunc(now, func(s string) bool {
			return !slices.Contains(types[name], s) && (s != "integer" || !slices.Contains(types[name], "number"))
		}) {
			return refuse("says that payload.%s is of type %s, which the new one doesn't keep", name, strings.Join(types[name], " or "))
		}
	}
	return nil
}

// narrows reports that every value whose sign may be now could be before.
func narrows(before, now string) bool {
	return before == now || before == SignNonNegative && now == SignPositive || before == SignNonPositive && now == SignNegative
}

func sameSigns(a, b map[string]string) bool { return maps.Equal(a, b) }

// checkType checks e against its type, if it is declared, and whether its source takes it if it isn't.
func (d *declarations) checkType(e *Event) *FieldError {
	if e.Kind != Upstream {
		return nil
	}
	t, ok := d.types[e.Type]
	if !ok {
		if d.sources[e.Source].Strict {
			return Invalid("type", e.Type, "is not declared, and source "+e.Source+" takes only declared types; it is declared with: deltaledger types declare "+e.Type+" (or: POST /v1/types)")
		}
		return nil
	}
	if bad := t.check(e); bad != nil {
		bad.Rule += fmt.Sprintf(" (type %s, version %d)", t.Name, t.Version)
		return bad
	}
	return nil
}

func (t *Type) check(e *Event) *FieldError {
	if len(t.RequiredDimensions) > 0 {
		have := keysIn(e.Dimensions)
		for _, key := range t.RequiredDimensions {
			if !have[key] {
				return Invalid("dimensions."+key, "", "is missing, and required")
			}
		}
	}
	for _, name := range t.RequiredMeasures {
		if !e.measure(name).Valid() && !measureOf(e.State, name).Valid() {
			return Invalid(measureField(name), "", "is missing, and required")
		}
	}
	for name, sign := range t.Signs {
		if v := e.measure(name); v.Valid() && !hasSign(v, sign) {
			return Invalid(measureField(name), v.String(), "must be "+sign)
		}
	}
	switch {
	case len(t.Schema) == 0:
		return nil
	case t.broken != nil:
		return Invalid("payload", "", "can't be checked, because the schema can't be used: "+oneLine(t.broken))
	case len(e.Payload) == 0:
		return Invalid("payload", "", "is missing, and has a schema")
	}
	return checkPayload(t.payload, e.Payload)
}

// measure is the change of a measure that the event was sent with.
func (e *Event) measure(name string) Amount {
	switch name {
	case "amount":
		return e.Amount
	case "quantity":
		return e.Quantity
	}
	return measureOf(e.Measures, name)
}

// measureField is the name of a measure on the wire.
func measureField(name string) string {
	if name == "amount" || name == "quantity" {
		return name
	}
	return "measures." + name
}

func hasSign(a Amount, sign string) bool {
	text := a.String()
	negative := strings.HasPrefix(text, "-")
	zero := strings.Trim(text, "-0.") == ""
	switch sign {
	case SignPositive:
		return !negative && !zero
	case SignNegative:
		return negative && !zero
	case SignNonNegative:
		return !negative || zero
	}
	return negative || zero
}

// keysIn are the keys of dimensions, which are canonical JSON, that have a value.
func keysIn(dimensions []byte) map[string]bool {
	keys := map[string]bool{}
	if len(dimensions) == 0 {
		return keys
	}
	_ = eachMember(dimensions, func(key, value, _ []byte) { keys[string(key)] = string(value) != "null" }) // they are canonical
	return keys
}
