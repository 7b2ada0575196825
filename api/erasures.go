package api

import (
	"context"

	"deltaledger/ledger"
)

type eraseIn struct {
	Body struct {
		Account string `json:"account" required:"false" maxLength:"256" example:"acme" doc:"Erase everything of this account"`
		Source  string `json:"source" required:"false" maxLength:"64" example:"orders" doc:"Of event; or narrows before"`
		Event   string `json:"event" required:"false" maxLength:"256" example:"order-1234-7" doc:"Erase this event, by its id in source"`
		Before  string `json:"before" required:"false" example:"2024-01-01" doc:"Erase what has a business date before this one"`
		Why     string `json:"why" minLength:"1" maxLength:"1024" example:"request 4711 of the customer" doc:"The reason, which is kept for ever: no personal data"`
		By      string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who decides"`
		DryRun  bool   `json:"dry_run" required:"false" doc:"Only count what would be erased"`
	}
}

type eraseOut struct{ Body ledger.Erasure }

func (s *server) erase(ctx context.Context, in *eraseIn) (*eraseOut, error) {
	b := in.Body
	e, err := s.ledger.Erase(ctx, ledger.EraseRequest{
		Account: b.Account, Source: b.Source, Event: b.Event, Before: b.Before, Why: b.Why, By: b.By, DryRun: b.DryRun,
	})
	if err != nil {
		return nil, err
	}
	return &eraseOut{e}, nil
}

func eraseDoc() doc {
	return doc{
		id: "erase", tag: tagRecord, work: runs, summary: "Erase private content",
		text: `Erases payloads and private dimensions for ever, of events and of conflicts: of an account, of one event, or of everything before a date. Who asked and why is recorded. Everything else of the events stays.

The answer comes when it is done, which may take minutes. If it is lost, send the same request again: it goes on where it was stopped.`,
		fails:   []kind{notFound, tooLarge, unsupported},
		example: example(`{"account":"acme","why":"request 4711 of the customer","by":"jane.doe"}`),
	}
}

type listErasuresIn struct {
	Limit int   `query:"limit" minimum:"1" maximum:"1000" doc:"Erasures on a page; 100 without it"`
	After int64 `query:"after" minimum:"1" doc:"The number n of the last erasure of the page before"`
}

type listErasuresOut struct {
	Body struct {
		Erasures []ledger.Erasure `json:"erasures" doc:"Newest first"`
	}
}

func (s *server) listErasures(ctx context.Context, in *listErasuresIn) (*listErasuresOut, error) {
	list, err := s.ledger.Erasures(ctx, in.Limit, in.After)
	if err != nil {
		return nil, err
	}
	out := &listErasuresOut{}
	if out.Body.Erasures = list; list == nil {
		out.Body.Erasures = []ledger.Erasure{}
	}
	return out, nil
}

func listErasuresDoc() doc {
	return doc{id: "list-erasures", tag: tagRead, work: views, summary: "List erasures", text: "What private content was erased, by whom and why. Newest first."}
}
