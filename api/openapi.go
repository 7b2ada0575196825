package api

import (
	"reflect"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/wire"
	"deltaledger/reconcile"
)

// description is the head of the OpenAPI document and how the framework works.
func description(version string) huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "deltaledger",
				Version:     version,
				Description: overview,
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Tags: []*huma.Tag{
				{Name: tagRecord, Description: "Send events and adjustments. Each is recorded once, however often it is sent."},
				{Name: tagRead, Description: "Look at events: one, many, a whole stream, or their sums. Every answer says as of which watermark it is true, and can be had again for that watermark."},
				{Name: tagSchema, Description: "What events hold: columns that were declared, and types with their rules."},
				{Name: tagBill, Description: "Terms, the closing of cycles, invoices."},
				{Name: tagCheck, Description: "Find what is wrong, and heal what is late."},
				{Name: tagExport, Description: "Files of business months, which never change once they are frozen."},
				{Name: tagOperate, Description: "For whoever runs the service."},
			},
			Components: &huma.Components{Schemas: schemas()},
		},
		Formats:                      map[string]huma.Format{"application/json": strictJSON(), "json": strictJSON()},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{ofFramework},
	}
}

// The groups of routes.
const (
	tagRecord  = "Record"
	tagRead    = "Read"
	tagSchema  = "Schema"
	tagBill    = "Bill"
	tagCheck   = "Check"
	tagExport  = "Export"
	tagOperate = "Operate"
)

const overview = `An immutable financial ledger with billing.

* Amounts are decimal numbers in JSON strings, with a point and without exponent: ` + "`\"-12.50\"`" + `.
* Times are RFC 3339; answers give them in UTC. Dates are dates in the ledger's reporting time zone unless a parameter says otherwise.
* A **position** is the ledger's own number of a fact. A **watermark** is a position through which everything is decided: an answer as of a watermark is the same for ever.
* Whatever isn't a success is a problem document (RFC 9457) with the request's id. Everything that changes something may safely be sent again.
* Unknown parameters and fields, and those given twice, are refused.`

// schemas is the registry of the named schemas. Numbers that cross JSON as text look like text.
func schemas() huma.Registry {
	r := huma.NewMapRegistry(schemaPrefix, schemaName)
	for _, t := range []reflect.Type{reflect.TypeFor[ledger.Amount](), reflect.TypeFor[billing.Money](), reflect.TypeFor[decimal.Decimal]()} {
		r.RegisterTypeAlias(t, reflect.TypeFor[decimalText]())
	}
	return r
}

// decimalText is how a decimal number crosses JSON.
type decimalText string

// Schema describes it for the OpenAPI document.
func (decimalText) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "decimal", Pattern: `^-?[0-9]+(\.[0-9]+)?$`, Examples: []any{"-12.50"}}
}

// schemaName names the schemas of types that have the same name in their packages, or a better one here.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[ledger.Row]():
		return "RecordedEvent"
	case reflect.TypeFor[wire.Summary]():
		return "IngestSummary"
	case reflect.TypeFor[reconcile.Result]():
		return "ReconcileAnswer"
	case reflect.TypeFor[wire.Problem]():
		return "EventProblem"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// schemaOf is the schema of a Go value's type, as a reference.
func (s *server) schemaOf(v any) *huma.Schema {
	t := reflect.TypeOf(v)
	return s.api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}
