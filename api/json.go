package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger/canonical"
)

// strictJSON is the JSON of small request bodies and of all answers. It refuses keys given twice,
// whatever their case: one of the two values would be lost. Unknown keys are refused by the schemas.
func strictJSON() huma.Format {
	return huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshalStrictly}
}

func unmarshalStrictly(data []byte, v any) error {
	if _, err := canonical.Append(nil, data, canonical.Limits{}); err != nil {
		return fmt.Errorf("must be readable JSON: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := uniqueKeys(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("must be one JSON value and nothing after it")
	}
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	if read, ok := v.(*any); ok { // what the schemas are held against
		markNulls(*read)
	}
	return nil
}

// null stands in a body for null, which the framework would take for a field that was left out: a credit note without
// lines takes back the whole invoice, and one with "lines": null is more likely a mistake of the sender's. No schema allows
// it but one that allows anything.
type null struct{}

func (null) String() string { return "null" }

// markNulls puts null where a member of an object has none.
func markNulls(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if member == nil {
				v[key] = null{}
			}
			markNulls(member)
		}
	case []any:
		for _, element := range v {
			markNulls(element)
		}
	}
}

// uniqueKeys reads one value and fails if an object in it has a key twice.
func uniqueKeys(d *json.Decoder, depth int) error {
	const most = 32
	if depth > most {
		return fmt.Errorf("must not be nested deeper than %d levels", most)
	}
	t, err := d.Token()
	if err != nil {
		return fmt.Errorf("must be JSON: %w", err)
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if delim == '{' {
			key, err := d.Token()
			if err != nil {
				return fmt.Errorf("must be JSON: %w", err)
			}
			name := strings.ToLower(fmt.Sprint(key))
			if seen[name] {
				return fmt.Errorf("has the key %q twice", name)
			}
			seen[name] = true
		}
		if err := uniqueKeys(d, depth+1); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return fmt.Errorf("must be JSON: %w", err)
	}
	return nil
}
