package api

import (
	"context"

	"deltaledger/billing"
)

type numbersOut struct {
	Body struct {
		Numbers []billing.Numbering `json:"numbers" doc:"Of invoices, then of credit notes"`
	}
}

func (s *server) listNumbers(ctx context.Context, _ *struct{}) (*numbersOut, error) {
	all, err := s.billing.Numberings(ctx)
	if err != nil {
		return nil, err
	}
	out := &numbersOut{}
	out.Body.Numbers = all
	return out, nil
}

func listNumbersDoc() doc {
	return doc{id: "list-numbers", tag: tagBill, summary: "Show how documents are numbered", text: "The formats in force, their series of today and the numbers that follow."}
}

type setNumbersIn struct {
	Body struct {
		Kind   string `json:"kind" enum:"invoice,credit-note" doc:"What is numbered"`
		Format string `json:"format" minLength:"1" maxLength:"40" example:"INV-{year}-{number:06}" doc:"Capital letters, digits and -._ around {number} or {number:06}, with {year} and {month} of the day of issue where wanted: each year, or month, is a series of its own then, which begins at 1"`
		By     string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who sets it"`
	}
}

func (s *server) setNumbers(ctx context.Context, in *setNumbersIn) (*numbersOut, error) {
	if err := s.billing.SetNumberFormat(ctx, billing.DocumentKind(in.Body.Kind), in.Body.Format, in.Body.By); err != nil {
		return nil, err
	}
	return s.listNumbers(ctx, nil)
}

func setNumbersDoc() doc {
	return doc{
		id: "set-number-format", tag: tagBill, summary: "Set how documents are numbered",
		text:    "For what is issued from then on; a number that was given out never changes. A format whose numbers could read like others is a conflict.",
		fails:   []kind{conflicting, tooLarge, unsupported},
		example: example(`{"kind":"invoice","format":"INV-{year}-{number:06}","by":"jane.doe"}`),
	}
}

type parkingsOut struct {
	Body struct {
		Parked []billing.ParkedAccount `json:"parked" doc:"By account"`
	}
}

func (s *server) listParkings(ctx context.Context, _ *struct{}) (*parkingsOut, error) {
	all, err := s.billing.Parked(ctx)
	if err != nil {
		return nil, err
	}
	out := &parkingsOut{}
	if out.Body.Parked = all; all == nil {
		out.Body.Parked = []billing.ParkedAccount{}
	}
	return out, nil
}

func listParkingsDoc() doc {
	return doc{
		id: "list-parked-accounts", tag: tagBill, summary: "List parked accounts",
		text: "The accounts that closes leave out: a close found something about each that can't be, such as an invariant that doesn't hold, and nobody has released it yet.",
	}
}

type releaseIn struct {
	Account string `path:"account" example:"acme" doc:"The account"`
	Body    struct {
		Why string `json:"why" minLength:"1" maxLength:"1024" example:"the amount was corrected" doc:"What was found out, or done about it; kept"`
		By  string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who releases it"`
	}
}

type releaseOut struct {
	Body struct {
		Released billing.ParkedAccount `json:"released" doc:"What it was parked for"`
	}
}

func (s *server) release(ctx context.Context, in *releaseIn) (*releaseOut, error) {
	was, err := s.billing.Release(ctx, billing.ReleaseRequest{Account: in.Account, Why: in.Body.Why, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	out := &releaseOut{}
	out.Body.Released = was
	return out, nil
}

func releaseDoc() doc {
	return doc{
		id: "release-account", tag: tagBill, summary: "Release a parked account",
		text:    "The next close tries it again; if it finds the same, it parks it again. An account that isn't parked is a conflict.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"why":"the amount was corrected","by":"jane.doe"}`),
	}
}
