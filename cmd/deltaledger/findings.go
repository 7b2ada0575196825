package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"deltaledger/reconcile"
)

type findingsCmd struct {
	List    findingsListCmd    `cmd:"" help:"List the findings that are open, without looking for more; the exit code is 3 while there are any."`
	Resolve findingsResolveCmd `cmd:"" help:"Record that a person dealt with a finding."`
}

func findingTable(list []reconcile.Finding) table {
	t := table{columns: []column{text("id"), text("check"), text("account"), text("currency"), text("found_at"), text("detail")}}
	for _, f := range list {
		t.add(f.ID.String(), f.Check, f.Account, f.Currency, stamp(f.FoundAt), f.Detail)
	}
	return t
}

type findingsListCmd struct{}

// Run lists open findings.
func (findingsListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.reconciler.Findings(ctx)
		if err != nil {
			return err
		}
		if err := s.show(orNone(list), findingTable(list)); err != nil {
			return err
		}
		if len(list) > 0 {
			return errFindings
		}
		return nil
	})
}

type findingsResolveCmd struct {
	ID      string `arg:"" name:"id" help:"ID of the finding."`
	Outcome string `required:"" placeholder:"corrected|accepted" help:"corrected: what was wrong is put right; accepted: it stays as it is."`
	Why     string `required:"" placeholder:"TEXT" help:"The reason, which is kept."`
	By      string `placeholder:"NAME" help:"Who decides; without it the user of the system."`
}

// Run resolves one finding and lists those that remain.
func (c *findingsResolveCmd) Run(ctx context.Context, s *session) error {
	id, err := uuid.Parse(c.ID)
	if err != nil {
		return usagef("%q isn't the id of a finding: `deltaledger findings list` lists them", c.ID)
	}
	return withApp(ctx, s, func(a *app) error {
		if err := a.reconciler.Resolve(ctx, id, c.Outcome, c.Why, s.user(c.By)); err != nil {
			return err
		}
		list, err := a.reconciler.Findings(ctx)
		if err != nil {
			return err
		}
		t := findingTable(list)
		t.note = fmt.Sprintf("%d findings remain", len(list))
		return s.show(orNone(list), t)
	})
}
