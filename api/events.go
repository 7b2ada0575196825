package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger"
	"deltaledger/ledger/pace"
	"deltaledger/ledger/wire"
)

const (
	maxProblems    = 1000      // of an answer
	maxOutcomes    = 10_000    // events of a request that wants to hear of each
	maxAtomicBytes = 256 << 20 // of an atomic request, unpacked; it is held in memory
	maxFew         = 256 << 10 // bytes, as they are sent, of a body whose events are recorded together with those of others
)

// recordEventsIn is POST /v1/events. The body is read while it arrives.
type recordEventsIn struct {
	Atomic         bool     `query:"atomic" doc:"All events or none: if one is invalid or in conflict, nothing is recorded. At most 1,000,000 events and 256 MiB."`
	PayloadColumns []string `query:"payload_columns" example:"description,note" doc:"Of a CSV: names of columns, separated by commas, that go into the private payload instead of the dimensions"`
	Outcomes       string   `query:"outcomes" enum:"problems,all" default:"problems" doc:"all: say of each event what became of it, in the order sent. At most 10,000 events, which are held in memory."`

	stream stream
	broken *Problem
}

// Resolve keeps the body for the handler.
func (in *recordEventsIn) Resolve(ctx huma.Context) []error {
	in.stream, in.broken = openStream(ctx)
	return nil
}

// recordEventsOut is either an EventOutcome, of a body that is one JSON object, or an IngestAnswer.
type recordEventsOut struct {
	Status   int
	Location string `header:"Location" doc:"Of one event: where it can be read"`
	Body     any
}

// EventOutcome says what became of the one event of a request.
type EventOutcome struct {
	Status   ledger.Status `json:"status" enum:"recorded,duplicate" doc:"recorded: it is durable now. duplicate: it was recorded before, with the same content"`
	Source   string        `json:"source" example:"orders"`
	ID       string        `json:"id" example:"order-1234-7"`
	Position int64         `json:"position" example:"123456" doc:"The ledger's number of the event"`
}

// IngestAnswer says what became of the events of a request.
type IngestAnswer struct {
	wire.Summary
	Problems          []wire.Problem `json:"problems" doc:"The events that are not recorded as they were sent, in the order sent, at most 1,000"`
	ProblemsTruncated bool           `json:"problems_truncated" doc:"There were more than 1,000"`
	Outcomes          []LineOutcome  `json:"outcomes,omitempty" doc:"With outcomes=all: each event, in the order sent"`
}

// LineOutcome says what became of one event of many.
type LineOutcome struct {
	Line     int64         `json:"line" doc:"Line of the input, from 1; in a JSON array the number of the element"`
	Source   string        `json:"source,omitempty"`
	ID       string        `json:"id,omitempty" doc:"Where it could be read"`
	Status   ledger.Status `json:"status" enum:"recorded,duplicate,conflict,invalid"`
	Position int64         `json:"position,omitempty" doc:"Of the recorded event; of a conflict, of the one that was there"`
}

func (s *server) recordEvents(ctx context.Context, in *recordEventsIn) (*recordEventsOut, error) {
	if in.broken != nil {
		return nil, in.broken
	}
	done, err := s.unpack(ctx, &in.stream)
	if err != nil {
		return nil, err
	}
	defer done()
	if len(in.PayloadColumns) > 0 && in.stream.format != wire.CSV {
		return nil, inQuery("payload_columns", strings.Join(in.PayloadColumns, ","), "is for text/csv alone: in JSON the payload has a field of its own")
	}
	body := bufio.NewReader(in.stream.body) // whoever reads more at once goes past its buffer
	if in.stream.envelope != nil {
		one, err := in.stream.envelope.isOne(body)
		switch {
		case err != nil:
			return nil, err
		case one:
			return s.recordCloudEvent(ctx, body, in.stream.envelope)
		}
	}
	if in.stream.format == wire.JSON {
		first, err := firstByte(body)
		switch {
		case err != nil:
			return nil, err
		case first == '{':
			return s.recordOne(ctx, body)
		case first != '[':
			return nil, malformed.problem("the body must be an event as a JSON object, or an array of them")
		}
	}
	options, err := s.withMeasures(ctx, wire.Options{PayloadColumns: in.PayloadColumns})
	if err != nil {
		return nil, err
	}
	intake := intake{s: s, sent: in.stream.sent, format: in.stream.format, options: options, atomic: in.Atomic}
	held := in.Atomic || in.Outcomes == "all"
	if length := in.stream.length; !held && 0 < length && length <= maxFew {
		return intake.few(ctx, body, int(length))
	}
	leave, err := s.enter(held)
	if err != nil {
		return nil, err
	}
	defer leave()
	weighed, lighten := s.weigh(ctx, body, held)
	defer lighten()
	if in.Outcomes == "all" {
		return intake.each(ctx, weighed)
	}
	return intake.stream(ctx, weighed)
}

// weigh makes body wait for a place of its own when it isn't small. lighten gives the place back.
func (s *server) weigh(ctx context.Context, body io.Reader, held bool) (weighed io.Reader, lighten func()) {
	large := s.large
	if held {
		large = s.largeHeld
	}
	b := &weighedBody{r: body, left: smallBody, wait: func() (func(), error) { return large.take(ctx, s.silence) }}
	return b, b.lighten
}

