package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// Filter selects events by one key: any column of the catalogue, one of the derived keys booked_month,
// billed and invoice, a date bucket (hour, day, week, month, quarter, year), or else a key of the
// dimensions. The form dimensions.KEY always means a key of the dimensions, compared as text whatever it is
// declared to be. Several values mean any of them; the empty value means that there is none. Several filters
// must all hold.
//
// A declared dimension finds the events recorded before its declaration too, by the text that they hold under its name:
// level=7 finds 7 and "7". What of them isn't of the declared type is found by dimensions.level.
type Filter struct {
	Key    string   `json:"key"`
	Values []string `json:"values"`
}

// Limits of the filters and groups of one question.
const (
	maxFilters = 32
	maxValues  = 1000
	maxKey     = 256  // bytes
	maxValue   = 1024 // bytes
)

// ParseWhere reads filters of the form key=value. Items with the same key make one filter that
// accepts any of their values. The key ends at the first equals sign.
func ParseWhere(items []string) ([]Filter, error) {
	var where []Filter
	for _, item := range items {
		key, value, found := strings.Cut(item, "=")
		if !found || key == "" {
			return nil, Invalid("where", strings.ToValidUTF8(item, "�"), "must have the form key=value, such as country=US")
		}
		i := slices.IndexFunc(where, func(f Filter) bool { return f.Key == key })
		if i < 0 {
			where, i = append(where, Filter{Key: key}), len(where)
		}
		where[i].Values = append(where[i].Values, value)
	}
	if err := checkWhere(where); err != nil {
		return nil, err
	}
	return where, nil
}

// checkWhere checks what doesn't need the catalogue.
func checkWhere(where []Filter) error {
	if len(where) > maxFilters {
		return invalidf("where", "", "must have at most %d keys, not %d", maxFilters, len(where))
	}
	for _, f := range where {
		if err := checkKey("where", f.Key); err != nil {
			return err
		}
		if len(f.Values) == 0 {
			return Invalid("where."+f.Key, "", "has no value; an empty value means that there is none")
		}
		if len(f.Values) > maxValues {
			return invalidf("where."+f.Key, "", "must have at most %d values, not %d", maxValues, len(f.Values))
		}
		for _, v := range f.Values {
			if !storable(v) {
				return Invalid("where."+f.Key, strings.ToValidUTF8(v, "�"), ruleStorable)
			}
			if len(v) > maxValue {
				return invalidf("where."+f.Key, v, "must have at most %d bytes, not %d", maxValue, len(v))
			}
		}
	}
	return nil
}

func checkKey(field, key string) error {
	switch {
	case key == "":
		return Invalid(field, "", "has an empty key")
	case len(key) > maxKey:
		return invalidf(field, strings.ToValidUTF8(key, "�"), "a key must have at most %d bytes, not %d", maxKey, len(key))
	case !storable(key):
		return Invalid(field, strings.ToValidUTF8(key, "�"), "a key "+ruleStorable)
	}
	return nil
}

// builder puts together the SQL of one question about the events, which have the alias e. Identifiers
// come from the catalogue or from this file; what a caller sent becomes a parameter.
type builder struct {
	catalogue  Catalogue
	asOf       int64
	zone       string // of date buckets and of bounds that are dates
	reporting  bool   // zone is the reporting zone, in which business_date is a date
	freezes    []freeze
	args       []any
	conditions []string
	pinned     bool // the pins that are live as of asOf are joined in, as live
}

// newBuilder begins a question as of a watermark. freezes are needed only if a key is booked_month.
func newBuilder(c Catalogue, asOf int64, zone string, reporting bool, freezes []freeze) *builder {
	b := &builder{catalogue: c, asOf: asOf, zone: zone, reporting: reporting, freezes: freezes}
	b.add("e.position <= " + b.arg(asOf, "bigint"))
	return b
}

// arg adds a parameter and returns its place with its type.
func (b *builder) arg(value any, sqlType string) string {
	b.args = append(b.args, value)
	return fmt.Sprintf("$%d::%s", len(b.args), sqlType)
}

func (b *builder) add(condition string) { b.conditions = append(b.conditions, condition) }

// from is the FROM and WHERE of the question.
func (b *builder) from() string {
	sql := "\nFROM ledger.events e"
	if b.pinned {
		sql += fmt.Sprintf(joinLive, b.arg(b.asOf, "bigint"))
	}
	return sql + "\nWHERE " + strings.Join(b.conditions, "\n  AND ")
}

// where adds filters.
func (b *builder) where(filters []Filter) error {
	if err := checkWhere(filters); err != nil {
		return err
	}
	for _, f := range filters {
		t, err := b.term("where", f.Key)
		if err != nil {
			return err
		}
		condition, err := b.match("where."+f.Key, t, f.Values)
		if err != nil {
			return err
		}
		b.add(condition)
	}
	return nil
}

