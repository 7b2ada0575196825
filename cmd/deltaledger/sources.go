package main

import (
	"context"
	"strconv"

	"deltaledger/ledger"
)

type sourcesCmd struct {
	Declare sourcesDeclareCmd `cmd:"" help:"Declare a source, or change its declaration."`
	List    sourcesListCmd    `cmd:"" help:"List the declarations in force."`
}

type sourcesDeclareCmd struct {
	Name      string `arg:"" help:"Name of the source."`
	States    bool   `help:"The source sends states: absolute values that the ledger turns into deltas."`
	Numbering string `default:"stream" help:"What its sequence numbers count: stream, source or none (${default})."`
	Strict    *bool  `negatable:"open" help:"Take only events whose type is declared; --open: record an unknown type, which becomes a finding. Without either it stays as it is, at first open."`
	contentPolicy
	By string `placeholder:"NAME" help:"Who declares it; without it the user of the system."`
}

// contentPolicy are the flags of what public content may hold.
type contentPolicy struct {
	CardNumbers string `placeholder:"POLICY" help:"What to do with card numbers in dimensions and other public texts: allow, flag (a finding), private (hide the dimension) or refuse. Left out: as before, or allow."`
	IBANs       string `name:"ibans" placeholder:"POLICY" help:"The same with bank account numbers."`
	Emails      string `placeholder:"POLICY" help:"The same with e-mail addresses."`
}

// Run declares a source.
func (c *sourcesDeclareCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		strict, err := a.ledger.StrictOr(ctx, c.Name, c.Strict)
		if err != nil {
			return err
		}
		err = a.ledger.DeclareSource(ctx, ledger.Source{Name: c.Name, States: c.States, Numbering: c.Numbering, Strict: strict, ContentPolicy: ledger.ContentPolicy{CardNumbers: c.CardNumbers, IBANs: c.IBANs, Emails: c.Emails}, By: s.user(c.By)})
		if err != nil {
			return err
		}
		declared, err := a.ledger.SourceOf(ctx, c.Name)
		if err != nil {
			return err
		}
		return s.show(declared, sourceTable(declared))
	})
}

type sourcesListCmd struct{}

// Run lists the declarations.
func (sourcesListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.ledger.Sources(ctx)
		if err != nil {
			return err
		}
		return s.show(orNone(list), sourceTable(list...))
	})
}

func sourceTable(list ...ledger.Source) table {
	t := table{columns: []column{text("name"), text("states"), text("numbering"), text("strict"), text("card_numbers"), text("ibans"), text("emails"), text("declared_by"), text("declared_at")}}
	for _, d := range list {
		t.add(d.Name, strconv.FormatBool(d.States), d.Numbering, strconv.FormatBool(d.Strict), d.CardNumbers, d.IBANs, d.Emails, d.By, stamp(d.DeclaredAt))
	}
	return t
}

// orNone makes an empty JSON array of no list.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