// enter takes a place for a request of many events, so that their number bounds the memory that they
// take. held says that the events are held in memory.
func (s *server) enter(held bool) (leave func(), err error) {
	places := []chan struct{}{s.streams}
	if held {
		places = append(places, s.held)
	}
	for i, place := range places {
		select {
		case place <- struct{}{}:
		default:
			for _, taken := range places[:i] {
				<-taken
			}
			p := busy.problem("as many requests of many events as the server takes at once are under way; nothing of this one was read")
			p.retryAfter = retrySoon
			return nil, p
		}
	}
	return func() {
		for _, place := range places {
			<-place
		}
	}, nil
}

// firstByte is the first byte of a JSON text that isn't a space, nor of a byte order mark. It isn't taken
// off the body.
func firstByte(body *bufio.Reader) (byte, error) {
	const mark = "\xef\xbb\xbf"
	if head, _ := body.Peek(len(mark)); string(head) == mark { // an error comes again with the next byte
		_, _ = body.Discard(len(mark))
	}
	for {
		c, err := body.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return 0, malformed.problem("the body is empty")
		case err != nil:
			return 0, err
		case c != ' ' && c != '\t' && c != '\n' && c != '\r':
			return c, body.UnreadByte()
		}
	}
}

// recordOne records a body that is one event.
func (s *server) recordOne(ctx context.Context, body io.Reader) (*recordEventsOut, error) {
	raw, err := readWhole(body, ledger.MaxEvent, "one event has at most 262,144 bytes")
	if err != nil {
		return nil, err
	}
	return s.recordRaw(ctx, raw)
}

// recordRaw records the one event that raw is.
func (s *server) recordRaw(ctx context.Context, raw []byte) (*recordEventsOut, error) {
	options, err := s.withMeasures(ctx, wire.Options{})
	if err != nil {
		return nil, err
	}
	event, bad := wire.DecodeOne(raw, options)
	if bad != nil {
		return nil, ofEvent(raw, bad)
	}
	return s.appendOne(ctx, event)
}

// ofEvent tells a text that is no JSON from an event that breaks a rule.
func ofEvent(raw []byte, bad *ledger.FieldError) error {
	if !json.Valid(raw) {
		return malformed.problem("%s", bad.Error())
	}
	return bad
}

// readWhole reads a body of at most limit bytes; spaces at its end don't count.
func readWhole(body io.Reader, limit int, rule string) ([]byte, error) {
	const spaces = 1 << 10
	raw, err := io.ReadAll(io.LimitReader(body, int64(limit)+spaces+1))
	if err != nil {
		return nil, err
	}
	if trimmed := bytes.TrimRight(raw, " \t\r\n"); len(trimmed) <= limit && len(raw) <= limit+spaces {
		return trimmed, nil
	}
	return nil, tooLarge.problem("%s", rule)
}

// appendOne records one event and answers for it alone.
func (s *server) appendOne(ctx context.Context, event ledger.Event) (*recordEventsOut, error) {
	outcomes, err := s.together(ctx, []ledger.Event{event})
	if err != nil {
		return nil, err
	}
	o := outcomes[0]
	out := &recordEventsOut{
		Status:   http.StatusCreated,
		Location: "/v1/events/" + segment(event.Source) + "/" + segment(event.ID),
		Body:     EventOutcome{Status: o.Status, Source: event.Source, ID: event.ID, Position: o.Position},
	}
	switch o.Status {
	case ledger.Recorded:
		return out, nil
	case ledger.Duplicate:
		out.Status = http.StatusOK
		return out, nil
	case ledger.Conflict:
		p := conflicting.problem("%s", o.Err.Error())
		p.Differs, p.Position = o.Differs, o.Position
		p.Errors = []FieldDetail{{Location: join("body", o.Err.Field), Message: o.Err.Rule, Value: o.Err.Value}}
		return nil, p
	}
	if o.Err == nil {
		return nil, fmt.Errorf("an event was neither recorded nor refused with a reason: %w", ledger.ErrCorrupt)
	}
	return nil, o.Err
}

