package api

import (
	"context"
	"encoding/json"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// TermsVersion is one version of how an account is billed.
type TermsVersion struct {
	Version   int64           `json:"version" doc:"Grows with each version recorded; 0 is the built-in default"`
	Terms     json.RawMessage `json:"terms" doc:"The terms. Those in force are spelled out in full; of a version of an account, what it leaves to the default terms is left out"`
	Inherited []string        `json:"inherited,omitempty" doc:"Fields that come from the default terms"`
	Adjusts   *TermsAdjust    `json:"adjusts,omitempty" doc:"Of terms that were recorded for closed cycles: which"`
	Base      int64           `json:"base,omitempty" doc:"Of the terms in force: the version of the default terms that those come from; without it the built-in default"`
}

// TermsAdjust are the closed cycles that get the charges of terms.
type TermsAdjust struct {
	From     *time.Time `json:"from,omitempty" doc:"Of an account's terms: start of the first (UTC)"`
	Through  *time.Time `json:"through,omitempty" doc:"End of the last (UTC)"`
	Accounts *int64     `json:"accounts,omitempty" doc:"Of default terms: how many accounts have them for closed cycles"`
	LeftOut  *int64     `json:"left_out,omitempty" doc:"Of default terms: how many accounts had default charges there and can't have them, because the terms say more that can't change"`
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

func versionOf(t billing.Terms) TermsVersion {
	return TermsVersion{Version: t.Version, Terms: t.JSON(), Inherited: append(t.Left(), t.Inherited()...), Base: t.Base}
}

type previewIn struct {
	Account string `path:"account" example:"acme" doc:"The account. One that was never heard of has the default terms, and no drafts"`
	Count   int    `query:"count" default:"12" minimum:"0" maximum:"1000" doc:"How many cycles are wanted after those that have begun"`
	AsOf    string `query:"as_of" example:"2026-07-01T12:00:00Z" doc:"Draft as of a watermark (a position) or an RFC 3339 time. Without it, everything acknowledged until now counts"`
}

type previewOut struct{ Body billing.Preview }

func (s *server) previewAccount(ctx context.Context, in *previewIn) (*previewOut, error) {
	p, err := s.billing.Preview(ctx, billing.PreviewRequest{Account: in.Account, Count: in.Count, AsOf: in.AsOf})
	if err != nil {
		return nil, err
	}
	return &previewOut{p}, nil
}

type supposeIn struct {
	Account string `path:"account" example:"acme" doc:"The account"`
	Count   int    `query:"count" default:"12" minimum:"0" maximum:"1000" doc:"How many cycles are wanted after those that have begun"`
	AsOf    string `query:"as_of" example:"2026-07-01T12:00:00Z" doc:"Draft as of a watermark (a position) or an RFC 3339 time. Without it, everything acknowledged until now counts"`
	RawBody []byte `contentType:"application/json"`

	broken *Problem
}

// Resolve looks at what the body claims to be.
func (in *supposeIn) Resolve(ctx huma.Context) []error {
	in.broken = termsFormat(ctx)
	return nil
}

func (s *server) previewTerms(ctx context.Context, in *supposeIn) (*previewOut, error) {
	if err := termsBody(in.RawBody, in.broken); err != nil {
		return nil, err
	}
	p, err := s.billing.Preview(ctx, billing.PreviewRequest{Account: in.Account, Count: in.Count, AsOf: in.AsOf, Terms: in.RawBody})
	if err != nil {
		return nil, err
	}
	return &previewOut{p}, nil
}

type closedPreviewOut struct{ Body billing.ClosedPreview }

func (s *server) previewClosed(ctx context.Context, in *supposeIn) (*closedPreviewOut, error) {
	if err := termsBody(in.RawBody, in.broken); err != nil {
		return nil, err
	}
	p, err := s.billing.PreviewClosed(ctx, billing.PreviewRequest{Account: in.Account, AsOf: in.AsOf, Terms: in.RawBody})
	if err != nil {
		return nil, err
	}
	return &closedPreviewOut{p}, nil
}

func previewClosedDoc() doc {
	return doc{
		id: "preview-closed-cycles", tag: tagBill, summary: "Preview what other terms change for closed cycles",
		text:  "Cycle by cycle and charge by charge what was billed, what the terms in the body would make of it, and the difference, as if POST /v1/terms with adjust_closed recorded them; late events aside. Nothing is recorded. Only charges can change for closed cycles: terms with other boundaries, grouping, order billing or contract there are refused. count has no meaning here.",
		fails: []kind{conflicting, tooLarge, unsupported},
		body:  termsRequest(),
	}
}

type previewClosedAllIn struct {
	AsOf    string `query:"as_of" example:"2026-07-01T12:00:00Z" doc:"As of a watermark (a position) or an RFC 3339 time. Of further pages, the position of as_of of the first"`
	After   string `query:"after" maxLength:"256" doc:"next of the page before"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"How many accounts are looked at; 100 without it"`
	RawBody []byte `contentType:"application/json"`

	broken *Problem
}

// Resolve looks at what the body claims to be.
func (in *previewClosedAllIn) Resolve(ctx huma.Context) []error {
	in.broken = termsFormat(ctx)
	return nil
}

type closedPageOut struct{ Body billing.ClosedPage }

func (s *server) previewClosedAll(ctx context.Context, in *previewClosedAllIn) (*closedPageOut, error) {
	if err := termsBody(in.RawBody, in.broken); err != nil {
		return nil, err
	}
	p, err := s.billing.PreviewClosedAccounts(ctx, billing.ClosedPageRequest{Terms: in.RawBody, AsOf: in.AsOf, After: in.After, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return &closedPageOut{p}, nil
}

func previewClosedAllDoc() doc {
	return doc{
		id: "preview-closed-accounts", tag: tagBill, summary: "Preview what default terms change for closed cycles",
		text:  "Account by account the difference that the default terms in the body would make, as if POST /v1/terms with adjust_closed recorded them, and the accounts that they would leave out, with the reason; late events aside. Accounts that nothing changes for are left out of the list. Nothing is recorded. POST /v1/accounts/{account}/preview/closed with the same body has the details of one.",
		fails: []kind{conflicting, tooLarge, unsupported},
		body:  termsRequest(),
	}
}

func previewTermsDoc() doc {
	return doc{
		id: "preview-terms", tag: tagBill, summary: "Preview other terms",
		text:  "The same as the preview of the account, as if the terms in the body were recorded: of the account, or without account of the default. Nothing is recorded.",
		fails: []kind{conflicting, tooLarge, unsupported},
		body:  termsRequest(),
	}
}

func previewAccountDoc() doc {
	return doc{
		id: "preview-account", tag: tagBill, summary: "Preview the bills of an account",
		text:  "The cycles of an account that aren't closed and those that come, and what its invoices would be now: priced drafts of the cycles that have begun, with late events on lines of their own. Nothing of it is stored; the close computes it anew from what is recorded by then. A watermark before that of the account's last close is refused: its invoices say what was billed.",
		fails: []kind{conflicting},
	}
}

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
	Adjust  bool   `query:"adjust_closed" doc:"Let the charges count for closed cycles from effective_from on too, of the account or, of default terms, of every account that had default charges there: the next invoices bring the difference. Preview it first"`
	Why     string `query:"why" maxLength:"1024" example:"agreed on 3 March" doc:"Why closed cycles are billed anew; needed beside adjust_closed, and kept"`
	RawBody []byte `contentType:"application/json"`

	broken *Problem
}

// Resolve looks at what the body claims to be.
func (in *setTermsIn) Resolve(ctx huma.Context) []error {
	in.broken = termsFormat(ctx)
	return nil
}

func termsFormat(ctx huma.Context) *Problem {
	format, p := formatOf(ctx.Header("Content-Type"))
	if p == nil && format != wire.JSON {
		return unsupported.problem("terms are sent as application/json")
	}
	return p
}

// termsBody refuses what can't be terms; what is wrong with terms is for billing to say.
func termsBody(raw []byte, broken *Problem) error {
	if broken != nil {
		return broken
	}
	if !json.Valid(raw) {
		return malformed.problem("the body must be terms as a JSON object")
	}
	return nil
}

type setTermsOut struct{ Body TermsVersion }

func (s *server) setTerms(ctx context.Context, in *setTermsIn) (*setTermsOut, error) {
	if err := termsBody(in.RawBody, in.broken); err != nil {
		return nil, err
	}
	if in.Adjust {
		done, err := s.billing.AdjustClosed(ctx, in.RawBody, in.Why, in.By)
		if err != nil {
			return nil, err
		}
		out := &setTermsOut{versionOf(done.Terms)}
		if out.Body.Adjusts = (&TermsAdjust{From: &done.From, Through: &done.Through}); done.Terms.Account == "" {
			out.Body.Adjusts = &TermsAdjust{Accounts: &done.Accounts, LeftOut: &done.LeftOut}
		}
		return out, nil
	}
	if in.Why != "" {
		return nil, ledger.Invalid("why", in.Why, "must be given beside adjust_closed=true, or be left out")
	}
	t, err := s.billing.SetTerms(ctx, in.RawBody, in.By)
	if err != nil {
		return nil, err
	}
	return &setTermsOut{versionOf(t)}, nil
}

func setTermsDoc() doc {
	return doc{
		id: "set-terms", tag: tagBill, summary: "Record terms",
		text:  "What the terms of an account leave out is as in the default terms, now and when those change. Everything that is wrong is reported at once. Terms are only added. A version takes effect at the first boundary of a cycle that isn't before effective_from and isn't closed yet. Terms that are word for word the newest ones are not recorded again.",
		fails: []kind{tooLarge, unsupported},
		body:  termsRequest(),
	}
}

// limitSchema describes a limit of terms.
func limitSchema(description string) *huma.Schema {
	amount := &huma.Schema{Type: huma.TypeString, Examples: []any{"1000.00"}}
	return &huma.Schema{
		OneOf:       []*huma.Schema{amount, {Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Type: huma.TypeString}, Examples: []any{map[string]any{"EUR": "1000.00"}}}},
		Description: description + ". An amount in every currency, or by currency those that have one",
	}
}

// termsRequest describes a body that is terms.
func termsRequest() *huma.RequestBody {
	text := func(description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description, Examples: []any{example}}
	}
	charge := chargeSchema()
	schema := &huma.Schema{
		Type: huma.TypeObject, Title: "Terms", AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"account":        text("Whose terms they are; left out: the default, of every account without its own", "acme"),
			"start":          text("Local date or time at which the account starts: a cycle begins there, so that the first may be short. Later terms of the account keep it", "2026-02-10"),
			"effective_from": text("Local date, or local time to the second, from which they are wanted; left out: always", "2026-02-01"),
			"cadence":        {Type: huma.TypeString, Enum: []any{"daily", "weekly", "monthly", "quarterly", "half-yearly", "yearly"}, Default: "monthly", Description: "How long cycles are"},
			"every":          {Type: huma.TypeInteger, Default: 1, Minimum: new(1.0), Description: "How many of the cadence a cycle spans; about ten years at most", Examples: []any{1}},
			"anchor":         text("Local date or time from which boundaries are counted, or anniversary: the account's start; left out: the 1st, a Monday or 1 January", "2026-01-01"),
			"zone":           text("IANA time zone of the boundaries; left out: the reporting zone", "Europe/London"),
			"grace":          {Type: huma.TypeString, Default: "48h", Description: "How long after its end a cycle stays open, in hours, minutes and seconds; at most 744h", Examples: []any{"48h"}},
			"bill_on":        {Type: huma.TypeString, Enum: []any{"event", "order"}, Default: "event", Description: "Whether an event is billed in the cycle in which it occurred, or with its stream, which is an order, in the cycle in which that is final"},
			"finalising":     {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}, Description: "Beside bill_on order, and only there: 1 to 16 event types with which an order is final"},
			"group_by":       {Type: huma.TypeString, Enum: []any{"account", "stream"}, Default: "account", Description: "What gets an invoice of its own"},
			"contract":       text("Names the contract with the account. Its cycles under one name share the allowances of charges that are per contract; another name begins anew. Later terms of the account keep it", "2026/017"),
			"review_above":   limitSchema("What the late and adjustment lines of an invoice may come to, each without its sign, before it waits for a person; none: whatever they come to"),
			"approve_above":  limitSchema("From above what amount on an adjustment of a bill needs a second person; none: never"),
			"charges":        {Type: huma.TypeArray, Items: charge, Description: "What is billed, in the order of the lines; at most 64. The default terms must have some"},
		},
	}
	const terms = `{"account":"acme","effective_from":"2026-02-01","cadence":"monthly","anchor":"2026-01-01","zone":"Europe/London","grace":"48h","group_by":"account","charges":[
 {"name":"sales","measure":"amount","types":["order.placed","order.returned"],"model":"sum"},
 {"name":"card fee","measure":"amount","types":["payment.captured"],"filters":{"scheme":["visa","mastercard"]},"model":"percentage","rate":"1.5","fixed_amount":"0.10"},
 {"name":"storage","measure":"quantity","types":["storage.used"],"model":"graduated","tiers":[{"up_to":"100","unit_amount":"0.10"},{"unit_amount":"0.08"}]}]}`
	return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schema, Example: example(terms)},
	}}
}
