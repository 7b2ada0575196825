package billing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// rangeOf is which closed cycles of the account get the charges of terms that aren't in force there: from the first that
// begins at or after effective_from, whether it holds anything or not, through the last. What can't be is a *TermsError.
func (v *view) rangeOf(ctx context.Context, q querier, t Terms) (from, through time.Time, err error) {
	refuse := func(field, value, rule string, args ...any) (time.Time, time.Time, error) {
		return time.Time{}, time.Time{}, &TermsError{Problems: []Problem{{Field: field, Value: shorten(value), Rule: fmt.Sprintf(rule, args...)}}}
	}
	if from, err = v.firstCycle(ctx, q); err != nil {
		return time.Time{}, time.Time{}, err
	}
	through = v.closed.end
	if t.EffectiveFrom.After(from) {
		if from = v.plain.Cycle(t.EffectiveFrom).Start; from.Before(t.EffectiveFrom) {
			from = v.plain.Cycle(t.EffectiveFrom).End
		}
	}
	if from.IsZero() || !from.Before(through) {
		return refuse("effective_from", t.effectiveText(), "must be early enough for a closed cycle of the account that was billed; none begins then or later, so record the terms without adjusting closed cycles")
	}
	wanted := t
	wanted.Version, wanted.EffectiveFrom, wanted.NotBefore = v.line.history[len(v.line.history)-1].Version+1, from, time.Time{}
	would, err := NewCalendar(append(slices.Clone(v.line.history), wanted))
	if err != nil {
		return time.Time{}, time.Time{}, err
	}
	for cy := v.plain.Cycle(from); cy.Start.Before(through); cy = v.plain.Next(cy) {
		if field, rule := v.closedProblem(cy, would); field != "" {
			span := dayIn(cy.Start, t.Zone) + " to " + dayIn(cy.End, t.Zone)
			return refuse(field, "", "%s: the closed cycle from %s keeps its own. Give terms that agree with it there, an effective_from after it, or record them without adjusting closed cycles", rule, span)
		}
	}
	wanted.EffectiveFrom = t.EffectiveFrom
	if would, err = NewCalendar(append(slices.Clone(v.line.history), wanted)); err != nil {
		return time.Time{}, time.Time{}, err
	}
	return v.reach(would, t.EffectiveFrom, from), through, nil
}

// reach is how far back before from the charges count too, though nothing happened there: events may still come. It is as far
// as the terms are wanted, and nothing but charges would be another by their calendar; zero is the beginning.
func (v *view) reach(would *Calendar, wanted, from time.Time) time.Time {
	for from.After(wanted) && !from.IsZero() {
		last := v.plain.Cycle(from.Add(-1))
		began := v.plain.spans[v.plain.spanAt(last.Start)].from
		if wanted.After(began) {
			began = v.plain.boundaryFrom(wanted)
		}
		if !began.Before(from) {
			return from
		}
		for _, cy := range []Cycle{last, v.plain.Cycle(began)} {
			if field, _ := v.closedProblem(cy, would); field != "" {
				return from
			}
		}
		from = began
	}
	return from
}

// dayIn is a local date for a message.
func dayIn(at time.Time, zone *time.Location) string { return DateOf(at.In(zone)).String() }

// closedProblem says what of a closed cycle would be another by a calendar, though only its charges may be.
func (v *view) closedProblem(cy Cycle, would *Calendar) (field, rule string) {
	is, will := v.plain.TermsAt(cy.Start), would.TermsAt(cy.Start)
	span := would.Cycle(cy.Start)
	overContract := func(c Charge) bool { return c.OverContract() }
	switch {
	case !span.Start.Equal(cy.Start) || !span.End.Equal(cy.End):
		return "cadence", "must make the same boundaries, with anchor and zone, for cycles that are closed"
	case is.GroupBy != will.GroupBy:
		return "group_by", "must be the same for cycles that are closed"
	case is.BillOn != will.BillOn || !slices.Equal(is.Finalising, will.Finalising):
		return "bill_on", "must be the same, with finalising, for cycles that are closed"
	case is.Contract != will.Contract:
		return "contract", "must be the same for cycles that are closed"
	case slices.ContainsFunc(is.Charges, overContract) || slices.ContainsFunc(will.Charges, overContract):
		return "charges", "must have no allowance over the contract, before and after, for cycles that are closed; correct those by an adjustment"
	case is.BillOn == BillOnOrder && !selectNoMore(will.Charges, is.Charges):
		return "charges", "must select no other events than before for closed cycles that are billed by order"
	}
	return "", ""
}

const sqlFirstBilled = `
SELECT min(x.at)
FROM (
    SELECT min(l.origin_start) AS at FROM billing.invoice_lines l WHERE l.account = $1
  UNION ALL
    SELECT min(e.occurred_at) FROM ledger.every_event e WHERE e.account = $1
) x`

