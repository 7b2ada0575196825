package api

import (
	"context"

	"deltaledger/ledger"
)

type listConflictsIn struct {
	Source string `query:"source" example:"orders" doc:"Source of what arrived"`
	Reason string `query:"reason" enum:"content,sequence,currency" doc:"content: the identity was taken. sequence: the place in the stream was. currency: a stream of states has another"`
	State  string `query:"state" enum:"open,decided" doc:"open: nobody has decided yet"`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" doc:"Conflicts on a page; 100 without it"`
	After  int64  `query:"after" minimum:"1" doc:"The number n of the last conflict of the page before"`
}

type listConflictsOut struct {
	Body struct {
		Conflicts []ledger.ConflictRow `json:"conflicts"`
	}
}

func (s *server) listConflicts(ctx context.Context, in *listConflictsIn) (*listConflictsOut, error) {
	list, err := s.ledger.ListConflicts(ctx, ledger.ConflictQuery{
		Source: in.Source, Reason: in.Reason, State: in.State, Limit: in.Limit, After: in.After,
	})
	if err != nil {
		return nil, err
	}
	out := &listConflictsOut{}
	if out.Body.Conflicts = list; list == nil {
		out.Body.Conflicts = []ledger.ConflictRow{}
	}
	return out, nil
}

func listConflictsDoc() doc {
	return doc{
		id: "list-conflicts", tag: tagRead, work: views, summary: "List conflicts",
		text: "What was sent under an identity, or for a place in a stream, that other content has. None of it was recorded. Newest first.",
	}
}

type getConflictIn struct {
	N       int64 `path:"n" minimum:"1" example:"3" doc:"The conflict's number"`
	Payload bool  `query:"payload" doc:"Show the private content of both versions too"`
}

type getConflictOut struct{ Body ledger.ConflictView }

func (s *server) getConflict(ctx context.Context, in *getConflictIn) (*getConflictOut, error) {
	v, err := s.ledger.Conflict(ctx, in.N, in.Payload)
	if err != nil {
		return nil, err
	}
	return &getConflictOut{v}, nil
}

func getConflictDoc() doc {
	return doc{
		id: "get-conflict", tag: tagRead, summary: "Get one conflict",
		text:  "What arrived beside what is recorded, field by field.",
		fails: []kind{notFound},
	}
}

type decideConflictIn struct {
	N    int64 `path:"n" minimum:"1" example:"3" doc:"The conflict's number"`
	Body struct {
		Outcome string `json:"outcome" enum:"dismissed,recorded" doc:"dismissed: what arrived isn't wanted. recorded: it is recorded as an event of its own"`
		ID      string `json:"id" required:"false" maxLength:"256" example:"order-1234-7b" doc:"Of recorded: the new id, in the source of what arrived"`
		Seqn    *int64 `json:"seqn" required:"false" minimum:"0" maximum:"281474976710655" example:"12" doc:"Of recorded: its sequence number, where the one that it came with is taken"`
		Why     string `json:"why" minLength:"1" maxLength:"1024" example:"sent twice with the wrong amount" doc:"The reason, which is kept"`
		By      string `json:"by" required:"false" default:"api" maxLength:"1024" example:"jane.doe" doc:"Who decides"`
	}
}

type decideConflictOut struct{ Body ledger.ConflictDecision }

func (s *server) decideConflict(ctx context.Context, in *decideConflictIn) (*decideConflictOut, error) {
	b := in.Body
	d := ledger.Decide{Dismiss: b.Outcome == ledger.Dismissed, RecordAs: b.ID, Seqn: b.Seqn, Why: b.Why, By: b.By}
	if !d.Dismiss && d.RecordAs == "" {
		return nil, ledger.Invalid("id", "", "is missing: under which id to record what arrived")
	}
	decision, err := s.ledger.DecideConflict(ctx, in.N, d)
	if err != nil {
		return nil, err
	}
	return &decideConflictOut{decision}, nil
}

func decideConflictDoc() doc {
	return doc{
		id: "decide-conflict", tag: tagRecord, summary: "Decide a conflict",
		text: `Dismiss what arrived, or record it as an event of its own, with its private content. The event and the decision are recorded together or not at all, and the event goes the usual way: 422 if it breaks a rule, 409 if it collides again.

There is one decision for each conflict. The same one again changes nothing and is answered with the first; another one is refused with 409.`,
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"outcome":"recorded","id":"order-1234-7b","seqn":12,"why":"a second return under the id of the first","by":"jane.doe"}`),
	}
}
