package main

import (
	"context"
	"fmt"
	"strings"
)

type conflictsCmd struct {
	List conflictsListCmd `cmd:"" help:"List conflicts, newest first."`
}

type conflictsListCmd struct {
	Limit int   `placeholder:"N" help:"Conflicts on a page, at most 1000 (100)."`
	After int64 `placeholder:"N" help:"Go on after the conflict of this number."`
}

// Run lists one page.
func (c *conflictsListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.ledger.ListConflicts(ctx, c.Limit, c.After)
		if err != nil {
			return err
		}
		t := table{columns: []column{
			number("n"), text("detected_at"), text("reason"), text("source"), text("id"), number("existing_position"), text("differs"), text("content"),
		}}
		for _, k := range list {
			t.add(fmt.Sprint(k.N), stamp(k.DetectedAt), k.Reason, k.Source, k.EventID, fmt.Sprint(k.ExistingPosition),
				strings.Join(k.Differs, ", "), string(k.Content))
		}
		return s.show(orNone(list), t)
	})
}
