package api

import (
	"context"

	"deltaledger/ledger"
)

type getStreamIn struct {
	Source   string `path:"source" example:"orders" doc:"The source that numbers the stream"`
	Stream   string `path:"stream" example:"order-1234" doc:"The stream: an order, a subscription"`
	AsOf     string `query:"as_of" example:"2026-07-01T12:00:00Z" doc:"Show it as of a watermark (a position) or an RFC 3339 time. Without it, everything acknowledged until now counts"`
	DiffFrom string `query:"diff_from" example:"2026-07-01T12:00:00Z" doc:"Show what changed since this watermark or time, instead of the stream"`
	DiffTo   string `query:"diff_to" example:"2026-07-03T12:00:00Z" doc:"With diff_from: until this watermark or time. Without it, until now"`
}

// StreamAnswer is a stream, or the difference between two views of it.
type StreamAnswer struct {
	View *ledger.StreamView `json:"view,omitempty" doc:"The stream, without diff_from"`
	Diff *ledger.StreamDiff `json:"diff,omitempty" doc:"What changed, with diff_from"`
}

type getStreamOut struct{ Body StreamAnswer }

func (s *server) getStream(ctx context.Context, in *getStreamIn) (*getStreamOut, error) {
	if in.DiffFrom == "" {
		if in.DiffTo != "" {
			return nil, inQuery("diff_to", in.DiffTo, "needs diff_from beside it")
		}
		v, err := s.ledger.Stream(ctx, in.Source, in.Stream, in.AsOf)
		if err != nil {
			return nil, err
		}
		return &getStreamOut{StreamAnswer{View: &v}}, nil
	}
	if in.AsOf != "" {
		return nil, inQuery("as_of", in.AsOf, "must be left out beside diff_from, which says as of when by itself")
	}
	d, err := s.ledger.StreamDiff(ctx, in.Source, in.Stream, in.DiffFrom, in.DiffTo)
	if err != nil {
		return nil, err
	}
	return &getStreamOut{StreamAnswer{Diff: &d}}, nil
}

func getStreamDoc() doc {
	return doc{
		id: "get-stream", tag: tagRead, work: views, summary: "Show a stream",
		text: "The events of an order or a subscription by sequence number, with running totals, gaps, corrections, when each occurred and was recorded, and on which invoices it is. As of any watermark or time: what support saw on July 1. With diff_from and diff_to: what was recorded and billed in between, and how the totals changed. A stream that nothing was recorded of is an empty one.",
	}
}
