package main

import (
	"context"
	"fmt"

	"deltaledger/billing"
)

type numbersCmd struct {
	Show numbersShowCmd `cmd:"" help:"Show the formats, their series of today and the next numbers."`
	Set  numbersSetCmd  `cmd:"" help:"Set how the numbers of a kind are written from now on."`
}

type numbersShowCmd struct{}

// Run shows both kinds.
func (c *numbersShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error { return showNumbers(ctx, s, a) })
}

func showNumbers(ctx context.Context, s *session, a *app) error {
	all, err := a.billing.Numberings(ctx)
	if err != nil {
		return err
	}
	t := table{columns: []column{text("kind"), text("format"), text("series"), number("issued"), text("next"), text("set_by"), text("set_at")}}
	for _, n := range all {
		at := ""
		if n.SetAt != nil {
			at = stamp(*n.SetAt)
		}
		t.add(string(n.Kind), n.Format, n.Series, fmt.Sprint(n.Issued), n.Next, n.SetBy, at)
	}
	return s.show(all, t)
}

type numbersSetCmd struct {
	Kind   string `arg:"" placeholder:"invoice|credit-note" help:"invoice or credit-note."`
	Format string `arg:"" help:"Capital letters, digits and -._ around {number} or {number:06}, with {year} and {month} where wanted: INV-{year}-{number:06} begins again every year."`
	By     string `placeholder:"NAME" help:"Who sets it; without it the user of the system."`
}

// Run sets one format.
func (c *numbersSetCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		if err := a.billing.SetNumberFormat(ctx, billing.DocumentKind(c.Kind), c.Format, s.user(c.By)); err != nil {
			return err
		}
		return showNumbers(ctx, s, a)
	})
}