// firstCycle is the start of the first cycle that holds anything; zero if none does.
func (v *view) firstCycle(ctx context.Context, q querier) (time.Time, error) {
	var at *time.Time
	if err := q.QueryRow(ctx, sqlFirstBilled, v.account).Scan(&at); err != nil || at == nil {
		return time.Time{}, err
	}
	return v.plain.Cycle(*at).Start, nil
}

const sqlReratingOf = `
SELECT r.from_at, r.through_at
FROM billing.reratings r
WHERE r.account = $1 AND r.terms = $2`

// Its position is drawn last.
const sqlInsertRerating = `
INSERT INTO billing.reratings (account, terms, from_at, through_at, why, recorded_by, defaults, position, recorded_at)
SELECT $1, $2::bigint, $3, $4, $5, $6, CASE WHEN $7::boolean THEN $2::bigint END, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// ClosedTerms are terms that were recorded for closed cycles.
type ClosedTerms struct {
	Terms   Terms
	From    time.Time // start of the first closed cycle that gets their charges; zero for the default terms
	Through time.Time // end of the last

	// Of the default terms: how many accounts get their charges for closed cycles, and how many are left out because what else
	// the terms say can't be so there.
	Accounts, LeftOut int64
}

// AdjustClosed records terms of an account as SetTerms does, and that their charges count for its closed cycles from
// effective_from on. The next close brings the difference to what was billed as adjustment lines; PreviewClosed
// shows it. Only charges can change so: what else of the terms a closed cycle goes by stays as it was, and terms that say otherwise
// are a *TermsError. why is kept. Default terms are so recorded for every account that had charges of the default terms in those
// cycles, as far as it is known by now; PreviewClosedAccounts shows what they change, and which accounts they leave out.
func (b *Billing) AdjustClosed(ctx context.Context, raw []byte, why, by string) (ClosedTerms, error) {
	if err := problems(checkText("why", why, "must say why closed cycles are billed anew"), checkText("by", by, "must say who records the terms")); err != nil {
		return ClosedTerms{}, wrap(err, "record terms")
	}
	if t, problems := parseTerms(raw, b.zone); t.Account == "" && len(problems) == 0 {
		return b.adjustClosedDefaults(ctx, raw, why, by)
	}
	var done ClosedTerms
	recorded, err := b.setTerms(ctx, raw, by, func(tx pgx.Tx, t Terms, insert func() (Terms, error)) (Terms, error) {
		v := &view{account: t.Account, runs: b.knownRuns()}
		var err error
		if v.state, err = b.readState(ctx, tx, v.runs, t.Account); err != nil {
			return t, err
		}
		if err := b.complete(ctx, tx, v, known{}); err != nil {
			return t, err
		}
		err = tx.QueryRow(ctx, sqlReratingOf, t.Account, t.Version).Scan(&done.From, &done.Through)
		if err == nil || !isNoRows(err) {
			return t, errors.Join(err, v.showFirst(ctx, tx, &done.From))
		}
		if done.From, done.Through, err = v.rangeOf(ctx, tx, t); err != nil {
			return t, err
		}
		if t, err = insert(); err != nil {
			return t, err
		}
		if _, err := tx.Exec(ctx, sqlKnowAccount, t.Account); err != nil {
			return t, err
		}
		if _, err = tx.Exec(ctx, sqlInsertRerating, t.Account, t.Version, done.From, done.Through, why, by, false); err != nil {
			return t, err
		}
		return t, v.showFirst(ctx, tx, &done.From)
	})
	done.Terms, done.From, done.Through = recorded, done.From.UTC(), done.Through.UTC()
	return done, err
}

// showFirst makes from the first cycle that holds anything, if it is before that.
func (v *view) showFirst(ctx context.Context, q querier, from *time.Time) error {
	first, err := v.firstCycle(ctx, q)
	if first.After(*from) {
		*from = first
	}
	return err
}

// ClosedPreview is what reratings change for closed cycles of an account, late events aside. Nothing of it is stored.
type ClosedPreview struct {
	Account string           `json:"account"`
	AsOf    ledger.Watermark `json:"as_of"`
	Cycles  []ClosedChange   `json:"cycles"` // by cycle; one for each currency, stream and charge
	Sums    map[string]Money `json:"sums"`   // of the differences, by currency
}

// ClosedChange is what a charge billed for a closed cycle, and what it would.
type ClosedChange struct {
	Start       time.Time `json:"start"`
	End         time.Time `json:"end"`
	Currency    string    `json:"currency"`
	Stream      string    `json:"stream,omitempty"`
	Charge      string    `json:"charge"`
	TermsBefore []int64   `json:"terms_before"` // versions whose charges billed it
	Terms       int64     `json:"terms"`        // of the charges that it gets
	Events      int64     `json:"events"`       // that the charge selects then
	Pinned      int64     `json:"pinned"`       // rows that no invoice holds yet
	Reads       string    `json:"reads"`        // lines: what these keep suffices; events: the pinned events are read
	Billed      Money     `json:"billed"`
	Rerated     Money     `json:"rerated"`
	Difference  Money     `json:"difference"`
}

// PreviewClosed computes what terms would change for closed cycles if AdjustClosed recorded them, or without terms what those
// change that are recorded and no close has brought yet. AsOf is as in PreviewRequest, and Count isn't used.
func (b *Billing) PreviewClosed(ctx context.Context, r PreviewRequest) (ClosedPreview, error) {
	if r.Account == "" {
		return ClosedPreview{}, ledger.Invalid("account", "", "must be the name of an account")
	}
	out := ClosedPreview{Account: r.Account, Cycles: []ClosedChange{}, Sums: map[string]Money{}}
	at, err := b.inSnapshot(ctx, r, func(tx pgx.Tx, catalogue ledger.Catalogue, v *view, at ledger.Watermark) error {
		out.Cycles, out.Sums = []ClosedChange{}, map[string]Money{}
		if len(r.Terms) > 0 {
			if err := b.supposeClosed(ctx, tx, catalogue, v, r.Terms); err != nil {
				return err
			}
		}
		return b.previewClosed(ctx, tx, catalogue, v, at, &out)
	})
	out.AsOf = at
	return out, wrap(err, "preview of closed cycles of %q", r.Account)
}

// supposeClosed gives the view the rerating that it would have if further terms, of the account or of the default, were recorded
// for closed cycles.
func (b *Billing) supposeClosed(ctx context.Context, tx pgx.Tx, catalogue ledger.Catalogue, v *view, raw []byte) error {
	t, k, err := b.checkTerms(ctx, tx, catalogue, raw)
	if err != nil {
		return err
	}
	if t.Account != "" && t.Account != v.account {
		return &TermsError{Problems: []Problem{{Field: "account", Value: shorten(t.Account), Rule: "must be the account that is looked at, or be left out for the default terms"}}}
	}
	t.Version = k.newest + 1
	if t.Account != "" {
		from, through, err := v.rangeOf(ctx, tx, t)
		if err != nil {
			return err
		}
		v.supposeRerating(t, from, through)
		return nil
	}
	if t.NotBefore, err = b.closedForTerms(ctx, tx, k, ""); err != nil {
		return err
	}
	if err := reachesClosed(t); err != nil {
		return err
	}
	s, err := v.defaultSpan(ctx, tx, t)
	if s.problem != "" {
		return &TermsError{Problems: []Problem{{Field: s.field, Rule: s.problem}}}
	}
	if s.concerned {
		v.supposeRerating(t, s.from, s.through)
	}
	return err
}

func (v *view) supposeRerating(t Terms, from, through time.Time) {
	v.line = &timeline{history: append(slices.Clone(v.line.history), t)}
	v.reratings = append(v.reratings, rerating{terms: t, from: from, through: through})
}

func (b *Billing) previewClosed(ctx context.Context, tx pgx.Tx, catalogue ledger.Catalogue, v *view, at ledger.Watermark, out *ClosedPreview) error {
	if err := v.prepare(ctx, tx, at.Position); err != nil || len(v.due) == 0 || v.closed.end.IsZero() {
		return err
	}
	v.adjustments = nil
	w := newWindow(v, v.closed.watermark, v.cal.Cycle(v.closed.end).End)
	w.onlyCovered = true
	r, err := b.rate(ctx, tx, catalogue, &w)
	if err != nil {
		return err
	}
	for _, d := range r.drafts {
		for _, l := range d.lines {
			if l.rerating == 0 || l.before.none() && l.added.none() && l.billed.IsZero() {
				continue
			}
			money := func(m Money) Money { m.Currency = d.currency; return m }
			change := ClosedChange{
				Start: l.origin.Start, End: l.origin.End, Currency: d.currency, Stream: d.stream, Charge: l.charge.Name, TermsBefore: l.termsBefore, Terms: l.terms,
				Events: l.before.Count + l.added.Count, Pinned: l.pinned, Reads: "lines",
				Billed: money(Money{Amount: l.billed}), Rerated: money(Money{Amount: l.billed.Add(l.amount)}), Difference: money(Money{Amount: l.amount}),
			}
			if l.read {
				change.Reads = "events"
			}
			out.Cycles = append(out.Cycles, change)
			out.Sums[d.currency] = out.Sums[d.currency].plus(l.amount, d.currency)
		}
	}
	return nil
}
