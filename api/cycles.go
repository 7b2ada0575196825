package api

import (
	"context"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
)

type closeIn struct {
	Body struct {
		Through string `json:"through" format:"date" example:"2026-01-31" doc:"Last date that a closed cycle may hold, in the zone of each account; it is included"`
		Account string `json:"account" required:"false" maxLength:"256" doc:"Close this account only; no month is frozen then"`
		Review  bool   `json:"review" required:"false" doc:"Leave the invoices ready, without numbers, until POST /v1/invoices/issue names them"`
		By      string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who closes"`
	}
}

// CloseAnswer is what a close run did.
type CloseAnswer struct {
	billing.CloseResult
	Frozen []export.Month `json:"frozen" doc:"Business months that the run froze"`
}

type closeOut struct{ Body CloseAnswer }

func (s *server) closeCycles(ctx context.Context, in *closeIn) (*closeOut, error) {
	through, err := billing.ParseDate(in.Body.Through)
	if err != nil {
		return nil, ledger.Invalid("through", in.Body.Through, "must be an existing date as YYYY-MM-DD")
	}
	r, err := s.billing.Close(ctx, billing.CloseRequest{Through: through, Account: in.Body.Account, Review: in.Body.Review, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	out := &closeOut{CloseAnswer{CloseResult: r, Frozen: []export.Month{}}}
	if in.Body.Account != "" {
		return out, nil
	}
	out.Body.Frozen, err = s.exporter.FreezeClosed(ctx, r, through, in.Body.By)
	if err != nil {
		return nil, err
	}
	return out, nil
}

func closeDoc() doc {
	return doc{
		id: "close-cycles", tag: tagBill, work: runs, summary: "Close cycles",
		text:    "Closes every cycle that ends by the date and whose grace is over: its events are pinned, priced and invoiced. Late events of closed cycles are billed in the next cycle, on lines of their own. A close of all accounts also freezes the business months up to the date that are over. Closing again, or from two places at once, does nothing twice. The answer comes when the run is over, which may take minutes.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"through":"2026-01-31","by":"jane.doe"}`),
	}
}
