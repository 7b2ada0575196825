package billing

import (
	"slices"
	"time"
)

// Terms with bill_on order bill a stream, which is an order, in the cycle in which it is final. The law, for
// each account by itself:
//
//   - An order period is a time [since, until) in which the account's terms bill by order without a break. What
//     occurred in no order period is billed as an event; so is what has no stream.
//   - An order is finalised by the first event, by occurred_at, whose type the terms of the cycle in which it
//     occurred name as finalising, whichever account it is of. Rows that the ledger made finalise nothing.
//   - Where a close has billed anything of an order, the instant that it went by stays for that order and period:
//     it has a row in billing.orders. A finalising event that comes later, or that occurred earlier and came
//     late, is an event like any other.
//   - If the order was final before the period began, its events are billed each in its own cycle, as were those
//     before. What finalises counts by the terms with which the period begins.
//   - If it isn't final when the period ends, it counts as finalised at that end: the first cycle that bills by
//     event bills what waits.
//   - An event belongs to the cycle of the instant at which its order was final: the terms of that cycle price
//     it, on lines that name it. It is due in that cycle, or in its own if that is later: what occurred after
//     the cycle in which the order was final is an adjustment, on the invoice of its own cycle. So no
//     invoice holds anything that occurred after its cycle.
//   - It is late, and billed in the first open cycle, if the cycle in which it is due was closed at a watermark
//     that is below its own position, or below that of what finalised its order.
//   - What occurred in a closed cycle and isn't due waits in billing.carried.
//
// Every event is looked at by the one close that finds it at or below its watermark and before its end. That
// close pins it, leaves it to wait, or finds that no charge selects it; what waits is looked at again when its
// order is final, and no close after that. So each event is billed once, and no close reads history.

// forever is after every event.
var forever = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)

// orderPeriod is a time in which an account is billed by order, and what finalises orders meanwhile.
type orderPeriod struct {
	since, until time.Time // since is zero for always
	rules        []finalRule
}

// finalRule says that events of some types finalise orders if they occur in [from, to).
type finalRule struct {
	from, to time.Time
	types    []string
}

// orderPeriods are the times in which the account is billed by order, in order.
func (c *Calendar) orderPeriods() []orderPeriod {
	var periods []orderPeriod
	open := false // the span before is of the last period
	for i, s := range c.spans {
		until := forever
		if i+1 < len(c.spans) {
			until = c.spans[i+1].from
		}
		if s.terms.BillOn != BillOnOrder {
			open = false
			continue
		}
		rule := finalRule{from: s.from, to: until, types: s.terms.Finalising}
		if !open { // what was before the period counts by the terms that begin it
			periods = append(periods, orderPeriod{since: s.from})
			rule.from = time.Time{}
		}
		p := &periods[len(periods)-1]
		p.until, p.rules, open = until, append(p.rules, rule), true
	}
	return periods
}

// periodAt is the order period that holds an instant; nil if the account is billed by event then.
func periodAt(periods []orderPeriod, at time.Time) *orderPeriod {
	i := slices.IndexFunc(periods, func(p orderPeriod) bool { return !at.Before(p.since) && at.Before(p.until) })
	if i < 0 {
		return nil
	}
	return &periods[i]
}

// orders are the order periods that a window has to do with, as parameters of its queries.
type orders struct {
	periods []orderPeriod
	since   []*time.Time // of each cycle of the window: of the period that it is in; nil: it bills by event
	until   []*time.Time
}

// ofOrders are the order periods of the window; nil if nothing in it is, or was, billed by order.
func (w *window) ofOrders(carries bool) *orders {
	o := &orders{periods: w.cal.orderPeriods()}
	for _, cy := range w.cycles {
		if p := periodAt(o.periods, cy.Start); p != nil {
			carries = true
			o.since, o.until = append(o.since, &p.since), append(o.until, &p.until)
		} else {
			o.since, o.until = append(o.since, nil), append(o.until, nil)
		}
	}
	if !carries {
		return nil
	}
	return o
}

// args adds the parameters of the periods.
func (o *orders) args(args map[string]any) {
	periods := [2][]time.Time{{}, {}}
	rules := [3][]time.Time{{}, {}, {}}
	types := []string{}
	for _, p := range o.periods {
		periods[0], periods[1] = append(periods[0], p.since), append(periods[1], p.until)
		for _, r := range p.rules {
			for _, t := range r.types {
				rules[0], rules[1], rules[2] = append(rules[0], p.since), append(rules[1], r.from), append(rules[2], r.to)
				types = append(types, t)
			}
		}
	}
	args["since"], args["until"] = o.since, o.until
	args["period_since"], args["period_until"] = periods[0], periods[1]
	args["rule_since"], args["rule_from"], args["rule_to"], args["rule_type"] = rules[0], rules[1], rules[2], types
}
