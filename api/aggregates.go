package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/export"
	"deltaledger/ledger"
)

type aggregateIn struct {
	Measure []string `query:"measure" required:"true" example:"amount,quantity" doc:"Measures to sum, separated by commas: amount, quantity, and declared ones"`
	By      []string `query:"by" example:"month,country" doc:"Keys to group by, separated by commas: columns, dimensions, the date buckets hour, day, week, month, quarter and year, and booked_month, billed and invoice"`
	Where   []string `query:"where,explode" example:"account=acme" doc:"A filter KEY=VALUE; may be repeated. Values of one key are alternatives, different keys must all hold"`
	From    string   `query:"from" example:"2026-01-01" doc:"Earliest occurred_at, inclusive: an RFC 3339 time, or a date, which means its beginning in the zone"`
	To      string   `query:"to" example:"2026-02-01" doc:"End of occurred_at, exclusive: an RFC 3339 time, or a date, which means its beginning in the zone"`
	Zone    string   `query:"zone" example:"America/New_York" doc:"IANA time zone of date buckets, and of from and to where they are dates; without it the reporting zone"`
	AsOf    string   `query:"as_of" example:"123456" doc:"Answer as of a watermark (a position) or an RFC 3339 time. Without it, everything acknowledged until now counts"`
	Limit   int      `query:"limit" minimum:"1" maximum:"100000" doc:"Groups at most; 10,000 without it. more says whether there are others"`
	Format  string   `query:"format" enum:"json,csv" doc:"Overrides Accept"`
	Accept  string   `header:"Accept" doc:"text/csv for CSV"`
}

func (s *server) aggregate(ctx context.Context, in *aggregateIn) (*huma.StreamResponse, error) {
	where, err := ledger.ParseWhere(in.Where)
	if err != nil {
		return nil, err
	}
	for _, key := range in.By {
		if key == "count" {
			return nil, inQuery("by", key, "is the name of the number of events; a dimension of that name is dimensions.count")
		}
	}
	r, err := s.ledger.Aggregate(ctx, ledger.AggregateQuery{
		Measures: in.Measure, By: in.By, Where: where, From: in.From, To: in.To, Zone: in.Zone, AsOf: in.AsOf, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	header := http.Header{
		"Vary":             {"Accept"},
		"Ledger-Watermark": {strconv.FormatInt(r.AsOf.Position, 10)},
		"Ledger-Truncated": {strconv.FormatBool(r.More)},
	}
	if len(r.NotCovered) > 0 {
		header.Set("Ledger-Not-Covered", monthNames(r.NotCovered))
	}
	d := download{contentType: "application/json", header: header, write: func(w io.Writer) (http.Header, error) { return nil, writeGroupsJSON(w, r) }}
	if in.Format == "csv" || in.Format == "" && prefersCSV(in.Accept) {
		d.contentType = "text/csv; charset=utf-8; header=present"
		d.write = func(w io.Writer) (http.Header, error) { return nil, writeGroupsCSV(w, r) }
	}
	return s.download(ctx, d), nil
}

// prefersCSV reports whether a client asks for CSV and not, before it, for JSON.
func prefersCSV(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(strings.TrimSpace(part), ";")
		switch strings.ToLower(strings.TrimSpace(media)) {
		case "text/csv":
			return true
		case "application/json":
			return false
		}
	}
	return false
}

// writeGroupsJSON writes row by row: the text of all rows takes many times their memory.
func writeGroupsJSON(w io.Writer, r ledger.AggregateResult) error {
	if _, err := io.WriteString(w, `{"rows":[`); err != nil {
		return err
	}
	for i := range r.Rows {
		text, err := r.Flat(i).MarshalJSON()
		if err != nil {
			return err
		}
		if i > 0 {
			text = append([]byte{','}, text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	rest, err := json.Marshal(groupsEnd{r.More, r.Zone, r.AsOf, r.NotCovered})
	if err == nil {
		_, err = fmt.Fprintf(w, "],%s\n", rest[1:])
	}
	return err
}

// groupsEnd is what stands behind the rows.
type groupsEnd struct {
	More bool             `json:"more"`
	Zone string           `json:"zone"`
	AsOf ledger.Watermark `json:"as_of"`

	NotCovered []ledger.DetachedMonth `json:"not_covered,omitempty"`
}

// monthNames are the names of months for a header.
func monthNames(months []ledger.DetachedMonth) string {
	names := make([]string, len(months))
	for i, m := range months {
		names[i] = m.Month
	}
	return strings.Join(names, ",")
}

// writeGroupsCSV writes a header and a line for each group. A key that the events have none of is an
// empty cell. Texts that a spreadsheet would take for formulas get an apostrophe in front.
func writeGroupsCSV(w io.Writer, r ledger.AggregateResult) error {
	out := csv.NewWriter(w)
	var header []string
	for _, name := range slices.Concat(r.By, r.Measures) {
		header = append(header, export.Guard(name))
	}
	if err := out.Write(append(header, "count")); err != nil {
		return err
	}
	for _, row := range r.Rows {
		cells := make([]string, 0, len(header)+1)
		for _, key := range row.Key {
			cell := ""
			if key != nil {
				cell = export.Guard(*key)
			}
			cells = append(cells, cell)
		}
		for _, sum := range row.Sum {
			cells = append(cells, sum.String())
		}
		if err := out.Write(append(cells, strconv.FormatInt(row.Count, 10))); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func (s *server) aggregateDoc() doc {
	object := &huma.Schema{
		Type: huma.TypeObject, Title: "Aggregate", AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"rows": {
				Type: huma.TypeArray, Description: "One object for each group: its keys as texts (null where the events have none), currency where a measure is money, each measure as a decimal string, and count, the number of events",
				Items: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true},
			},
			"more":        {Type: huma.TypeBoolean, Description: "There are more groups than the limit; these are the first"},
			"zone":        {Type: huma.TypeString, Description: "IANA time zone of the date buckets"},
			"as_of":       s.schemaOf(ledger.Watermark{}),
			"not_covered": {Type: huma.TypeArray, Description: notCovered, Items: s.schemaOf(ledger.DetachedMonth{})},
		},
		Required: []string{"rows", "more", "zone", "as_of"},
	}
	return doc{
		id: "aggregate", tag: tagRead, work: sums, summary: "Sum events",
		text: "Exact sums by any columns, dimensions and date buckets. Amounts of different currencies are never added up: a measure that is money groups by currency, asked for or not. count counts events from upstream and adjustments.",
		answers: map[string]*huma.Response{"200": {
			Description: "The sums, ordered by their keys",
			Headers: map[string]*huma.Param{
				"Ledger-Watermark":   {Description: "Position as of which the sums are exact", Schema: &huma.Schema{Type: huma.TypeInteger, Format: "int64"}},
				"Ledger-Not-Covered": {Description: "Months that were detached and may hold events that were asked for, separated by commas. Absent: the sums are whole", Schema: &huma.Schema{Type: huma.TypeString}},
				"Ledger-Truncated":   {Description: "true if there are more groups than the limit", Schema: &huma.Schema{Type: huma.TypeBoolean}},
			},
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: object, Example: example(
					`{"rows":[{"month":"2026-01","country":"US","currency":"USD","amount":"10250.75","count":812}],"more":false,"zone":"UTC","as_of":{"n":91,"position":123456,"taken_at":"2026-02-01T08:00:00.123456Z"}}`)},
				"text/csv": {Schema: &huma.Schema{Type: huma.TypeString}, Example: "month,country,currency,amount,count\n2026-01,US,USD,10250.75,812\n"},
			},
		}},
	}
}
