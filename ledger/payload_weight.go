package ledger

import (
	"errors"
	"fmt"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxVisits is how many parts of a schema may be held against one value of a payload. The work for a payload
// is at most that for each value in it, and a sender waits for it.
const maxVisits = 1000

var (
	errEndless = errors.New("a part of the schema refers to itself without going into the payload, so nothing could be held against it")
	errDynamic = errors.New("$dynamicRef is not taken: use $ref")
)

// checkWeight refuses schemas that are short to write and endless to compute: references that lead back to
// themselves, and those that double with every step.
func checkWeight(s *jsonschema.Schema) error {
	w := weigher{known: map[visit]int{}, open: map[visit]bool{}}
	for depth := range maxPayloadDepth + 1 {
		n, err := w.visits(visit{s, depth})
		if err != nil {
			return err
		}
		if n > maxVisits {
			return fmt.Errorf("more than %d parts of the schema would be held against one value of a payload: use fewer alternatives and references", maxVisits)
		}
	}
	return nil
}

// maxPayloadDepth is how deep a payload may nest: what decoders take.
const maxPayloadDepth = 32

// visit is a part of a schema that is held against a value; depth is how many levels below it a value is looked at.
type visit struct {
	schema *jsonschema.Schema
	depth  int
}

// weigher counts, with an answer for each part of the schema and depth but once.
type weigher struct {
	known map[visit]int
	open  map[visit]bool // being counted now
}

// visits is at least how many parts of the schema are held against any one value that lies depth levels below
// the one that v is held against; more than maxVisits stands for anything above.
func (w *weigher) visits(v visit) (int, error) {
	if n, counted := w.known[v]; counted {
		return n, nil
	}
	if w.open[v] {
		return 0, errEndless
	}
	if v.schema.DynamicRef != nil {
		return 0, errDynamic
	}
	w.open[v] = true
	defer delete(w.open, v)
	total := 0
	if v.depth == 0 {
		total = 1
	}
	for _, part := range sameValue(v.schema) {
		n, err := w.visits(visit{part, v.depth})
		if err != nil {
			return 0, err
		}
		total = min(total+n, maxVisits+1)
	}
	if v.depth > 0 {
		for _, alternatives := range valuesWithin(v.schema) {
			most := 0
			for _, part := range alternatives {
				n, err := w.visits(visit{part, v.depth - 1})
				if err != nil {
					return 0, err
				}
				most = max(most, n)
			}
			total = min(total+most, maxVisits+1)
		}
	}
	w.known[v] = total
	return total, nil
}

// sameValue are the parts of a schema that are held against the same value as the schema.
func sameValue(s *jsonschema.Schema) []*jsonschema.Schema {
	parts := present(s.Ref, s.Not, s.If, s.Then, s.Else)
	parts = append(parts, s.AllOf...)
	parts = append(parts, s.AnyOf...)
	parts = append(parts, s.OneOf...)
	for _, part := range s.DependentSchemas {
		parts = append(parts, part)
	}
	for _, part := range s.Dependencies {
		if part, ok := part.(*jsonschema.Schema); ok {
			parts = append(parts, part)
		}
	}
	return parts
}

// valuesWithin are the parts that are held against the values within an object or an array. Of those that stand
// together, one value meets one.
func valuesWithin(s *jsonschema.Schema) [][]*jsonschema.Schema {
	var properties []*jsonschema.Schema
	for _, part := range s.Properties {
		properties = append(properties, part)
	}
	items := present(s.Items2020)
	if part, ok := s.AdditionalProperties.(*jsonschema.Schema); ok {
		properties = append(properties, part)
	}
	groups := [][]*jsonschema.Schema{properties, append(items, s.PrefixItems...)}
	for _, part := range present(s.PropertyNames, s.UnevaluatedProperties, s.Contains, s.UnevaluatedItems) {
		groups = append(groups, []*jsonschema.Schema{part})
	}
	for _, part := range s.PatternProperties {
		groups = append(groups, []*jsonschema.Schema{part})
	}
	return groups
}

func present(parts ...*jsonschema.Schema) []*jsonschema.Schema {
	var there []*jsonschema.Schema
	for _, part := range parts {
		if part != nil {
			there = append(there, part)
		}
	}
	return there
}