// term is what a key stands for in SQL.
type term struct {
	sql     string                           // expression of the type
	sqlType string                           // as in the catalogue
	show    string                           // format that makes text of sql; empty: by its type
	older   string                           // declared dimension: where events recorded before the declaration keep it, as text
	until   *int64                           // of older: events above this position keep it there no more; nil: not known
	check   func(value string) (rule string) // values are compared as text and must keep this rule; nil: by their type
}

// term resolves a key that a caller gave in the field named.
func (b *builder) term(field, key string) (term, error) {
	if err := checkKey(field, key); err != nil {
		return term{}, err
	}
	if name, ok := strings.CutPrefix(key, "dimensions."); ok && name != "" {
		return b.spelled(name), nil
	} else if t, ok := b.derived(key); ok {
		return t, nil
	} else if t, ok := b.bucket(key); ok {
		return t, nil
	} else if column, ok := b.catalogue.Column(key); ok {
		return b.column(field, column)
	}
	return term{sql: b.dimension(key), sqlType: "text"}, nil
}

func (b *builder) column(field string, c Column) (term, error) {
	switch {
	case c.PII:
		return term{}, Invalid(field, c.Name, "is private content: it is read event by event, with the right to it, and is no key to filter or group by")
	case c.BuiltIn || c.Measure():
		return term{sql: c.identifier(), sqlType: c.Type}, nil
	}
	return term{sql: c.identifier(), sqlType: c.Type, older: b.dimension(c.Name), until: c.floor}, nil
}

// spelled is the text of a dimension wherever it is kept, without regard to what it is declared to be.
func (b *builder) spelled(name string) term {
	t := term{sql: b.dimension(name), sqlType: "text"}
	if c, ok := b.catalogue.index[name]; ok {
		if c := b.catalogue.columns[c]; !c.BuiltIn && !c.Measure() && !c.PII {
			own := term{sql: c.identifier(), sqlType: c.Type, older: t.sql}
			t.sql = own.text()
		}
	}
	return t
}

// dimension is the text of a key of the dimensions that have no column of their own.
func (b *builder) dimension(key string) string {
	return "(e.dimensions ->> " + b.arg(key, "text") + ")"
}

// DimensionText is the SQL of the text that events, with the alias e, have for a dimension, wherever it is kept; null
// for those without it. arg is given the name and returns the parameter that stands for it. For a private dimension,
// whose text isn't there, or a column that is none, it is what other events keep under the name.
func (c Catalogue) DimensionText(name string, arg func(name string) string) string {
	older := "(e.dimensions ->> " + arg(name) + ")"
	column, known := c.Column(name)
	if !known || column.Measure() || column.PII {
		return older
	}
	return term{sql: column.identifier(), sqlType: column.Type, older: older}.text()
}

// text is the term as text: what a reader sees as the value of a group.
func (t term) text() string {
	own := fmt.Sprintf(t.format(), t.sql)
	if t.older != "" {
		return "COALESCE(" + own + ", " + t.older + ")"
	}
	return own
}

// format makes text of an expression of the term's type. The text depends on no setting of the session.
func (t term) format() string {
	if t.show != "" {
		return t.show
	}
	switch t.sqlType {
	case "text":
		return "%s"
	case "date":
		return "to_char(%s, 'YYYY-MM-DD')"
	case "timestamptz":
		return `to_char(%s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	case "numeric":
		return "trim_scale(%s)::text"
	}
	return "(%s)::text"
}

// match is the condition that the term has one of the values.
func (b *builder) match(field string, t term, values []string) (string, error) {
	present := slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	if t.check != nil {
		for _, v := range present {
			if rule := t.check(v); rule != "" {
				return "", Invalid(field, v, rule)
			}
		}
		t = term{sql: t.text(), sqlType: "text"}
	}
	var any []string
	if len(present) < len(values) {
		any = append(any, t.absent())
	}
	if len(present) > 0 {
		typed, err := parseValues(field, t.sqlType, present)
		if err != nil {
			return "", err
		}
		any = append(any, b.equals(t.sql, t.sqlType, typed))
		if t.older != "" {
			any = append(any, b.before(t)+" AND "+b.equals(t.older, "text", textValues(present))+")")
		}
	}
	return "(" + strings.Join(any, " OR ") + ")", nil
}

// before begins the condition that an event keeps t where it was kept before the declaration. The bound on positions, which
// changes nothing, lets an index of the column serve beside that of the positions.
func (b *builder) before(t term) string {
	if t.until == nil {
		return "(" + t.sql + " IS NULL"
	}
	return "(e.position <= " + b.arg(*t.until, "bigint") + " AND " + t.sql + " IS NULL"
}

func (t term) absent() string {
	if t.older != "" {
		return "(" + t.sql + " IS NULL AND " + t.older + " IS NULL)"
	}
	return t.sql + " IS NULL"
}

// equals compares with one value by =, which the planner carries over to joined tables, with more by ANY.
func (b *builder) equals(sql, sqlType string, v values) string {
	if v.one != nil {
		return sql + " = " + b.arg(v.one, v.sent) + v.cast(sqlType)
	}
	return sql + " = ANY (" + b.arg(v.all, v.sent+"[]") + v.cast(sqlType+"[]") + ")"
}
