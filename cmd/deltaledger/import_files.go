package main

import (
	"context"
	"fmt"
	"strings"

	"deltaledger/ledger/imports"
)

type importListCmd struct {
	Place  string   `placeholder:"PLACE" help:"Only files of this directory or bucket."`
	Name   string   `placeholder:"NAME" help:"Only what lay under this name in it."`
	State  []string `placeholder:"STATE,…" help:"queued, running, done, same, failed, changed, gone or discarded; without it all."`
	Bad    bool     `help:"Only files with rows that are not in the ledger as they were sent."`
	Limit  int      `placeholder:"N" help:"Files on a page, at most 1000 (100)."`
	Before int64    `placeholder:"N" help:"Go on with files of lower numbers."`
}

// Run lists one page.
func (c *importListCmd) Run(ctx context.Context, s *session) error {
	q := imports.ListQuery{Name: c.Name, Bad: c.Bad, Limit: c.Limit, Before: c.Before}
	for _, state := range c.State {
		q.States = append(q.States, imports.State(state))
	}
	if c.Place != "" {
		place, location, err := openPlace(ctx, c.Place)
		if err != nil {
			return usagef("%s: %v", c.Place, err)
		}
		if err := place.Close(); err != nil {
			return err
		}
		q.Location = location
	}
	return withApp(ctx, s, func(a *app) error {
		list, err := imports.List(ctx, a.pool, q)
		if err != nil {
			return err
		}
		t := fileTable()
		for _, f := range list {
			addFile(&t, f)
		}
		return s.show(orNone(list), t)
	})
}

func fileTable() table {
	return table{columns: []column{
		number("n"), text("name"), number("version"), number("size"), text("state"), number("recorded"), number("duplicate"), number("conflict"), number("invalid"),
		number("attempt"), text("importer").optional(), text("found_at"), text("ended_at").optional(), text("reason").optional(), text("location"),
	}}
}

func addFile(t *table, f imports.File) {
	ended := ""
	if f.EndedAt != nil {
		ended = stamp(*f.EndedAt)
	}
	t.add(fmt.Sprint(f.N), f.Name, fmt.Sprint(f.Version), fmt.Sprint(f.Size), string(f.State), fmt.Sprint(f.Recorded), fmt.Sprint(f.Duplicate),
		fmt.Sprint(f.Conflict), fmt.Sprint(f.Invalid), fmt.Sprint(f.Attempt), f.Importer, stamp(f.FoundAt), ended, f.Reason, f.Location)
}

type importShowCmd struct {
	N     int64 `arg:"" help:"Number of the file."`
	Pass  int   `placeholder:"N" help:"Bad rows of this pass; without it the last one."`
	After int64 `placeholder:"N" help:"Go on behind the bad row of this number in the file."`
	Limit int   `default:"100" placeholder:"N" help:"Bad rows on a page, at most 10000 (${default})."`
}

// fileView is a file with what is wrong with it.
type fileView struct {
	imports.File
	Problems  []imports.Problem  `json:"problems"`
	Decisions []imports.Decision `json:"decisions"`
}

// Run shows one file.
func (c *importShowCmd) Run(ctx context.Context, s *session) error {
	if c.Limit < 1 || c.Limit > imports.MaxProblems {
		return usagef("--limit is %d, but must be 1 to %d", c.Limit, imports.MaxProblems)
	}
	return withApp(ctx, s, func(a *app) error {
		f, err := imports.Get(ctx, a.pool, c.N)
		if err != nil {
			return err
		}
		pass := f.Pass
		if c.Pass > 0 {
			pass = c.Pass
		}
		v := fileView{File: f}
		if v.Problems, err = imports.Problems(ctx, a.pool, c.N, pass, c.After, c.Limit); err != nil {
			return err
		}
		if v.Decisions, err = imports.Decisions(ctx, a.pool, c.N); err != nil {
			return err
		}
		v.Problems, v.Decisions = orNone(v.Problems), orNone(v.Decisions)
		return s.show(v, v.table())
	})
}

// table has the bad rows, and below them what is known of the file.
func (v fileView) table() table {
	t := table{columns: []column{
		number("item"), number("line"), text("status"), text("id"), text("field"), text("value"), text("rule"), text("differs").optional(), number("position").optional(),
	}}
	for _, p := range v.Problems {
		position := ""
		if p.Position > 0 {
			position = fmt.Sprint(p.Position)
		}
		t.add(fmt.Sprint(p.Item), fmt.Sprint(p.Line), p.Status, p.EventID, p.Field, p.Value, p.Rule, strings.Join(p.Differs, ", "), position)
	}
	lines := []string{fmt.Sprintf("file %d: %s in %s, version %d, %d bytes", v.N, printable(v.Name), printable(v.Location), v.Version, v.Size)}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("%s: %d recorded, %d duplicate, %d conflict, %d invalid; pass %d, taken up %d times", v.State, v.Recorded, v.Duplicate, v.Conflict, v.Invalid, v.Pass, v.Attempt)
	if v.Reason != "" {
		add("%s", printable(v.Reason))
	}
	if v.Importer != "" {
		add("read by %s", printable(v.Importer))
	}
	if v.Format != "" {
		add("read as %s", strings.TrimSuffix(v.Format+" by mapping "+printable(v.Mapping), " by mapping "))
	}
	if v.SHA256 != "" {
		add("SHA-256 %s", v.SHA256)
	}
	for _, d := range v.Decisions {
		add("%s by %s on %s, when it was %s with %d recorded: %s", d.Outcome, printable(d.By), stamp(d.At), d.State, d.Recorded, printable(d.Why))
	}
	t.note = strings.Join(lines, "\n")
	return t
}

// fileDecision is what both decisions take.
type fileDecision struct {
	N   int64  `arg:"" help:"Number of the file."`
	Why string `required:"" placeholder:"TEXT" help:"The reason, which is kept."`
	By  string `placeholder:"NAME" help:"Who decides; without it the user of the system."`
}

func (c *fileDecision) decide(ctx context.Context, s *session, what imports.Outcome) error {
	return withApp(ctx, s, func(a *app) error {
		f, err := imports.Decide(ctx, a.pool, c.N, what, c.Why, s.user(c.By))
		if err != nil {
			return err
		}
		t := fileTable()
		addFile(&t, f)
		if what == imports.Retry {
			t.note = "it is read by the next import of its place, or by one that watches it"
		}
		return s.show(f, t)
	})
}

type importRetryCmd struct{ fileDecision }

// Run queues a file again.
func (c *importRetryCmd) Run(ctx context.Context, s *session) error {
	return c.decide(ctx, s, imports.Retry)
}

type importDiscardCmd struct{ fileDecision }

// Run discards a file.
func (c *importDiscardCmd) Run(ctx context.Context, s *session) error {
	return c.decide(ctx, s, imports.Discard)
}
