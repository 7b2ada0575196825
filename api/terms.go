package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/billing"
	"deltaledger/ledger/wire"
)

// TermsVersion is one version of how an account is billed.
type TermsVersion struct {
	Version int64           `json:"version" doc:"Grows with each version recorded; 0 is the built-in default"`
	Terms   json.RawMessage `json:"terms" doc:"The terms, with everything spelled out that was left to defaults"`
}

// TermsAnswer is how an account is billed, was and will be.
type TermsAnswer struct {
	Account string         `json:"account" doc:"Empty: the default terms"`
	InForce TermsVersion   `json:"in_force" doc:"In force in the cycle of now"`
	History []TermsVersion `json:"history" doc:"Versions that concern the account, oldest first"`
	Coming  []CycleSpan    `json:"coming" doc:"The cycle of now and the two after it"`
}

// CycleSpan is a cycle.
type CycleSpan struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end" doc:"Exclusive"`
}

type getTermsIn struct {
	Account string `query:"account" maxLength:"256" doc:"The account; without it the default terms, of every account without its own"`
}

type getAccountTermsIn struct {
	Account string `path:"account" example:"acme" doc:"The account. One that was never heard of has the default terms"`
}

type getTermsOut struct{ Body TermsAnswer }

func (s *server) getTerms(ctx context.Context, in *getTermsIn) (*getTermsOut, error) {
	return s.termsOf(ctx, in.Account)
}

func (s *server) getAccountTerms(ctx context.Context, in *getAccountTermsIn) (*getTermsOut, error) {
	return s.termsOf(ctx, in.Account)
}

func (s *server) termsOf(ctx context.Context, account string) (*getTermsOut, error) {
	v, err := s.billing.TermsOf(ctx, account)
	if err != nil {
		return nil, err
	}
	out := &getTermsOut{TermsAnswer{Account: v.Account, InForce: versionOf(v.InForce), History: []TermsVersion{}, Coming: []CycleSpan{}}}
	for _, t := range v.History {
		out.Body.History = append(out.Body.History, versionOf(t))
	}
	for _, cy := range v.Coming {
		out.Body.Coming = append(out.Body.Coming, CycleSpan{cy.Start.UTC(), cy.End.UTC()})
	}
	return out, nil
}

func versionOf(t billing.Terms) TermsVersion { return TermsVersion{t.Version, t.JSON()} }

func getTermsDoc() doc {
	return doc{
		id: "get-terms", tag: tagBill, summary: "Show terms",
		text: "The terms of an account, or the default ones: in force, as they were, and the cycles that they make.",
	}
}

func getAccountTermsDoc() doc {
	return doc{id: "get-account-terms", tag: tagBill, summary: "Show the terms of an account", text: "The same as GET /v1/terms with account."}
}

type setTermsIn struct {
	By      string `query:"by" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who records them"`
	RawBody []byte `contentType:"application/json"`

	broken *Problem
}

// Resolve looks at what the body claims to be.
func (in *setTermsIn) Resolve(ctx huma.Context) []error {
	format, p := formatOf(ctx.Header("Content-Type"))
	if in.broken = p; p == nil && format != wire.JSON {
		in.broken = unsupported.problem("terms are sent as application/json")
	}
	return nil
}

type setTermsOut struct{ Body TermsVersion }

func (s *server) setTerms(ctx context.Context, in *setTermsIn) (*setTermsOut, error) {
	if in.broken != nil {
		return nil, in.broken
	}
	if !json.Valid(in.RawBody) {
		return nil, malformed.problem("the body must be terms as a JSON object")
	}
	t, err := s.billing.SetTerms(ctx, in.RawBody, in.By)
	if err != nil {
		return nil, err
	}
	return &setTermsOut{versionOf(t)}, nil
}

func setTermsDoc() doc {
	text := func(description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description, Examples: []any{example}}
	}
	charge := chargeSchema()
	schema := &huma.Schema{
		Type: huma.TypeObject, Title: "Terms", AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"account":        text("Whose terms they are; left out: the default, of every account without its own", "acme"),
			"effective_from": text("Local date, or local time to the second, from which they are wanted; left out: always", "2026-02-01"),
			"cadence":        {Type: huma.TypeString, Enum: []any{"daily", "weekly", "monthly", "quarterly", "half-yearly", "yearly"}, Default: "monthly", Description: "How long cycles are"},
			"every":          {Type: huma.TypeInteger, Default: 1, Minimum: new(1.0), Description: "How many of the cadence a cycle spans; about ten years at most", Examples: []any{1}},
			"anchor":         text("Local date or time from which boundaries are counted; left out: the 1st, a Monday or 1 January", "2026-01-01"),
			"zone":           text("IANA time zone of the boundaries; left out: the reporting zone", "Europe/London"),
			"grace":          {Type: huma.TypeString, Default: "48h", Description: "How long after its end a cycle stays open, in hours, minutes and seconds; at most 744h", Examples: []any{"48h"}},
			"group_by":       {Type: huma.TypeString, Enum: []any{"account", "stream"}, Default: "account", Description: "What gets an invoice of its own"},
			"charges":        {Type: huma.TypeArray, Items: charge, Description: "What is billed, in the order of the lines; at most 64"},
		},
		Required: []string{"charges"},
	}
	const terms = `{"account":"acme","effective_from":"2026-02-01","cadence":"monthly","anchor":"2026-01-01","zone":"Europe/London","grace":"48h","group_by":"account","charges":[
 {"name":"sales","measure":"amount","types":["order.placed","order.returned"],"model":"sum"},
 {"name":"card fee","measure":"amount","types":["payment.captured"],"filters":{"scheme":["visa","mastercard"]},"model":"percentage","rate":"1.5","fixed_amount":"0.10"},
 {"name":"storage","measure":"quantity","types":["storage.used"],"model":"graduated","tiers":[{"up_to":"100","unit_amount":"0.10"},{"unit_amount":"0.08"}]}]}`
	return doc{
		id: "set-terms", tag: tagBill, summary: "Record terms",
		text:  "Terms are only added. A version takes effect at the first boundary of a cycle that isn't before effective_from and isn't closed yet. Terms that are word for word the newest ones are not recorded again.",
		fails: []kind{tooLarge, unsupported},
		body: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: schema, Example: example(terms)},
		}},
	}
}
