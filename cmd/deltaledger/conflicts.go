package main

import (
	"context"
	"fmt"
	"strings"

	"deltaledger/ledger"
)

type conflictsCmd struct {
	List    conflictsListCmd    `cmd:"" help:"List conflicts, newest first."`
	Show    conflictsShowCmd    `cmd:"" help:"Show a conflict beside what is recorded, field by field."`
	Resolve conflictsResolveCmd `cmd:"" help:"Decide a conflict: dismiss what arrived, or record it as an event of its own."`
}

type conflictsListCmd struct {
	Source string `placeholder:"NAME" help:"Only what this source sent."`
	Reason string `placeholder:"REASON" help:"content: the identity was taken; sequence: the place in the stream was; currency: a stream of states has another."`
	State  string `placeholder:"open|decided" help:"open: nobody has decided yet."`
	Limit  int    `placeholder:"N" help:"Conflicts on a page, at most 1000 (100)."`
	After  int64  `placeholder:"N" help:"Go on after the conflict of this number."`
}

// Run lists one page.
func (c *conflictsListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.ledger.ListConflicts(ctx, ledger.ConflictQuery{
			Source: c.Source, Reason: c.Reason, State: c.State, Limit: c.Limit, After: c.After,
		})
		if err != nil {
			return err
		}
		t := table{columns: []column{
			number("n"), text("detected_at"), text("reason"), text("source"), text("id"), number("existing_position"), text("differs"), text("decision"), text("content"),
		}}
		for _, k := range list {
			t.add(fmt.Sprint(k.N), stamp(k.DetectedAt), k.Reason, k.Source, k.EventID, fmt.Sprint(k.ExistingPosition),
				strings.Join(k.Differs, ", "), decided(k.Decision), string(k.Content))
		}
		return s.show(orNone(list), t)
	})
}

// decided tells a decision in few words.
func decided(d *ledger.ConflictDecision) string {
	switch {
	case d == nil:
		return ""
	case d.Outcome == ledger.RecordedAsID:
		return fmt.Sprintf("recorded as %s at position %d", d.EventID, *d.Position)
	}
	return d.Outcome
}

type conflictsShowCmd struct {
	N       int64 `arg:"" help:"Number of the conflict."`
	Private bool  `help:"Show the private content of both too: payloads and private dimensions."`
}

// Run shows one conflict.
func (c *conflictsShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, err := a.ledger.Conflict(ctx, c.N, c.Private)
		if err != nil {
			return err
		}
		return s.show(v, conflictTable(v))
	})
}

func conflictTable(v ledger.ConflictView) table {
	t := table{columns: []column{text("differs"), text("field"), text("recorded"), text("arrived")}}
	for _, f := range v.Fields {
		mark := ""
		if f.Differs {
			mark = "*"
		}
		t.add(mark, f.Name, or(f.Recorded), or(f.Arrived))
	}
	k := v.Conflict
	what := map[string]string{
		"content": "the id was taken by other content", "sequence": "the place in the stream was taken",
		"currency": "the stream has another currency",
	}[k.Reason]
	t.note = fmt.Sprintf("conflict %d, arrived %s: %s; recorded at position %d on %s; differs in %s",
		k.N, stamp(k.DetectedAt), what, k.ExistingPosition, stamp(k.ExistingRecordedAt), strings.Join(k.Differs, ", "))
	for _, e := range []struct {
		of   string
		gone *ledger.Erased
	}{{"recorded", v.Recorded.Erased}, {"arrived", k.Erased}} {
		if e.gone != nil {
			t.note += fmt.Sprintf("\n%s: %s", e.of, erasedNote(e.gone))
		}
	}
	if d := k.Decision; d != nil {
		t.note += fmt.Sprintf("\n%s by %s on %s: %s", decided(d), printable(d.By), stamp(d.DecidedAt), printable(d.Why))
	} else {
		t.note += fmt.Sprintf("\nnobody has decided yet: deltaledger conflicts resolve %d --dismiss|--record-as NEW_ID --why TEXT", k.N)
	}
	return t
}

// erasedNote tells of content that is gone.
func erasedNote(e *ledger.Erased) string {
	return fmt.Sprintf("private content erased %s (erasure %d): %s", stamp(e.At), e.Erasure, printable(e.Why))
}

type conflictsResolveCmd struct {
	N        int64  `arg:"" help:"Number of the conflict."`
	Dismiss  bool   `xor:"outcome" required:"" help:"What arrived isn't wanted."`
	RecordAs string `xor:"outcome" required:"" placeholder:"ID" help:"Record what arrived, with its private content, under this id."`
	Seqn     *int64 `placeholder:"N" help:"Its sequence number, where the one that it came with is taken."`
	Why      string `required:"" placeholder:"TEXT" help:"The reason, which is kept."`
	By       string `placeholder:"NAME" help:"Who decides; without it the user of the system."`
}

// Run decides one conflict.
func (c *conflictsResolveCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		d, err := a.ledger.DecideConflict(ctx, c.N, ledger.Decide{
			Dismiss: c.Dismiss, RecordAs: c.RecordAs, Seqn: c.Seqn, Why: c.Why, By: s.user(c.By),
		})
		if err != nil {
			return err
		}
		t := table{columns: []column{number("conflict"), text("outcome"), text("id"), number("seqn"), number("position"), text("why"), text("decided_by"), text("decided_at")}}
		t.add(fmt.Sprint(d.Conflict), d.Outcome, d.EventID, or(d.Seqn), or(d.Position), d.Why, d.By, stamp(d.DecidedAt))
		return s.show(d, t)
	})
}
