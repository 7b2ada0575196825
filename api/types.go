package api

import (
	"context"
	"encoding/json"

	"deltaledger/ledger"
)

type listTypesIn struct {
	Name string `query:"name" maxLength:"128" example:"order.placed" doc:"All versions of this type, the newest first, instead of what is in force"`
}

type listTypesOut struct {
	Body struct {
		Types []ledger.Type `json:"types"`
	}
}

func (s *server) listTypes(ctx context.Context, in *listTypesIn) (out *listTypesOut, err error) {
	out = &listTypesOut{}
	if in.Name != "" {
		out.Body.Types, err = s.ledger.TypeVersions(ctx, in.Name)
	} else {
		out.Body.Types, err = s.ledger.Types(ctx)
	}
	if out.Body.Types == nil {
		out.Body.Types = []ledger.Type{}
	}
	return out, err
}

func listTypesDoc() doc {
	return doc{
		id: "list-types", tag: tagSchema, summary: "List declared event types", fails: []kind{notFound},
		text: "The declarations in force, by name; or all versions of one type.",
	}
}

type declareTypeIn struct {
	Body struct {
		Name               string            `json:"name" minLength:"1" maxLength:"128" example:"order.placed" doc:"The type, as events name it"`
		Description        string            `json:"description" minLength:"1" maxLength:"1024" doc:"What happened upstream when such an event is sent"`
		Owner              string            `json:"owner" minLength:"1" maxLength:"1024" example:"checkout" doc:"The team or person who answers for it"`
		RequiredDimensions []string          `json:"required_dimensions" required:"false" maxItems:"100" doc:"Dimensions that each event must have"`
		RequiredMeasures   []string          `json:"required_measures" required:"false" maxItems:"100" doc:"Measures that each event must have: amount, quantity and declared ones"`
		Signs              map[string]string `json:"signs" required:"false" doc:"By measure: positive, negative, nonnegative or nonpositive"`
		Schema             json.RawMessage   `json:"schema" required:"false" doc:"JSON Schema, draft 2020-12, of the payload, which each event must then have; it can't refer to anything outside of it"`
		Billable           bool              `json:"billable" required:"false" default:"true" doc:"false: that no charge covers such an event is in order"`
		By                 string            `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who declares it"`
	}
}

type declareTypeOut struct{ Body ledger.Type }

func (s *server) declareType(ctx context.Context, in *declareTypeIn) (*declareTypeOut, error) {
	b := in.Body
	t, err := s.ledger.DeclareType(ctx, ledger.Type{
		Name: b.Name, Description: b.Description, Owner: b.Owner, RequiredDimensions: b.RequiredDimensions,
		RequiredMeasures: b.RequiredMeasures, Signs: b.Signs, Schema: b.Schema, Billable: b.Billable, By: b.By,
	})
	if err != nil {
		return nil, err
	}
	return &declareTypeOut{t}, nil
}

func declareTypeDoc() doc {
	return doc{
		id: "declare-type", tag: tagSchema, summary: "Declare an event type, or its next version", maxBody: 128 << 10,
		text: "What is in force already changes nothing. A next version may add and tighten: what was required stays required, a sign rule may only become narrower, " +
			"and a schema stays, with the top-level properties that it requires and their types. Rules hold for events from upstream that aren't recorded yet; what was recorded before stays a duplicate when it comes again. Adjustments may break them.",
		fails:   []kind{conflicting, tooLarge, unsupported},
		example: example(`{"name":"order.placed","description":"A customer placed an order","owner":"checkout","required_dimensions":["country"],"required_measures":["amount"],"signs":{"amount":"positive"},"by":"jane.doe"}`),
	}
}
