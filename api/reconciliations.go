package api

import (
	"context"

	"deltaledger/reconcile"
)

type reconcileIn struct {
	Body struct {
		// A pointer: of a plain bool the framework would take false for absent.
		Heal *bool  `json:"heal" required:"false" default:"true" doc:"Assign late events to the next open cycle. false: only say what was found"`
		By   string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who asks"`
	}
}

type reconcileOut struct{ Body reconcile.Result }

func (s *server) reconcile(ctx context.Context, in *reconcileIn) (*reconcileOut, error) {
	r, err := s.reconciler.Run(ctx, reconcile.Request{Heal: *in.Body.Heal, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	if r.Findings == nil {
		r.Findings = []reconcile.Finding{}
	}
	return &reconcileOut{r}, nil
}

func reconcileDoc() doc {
	return doc{
		id: "reconcile", tag: tagCheck, work: runs, summary: "Reconcile",
		text:    "Finds late events and assigns them to the next open cycle, and checks that every billable event of a closed cycle is on exactly one live invoice, that invoices equal their lines and their pins, and that opening unbilled + booked − billed ± late = closing unbilled for each account and currency. The answer lists everything that is open after the run. Running again is safe. The answer comes when the run is over, which may take minutes.",
		fails:   []kind{conflicting, tooLarge, unsupported},
		example: example(`{"heal":true,"by":"jane.doe"}`),
	}
}

type listFindingsOut struct {
	Body struct {
		Findings []reconcile.Finding `json:"findings" doc:"Oldest first"`
	}
}

func (s *server) listFindings(ctx context.Context, _ *struct{}) (*listFindingsOut, error) {
	found, err := s.reconciler.Findings(ctx)
	if err != nil {
		return nil, err
	}
	out := &listFindingsOut{}
	if out.Body.Findings = found; found == nil {
		out.Body.Findings = []reconcile.Finding{}
	}
	return out, nil
}

func listFindingsDoc() doc {
	return doc{id: "list-findings", tag: tagCheck, summary: "List open findings", text: "What reconciliations found wrong and what is still open."}
}
