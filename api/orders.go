package api

import (
	"context"

	"deltaledger/billing"
)

type openOrdersIn struct {
	Account string `query:"account" maxLength:"256" example:"acme" doc:"Only orders of this account"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"Rows on a page; 100 without it"`
	Cursor  string `query:"cursor" doc:"next_cursor of the page before; the account may be left out"`
}

// OpenOrdersPage is a part of a list of open orders.
type OpenOrdersPage struct {
	Watermark  int64               `json:"watermark" doc:"What is recorded up to it counts"`
	Orders     []billing.OpenOrder `json:"orders" doc:"By account, source, stream and currency"`
	NextCursor string              `json:"next_cursor,omitempty" doc:"Ask with it for the next page. Absent on the last one"`
}

type openOrdersOut struct{ Body OpenOrdersPage }

func (s *server) listOpenOrders(ctx context.Context, in *openOrdersIn) (*openOrdersOut, error) {
	p, err := s.billing.OpenOrders(ctx, billing.OpenOrderQuery{Account: in.Account, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	return &openOrdersOut{OpenOrdersPage{Watermark: p.Watermark, Orders: p.Orders, NextCursor: p.Next}}, nil
}

func listOpenOrdersDoc() doc {
	return doc{
		id: "list-open-orders", tag: tagBill, work: views, summary: "List open orders",
		text: "Of accounts whose terms bill by order: the streams that nothing has finalised by the end of the cycle that has begun, with what waits of them, in closed cycles and in the open one. The close of the cycle in which an order is final bills it.",
	}
}
