package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"deltaledger/ledger/pg"
)

// Type is one version of the declaration of an event type. The newest version is in force. Its rules hold for
// events from upstream that aren't recorded yet; adjustments, which undo what the rules want, may break them.
type Type struct {
	Name               string            `json:"name"`
	Version            int               `json:"version"` // from 1; set by the ledger
	Description        string            `json:"description"`
	Owner              string            `json:"owner"`
	RequiredDimensions []string          `json:"required_dimensions"`
	RequiredMeasures   []string          `json:"required_measures"` // amount, quantity and declared ones, as changes or in a state
	Signs              map[string]string `json:"signs"`             // measure to one of the Sign constants; states have no sign
	Schema             json.RawMessage   `json:"schema,omitempty"`  // JSON Schema, draft 2020-12, of the payload, which must then be there
	Billable           bool              `json:"billable"`          // false: that no charge covers it is in order
	By                 string            `json:"declared_by"`
	DeclaredAt         time.Time         `json:"declared_at"` // by the clock of the database; set by the ledger

	payload *jsonschema.Schema
	broken  error // why the schema can't be used any more
}

// What the sign of a change may be.
const (
	SignPositive    = "positive"    // above 0
	SignNegative    = "negative"    // below 0
	SignNonNegative = "nonnegative" // 0 or above
	SignNonPositive = "nonpositive" // 0 or below
)

const maxRequired = 100 // dimensions, measures or signs of a type

// settle checks a declaration and puts its lists in order.
func (t *Type) settle(c Catalogue) error {
	switch {
	case t.Name == "":
		return Invalid("name", "", "is missing")
	case len(t.Name) > MaxType || !storable(t.Name):
		return invalidf("name", strings.ToValidUTF8(t.Name, "�"), "%s, in at most %d bytes", ruleStorable, MaxType)
	case len(t.RequiredDimensions) > maxRequired || len(t.RequiredMeasures) > maxRequired || len(t.Signs) > maxRequired:
		return invalidf("name", t.Name, "a type can have at most %d rules of a kind", maxRequired)
	}
	about := Column{Description: t.Description, Owner: t.Owner, By: t.By}
	if err := about.settleDescription("type"); err != nil {
		return err
	}
	for _, key := range t.RequiredDimensions {
		if err := checkKey("required_dimensions", key); err != nil {
			return err
		}
		if column, ok := c.Column(key); ok && (column.BuiltIn || column.Measure()) {
			return Invalid("required_dimensions", key, "is no dimension that events carry")
		}
	}
	for _, name := range t.RequiredMeasures {
		if err := checkMeasureName(c, "required_measures", name); err != nil {
			return err
		}
	}
	for name, sign := range t.Signs {
		if err := checkMeasureName(c, "signs", name); err != nil {
			return err
		}
		if !slices.Contains([]string{SignPositive, SignNegative, SignNonNegative, SignNonPositive}, sign) {
			return Invalid("signs."+name, shown(sign), "must be positive, negative, nonnegative or nonpositive")
		}
	}
	t.RequiredDimensions, t.RequiredMeasures = sorted(t.RequiredDimensions), sorted(t.RequiredMeasures)
	if t.Signs == nil {
		t.Signs = map[string]string{}
	}
	if len(t.Schema) > 0 {
		if !storable(string(t.Schema)) {
			return Invalid("schema", "", ruleStorable)
		}
		compiled, err := compileSchema(t.Schema)
		if err == nil {
			err = checkWeight(compiled)
		}
		if err != nil {
			return Invalid("schema", "", "must be a JSON Schema of draft 2020-12 that refers to nothing outside of it: "+schemaFault(err))
		}
	}
	return nil
}

func sorted(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}

// schemaFault says what is wrong with a schema, and where in it.
func schemaFault(err error) string {
	var fault *jsonschema.SchemaValidationError
	var broken *jsonschema.ValidationError
	if !errors.As(err, &fault) || !errors.As(fault.Err, &broken) {
		return oneLine(err)
	}
	for len(broken.Causes) > 0 {
		broken = broken.Causes[0]
	}
	text := oneLine(broken)
	if i := strings.LastIndex(text, " - at "); i >= 0 {
		text = text[i+len(" - "):]
	}
	return text
}

