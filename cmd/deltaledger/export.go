package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"deltaledger/export"
	"deltaledger/ledger"
)

type exportCmd struct {
	Month exportMonthCmd `cmd:"" help:"Write the file of a month and its manifest."`
	Diff  exportDiffCmd  `cmd:"" help:"List what arrived between two watermarks, times or manifests, and which invoice it went to."`
	Check exportCheckCmd `cmd:"" help:"Hold a file against the manifest beside it; needs no database."`
	List  exportListCmd  `cmd:"" help:"List the frozen months."`
}

type exportMonthCmd struct {
	Month    string `arg:"" help:"The business month, as YYYY-MM."`
	Out      string `required:"" placeholder:"DIR" help:"Directory for the file and its manifest; made where it is missing."`
	Freeze   bool   `help:"Freeze the month first if it isn't, and with it each earlier month that holds events."`
	Open     bool   `help:"Write an open file of what there is now, under a name that carries its watermark."`
	AsOf     string `placeholder:"W|TIME" help:"Write the open file of that watermark or time: byte for byte the one that was had then."`
	Compress string `placeholder:"gzip|zstd" help:"Compress the file; the manifest's hash is that of the uncompressed bytes."`
	By       string `placeholder:"NAME" help:"Who pulls and freezes; without it the user of the system."`
}

// Help is shown below the command's flags.
func (exportMonthCmd) Help() string {
	return `A frozen file never changes: pulled again, it is the same, byte for byte. What came too late for it is in the next frozen file, marked with its month. A month is frozen by a close of all accounts or by --freeze, and only after its end and the ledger's freezing grace; until then there are open files.

  deltaledger export month 2026-01 --out exports
  deltaledger export month 2026-01 --out exports --freeze --compress zstd
  deltaledger export month 2026-02 --out exports --open`
}

// exported is the result of export month.
type exported struct {
	Path     string          `json:"path"`
	Manifest export.Manifest `json:"manifest"`
}

// Run writes one file.
func (c *exportMonthCmd) Run(ctx context.Context, s *session) error {
	month, err := export.ParseMonth(c.Month)
	if err != nil {
		return usage(err)
	}
	if c.Freeze && (c.Open || c.AsOf != "") {
		return usagef("--freeze makes the frozen file, --open and --as-of an open one: they exclude each other")
	}
	request := export.FileRequest{Month: month, AsOf: c.AsOf, By: s.user(c.By)}
	if c.Open || c.AsOf != "" {
		request.Mode = export.ModeOpen
	}
	if err := os.MkdirAll(c.Out, 0o755); err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error {
		if c.Freeze {
			if _, err := a.exporter.Freeze(ctx, month, ledger.Watermark{}, s.user(c.By)); err != nil {
				return err
			}
		}
		path, m, err := a.exporter.ToDir(ctx, request, c.Out, export.DirOptions{Compress: c.Compress})
		if _, ok := errors.AsType[*export.NotFrozenError](err); ok {
			return fmt.Errorf("%w\nwrite the open file with --open, or freeze the month with --freeze once it can be", err)
		}
		if err != nil {
			return err
		}
		return s.show(exported{path, m}, exportedTable(path, m))
	})
}

func exportedTable(path string, m export.Manifest) table {
	t := table{columns: []column{text("path"), text("month"), text("frozen"), number("watermark"), number("rows"), number("late_rows"), text("sums"), text("sha256")}}
	var sums []string
	for _, currency := range sortedKeys(m.Sums) {
		sums = append(sums, fmt.Sprintf("%s %s", m.Sums[currency]["amount"], currency))
	}
	t.add(path, m.Month.String(), strconv.FormatBool(m.Frozen), fmt.Sprint(m.Watermark), fmt.Sprint(m.Rows), fmt.Sprint(m.LateRows),
		strings.Join(sums, ", "), m.SHA256)
	return t
}

type exportDiffCmd struct {
	From string `arg:"" help:"Earlier watermark, time, or manifest (a path that ends in .json)."`
	To   string `arg:"" help:"Later watermark, time, or manifest."`
}

