package api

import (
	"context"

	"deltaledger/ledger"
)

type listCompletenessIn struct {
	Month   string `query:"month" example:"2026-01" doc:"Ask whether a month is complete, in the reporting zone"`
	Through string `query:"through" example:"2026-01-31" doc:"Ask whether everything through this date is complete, in the reporting zone. Not beside month"`
}

type listCompletenessOut struct{ Body ledger.Completeness }

func (s *server) listCompleteness(ctx context.Context, in *listCompletenessIn) (*listCompletenessOut, error) {
	c, err := s.ledger.Completeness(ctx, ledger.CompletenessQuery{Month: in.Month, Through: in.Through})
	if err != nil {
		return nil, err
	}
	return &listCompletenessOut{c}, nil
}

func listCompletenessDoc() doc {
	return doc{
		id: "list-completeness", tag: tagRead, work: views, summary: "Say what has arrived",
		text: "For each source whether sequence numbers are missing, until when it has none, and what arrived last. With month or through also whether the period is complete: yes, no, not yet, or unknown, with the reason. What a source has not sent yet, and nothing after it, can't be known to be missing.",
	}
}

type getCompletenessIn struct {
	Source  string `path:"source" example:"orders" doc:"The source"`
	Stream  string `query:"stream" example:"order-1234" doc:"List only the gaps of this stream"`
	Month   string `query:"month" example:"2026-01" doc:"Ask whether a month is complete, in the reporting zone, and list only gaps in which its numbers may be missing"`
	Through string `query:"through" example:"2026-01-31" doc:"The same of everything through this date. Not beside month"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"Gaps on a page; 100 without it"`
	Cursor  string `query:"cursor" doc:"next_cursor of the page before; the other parameters must be the same"`
}

// SourceGaps is what has arrived of a source, with the numbers that are missing.
type SourceGaps struct {
	ledger.Completeness
	ledger.GapPage
}

type getCompletenessOut struct{ Body SourceGaps }

func (s *server) getCompleteness(ctx context.Context, in *getCompletenessIn) (*getCompletenessOut, error) {
	c, err := s.ledger.Completeness(ctx, ledger.CompletenessQuery{Source: in.Source, Month: in.Month, Through: in.Through})
	if err != nil {
		return nil, err
	}
	g, err := s.ledger.Gaps(ctx, ledger.GapQuery{
		Source: in.Source, Stream: in.Stream, Month: in.Month, Through: in.Through, Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	return &getCompletenessOut{SourceGaps{c, g}}, nil
}

func getCompletenessDoc() doc {
	return doc{
		id: "get-completeness", tag: tagRead, work: views, summary: "List missing numbers",
		text:  "What has arrived of one source, and its gaps page by page, by stream and number: since when each is known, and the event behind it. Also the newest of those that were filled in the last 30 days, and doubled numbers of a source that numbers across its streams.",
		fails: []kind{notFound},
	}
}

// completenessMeanings are the descriptions of what completeness says.
func completenessMeanings() map[string]map[string]string {
	gap := map[string]string{
		"source":               "The source",
		"stream":               "The stream; absent where the source numbers across its streams",
		"from":                 "First number that is missing",
		"to":                   "Last number that is missing",
		"since":                "When an event with a higher number was recorded first (UTC)",
		"previous_occurred_at": "When the event before the gap occurred (UTC). Absent: the gap is at the beginning, where 0 or 1 is expected",
		"next_position":        "Position of the event behind the gap",
		"next_occurred_at":     "When that event occurred (UTC)",
		"next_account":         "The account of that event",
	}
	return map[string]map[string]string{
		"Completeness": {
			"position": "What is said is as of this position",
			"behind":   "So many positions below the newest watermark; 0: nothing is left to look at",
			"end":      "End, exclusive, of the period that was asked for (UTC)",
			"sources":  "By name",
		},
		"SourceCompleteness": {
			"source":             "The source",
			"numbering":          "What its numbers count: stream, source or none",
			"declared":           "Whether it was declared; without it numbering is stream",
			"events":             "How many of its events are recorded, adjustments not counted",
			"streams":            "With numbering stream: how many streams have numbered events",
			"streams_with_gaps":  "Of these, those with an open gap",
			"gaps":               "Open gaps",
			"missing":            "Numbers in the open gaps",
			"doubled":            "With numbering source: events whose number another event had",
			"contiguous_through": "With numbering source: every number through this one has arrived",
			"last_seqn":          "With numbering source: the highest number",
			"contiguous_until":   "No event that occurred before this instant has an open gap before it (UTC)",
			"newest":             "The event that occurred last",
			"lag_seconds":        "Seconds since the newest event occurred",
			"looked_at_through":  "Only while the source is looked at anew, because its numbering was declared otherwise: through which position",
			"complete":           "Of the period that was asked for: yes, no, not yet, or unknown",
			"reason":             "In words",
			"period_gaps":        "Open gaps with events of the period behind them",
			"period_missing":     "Numbers in these",
			"uncertain_missing":  "Numbers that may belong to the period, because it ends within their gap",
		},
		"NewestEvent": {
			"position":    "Its position",
			"occurred_at": "When it happened upstream (UTC)",
			"recorded_at": "When the ledger stored it (UTC)",
		},
		"SourceGaps": {
			"position":    "What is said is as of this position",
			"behind":      "So many positions below the newest watermark; 0: nothing is left to look at",
			"end":         "End, exclusive, of the period that was asked for (UTC)",
			"sources":     "The source alone",
			"gaps":        "Open gaps, by stream and number",
			"next_cursor": "Ask with it for the next page. Absent on the last one",
			"filled":      "Gaps that were open for a while and filled in the last 30 days, newest first, at most 100",
			"doubled":     "With numbering source: events with a number that another event had, newest first, at most 100",
			"extent":      "How far the stream goes that was asked for",
		},
		"OpenGap": gap,
		"FilledGap": {
			"stream":    gap["stream"],
			"from":      "First number that was missing",
			"to":        "Last number that was missing",
			"since":     "When they were found missing (UTC)",
			"filled_at": "When the last of them was recorded (UTC)",
		},
		"DoubledNumber": {
			"source":      "The source",
			"seqn":        "The number",
			"stream":      "Stream of the later event",
			"id":          "Id of the later event",
			"position":    "Its position",
			"recorded_at": "When it was recorded (UTC)",
		},
		"StreamExtent": {
			"contiguous_through": "Every number from 1 through this one has arrived",
			"last_seqn":          "The highest number",
		},
	}
}