// oneLine is the text of an error of a library, fit for a message.
func oneLine(err error) string {
	const most = 300
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = text[:most] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

func checkMeasureName(c Catalogue, field, name string) *FieldError {
	if column, ok := c.Column(name); !ok || !column.Measure() {
		return invalidf(field, shown(name), "must be one of %s", names(c.Measures()))
	}
	return nil
}

// same reports whether two declarations say the same.
func (t *Type) same(o *Type) bool {
	return t.Description == o.Description && t.Owner == o.Owner && t.Billable == o.Billable && string(t.Schema) == string(o.Schema) &&
		slices.Equal(t.RequiredDimensions, o.RequiredDimensions) && slices.Equal(t.RequiredMeasures, o.RequiredMeasures) && sameSigns(t.Signs, o.Signs)
}

const sqlTypeVersions = `
SELECT name, version, description, owner, required_dimensions, required_measures, signs, COALESCE(schema, ''), billable, declared_by, declared_at
FROM ledger.types
WHERE name = $1
ORDER BY version DESC`

const sqlTypes = `
SELECT DISTINCT ON (name) name, version, description, owner, required_dimensions, required_measures, signs, COALESCE(schema, ''), billable, declared_by, declared_at
FROM ledger.types
ORDER BY name, version DESC`

func readTypes(ctx context.Context, db querier, sql string, args ...any) ([]Type, error) {
	rows, err := db.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (t Type, err error) {
		var schema string
		err = row.Scan(&t.Name, &t.Version, &t.Description, &t.Owner, &t.RequiredDimensions, &t.RequiredMeasures, &t.Signs, &schema, &t.Billable, &t.By, &t.DeclaredAt)
		t.DeclaredAt = t.DeclaredAt.UTC()
		if schema != "" {
			t.Schema = json.RawMessage(schema)
		}
		return t, err
	})
}

// Types are the declarations in force, by name.
func (l *Ledger) Types(ctx context.Context) ([]Type, error) {
	all, err := readTypes(ctx, l.pool, sqlTypes)
	if err != nil {
		return nil, readError("list types", err)
	}
	return all, nil
}

// TypeVersions are all declarations of a type, the newest, which is in force, first; ErrNotFound if there is none.
func (l *Ledger) TypeVersions(ctx context.Context, name string) ([]Type, error) {
	if !storable(name) {
		return nil, Invalid("type", strings.ToValidUTF8(name, "�"), ruleStorable)
	}
	all, err := readTypes(ctx, l.pool, sqlTypeVersions, name)
	if err != nil {
		return nil, readError("read type "+shown(name), err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("type %s was never declared: %w", shown(name), ErrNotFound)
	}
	return all, nil
}

const sqlInsertType = `
INSERT INTO ledger.types (name, version, description, owner, required_dimensions, required_measures, signs, schema, billable, declared_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, NULLIF($8, ''), $9, $10)`

var errUnchanged = errors.New("nothing changed")

// DeclareType declares a type, or its next version, which may add rules and tighten them; see Type.extends for what it
// must keep. What is in force already changes nothing. It returns what is in force then; every event that is recorded
// after it returns follows it.
func (l *Ledger) DeclareType(ctx context.Context, t Type) (Type, error) {
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return Type{}, err
	}
	if err := t.settle(catalogue); err != nil {
		return Type{}, err
	}
	err = pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		if err := declareTx(ctx, tx, "type "+t.Name); err != nil {
			return err
		}
		t.Version = 1
		versions, err := readTypes(ctx, tx, sqlTypeVersions, t.Name)
		if err != nil {
			return err
		}
		if len(versions) > 0 {
			if versions[0].same(&t) {
				return errUnchanged
			}
			if err := t.extends(&versions[0]); err != nil {
				return err
			}
			t.Version = versions[0].Version + 1
		}
		_, err = tx.Exec(ctx, sqlInsertType, t.Name, t.Version, t.Description, t.Owner, t.RequiredDimensions, t.RequiredMeasures, t.Signs, string(t.Schema), t.Billable, t.By)
		return err
	})
	switch {
	case errors.Is(err, errUnchanged):
	case errors.Is(err, ErrConflict):
		return Type{}, err
	case err != nil:
		return Type{}, readError("declare type "+t.Name, err)
	default:
		if err := l.inForce(ctx, "type "+t.Name); err != nil {
			return Type{}, err
		}
	}
	versions, err := l.TypeVersions(ctx, t.Name)
	if err != nil {
		return Type{}, err
	}
	return versions[0], nil
}

// inForce returns when nobody records any more by the declarations before one that is committed.
func (l *Ledger) inForce(ctx context.Context, what string) error {
	bounded, cancel := context.WithTimeout(ctx, DefaultPatience)
	defer cancel()
	_, err := l.TakeWatermark(bounded)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s is declared, but writers that began before still hang; declare it again to wait for them: %w", what, ErrBusy)
	}
	return err
}
