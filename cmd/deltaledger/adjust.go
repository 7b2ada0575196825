package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

type adjustCmd struct {
	Events  adjustEventsCmd  `cmd:"" default:"withargs" help:"Record corrections as events, which charges, aggregates and exports take like any other."`
	Bill    adjustBillCmd    `cmd:"" help:"Adjust what an account is billed, by an amount on its next invoice."`
	List    adjustListCmd    `cmd:"" help:"List adjustments of bills, newest first."`
	Show    adjustShowCmd    `cmd:"" help:"Show an adjustment of a bill."`
	Approve adjustApproveCmd `cmd:"" help:"Have an adjustment billed that waits for a second person."`
	Reject  adjustRejectCmd  `cmd:"" help:"Have an adjustment billed by nothing that waits for a second person."`
}

type adjustEventsCmd struct {
	File  string `required:"" placeholder:"FILE" help:"File with one adjustment as JSON, or with several as NDJSON or as an array; - is standard input."`
	Maker string `placeholder:"NAME" help:"Who makes the adjustments; without it the file says so, or else it is the user of the system."`
}

// Help is shown below the command's flags.
func (adjustEventsCmd) Help() string {
	return `An adjustment is an event without seqn that a person makes, with reason and reference. All adjustments of a file are recorded, or none.

  {"id":"adj-2026-001","source":"finance","stream":"order-1234","type":"adjustment.goodwill","account":"acme",
   "occurred_at":"2026-02-03T10:00:00Z","currency":"USD","amount":"-5.00",
   "reason":"parcel arrived late","reference":"ticket 4711","corrects":""}

  deltaledger adjust --file goodwill.json --maker jane`
}

// mostAdjustments bounds what people write by hand, and the memory that it takes.
const mostAdjustments = 64 << 20 // bytes

// Run records the adjustments.
func (c *adjustEventsCmd) Run(ctx context.Context, s *session) error {
	raw, err := readFile(s, c.File, mostAdjustments)
	if err != nil {
		return err
	}
	items, err := splitJSON(raw)
	if err != nil {
		return usagef("%s: %v", c.File, err)
	}
	if len(items) == 0 {
		return usagef("%s holds no adjustment", c.File)
	}
	var sum wire.Summary
	problems := &problems{s: s}
	err = withApp(ctx, s, func(a *app) error {
		sum, err = c.record(ctx, s, a.ledger, items, problems)
		return err
	})
	if err != nil {
		return err
	}
	if problems.n > 0 {
		problems.refused = []string{c.File}
	}
	if err := problems.close(); err != nil {
		return err
	}
	if err := s.show(sum, summaryTable(sum)); err != nil {
		return err
	}
	if problems.n > 0 {
		return errShown
	}
	return nil
}

// record records all items or none.
func (c *adjustEventsCmd) record(ctx context.Context, s *session, l *ledger.Ledger, items []json.RawMessage, p *problems) (sum wire.Summary, err error) {
	measures, err := l.DeclaredMeasures(ctx)
	if err != nil {
		return sum, err
	}
	o := wire.Options{Measures: measures}
	events := make([]ledger.Event, len(items))
	for i, item := range items {
		e, bad := wire.Adjustment(item, o, c.Maker)
		if bad != nil && bad.Field == "maker" && bad.Value == "" && c.Maker == "" {
			e, bad = wire.Adjustment(item, o, s.user(""))
		}
		if bad != nil {
			sum.Invalid++
			p.report(c.File, wire.Problem{Line: int64(i + 1), Status: ledger.Rejected, Field: bad.Field, Value: bad.Value, Rule: bad.Rule})
		}
		events[i] = e
	}
	if p.n == 0 {
		err = c.append(ctx, l, events, &sum, p)
	}
	if p.n > 0 {
		sum.Refused = int64(len(items)) - sum.Invalid - sum.Conflict
	}
	if err != nil {
		return sum, err
	}
	w, err := l.Covering(ctx, sum.Recorded)
	sum.Watermark = w.Position
	return sum, err
}

func (c *adjustEventsCmd) append(ctx context.Context, l *ledger.Ledger, events []ledger.Event, sum *wire.Summary, p *problems) error {
	outcomes, err := l.AppendAtomic(ctx, events)
	if err != nil && !errors.Is(err, ledger.ErrAtomic) {
		return err
	}
	for i, o := range outcomes {
		switch o.Status {
		case ledger.Recorded:
			sum.Recorded++
		case ledger.Duplicate:
			sum.Duplicate++
		case ledger.Conflict:
			sum.Conflict++
		case ledger.Rejected:
			sum.Invalid++
		}
		if o.Status == ledger.Conflict || o.Status == ledger.Rejected {
			found := wire.Problem{Line: int64(i + 1), ID: o.ShownID(events[i].ID), Status: o.Status, Differs: o.Differs, Position: o.Position}
			if o.Err != nil {
				found.Field, found.Value, found.Rule = o.Err.Field, o.Err.Value, o.Err.Rule
			}
			p.report(c.File, found)
		}
	}
	return nil
}

// splitJSON is one JSON value, the elements of one array, or one value after the other.
func splitJSON(raw []byte) ([]json.RawMessage, error) {
	raw = bytes.TrimPrefix(raw, []byte("\ufeff"))
	var items []json.RawMessage
	for dec := json.NewDecoder(bytes.NewReader(raw)); ; {
		var item json.RawMessage
		err := dec.Decode(&item)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("isn't JSON at byte %d: %w", dec.InputOffset(), err)
		}
		items = append(items, item)
	}
	if len(items) == 1 && bytes.HasPrefix(items[0], []byte("[")) {
		var elements []json.RawMessage
		if err := json.Unmarshal(items[0], &elements); err != nil {
			return nil, err
		}
		return elements, nil
	}
	return items, nil
}

// readFile reads a whole file, or standard input for "-", of at most so many bytes.
func readFile(s *session, name string, most int64) ([]byte, error) {
	r := s.std.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // only read
		r = f
	}
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > most {
		return nil, usagef("%s has more than %d bytes", name, most)
	}
	return raw, nil
}
