package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"deltaledger/ledger"
)

type schemaCmd struct {
	Add   schemaAddCmd   `cmd:"" help:"Declare a measure or a dimension: a column of its own for every event from now on."`
	List  schemaListCmd  `cmd:"" help:"List the columns of the events: what they mean, who answers for them, how well they are filled."`
	Index schemaIndexCmd `cmd:"" help:"Build the declared indexes that aren't there yet."`
}

type schemaAddCmd struct {
	Dimension schemaAddDimensionCmd `cmd:"" help:"Declare a dimension to filter and group by."`
	Measure   schemaAddMeasureCmd   `cmd:"" help:"Declare a measure to sum."`
}

// declaration is what every declaration of a column says.
type declaration struct {
	Name        string        `arg:"" help:"Name of the column: lower-case letters, digits and underscores, a letter first."`
	Description string        `required:"" placeholder:"TEXT" help:"What it means, for those who will query it."`
	Owner       string        `required:"" placeholder:"NAME" help:"The team or person who answers for what is in it."`
	By          string        `placeholder:"NAME" help:"Who declares it; without it the user of the system."`
	Wait        time.Duration `default:"1m" help:"How long to try to get between others who use the events (${default})."`
}

func (d declaration) column(s *session, kind string) ledger.Column {
	return ledger.Column{Name: d.Name, Kind: kind, Description: d.Description, Owner: d.Owner, By: s.user(d.By)}
}

type schemaAddDimensionCmd struct {
	declaration
	Type      string `default:"text" help:"Type of its values: text, int, bool, date or uuid (${default})."`
	Describes string `default:"event" help:"What it describes: event, or stream if all events of a stream have the same value (${default})."`
	PII       bool   `name:"pii" help:"It is private: kept apart from the event, erasable, and no key to filter or group by."`
	Index     bool   `help:"Build an index of it, while events are recorded."`
}

// Help is shown below the command's flags.
func (schemaAddDimensionCmd) Help() string {
	return `It may be run while services record and read; when it is done, every event that is recorded later follows it. Events recorded before are found by what they hold under the name in their dimensions. A declared column is neither changed nor dropped; the same declaration again changes nothing.

  deltaledger schema add dimension partner --description "Who sold it for us" --owner partnerships --index
  deltaledger schema add dimension paid_on --type date --description "Day of the payment" --owner finance`
}

// Run declares a dimension.
func (c *schemaAddDimensionCmd) Run(ctx context.Context, s *session) error {
	column := c.column(s, ledger.KindDimension)
	column.Type, column.Describes, column.PII, column.Indexed = c.Type, c.Describes, c.PII, c.Index
	return withApp(ctx, s, func(a *app) error {
		added, err := a.ledger.AddColumn(ctx, column, c.Wait)
		if err != nil {
			return err
		}
		if c.Index {
			if _, err := buildIndexes(ctx, s, a); err != nil {
				return fmt.Errorf("column %s is declared, but its index isn't complete: %w", c.Name, err)
			}
		}
		return s.show(added, columnTable(added))
	})
}

type schemaAddMeasureCmd struct {
	declaration
	Kind string `default:"money" help:"money, in the currency of its event, or quantity (${default})."`
}

// Help is shown below the command's flags.
func (schemaAddMeasureCmd) Help() string {
	return `Events then carry it under measures, as a decimal number in quotes.

  deltaledger schema add measure commission --kind money --description "What the partner gets" --owner partnerships
  deltaledger schema add measure net_weight --kind quantity --description "Kilograms without packaging" --owner logistics`
}

// Run declares a measure.
func (c *schemaAddMeasureCmd) Run(ctx context.Context, s *session) error {
	if c.Kind != ledger.KindMoney && c.Kind != ledger.KindQuantity {
		return usagef("--kind must be money or quantity, not %s", strconv.Quote(c.Kind))
	}
	return withApp(ctx, s, func(a *app) error {
		added, err := a.ledger.AddColumn(ctx, c.column(s, c.Kind), c.Wait)
		if err != nil {
			return err
		}
		return s.show(added, columnTable(added))
	})
}

func columnTable(list ...ledger.Column) table {
	t := table{columns: columnColumns()}
	for _, c := range list {
		t.add(columnCells(c)...)
	}
	return t
}

func columnColumns() []column {
	return []column{
		text("name"), text("kind"), text("type"), text("describes"), text("pii"), text("indexed"), text("owner"), text("description"), text("since"), text("declared_by"),
	}
}

func columnCells(c ledger.Column) []string {
	return []string{
		c.Name, c.Kind, c.Type, c.Describes, strconv.FormatBool(c.PII), strconv.FormatBool(c.Indexed), c.Owner, c.Description, stamp(c.Since), c.By,
	}
}

type schemaListCmd struct {
	Declared bool `help:"Only those that were declared, without the built-in ones."`
}

// Run lists the catalogue.
func (c *schemaListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		all, err := a.ledger.Schema(ctx)
		if err != nil {
			return err
		}
		list := []ledger.Filled{}
		t := table{columns: append(columnColumns(), number("filled"))}
		for _, f := range all {
			if c.Declared && f.BuiltIn {
				continue
			}
			list = append(list, f)
			t.add(append(columnCells(f.Column), share(f.Filled, f.Sampled))...)
		}
		if len(all) > 0 {
			t.note = fmt.Sprintf("filled: of the newest %s, those that have a value", plural(all[0].Sampled, "event"))
		}
		return s.show(list, t)
	})
}

// share is part of whole in percent, rounded down, so that 100% means all of it.
func share(part, whole int64) string {
	switch {
	case whole == 0:
		return ""
	case part > 0 && part*100 < whole:
		return "<1%"
	}
	return fmt.Sprintf("%d%%", part*100/whole)
}

type schemaIndexCmd struct{}

// Help is shown below the command's flags.
func (schemaIndexCmd) Help() string {
	return `A service does this by itself if it may act as deltaledger_owner. What was interrupted is built again, what is there stays.`
}

// Run builds what is missing.
func (schemaIndexCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		built, err := buildIndexes(ctx, s, a)
		if err != nil {
			return err
		}
		t := table{columns: []column{number("built")}}
		t.add(fmt.Sprint(built))
		return s.show(struct {
			Built int `json:"built"`
		}{built}, t)
	})
}
