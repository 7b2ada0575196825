package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"deltaledger/ledger"
)

type completenessCmd struct {
	Source  string `arg:"" optional:"" help:"One source; without it all."`
	Stream  string `placeholder:"STREAM" help:"Show the gaps of one stream of the source."`
	Month   string `placeholder:"YYYY-MM" help:"Ask whether a month is complete, in the reporting zone."`
	Through string `placeholder:"YYYY-MM-DD" help:"Ask whether everything through a date is complete, in the reporting zone."`
	Gaps    bool   `help:"List the missing numbers of the source, those that came meanwhile, and doubled ones."`
	Limit   int    `default:"1000" placeholder:"N" help:"How many gaps to list (${default})."`
	Rebuild bool   `help:"Look at all events anew first. Needed only if what was derived before is in doubt; the answers are the same."`
}

// Help is shown below the command's flags.
func (completenessCmd) Help() string {
	return `Says for each source whether numbers are missing, from when on, and what arrived last. Numbers count for each stream or for the whole source, as it was declared. With --month or --through the exit code is 3 unless every source that numbers its events is complete.

  deltaledger completeness --month 2026-01
  deltaledger completeness orders --gaps
  deltaledger completeness orders --stream order-1234`
}

// Run answers.
func (c *completenessCmd) Run(ctx context.Context, s *session) error {
	switch {
	case c.Month != "" && c.Through != "":
		return usagef("--month and --through exclude each other")
	case (c.Stream != "" || c.Gaps) && c.Source == "":
		return usagef("--stream and --gaps need a source: deltaledger completeness SOURCE --gaps")
	}
	return withApp(ctx, s, func(a *app) error {
		if c.Rebuild {
			if err := a.ledger.RebuildCompleteness(ctx); err != nil {
				return err
			}
		}
		if _, err := a.ledger.Current(ctx); err != nil {
			return err
		}
		if err := advance(ctx, s, a); err != nil {
			return err
		}
		if c.Stream != "" || c.Gaps {
			return c.gaps(ctx, s, a)
		}
		return c.sources(ctx, s, a)
	})
}

// advance looks at the events that completeness hasn't seen, and says so if there are many.
func advance(ctx context.Context, s *session, a *app) error {
	for told := false; ; told = true {
		behind, err := a.ledger.AdvanceCompleteness(ctx, 2*time.Second)
		if err != nil || behind == 0 {
			return err
		}
		if !told {
			s.say("looking at the events first, %d positions are left", behind)
		}
	}
}

func (c *completenessCmd) sources(ctx context.Context, s *session, a *app) error {
	r, err := a.ledger.Completeness(ctx, ledger.CompletenessQuery{Source: c.Source, Month: c.Month, Through: c.Through})
	if err != nil {
		return err
	}
	if err := s.show(r, completenessTable(r)); err != nil {
		return err
	}
	for _, source := range r.Sources {
		if r.End != nil && source.Complete != ledger.CompleteYes && source.Numbering != ledger.NumberingNone {
			return errFindings
		}
	}
	return nil
}

func completenessTable(r ledger.Completeness) table {
	t := table{columns: []column{text("source"), text("numbering")}}
	if r.End != nil {
		t.columns = append(t.columns, text("complete"))
	}
	t.columns = append(t.columns, number("events"), number("missing"), number("gaps"), text("contiguous"), text("newest"), text("lag"), text("remark"))
	for _, c := range r.Sources {
		cells := []string{c.Source, c.Numbering}
		if r.End != nil {
			cells = append(cells, c.Complete)
		}
		newest, lag := "", ""
		if c.Newest != nil {
			newest, lag = stamp(c.Newest.OccurredAt), age(*c.LagSeconds)
		}
		t.add(append(cells, fmt.Sprint(c.Events), fmt.Sprint(c.Missing), fmt.Sprint(c.Gaps), contiguous(c), newest, lag, c.Reason)...)
	}
	t.note = fmt.Sprintf("as of position %d", r.Position)
	if r.End != nil {
		t.note += ", of what occurred before " + stamp(*r.End)
	}
	return t
}

// contiguous says through which number and until when a source has no gap.
func contiguous(c ledger.SourceCompleteness) string {
	var parts []string
	if c.ThroughSeqn != nil {
		parts = append(parts, fmt.Sprintf("through %d", *c.ThroughSeqn))
	}
	if c.ThroughTime != nil {
		parts = append(parts, "until "+stamp(*c.ThroughTime))
	}
	return strings.Join(parts, ", ")
}

func (c *completenessCmd) gaps(ctx context.Context, s *session, a *app) error {
	page, err := a.ledger.Gaps(ctx, ledger.GapQuery{Source: c.Source, Stream: c.Stream, Month: c.Month, Through: c.Through, Limit: c.Limit})
	if err != nil {
		return err
	}
	t := table{columns: []column{text("what"), text("stream"), text("numbers"), text("since"), text("filled_at"), number("next_position"), text("next_occurred_at"), text("account"), text("remark")}}
	for _, g := range page.Gaps {
		remark := ""
		if g.PreviousOccurredAt == nil {
			remark = fmt.Sprintf("the first number is %d; 0 or 1 is expected", g.To+1)
		}
		t.add("missing", g.Stream, gap(ledger.Gap{From: g.From, To: g.To}), stamp(g.Since), "", fmt.Sprint(g.NextPosition), stamp(g.NextOccurredAt), g.NextAccount, remark)
	}
	for _, f := range page.Filled {
		t.add("filled", f.Stream, gap(ledger.Gap{From: f.From, To: f.To}), stamp(f.Since), stamp(f.FilledAt), "", "", "", "")
	}
	for _, d := range page.Doubled {
		t.add("doubled", d.Stream, fmt.Sprint(d.Seqn), stamp(d.RecordedAt), "", "", "", "", "event "+d.ID+" bears a number that another has")
	}
	t.note = plural(len(page.Gaps), "gap")
	if page.NextCursor != "" {
		t.note = fmt.Sprintf("the first %s; there are more: see --limit", plural(len(page.Gaps), "gap"))
	}
	if x := page.Extent; x != nil {
		t.note += fmt.Sprintf(", contiguous through %d of %d", x.ThroughSeqn, x.LastSeqn)
	}
	return s.show(page, t)
}

// age tells seconds in days where they are many.
func age(seconds int64) string {
	const day = 24 * 60 * 60
	if seconds >= 3*day {
		return plural(seconds/day, "day")
	}
	return shortDuration(time.Duration(seconds) * time.Second)
}
