package billing

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// withTexts puts the texts of the declared dimensions of an event e into a query in which noTexts stands, and their names
// among its arguments. The texts are those that filters of charges are held against (see Selection.Mask); private
// dimensions, which no charge filters on, are not among them.
func withTexts(query string, catalogue ledger.Catalogue, args pgx.NamedArgs) string {
	var names, texts []string
	value := named(args)
	for _, c := range catalogue.Columns() {
		if c.BuiltIn || filterable(catalogue, c.Name) != "" {
			continue
		}
		names = append(names, c.Name)
		texts = append(texts, catalogue.DimensionText(c.Name, func(name string) string { return value(name) }))
	}
	if len(names) == 0 {
		return query
	}
	return strings.Replace(query, noTexts, "jsonb_strip_nulls(jsonb_object("+value(names)+", ARRAY["+strings.Join(texts, ", ")+"]))", 1)
}