// segment is a name as a segment of a path. Clients would resolve . and .. before they ask.
func segment(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// intake records the events of one request.
type intake struct {
	s       *server
	sent    *sentBody // nil: the body was read before
	format  wire.Format
	options wire.Options
	atomic  bool
	listed  bool // the answer says of each event what became of it
	answer  IngestAnswer
}

// note keeps a problem for the answer.
func (in *intake) note(p wire.Problem) {
	if len(in.answer.Problems) == maxProblems {
		in.answer.ProblemsTruncated = true
		return
	}
	in.answer.Problems = append(in.answer.Problems, p)
}

// stream records a body of any length.
func (in *intake) stream(ctx context.Context, body io.Reader) (*recordEventsOut, error) {
	ctx = pace.With(ctx, in.s.short) // not for the others: they are short work themselves, and would wait for it
	in.answer.Problems = []wire.Problem{}
	if in.atomic {
		body = &boundedBody{r: body, left: maxAtomicBytes, what: "an atomic request has at most 256 MiB: send it without atomic, or in parts"}
	}
	options := wire.IngestOptions{Options: in.options, Atomic: in.atomic, Report: in.note, Writers: workers()}
	if options.Workers = workers() + 1; in.atomic { // nothing is written while it is decoded
		options.Workers = max(1, workers()-1)
	}
	sum, err := wire.Ingest(ctx, in.s.ledger, body, in.format, options)
	in.answer.Summary = sum
	if err != nil {
		return nil, in.failed(err)
	}
	return &recordEventsOut{Status: http.StatusOK, Body: in.answer}, nil
}

// workers is how many goroutines may work without a break on one request: one less than run at a time, so that one is
// left to notice what arrives from other clients and from the database. Go looks for that only every 10 milliseconds
// while all are at work, and an answer takes it three times.
func workers() int { return max(1, runtime.GOMAXPROCS(0)-1) }

// few records a body of few events, together with those of other requests.
func (in *intake) few(ctx context.Context, body io.Reader, length int) (*recordEventsOut, error) {
	options := in.options
	options.Workers, options.Size = 1, length
	var items []wire.Item
	broken := wire.Decode(ctx, body, in.format, options, func(b wire.Batch) error {
		items = append(items, b.Items...)
		return nil
	})
	if ctx.Err() != nil {
		return nil, in.failed(broken)
	}
	out, err := in.settled(ctx, items) // also what came before the body broke off
	if err == nil && broken != nil {
		return nil, in.failed(broken)
	}
	return out, err
}

// failed is the problem of a request that was refused as a whole or broke off, with what became of its
// events until then.
func (in *intake) failed(err error) *Problem {
	var p *Problem
	if errors.Is(err, ledger.ErrAtomic) {
		p = refused.problem("%d events are invalid and %d in conflict", in.answer.Invalid, in.answer.Conflict)
	} else {
		if in.sent != nil {
			if broken := in.sent.problem(errors.Is(err, context.Canceled)); broken != nil {
				err = broken
			}
		}
		copied := *problemOf(err, "body") // the original may be shared with who reads the body
		p = &copied
	}
	if in.answer.Summary != (wire.Summary{}) {
		p.Summary, p.Problems, p.ProblemsTruncated = &in.answer.Summary, in.answer.Problems, in.answer.ProblemsTruncated
	}
	return p
}

// each records a body of few events and says of each what became of it.
func (in *intake) each(ctx context.Context, body io.Reader) (*recordEventsOut, error) {
	body = &boundedBody{r: body, left: maxAtomicBytes, what: "a request with outcomes=all has at most 256 MiB"}
	var items []wire.Item
	err := wire.Decode(ctx, body, in.format, in.options, func(b wire.Batch) error {
		if len(items)+len(b.Items) > maxOutcomes {
			return tooLarge.problem("a request with outcomes=all has at most 10,000 events: send it in parts")
		}
		items = append(items, b.Items...)
		return nil
	})
	if err != nil {
		return nil, in.failed(err)
	}
	in.listed = true
	return in.settled(ctx, items)
}

// append records events as the request wants it. whole: none of the request's events is missing.
func (in *intake) append(ctx context.Context, events []ledger.Event, whole bool) ([]ledger.Outcome, error) {
	switch {
	case !in.atomic:
		return in.s.together(ctx, events)
	case whole:
		return in.s.ledger.AppendAtomic(ctx, events)
	}
	outcomes := make([]ledger.Outcome, len(events))
	for i := range outcomes {
		outcomes[i].Status = ledger.Refused
	}
	return outcomes, ledger.ErrAtomic
}

// settle counts and lists what became of items; outcomes are of those that could be decoded.
func (in *intake) settle(items []wire.Item, outcomes []ledger.Outcome) {
	if in.listed {
		in.answer.Outcomes = make([]LineOutcome, len(items))
	}
	for i, item := range items {
		o := ledger.Outcome{Status: ledger.Rejected, Err: item.Err}
		if item.Err == nil {
			o, outcomes = outcomes[0], outcomes[1:]
		}
		if in.listed {
			in.answer.Outcomes[i] = LineOutcome{Line: item.Line, Source: item.Event.Source, ID: o.ShownID(item.Event.ID), Status: o.Status, Position: o.Position}
		}
		switch o.Status {
		case ledger.Recorded:
			in.answer.Recorded++
		case ledger.Duplicate:
			in.answer.Duplicate++
		case ledger.Refused:
			in.answer.Refused++
		case ledger.Conflict:
			in.answer.Conflict++
		default:
			in.answer.Invalid++
		}
		if o.Err != nil {
			in.note(wire.Problem{
				Line: item.Line, ID: o.ShownID(item.Event.ID), Status: o.Status, Field: o.Err.Field, Value: o.Err.Value,
				Rule: o.Err.Rule, Differs: o.Differs, Position: o.Position,
			})
		}
	}
}

// inQuery is the problem of a parameter.
func inQuery(name, value, rule string) *Problem {
	e := ledger.Invalid(name, value, rule)
	return problemOf(e, "query")
}
