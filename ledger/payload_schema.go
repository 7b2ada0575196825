package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

const (
	maxSchema   = 64 << 10 // bytes of a JSON Schema
	schemaDraft = "https://json-schema.org/draft/2020-12/schema"
	// Names the schema within itself. It can't be fetched, and nothing else can: see noLoader.
	schemaURL = "deltaledger:payload"
)

// noLoader refuses references out of a schema: what an event has to be must not depend on who answers where.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("a reference to %s: a schema must hold everything that it refers to, under $defs", url)
}

// compileSchema reads a JSON Schema of draft 2020-12.
func compileSchema(text []byte) (*jsonschema.Schema, error) {
	if len(text) > maxSchema {
		return nil, fmt.Errorf("a schema must have at most %d bytes, not %d", maxSchema, len(text))
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if err := tame(doc); err != nil {
		return nil, err
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("a schema must be a JSON object")
	}
	if draft, there := object["$schema"]; there && draft != schemaDraft {
		return nil, fmt.Errorf("$schema must be %s, or left out", schemaDraft)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, doc); err != nil {
		return nil, err
	}
	return c.Compile(schemaURL)
}

// checkPayload holds a payload, which is JSON, against a schema. The error names the part of the payload and never
// repeats what is in it, because payloads are private.
func checkPayload(s *jsonschema.Schema, payload []byte) *FieldError {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(payload))
	if err == nil {
		err = tame(doc)
	}
	if err != nil {
		return Invalid("payload", "", "must be JSON whose numbers a schema can be held against: exponents from -400 to 400, at most 1,000 digits")
	}
	err = s.Validate(doc)
	if err == nil {
		return nil
	}
	broken, ok := err.(*jsonschema.ValidationError) //nolint:errorlint // the library returns this type as it is
	if !ok {
		return Invalid("payload", "", "can't be held against the schema")
	}
	for len(broken.Causes) > 0 && !alternative(broken.ErrorKind) {
		broken = broken.Causes[0]
	}
	return Invalid(strings.Join(append([]string{"payload"}, broken.InstanceLocation...), "."), "", schemaRule(broken.ErrorKind))
}

// alternative reports that what lies below an error are several ways to be right, of which none was taken.
func alternative(k jsonschema.ErrorKind) bool {
	switch k.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not:
		return true
	}
	return false
}

// schemaRule says what would be right, in the words of the schema alone.
func schemaRule(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return "must be of type " + strings.Join(k.Want, " or ") + ", not " + k.Got
	case *kind.Required:
		return "must have " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return "must not have " + shown(strings.Join(k.Properties, ", "))
	case *kind.Enum:
		return "must be one of " + asJSON(k.Want)
	case *kind.Const:
		return "must be " + asJSON(k.Want)
	case *kind.Pattern:
		return "must match " + k.Want
	}
	return "breaks the rule " + strings.Join(k.KeywordPath(), "/") + " of the schema"
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "what the schema says"
	}
	return string(text)
}

// tame refuses numbers that are short to write and endless to compute with.
func tame(v any) error {
	switch v := v.(type) {
	case map[string]any:
		for _, part := range v {
			if err := tame(part); err != nil {
				return err
			}
		}
	case []any:
		for _, part := range v {
			if err := tame(part); err != nil {
				return err
			}
		}
	case json.Number:
		const mostExponent, mostDigits = 400, 1000
		text := string(v)
		if i := strings.IndexAny(text, "eE"); i >= 0 {
			exponent, err := strconv.Atoi(text[i+1:])
			if err != nil || exponent > mostExponent || exponent < -mostExponent {
				return fmt.Errorf("a number has an exponent beyond %d", mostExponent)
			}
		}
		if len(text) > mostDigits {
			return fmt.Errorf("a number has more than %d characters", mostDigits)
		}
	}
	return nil
}

// requiredOf are the top-level properties that a schema requires, and types those that it gives a type.
func requiredOf(text []byte) (required []string, types map[string][]string) {
	var doc struct {
		Required   []string                   `json:"required"`
		Properties map[string]json.RawMessage `json:"properties"`
	}
	if json.Unmarshal(text, &doc) != nil {
		return nil, nil
	}
	types = map[string][]string{}
	for name, raw := range doc.Properties {
		var one struct{ Type string }
		var several struct{ Type []string }
		if json.Unmarshal(raw, &one) == nil && one.Type != "" {
			types[name] = []string{one.Type}
		} else if json.Unmarshal(raw, &several) == nil && len(several.Type) > 0 {
			slices.Sort(several.Type)
			types[name] = several.Type
		}
	}
	return doc.Required, types
}
