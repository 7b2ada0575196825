package api

import (
	"context"

	"deltaledger/ledger"
)

type listEventsIn struct {
	Where  []string `query:"where,explode" example:"account=acme" doc:"A filter KEY=VALUE; may be repeated. Values of one key are alternatives, different keys must all hold. Keys are columns (account, type, …), dimensions, the date buckets hour, day, week, month, quarter and year, and booked_month, billed and invoice. An empty value means that the event has none"`
	From   string   `query:"from" example:"2026-01-01" doc:"Earliest occurred_at, inclusive: an RFC 3339 time, or a date, which means its beginning in the reporting zone"`
	To     string   `query:"to" example:"2026-02-01" doc:"End of occurred_at, exclusive: an RFC 3339 time, or a date, which means its beginning in the reporting zone"`
	AsOf   string   `query:"as_of" example:"123456" doc:"Answer as of a watermark (a position) or an RFC 3339 time. Without it, everything acknowledged until now counts"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" doc:"Events on a page; 100 without it"`
	Cursor string   `query:"cursor" doc:"next_cursor of the page before. It carries the question of the first page: the other parameters but limit may be left out"`
	Order  string   `query:"order" enum:"newest,oldest" doc:"By position: newest first (without it) or oldest first"`
}

// EventsPage is a part of a listing.
type EventsPage struct {
	Events     []ledger.Row     `json:"events"`
	NextCursor string           `json:"next_cursor,omitempty" doc:"Ask with it for the next page. Absent on the last one"`
	AsOf       ledger.Watermark `json:"as_of" doc:"Watermark of the whole listing: events recorded since are on none of its pages"`

	NotCovered []ledger.DetachedMonth `json:"not_covered,omitempty" doc:"Months of recorded_at that were detached and may hold events that were asked for: they are on none of the pages. Absent: the listing is whole"`
}

// notCovered describes the field of that name.
const notCovered = "Months of recorded_at that were detached and may hold events that were asked for: they are in none of the sums. Absent: the sums are whole"

type listEventsOut struct{ Body EventsPage }

func (s *server) listEvents(ctx context.Context, in *listEventsIn) (*listEventsOut, error) {
	where, err := ledger.ParseWhere(in.Where)
	if err != nil {
		return nil, err
	}
	page, err := s.ledger.List(ctx, ledger.ListQuery{
		Where: where, From: in.From, To: in.To, AsOf: in.AsOf, Limit: in.Limit, Cursor: in.Cursor, OldestFirst: in.Order == "oldest",
	})
	if err != nil {
		return nil, err
	}
	if page.Events == nil {
		page.Events = []ledger.Row{}
	}
	return &listEventsOut{EventsPage{page.Events, page.NextCursor, page.AsOf, page.NotCovered}}, nil
}

func listEventsDoc() doc {
	return doc{
		id: "list-events", tag: tagRead, work: views, summary: "List events",
		text: "Events by position, page by page. All pages of a listing are as of the watermark of its first page, so that none is missed or shown twice while others arrive.",
	}
}

type getEventIn struct {
	Source  string `path:"source" example:"orders" doc:"The source of the event"`
	ID      string `path:"id" example:"order-1234-7" doc:"Its id within the source"`
	Payload bool   `query:"payload" doc:"Show the private content too: the payload, and dimensions that are personal"`
}

type getEventOut struct{ Body ledger.Row }

func (s *server) getEvent(ctx context.Context, in *getEventIn) (*getEventOut, error) {
	row, err := s.ledger.Get(ctx, in.Source, in.ID, in.Payload)
	if err != nil {
		return nil, err
	}
	return &getEventOut{row}, nil
}

func getEventDoc() doc {
	return doc{
		id: "get-event", tag: tagRead, summary: "Get one event",
		text:  "An event can be read as soon as its recording was answered.",
		fails: []kind{notFound},
	}
}
