package billing

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// OpenOrder is what waits of an order in one currency, for an account: the order isn't final.
type OpenOrder struct {
	Account  string    `json:"account"`
	Source   string    `json:"source"`
	Stream   string    `json:"stream"`
	Currency string    `json:"currency"`
	Events   int64     `json:"events"`
	Amount   Money     `json:"amount"` // the sum of their amounts
	First    time.Time `json:"first"`  // occurred_at of the first of them, in UTC
	Last     time.Time `json:"last"`   // and of the last
}

// OpenOrderQuery says which open orders to list. Zero fields don't limit.
type OpenOrderQuery struct {
	Account string `json:"account,omitempty"`
	Limit   int    `json:"limit,omitempty"` // 1 to 1,000; 0: 100
	// Cursor continues a list; it carries the account, which may then be left out.
	Cursor string `json:"-"`
}

// OpenOrderPage is a part of a list, by account, source, stream and currency.
type OpenOrderPage struct {
	Watermark int64       `json:"watermark"` // what is recorded up to it counts
	Orders    []OpenOrder `json:"orders"`
	Next      string      `json:"next,omitempty"` // cursor of what follows; empty at the end
}

// orderCursor is behind an open order of a list.
type orderCursor struct {
	Query    OpenOrderQuery `json:"q"`
	Account  string         `json:"a"`
	Source   string         `json:"s"`
	Stream   string         `json:"t"`
	Currency string         `json:"c"`
}

// resolve checks the query, and takes the account from the cursor where there is one.
func (q OpenOrderQuery) resolve() (after orderCursor, err error) {
	after = orderCursor{Query: q}
	if q.Cursor != "" {
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err == nil {
			err = json.Unmarshal(raw, &after)
		}
		if err != nil || after.Account == "" {
			return after, ledger.Invalid("cursor", q.Cursor, "must be the cursor that the page before gave")
		}
		if q.Account != "" && q.Account != after.Query.Account {
			return after, ledger.Invalid("cursor", q.Cursor, "must be used with the account that it was given for, or with none")
		}
		if q.Limit > 0 {
			after.Query.Limit = q.Limit
		}
	}
	for _, text := range []string{after.Query.Account, after.Account, after.Source, after.Stream, after.Currency} {
		if err := checkNote("account", text); err != nil {
			return after, err
		}
	}
	if after.Query.Limit == 0 {
		after.Query.Limit = 100
	}
	if after.Query.Limit < 1 || after.Query.Limit > 1000 {
		return after, ledger.Invalid("limit", fmt.Sprint(after.Query.Limit), "must be 1 to 1000")
	}
	return after, nil
}

// OpenOrders lists the orders that aren't final by the end of the cycle that has begun, with what waits of them:
// in cycles that are closed, and in those that aren't. Each page is as of its own watermark.
func (b *Billing) OpenOrders(ctx context.Context, q OpenOrderQuery) (OpenOrderPage, error) {
	after, err := q.resolve()
	if err != nil {
		return OpenOrderPage{}, err
	}
	at, err := b.ledger.AsOf(ctx, "")
	if err != nil {
		return OpenOrderPage{}, err
	}
	if err := b.DeriveAccounts(ctx, at); err != nil {
		return OpenOrderPage{}, err
	}
	p := OpenOrderPage{Watermark: at.Position, Orders: []OpenOrder{}}
	limit := after.Query.Limit
	for account, err := range b.mayHaveOrders(ctx, after) {
		if err == nil {
			behind := after
			if behind.Account != account {
				behind = orderCursor{}
			}
			var found []OpenOrder
			if found, err = b.openOrdersOf(ctx, account, at, behind, limit+1-len(p.Orders)); err == nil {
				p.Orders = append(p.Orders, found...)
			}
		}
		if err != nil {
			return OpenOrderPage{}, wrap(err, "list open orders")
		}
		if len(p.Orders) > limit {
			break
		}
	}
	if len(p.Orders) > limit {
		p.Orders = p.Orders[:limit]
		last := p.Orders[limit-1]
		p.Next = orderCursor{Query: after.Query, Account: last.Account, Source: last.Source, Stream: last.Stream, Currency: last.Currency}.String()
	}
	return p, nil
}

