package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/ledger"
)

// world is a made-up marketplace: shops sell through partners, who get a commission on each order. It
// is the same in every run: its numbers come from one seed.
type world struct {
	events []ledger.Event  // what happened from October 2025 to January 2026, in the order in which it happened
	late   map[string]bool // ids of those that a warehouse sends after its months were closed
	order  string          // a stream with such an event, for the story of customer support
}

const (
	demoSource = "orders"
	demoOrders = 1500
	demoZone   = "Europe/London"
)

var (
	demoStart = time.Date(2025, 10, 1, 0, 0, 0, 0, time.UTC)
	demoDays  = 31 + 30 + 31 + 31
)

// partner is who is billed; demoPartners sell in one currency each.
type partner struct {
	name, currency, country string
}

func demoPartners() []partner {
	return []partner{
		{"partner-aurora", "GBP", "GB"},
		{"partner-birch", "GBP", "GB"},
		{"partner-cobalt", "GBP", "IE"},
		{"partner-delta", "GBP", "GB"},
		{"partner-elm", "EUR", "DE"},
		{"partner-fjord", "EUR", "FR"},
		{"partner-grove", "EUR", "NL"},
		{"partner-harbour", "EUR", "ES"},
	}
}

// makeWorld makes the events of all orders.
func makeWorld(seed uint64) world {
	r := rand.New(rand.NewPCG(seed, 2025))
	w := world{late: map[string]bool{}}
	for n := range demoOrders {
		w.events = append(w.events, makeOrder(r, n)...)
	}
	slices.SortStableFunc(w.events, func(a, b ledger.Event) int { return a.OccurredAt.Compare(b.OccurredAt) })
	w.chooseLate(r)
	return w
}

// makeOrder makes an order: its commission, of which two partners may have a share each, perhaps a
// change of the basket, and perhaps a return of all or part of it.
func makeOrder(r *rand.Rand, n int) []ledger.Event {
	partners := demoPartners()
	first := partners[r.IntN(len(partners))]
	shares := []partner{first}
	for _, other := range partners {
		if other.currency == first.currency && other.name != first.name && r.IntN(10) < 2 {
			shares = append(shares, other)
			break
		}
	}
	o := &demoOrder{
		stream: fmt.Sprintf("order-%d", 1001+n), campaign: []string{"autumn", "black-friday", "winter", "none"}[r.IntN(4)], shares: shares,
		at: demoStart.Add(time.Duration(r.Int64N(int64(demoDays)*24*3600)) * time.Second), r: r,
	}
	value := decimal.New(int64(r.IntN(40_000)+500), -2)
	items := int64(1 + r.IntN(5))
	o.add("order.placed", value, items)
	if r.IntN(100) < 15 {
		o.at = o.at.Add(time.Duration(1+r.IntN(48)) * time.Hour)
		o.add("order.changed", decimal.New(int64(r.IntN(5000)-1500), -2), 0)
	}
	if r.IntN(100) < 12 {
		o.at = o.at.Add(time.Duration(24+r.IntN(24*14)) * time.Hour)
		o.add("order.returned", value.Neg(), -items)
	}
	return o.events
}

type demoOrder struct {
	stream, campaign string
	shares           []partner
	at               time.Time
	r                *rand.Rand
	events           []ledger.Event
}

// commission is 8 percent of an order's value, to the cent; two partners split it six to four, so
// that not a cent is lost.
func (o *demoOrder) commission(value decimal.Decimal) []decimal.Decimal {
	total := billing.Round(value.Mul(decimal.New(8, -2)), o.shares[0].currency)
	weights := []decimal.Decimal{decimal.NewFromInt(6), decimal.NewFromInt(4)}[:len(o.shares)]
	return billing.Split(total, weights, 2)
}

// add makes one event for each partner with a share in the order.
func (o *demoOrder) add(typ string, value decimal.Decimal, items int64) {
	parts := o.commission(value)
	for i, p := range o.shares {
		seqn := int64(len(o.events) + 1)
		quantity := items
		if i > 0 {
			quantity = 0 // the items of an order are counted once
		}
		o.events = append(o.events, ledger.Event{
			ID: fmt.Sprintf("%s/%d", o.stream, seqn), Source: demoSource, Stream: o.stream, Seqn: seqn, HasSeqn: true, Type: typ, Account: p.name,
			OccurredAt: o.at, Currency: p.currency, Amount: demoAmount(parts[i]), Quantity: demoAmount(decimal.NewFromInt(quantity)),
			Dimensions: fmt.Appendf(nil, `{"campaign":%q,"country":%q,"shared":%t}`, o.campaign, p.country, len(o.shares) > 1),
			Payload:    fmt.Appendf(nil, `{"order_value":"%s","basket":%d}`, value, 100+o.r.IntN(900)),
		})
	}
}

func demoAmount(d decimal.Decimal) ledger.Amount {
	a, err := ledger.AmountOf(d)
	if err != nil {
		panic("demo: " + err.Error()) // the figures above keep within the limits
	}
	return a
}

// chooseLate picks what a warehouse will send too late: 40 events of November and December, and all
// events of one partner of whom nothing was heard before.
func (w *world) chooseLate(r *rand.Rand) {
	newcomer := ledger.Event{
		ID: "order-9001/1", Source: demoSource, Stream: "order-9001", Seqn: 1, HasSeqn: true, Type: "order.placed", Account: "partner-island",
		OccurredAt: time.Date(2025, 12, 18, 15, 4, 0, 0, time.UTC), Currency: "GBP", Amount: demoAmount(decimal.New(1940, -2)),
		Quantity: demoAmount(decimal.NewFromInt(1)), Dimensions: []byte(`{"campaign":"winter","country":"GB","shared":false}`),
	}
	w.events = append(w.events, newcomer)
	w.late[newcomer.ID] = true
	for _, i := range r.Perm(len(w.events)) {
		e := w.events[i]
		if m := e.OccurredAt.Month(); len(w.late) > 40 || m != time.November && m != time.December {
			continue
		}
		w.late[e.ID] = true
		if w.order == "" && e.Type == "order.returned" && e.OccurredAt.Month() == time.December {
			w.order = e.Stream
		}
	}
}

// before are the events that happened before an instant and aren't late, or the late ones.
func (w *world) before(end time.Time, late bool) (events []ledger.Event) {
	for _, e := range w.events {
		if e.OccurredAt.Before(end) && w.late[e.ID] == late {
			events = append(events, e)
		}
	}
	return events
}

// deliveries mixes events up as a busy network does: out of order, in deliveries of uneven size, and
// every eighth event twice.
func deliveries(r *rand.Rand, events []ledger.Event) (batches [][]ledger.Event, repeated int) {
	mixed := slices.Clone(events)
	for i, e := range events {
		if i%8 == 0 {
			mixed = append(mixed, e)
			repeated++
		}
	}
	r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
	for len(mixed) > 0 {
		n := min(len(mixed), 1+r.IntN(400))
		batches, mixed = append(batches, mixed[:n:n]), mixed[n:]
	}
	return batches, repeated
}

// sumByMonth adds events up by month and currency, in a way of its own: what the ledger says is held
// against it.
func sumByMonth(events []ledger.Event, zone *time.Location) map[string]decimal.Decimal {
	sums := map[string]decimal.Decimal{}
	for _, e := range events {
		key := e.OccurredAt.In(zone).Format("2006-01") + " " + e.Currency
		sums[key] = sums[key].Add(e.Amount.Decimal())
	}
	return sums
}