// Run lists the difference.
func (c *exportDiffCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		if s.Output == outputCSV {
			return c.stream(ctx, s, a)
		}
		d, err := a.exporter.Diff(ctx, c.From, c.To)
		if err != nil {
			return err
		}
		d.Rows = orNone(d.Rows)
		if d.Truncated {
			s.warn("only the first %d events are listed; --output csv lists all of them", len(d.Rows))
		}
		t := table{columns: differenceColumns()}
		for _, r := range d.Rows {
			t.add(differenceCells(r)...)
		}
		t.note = fmt.Sprintf("from watermark %d to %d: %d added, %d removed", d.From, d.To, d.Added, d.Removed)
		for _, currency := range sortedKeys(d.Sums) {
			t.note += fmt.Sprintf(", %s %s", d.Sums[currency]["amount"], currency)
		}
		return s.show(d, t)
	})
}

// stream lists a difference of any length.
func (c *exportDiffCmd) stream(ctx context.Context, s *session, a *app) error {
	out := newCSV(s.out, differenceColumns())
	if _, err := a.exporter.EachDifference(ctx, c.From, c.To, func(r export.DiffRow) error { return out.Write(differenceCells(r)) }); err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

func differenceColumns() []column {
	return []column{
		text("change"), number("position"), text("business_month"), text("booked_month"), text("occurred_at"), text("recorded_at"),
		text("source"), text("id"), text("stream"), text("type"), text("account"), number("amount"), text("currency"), number("quantity"), text("invoice"),
	}
}

func differenceCells(r export.DiffRow) []string {
	invoice := ""
	switch {
	case r.Printed != "":
		invoice = r.Printed
	case r.Invoice.Valid:
		invoice = r.Invoice.UUID.String()
	}
	return []string{
		string(r.Change), fmt.Sprint(r.Position), r.BusinessMonth.String(), r.BookedMonth.String(), stamp(r.OccurredAt), stamp(r.RecordedAt),
		r.Source, r.EventID, r.Stream, r.Type, r.Account, r.Amount.String(), r.Currency, r.Quantity.String(), invoice,
	}
}

type exportCheckCmd struct {
	File string `arg:"" help:"The file: NAME.csv, NAME.csv.gz or NAME.csv.zst."`
}

// checked is the result of export check.
type checked struct {
	File     string      `json:"file"`
	OK       bool        `json:"ok"`
	Rows     int64       `json:"rows"`
	LateRows int64       `json:"late_rows"`
	SHA256   string      `json:"sha256"`
	Sums     export.Sums `json:"sums"`
	Problems []string    `json:"problems"`
}

// Run checks one file.
func (c *exportCheckCmd) Run(ctx context.Context, s *session) error {
	r, err := export.Check(ctx, c.File)
	if err != nil && len(r.Problems) == 0 {
		return err
	}
	result := checked{c.File, err == nil, r.Rows, r.LateRows, r.SHA256, r.Sums, orNone(r.Problems)}
	t := table{columns: []column{text("file"), text("ok"), number("rows"), number("late_rows"), text("sha256")}}
	t.add(c.File, strconv.FormatBool(result.OK), fmt.Sprint(r.Rows), fmt.Sprint(r.LateRows), r.SHA256)
	if err := s.show(result, t); err != nil {
		return err
	}
	for _, problem := range r.Problems {
		s.warn("%s: %s", c.File, problem)
	}
	if err != nil {
		return errShown
	}
	return nil
}

type exportListCmd struct{}

// Run lists the frozen months.
func (exportListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.exporter.Freezes(ctx)
		if err != nil {
			return err
		}
		t := table{columns: []column{
			text("month"), text("file"), number("watermark"), number("rows"), number("late_rows"), text("frozen_at"), text("frozen_by"), text("previous"),
		}}
		for _, f := range list {
			t.add(f.Month.String(), f.Name(), fmt.Sprint(f.Watermark), fmt.Sprint(f.Rows), fmt.Sprint(f.LateRows), stamp(f.At), f.By, f.Previous.String())
		}
		return s.show(orNone(list), t)
	})
}
