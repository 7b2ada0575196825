package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

const (
	maxAdjustments     = 1000    // of a request
	maxAdjustmentBytes = 4 << 20 // of a request
)

// recordAdjustmentsIn is POST /v1/adjustments.
type recordAdjustmentsIn struct {
	stream stream
	broken *Problem
}

// Resolve keeps the body for the handler.
func (in *recordAdjustmentsIn) Resolve(ctx huma.Context) []error {
	if in.stream, in.broken = openStream(ctx); in.broken == nil && in.stream.format != wire.JSON {
		in.broken = unsupported.problem("adjustments are sent as application/json: one, or an array")
	}
	return nil
}

func (s *server) recordAdjustments(ctx context.Context, in *recordAdjustmentsIn) (*recordEventsOut, error) {
	if in.broken != nil {
		return nil, in.broken
	}
	done, err := s.unpack(ctx, &in.stream)
	if err != nil {
		return nil, err
	}
	defer done()
	leave, err := s.enter(true)
	if err != nil {
		return nil, err
	}
	defer leave()
	body := bufio.NewReader(in.stream.body)
	first, err := firstByte(body)
	if err != nil {
		return nil, err
	}
	raw, err := readWhole(body, maxAdjustmentBytes, "a request has at most 4 MiB of adjustments")
	if err != nil {
		return nil, err
	}
	options, err := s.withMeasures(ctx, wire.Options{})
	if err != nil {
		return nil, err
	}
	if first == '[' {
		return s.adjustAll(ctx, raw, options)
	}
	adjustment, bad := wire.Adjustment(raw, options, "")
	if bad != nil {
		return nil, ofEvent(raw, bad)
	}
	return s.appendOne(ctx, adjustment)
}

// adjustAll records all adjustments of an array or none.
func (s *server) adjustAll(ctx context.Context, raw []byte, options wire.Options) (*recordEventsOut, error) {
	var elements []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(raw))
	if err := d.Decode(&elements); err != nil || d.More() {
		return nil, malformed.problem("the body must be an adjustment as a JSON object, or an array of them")
	}
	if len(elements) > maxAdjustments {
		return nil, tooLarge.problem("a request has at most 1,000 adjustments")
	}
	items := make([]wire.Item, len(elements))
	for i, element := range elements {
		items[i].Line = int64(i + 1)
		items[i].Event, items[i].Err = wire.Adjustment(element, options, "")
	}
	in := intake{s: s, atomic: true, listed: true}
	return in.settled(ctx, items)
}

// settled records the events of items and answers for each.
func (in *intake) settled(ctx context.Context, items []wire.Item) (*recordEventsOut, error) {
	in.answer.Problems = []wire.Problem{}
	events := make([]ledger.Event, 0, len(items))
	for i := range items {
		if items[i].Err == nil {
			events = append(events, items[i].Event)
		}
	}
	outcomes, err := in.append(ctx, events, len(events) == len(items))
	if err != nil && !errors.Is(err, ledger.ErrAtomic) {
		return nil, err
	}
	in.settle(items, outcomes)
	if err != nil {
		return nil, in.failed(err)
	}
	w, err := in.s.ledger.Covering(ctx, in.answer.Recorded)
	if err != nil {
		return nil, in.failed(err)
	}
	in.answer.Watermark = w.Position
	return &recordEventsOut{Status: http.StatusOK, Body: in.answer}, nil
}

// withMeasures adds to options which measures are declared.
func (s *server) withMeasures(ctx context.Context, o wire.Options) (wire.Options, error) {
	measures, err := s.ledger.DeclaredMeasures(ctx)
	if err != nil {
		return o, err
	}
	o.Measures = measures
	return o, nil
}

func (s *server) recordAdjustmentsDoc() doc {
	adjustment := eventSchema(true)
	const one = `{"id":"adj-2026-001","source":"finance","stream":"order-1234","type":"adjustment.goodwill","account":"acme","occurred_at":"2026-02-03T10:00:00Z",
 "currency":"USD","amount":"-5.00","reason":"parcel arrived late","reference":"ticket 4711","maker":"jane.doe"}`
	return doc{
		id: "record-adjustments", tag: tagRecord, packed: true, summary: "Record adjustments",
		text:    "An adjustment is an event that a person makes, with a reason, a reference and its maker, and without a sequence number. One is answered as one event is. Of an array, at most 1,000, all are recorded or none.",
		status:  201,
		fails:   []kind{tooSlow, conflicting, tooLarge, unsupported, refused},
		answers: s.recordedAnswers(),
		body: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
			Schema:  &huma.Schema{OneOf: []*huma.Schema{adjustment, {Type: huma.TypeArray, Items: adjustment}}},
			Example: example(one),
		}}},
	}
}