func (c orderCursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("billing: a cursor can't be written as JSON: " + err.Error()) // texts and numbers: impossible
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// mayHaveOrders iterates the accounts from the cursor's on that are ever billed by order and have anything to bill,
// by name.
func (b *Billing) mayHaveOrders(ctx context.Context, after orderCursor) func(func(string, error) bool) {
	return func(yield func(string, error) bool) {
		if only := after.Query.Account; only != "" {
			yield(only, nil)
			return
		}
		if after.Account != "" && !yield(after.Account, nil) {
			return
		}
		for last := after.Account; ; {
			found, err := b.pendingAfter(ctx, last, "", page)
			if err != nil {
				yield("", err)
				return
			}
			names := make([]string, len(found))
			for i, p := range found {
				names[i] = p.account
			}
			k, err := b.readBook(ctx, b.pool, names...)
			if err != nil {
				yield("", err)
				return
			}
			for _, account := range names {
				cal, err := k.timeline(account).calendar()
				if err == nil && len(cal.orderPeriods()) == 0 {
					continue
				}
				if !yield(account, err) {
					return
				}
			}
			if len(found) < page {
				return
			}
			last = names[len(names)-1]
		}
	}
}

// What of an account isn't due by the end of the window, by order and currency, behind a place in that list.
const openOrders = `
SELECT x.source, x.stream, x.currency, count(*) FILTER (WHERE x.kind IN ('upstream', 'adjustment')) AS events,
       COALESCE(sum(x.amount), 0) AS amount, min(x.occurred_at) AS first, max(x.occurred_at) AS last
FROM (
    SELECT k._source AS source, k.stream, k.currency, k.kind, k.amount, k.occurred_at
    FROM (` + newOfWindow + `
    ) k
    CROSS JOIN LATERAL (SELECT ` + finalisedAt + ` AS at OFFSET 0) o
    WHERE k._since IS NOT NULL AND (k._source, k.stream) >= (@after_source, @after_stream)
      AND o.at >= (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]
  UNION ALL
    SELECT p._source, p.stream, e.currency, e.kind, e.amount, e.occurred_at
    FROM (
        SELECT k.*
        FROM (` + waitingOfWindow + `
        ) k
        CROSS JOIN LATERAL (SELECT ` + finalisedAt + ` AS at OFFSET 0) o
        WHERE (k._source, k.stream) >= (@after_source, @after_stream)
          AND o.at >= (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]
        OFFSET 0
    ) p` + ledger.EventAtP + `
) x
WHERE (x.source, x.stream, x.currency) > (@after_source, @after_stream, @after_currency)
GROUP BY 1, 2, 3
HAVING count(*) FILTER (WHERE x.kind IN ('upstream', 'adjustment')) > 0 OR COALESCE(sum(x.amount), 0) <> 0`

const sqlOpenOrders = openOrders + `
ORDER BY 1, 2, 3
LIMIT @limit::int`

const sqlWaitingOrders = `
SELECT o.currency, count(*), sum(o.events)::bigint, sum(o.amount), min(o.first)
FROM (` + openOrders + `
) o
GROUP BY 1
ORDER BY 1`

// behind are the window's parameters with a place in the list of its open orders.
func (w *window) behind(after orderCursor) pgx.NamedArgs {
	args := w.args()
	args["after_source"], args["after_stream"], args["after_currency"] = after.Source, after.Stream, after.Currency
	return args
}

// openOrdersOf lists the open orders of one account behind a place in the list.
func (b *Billing) openOrdersOf(ctx context.Context, account string, at ledger.Watermark, after orderCursor, limit int) (found []OpenOrder, err error) {
	err = pg.InTxWith(ctx, b.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		found = nil
		v, err := b.look(ctx, tx, account)
		if err != nil {
			return err
		}
		if at.Position < v.closed.watermark {
			return fmt.Errorf("account %q is just being closed: ask again: %w", account, ledger.ErrBusy)
		}
		end := v.cal.Cycle(b.now()).End
		if !end.After(v.closed.end) {
			end = v.cal.Cycle(v.closed.end).End
		}
		w := newWindow(v, at.Position, end)
		if w.orders = w.ofOrders(v.carries); w.orders == nil || len(w.cycles) == 0 {
			return nil
		}
		args := w.behind(after)
		args["limit"] = limit
		rows, err := tx.Query(ctx, sqlOpenOrders, args)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (OpenOrder, error) {
			o := OpenOrder{Account: account}
			err := row.Scan(&o.Source, &o.Stream, &o.Currency, &o.Events, &o.Amount.Amount, &o.First, &o.Last)
			o.Amount.Currency, o.First, o.Last = o.Currency, o.First.UTC(), o.Last.UTC()
			return o, err
		})
		return err
	})
	return found, err
}

// WaitingOrders are the open orders of an account in one currency together.
type WaitingOrders struct {
	Currency string    `json:"currency"`
	Orders   int64     `json:"orders"`
	Events   int64     `json:"events"`
	Amount   Money     `json:"amount"` // the sum of their amounts
	Oldest   time.Time `json:"oldest"` // occurred_at of the first of them, in UTC
}

// waiting adds up what isn't due by the end of the window because its order is open.
func (w *window) waiting(ctx context.Context, tx pgx.Tx) ([]WaitingOrders, error) {
	all := []WaitingOrders{}
	if w.orders == nil {
		return all, nil
	}
	var o WaitingOrders
	var amount decimal.Decimal
	err := pg.ForEach(ctx, tx, []any{&o.Currency, &o.Orders, &o.Events, &amount, &o.Oldest}, func() error {
		o.Amount, o.Oldest = Money{Amount: amount, Currency: o.Currency}, o.Oldest.UTC()
		all = append(all, o)
		return nil
	}, sqlWaitingOrders, w.behind(orderCursor{}))
	if err != nil {
		return nil, fmt.Errorf("add up open orders: %w", err)
	}
	return all, nil
}
