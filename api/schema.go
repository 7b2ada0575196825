package api

import (
	"context"
	"time"

	"deltaledger/ledger"
)

type listColumnsOut struct {
	Body struct {
		Columns []ledger.Filled `json:"columns"`
	}
}

func (s *server) listColumns(ctx context.Context, _ *struct{}) (*listColumnsOut, error) {
	all, err := s.ledger.Schema(ctx)
	if err != nil {
		return nil, err
	}
	out := &listColumnsOut{}
	out.Body.Columns = all
	return out, nil
}

func listColumnsDoc() doc {
	return doc{
		id: "list-columns", tag: tagSchema, summary: "List the columns of the events", work: views,
		text: "The catalogue: what can be filtered, grouped and summed by, what it means, who answers for it, since when, and how many of the newest 10,000 events have a value in it.",
	}
}

type addColumnIn struct {
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"59" example:"partner" doc:"Lower-case letters, digits and underscores, a letter first"`
		Kind        string `json:"kind" enum:"dimension,money,quantity" doc:"A dimension to filter and group by, or a measure: money in the currency of its event, or a quantity without one"`
		Type        string `json:"type" required:"false" enum:"text,int,bool,date,uuid" doc:"Of a dimension; text if left out. Left out for a measure"`
		Description string `json:"description" minLength:"1" maxLength:"1024" doc:"What it means, for those who will query it"`
		Owner       string `json:"owner" minLength:"1" maxLength:"1024" example:"partnerships" doc:"The team or person who answers for what is in it"`
		Describes   string `json:"describes" required:"false" enum:"event,stream" default:"event" doc:"stream: all events of a stream have the same value"`
		PII         bool   `json:"pii" required:"false" doc:"Private: kept apart from the event, erasable, and no key to filter or group by"`
		Index       bool   `json:"index" required:"false" doc:"Give it an index, which the service builds in the background while events are recorded"`
		By          string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who declares it"`
	}
}

type addColumnOut struct{ Body ledger.Column }

// columnPatience is how long a request tries to get between others who use the events: less than clients wait.
const columnPatience = 20 * time.Second

func (s *server) addColumn(ctx context.Context, in *addColumnIn) (*addColumnOut, error) {
	b := in.Body
	c, err := s.ledger.AddColumn(ctx, ledger.Column{
		Name: b.Name, Kind: b.Kind, Type: b.Type, Description: b.Description, Owner: b.Owner, Describes: b.Describes,
		PII: b.PII, Indexed: b.Index, By: b.By,
	}, columnPatience)
	if err != nil {
		return nil, err
	}
	return &addColumnOut{c}, nil
}

func addColumnDoc() doc {
	return doc{
		id: "add-column", tag: tagSchema, summary: "Declare a measure or a dimension",
		text: "Adds a column to the events while others record and read; once this is answered, every event that is recorded follows the declaration. " +
			"Declaring again what is declared changes nothing; a declared column is neither changed nor dropped. Busy means that long reads kept the column out: nothing was done, and the same request may succeed later.",
		fails: []kind{conflicting, tooLarge, unsupported}, work: runs,
		example: example(`{"name":"partner","kind":"dimension","type":"text","description":"Who sold it for us","owner":"partnerships","by":"jane.doe"}`),
	}
}
