package api

import (
	"cmp"
	"context"

	"deltaledger/billing"
	"deltaledger/ledger"
)

type adjustBillIn struct {
	Key  string `header:"Idempotency-Key" maxLength:"1024" doc:"Is the reference of a body without one"`
	Body struct {
		Account   string `json:"account" minLength:"1" maxLength:"256" example:"acme" doc:"Who is billed. An account with neither events nor terms isn't found"`
		Amount    string `json:"amount" example:"-12.50" doc:"A plain decimal with no more digits than the currency has; negative: for the account"`
		Currency  string `json:"currency" example:"USD" doc:"Code by ISO 4217"`
		Reason    string `json:"reason" minLength:"1" maxLength:"1024" example:"goodwill for the outage of 3 March" doc:"Stands on the line"`
		Reference string `json:"reference" required:"false" maxLength:"1024" example:"case-78" doc:"Your own. With it, the same again is made once and has the same answer"`
		Cycle     string `json:"cycle" required:"false" format:"date" example:"2026-01-15" doc:"A local date in the closed cycle that it is about; without it, it is about the one that bills it"`
		By        string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who makes it"`
	}
}

type billAdjustmentOut struct{ Body billing.Adjustment }

func (s *server) adjustBill(ctx context.Context, in *adjustBillIn) (*billAdjustmentOut, error) {
	b := in.Body
	r := billing.AdjustRequest{Account: b.Account, Amount: b.Amount, Currency: b.Currency, Reason: b.Reason, Reference: cmp.Or(b.Reference, in.Key), By: b.By}
	if b.Cycle != "" {
		var err error
		if r.Cycle, err = billing.ParseDate(b.Cycle); err != nil {
			return nil, ledger.Invalid("cycle", b.Cycle, "must be an existing date as YYYY-MM-DD")
		}
	}
	a, err := s.billing.Adjust(ctx, r)
	if err != nil {
		return nil, err
	}
	return &billAdjustmentOut{a}, nil
}

func adjustBillDoc() doc {
	return doc{
		id: "adjust-bill", tag: tagBill, summary: "Adjust what an account is billed",
		text: "An amount that the next close of the account bills on a line of its own, besides what its charges make of events. It is no event: aggregates and exports of events don't hold it. " +
			"Above approve_above of the account's terms it waits until another person has decided. What was billed is taken back by another adjustment.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"account":"acme","amount":"-12.50","currency":"USD","reason":"goodwill for the outage of 3 March","reference":"case-78","by":"jane.doe"}`),
	}
}

type listBillAdjustmentsIn struct {
	Account string `query:"account" maxLength:"256" example:"acme" doc:"Only adjustments of this account"`
	Status  string `query:"status" enum:"waiting,ready,rejected,billed" doc:"Only adjustments that have this status now"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"Adjustments in the answer; 100 without it"`
	Before  int64  `query:"before" minimum:"1" doc:"Position of the last one that you have: the next page follows it"`
}

type listBillAdjustmentsOut struct {
	Body struct {
		Adjustments []billing.Adjustment `json:"adjustments" doc:"Newest first"`
	}
}

func (s *server) listBillAdjustments(ctx context.Context, in *listBillAdjustmentsIn) (*listBillAdjustmentsOut, error) {
	all, err := s.billing.Adjustments(ctx, billing.AdjustmentQuery{
		Account: in.Account, Status: billing.AdjustmentStatus(in.Status), Limit: in.Limit, Before: in.Before,
	})
	if err != nil {
		return nil, err
	}
	out := &listBillAdjustmentsOut{}
	if out.Body.Adjustments = all; all == nil {
		out.Body.Adjustments = []billing.Adjustment{}
	}
	return out, nil
}

func listBillAdjustmentsDoc() doc {
	return doc{id: "list-bill-adjustments", tag: tagBill, work: views, summary: "List adjustments of bills", text: "Newest first, with what was decided and where they are billed."}
}

type billAdjustmentIn struct {
	ID string `path:"id" example:"01980000-0000-7000-8000-000000000001" doc:"The id of the adjustment"`
}

func (s *server) getBillAdjustment(ctx context.Context, in *billAdjustmentIn) (*billAdjustmentOut, error) {
	a, err := s.findAdjustment(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &billAdjustmentOut{a}, nil
}

// findAdjustment reads an adjustment; a name that can't be one isn't in the ledger either.
func (s *server) findAdjustment(ctx context.Context, id string) (billing.Adjustment, error) {
	a, err := s.billing.Adjustment(ctx, id)
	for _, field := range fieldErrors(err) {
		if field.Field == "adjustment" {
			return a, notFound.problem("%s", field.Error())
		}
	}
	return a, err
}

func getBillAdjustmentDoc() doc {
	return doc{
		id: "get-bill-adjustment", tag: tagBill, summary: "Get an adjustment of a bill",
		text: "With what was decided, and the invoice that bills it.", fails: []kind{notFound},
	}
}

type decideBillAdjustmentIn struct {
	ID   string `path:"id" example:"01980000-0000-7000-8000-000000000001" doc:"The id of the adjustment"`
	Body struct {
		Outcome string `json:"outcome" enum:"approved,rejected" doc:"approved: the next close bills it. rejected: nothing does"`
		Why     string `json:"why" minLength:"1" maxLength:"1024" example:"contract seen" doc:"Kept with the decision"`
		By      string `json:"by" minLength:"1" maxLength:"1024" example:"john.roe" doc:"Who decides: another person than the one who made it"`
	}
}

func (s *server) decideBillAdjustment(ctx context.Context, in *decideBillAdjustmentIn) (*billAdjustmentOut, error) {
	if _, err := s.findAdjustment(ctx, in.ID); err != nil {
		return nil, err
	}
	a, err := s.billing.Decide(ctx, billing.DecideRequest{Adjustment: in.ID, Outcome: in.Body.Outcome, Why: in.Body.Why, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	return &billAdjustmentOut{a}, nil
}

func decideBillAdjustmentDoc() doc {
	return doc{
		id: "decide-bill-adjustment", tag: tagBill, summary: "Approve or reject an adjustment of a bill",
		text:    "Of one that waits, by another person than its maker. A decision is made once: the same again, by the same person, has the same answer, and another one is a conflict.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"outcome":"approved","why":"contract seen","by":"john.roe"}`),
	}
}
