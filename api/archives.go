package api

import (
	"context"

	"deltaledger/ledger"
)

type listArchivesOut struct {
	Body struct {
		Detached []ledger.DetachedMonth `json:"detached" doc:"Months that lists and aggregates don't read, oldest first"`
	}
}

func (s *server) listArchives(ctx context.Context, _ *struct{}) (*listArchivesOut, error) {
	months, err := s.ledger.DetachedMonths(ctx)
	if err != nil {
		return nil, err
	}
	out := &listArchivesOut{}
	if out.Body.Detached = months; months == nil {
		out.Body.Detached = []ledger.DetachedMonth{}
	}
	return out, nil
}

func listArchivesDoc() doc {
	return doc{
		id: "list-archives", tag: tagCheck, summary: "List detached months",
		text: "Months of recorded_at, in UTC, that were copied, held against the seals, and taken out of what lists and aggregates read. Single events, streams, conflicts, invoices, month files, seals and proofs read them as ever. The command archive copies, detaches and attaches months.",
	}
}
