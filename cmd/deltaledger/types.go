package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"deltaledger/ledger"
)

type typesCmd struct {
	Declare typesDeclareCmd `cmd:"" help:"Declare an event type, or its next version."`
	List    typesListCmd    `cmd:"" help:"List the declarations in force."`
	Show    typesShowCmd    `cmd:"" help:"Show all versions of a type, the newest, which is in force, first."`
}

type typesDeclareCmd struct {
	Name             string            `arg:"" help:"The type, as events name it."`
	Description      string            `required:"" placeholder:"TEXT" help:"What happened upstream when such an event is sent."`
	Owner            string            `required:"" placeholder:"NAME" help:"The team or person who answers for it."`
	RequireDimension []string          `placeholder:"KEY,…" help:"Dimensions that each event must have."`
	RequireMeasure   []string          `placeholder:"MEASURE,…" help:"Measures that each event must have: amount, quantity and declared ones."`
	Sign             map[string]string `mapsep:"," placeholder:"MEASURE=SIGN,…" help:"What the sign of a change may be: positive, negative, nonnegative or nonpositive."`
	Schema           string            `type:"existingfile" placeholder:"FILE" help:"JSON Schema, draft 2020-12, of the payload, which each event must then have."`
	NotBillable      bool              `help:"That no charge covers such an event is in order."`
	By               string            `placeholder:"NAME" help:"Who declares it; without it the user of the system."`
}

// Help is shown below the command's flags.
func (typesDeclareCmd) Help() string {
	return `Events of the type that break a rule are invalid from now on; those recorded before stay. A next version may add rules and tighten them, but not drop what readers rely on. Adjustments may break the rules.

  deltaledger types declare order.placed --description "A customer placed an order" --owner checkout --require-dimension country --sign amount=positive
  deltaledger types declare parcel.sent --description "A parcel left the house" --owner logistics --schema parcel.json --not-billable`
}

// Run declares a type.
func (c *typesDeclareCmd) Run(ctx context.Context, s *session) error {
	var schema json.RawMessage
	if c.Schema != "" {
		text, err := os.ReadFile(c.Schema)
		if err != nil {
			return fmt.Errorf("read the schema: %w", err)
		}
		schema = text
	}
	return withApp(ctx, s, func(a *app) error {
		declared, err := a.ledger.DeclareType(ctx, ledger.Type{
			Name: c.Name, Description: c.Description, Owner: c.Owner, RequiredDimensions: c.RequireDimension, RequiredMeasures: c.RequireMeasure,
			Signs: c.Sign, Schema: schema, Billable: !c.NotBillable, By: s.user(c.By),
		})
		if err != nil {
			return err
		}
		return s.show(declared, typeTable(declared))
	})
}

type typesListCmd struct{}

// Run lists the declarations in force.
func (typesListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.ledger.Types(ctx)
		if err != nil {
			return err
		}
		return s.show(orNone(list), typeTable(list...))
	})
}

type typesShowCmd struct {
	Name string `arg:"" help:"The type."`
}

// Run shows a type.
func (c *typesShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		versions, err := a.ledger.TypeVersions(ctx, c.Name)
		if err != nil {
			return err
		}
		return s.show(versions, typeTable(versions...))
	})
}

func typeTable(list ...ledger.Type) table {
	t := table{columns: []column{
		text("name"), number("version"), text("requires"), text("signs"), text("schema"), text("billable"), text("owner"), text("description"), text("declared_at"), text("declared_by"),
	}}
	for _, d := range list {
		requires := append([]string{}, d.RequiredMeasures...)
		for _, key := range d.RequiredDimensions {
			requires = append(requires, "dimensions."+key)
		}
		var signs []string
		for _, name := range sortedKeys(d.Signs) {
			signs = append(signs, name+" "+d.Signs[name])
		}
		t.add(d.Name, fmt.Sprint(d.Version), strings.Join(requires, ", "), strings.Join(signs, ", "), strconv.FormatBool(len(d.Schema) > 0),
			strconv.FormatBool(d.Billable), d.Owner, d.Description, stamp(d.DeclaredAt), d.By)
	}
	return t
}
