package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// declareStates declares that a source sends states.
func declareStates(t testing.TB, l *ledger.Ledger, source string) {
	t.Helper()
	if err := l.DeclareSource(context.Background(), ledger.Source{Name: source, States: true, Numbering: ledger.NumberingStream, By: "test"}); err != nil {
		t.Fatal(err)
	}
}

// stateOf is event n of a stream of the source orders that says what stands after it, such as "amount 10 quantity 2".
func stateOf(stream string, n int, account, values string) ledger.Event {
	e := sale(stream, n)
	e.Source, e.Account, e.Amount, e.Quantity = "orders", account, ledger.Amount{}, ledger.Amount{}
	e.ID = fmt.Sprintf("%s/%d", stream, n)
	e.OccurredAt = noon.AddDate(0, 0, n%100)
	fields := strings.Fields(values)
	for i := 0; i+1 < len(fields); i += 2 {
		e.State = append(e.State, ledger.Measure{Name: fields[i], Value: amount(fields[i+1])})
	}
	return e
}

// rowsOf are the rows of the ledger in the order of positions, one on a line.
func rowsOf(t *testing.T, db *pgtest.DB) string {
	t.Helper()
	return one[string](t, db, `SELECT COALESCE(string_agg(concat_ws(' ', e.seqn, e.account, to_char(e.business_date, 'MM-DD'), trim_scale(e.amount), trim_scale(e.quantity),
		NULLIF(e.kind, 'upstream'), NULLIF(e.source, 'orders'), c.seqn), E'\n' ORDER BY e.position), '')
		FROM ledger.events e LEFT JOIN ledger.events c ON c.position = e.caused_by`)
}

func TestStatesBecomeDeltas(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	for _, e := range []ledger.Event{
		stateOf("o1", 1, "acme", "amount 10 quantity 2"), stateOf("o1", 4, "acme", "amount 7.5"), stateOf("o1", 3, "globex", "amount 8"),
	} {
		if o := appendAll(t, l, e)[0]; o.Status != ledger.Recorded {
			t.Fatalf("%+v", o)
		}
	}
	late := stateOf("o1", 2, "acme", "")
	late.Amount, late.Quantity = amount("-1"), amount("-1")
	if o := appendAll(t, l, late)[0]; o.Status != ledger.Recorded {
		t.Fatalf("%+v", o)
	}
	want := strings.TrimSpace(`
1 acme 01-16 10 2
4 acme 01-19 -2.5
3 globex 01-18 8
3 acme 01-18 -10 reversal deltaledger 3
4 acme 01-19 10 reorder deltaledger 3
4 globex 01-19 -8 reorder deltaledger 3
2 acme 01-17 -1 -1
3 acme 01-18 1 reorder deltaledger 2`)
	if have := rowsOf(t, db); have != want {
		t.Errorf("%s\nnot\n%s", have, want)
	}
	if have := one[string](t, db, `SELECT state::text FROM ledger.events WHERE seqn = 4 AND kind = 'upstream'`); have != `{"amount": "7.5"}` {
		t.Errorf("state %s", have)
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	declareStates(t, l, "orders")
	good := stateOf("o1", 1, "acme", "amount 10")
	for name, c := range map[string]struct {
		change      func(*ledger.Event)
		field, rule string
	}{
		"undeclared source":  {func(e *ledger.Event) { e.Source = "shop" }, "state", "deltaledger sources declare shop --states"},
		"undeclared measure": {func(e *ledger.Event) { e.State[0].Name = "commission" }, "state.commission", "is not a measure"},
		"no number":          {func(e *ledger.Event) { e.HasSeqn = false }, "seqn", "is missing"},
		"beside an amount":   {func(e *ledger.Event) { e.Amount = amount("1") }, "state", "must not stand beside"},
		"nothing in it":      {func(e *ledger.Event) { e.State = e.State[:0] }, "state", "must hold a value"},
		"in an adjustment": {func(e *ledger.Event) {
			e.Kind, e.HasSeqn, e.Reason, e.Reference, e.Maker = ledger.Adjustment, false, "r", "r", "m"
		}, "state", "must be left out"},
	} {
		e := good
		e.State = append([]ledger.Measure(nil), good.State...)
		c.change(&e)
		if o := appendAll(t, l, e)[0]; o.Status != ledger.Rejected || o.Err.Field != c.field || !strings.Contains(o.Err.Rule, c.rule) {
			t.Errorf("%s: %+v", name, o)
		}
	}
	err := l.DeclareSource(t.Context(), ledger.Source{Name: "orders", States: true, Numbering: ledger.NumberingNone, By: "test"})
	if err == nil || !strings.Contains(err.Error(), "must be stream or source") {
		t.Errorf("states without numbers: %v", err)
	}
}

// An event whose change is too long a number is invalid, whatever stands beside it is recorded, and so is
// one that comes later for its place.
func TestStatesBeyondTheLimits(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	out := appendAll(t, l, stateOf("o1", 1, "acme", "amount 9"+strings.Repeat("0", 30)), stateOf("o1", 2, "acme", "amount 0.000000000000000001"),
		stateOf("o2", 1, "acme", "amount 1"))
	if out[0].Status != ledger.Recorded || out[2].Status != ledger.Recorded || out[1].Status != ledger.Rejected || out[1].Err.Field != "state.amount" ||
		!strings.Contains(out[1].Err.Rule, "at most 38 digits") {
		t.Fatalf("%+v", out)
	}
	if o := appendAll(t, l, stateOf("o1", 2, "acme", "amount 3"))[0]; o.Status != ledger.Recorded {
		t.Errorf("%+v", o)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events`); n != 3 {
		t.Errorf("%d rows", n)
	}
}

func TestStatesAgainAndInConflict(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	events := []ledger.Event{stateOf("o1", 3, "acme", "amount 10"), stateOf("o1", 1, "globex", "amount 4"), stateOf("o1", 2, "acme", "amount 7"), stateOf("o2", 1, "acme", "amount 1")}
	appendAll(t, l, events...)
	before := rowsOf(t, db)
	for i, o := range appendAll(t, l, events...) {
		if o.Status != ledger.Duplicate {
			t.Errorf("event %d: %+v", i, o)
		}
	}
	other := stateOf("o1", 2, "acme", "amount 8")
	if o := appendAll(t, l, other)[0]; o.Status != ledger.Conflict || fmt.Sprint(o.Differs) != "[state]" {
		t.Errorf("other content: %+v", o)
	}
	other.ID = "o1/2 again"
	if o := appendAll(t, l, other)[0]; o.Status != ledger.Conflict || o.Err.Field != "seqn" {
		t.Errorf("another identity: %+v", o)
	}
	foreign := stateOf("o1", 9, "acme", "amount 8")
	foreign.Currency = "USD"
	o := appendAll(t, l, foreign)[0]
	if o.Status != ledger.Conflict || o.Err.Field != "currency" || o.Err.Value != "USD" || !strings.Contains(o.Err.Rule, "must be EUR") ||
		!strings.Contains(o.Err.Rule, fmt.Sprint("position ", o.Position)) || o.Position == 0 {
		t.Errorf("another currency: %+v", o)
	}
	if have := rowsOf(t, db); have != before {
		t.Errorf("%s\nnot\n%s", have, before)
	}
	if have := one[string](t, db, `SELECT string_agg(reason || array_to_string(differs, ','), ' ' ORDER BY n) FROM ledger.conflicts`); have != "contentstate sequenceid,state currencycurrency" {
		t.Errorf("conflicts: %s", have)
	}
	// Within a request the first currency of a new stream counts, and an atomic request keeps nothing.
	second := stateOf("o3", 2, "acme", "amount 2")
	second.Currency = "USD"
	atomic, err := l.AppendAtomic(t.Context(), []ledger.Event{stateOf("o3", 1, "acme", "amount 1"), second})
	if err == nil || atomic[0].Status != ledger.Refused || atomic[1].Status != ledger.Conflict || atomic[1].Position != 0 ||
		!strings.Contains(atomic[1].Err.Rule, "before this one in the request") {
		t.Errorf("%+v, %v", atomic, err)
	}
	mixed := appendAll(t, l, stateOf("o3", 1, "acme", "amount 1"), second)
	if mixed[0].Status != ledger.Recorded || mixed[1].Status != ledger.Conflict || mixed[1].Position != mixed[0].Position {
		t.Errorf("%+v", mixed)
	}
}

// Dimensions that describe the stream are owners, others aren't; a value has one spelling whether it was
// just sent or comes from its column; declared measures are stated like amounts.
func TestStatesOfDeclaredColumns(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	for name, sqlType := range map[string]string{"partner": "text", "level": "bigint", "device": "uuid", "day_of": "date", "vip": "boolean"} {
		declareColumn(t, db, name, "dimension", sqlType, false)
	}
	declareColumn(t, db, "country", "dimension", "text", false)
	declareColumn(t, db, "commission", "money", "numeric", false)
	if _, err := db.Super.Exec(t.Context(), `ALTER TABLE ledger.columns DISABLE TRIGGER USER;
		UPDATE ledger.columns SET describes = 'stream' WHERE name IN ('partner', 'level', 'device', 'day_of', 'vip');
		ALTER TABLE ledger.columns ENABLE ALWAYS TRIGGER refuse_row; ALTER TABLE ledger.columns ENABLE ALWAYS TRIGGER refuse_statement;
		SELECT ledger.declare('what describes streams')`); err != nil {
		t.Fatal(err)
	}
	same := []string{
		`{"country":"DE","day_of":"2026-01-31","device":"5C0F7A1E-9f63-4f0b-8d8e-2f7f6f0c9a11","free":"a","level":"7","partner":"p1","vip":"true"}`,
		`{"country":"FR","day_of":"2026-01-31","device":"5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11","free":"b","level":7,"partner":"p1","vip":true}`,
	}
	for i, dimensions := range append(same, `{"country":"FR","partner":"p2"}`) {
		e := stateOf("o1", 2*i+2, "acme", fmt.Sprintf("amount %d commission %d", 10+i, 1+i))
		e.Dimensions = []byte(dimensions)
		if o := appendAll(t, l, e)[0]; o.Status != ledger.Recorded {
			t.Fatalf("%+v", o)
		}
	}
	late := stateOf("o1", 5, "acme", "commission 5")
	late.Dimensions = []byte(`{"country":"ES","partner":"p3"}`)
	appendAll(t, l, late)
	want := strings.TrimSpace(`
2 DE p1 7 t 10 1 upstream {"free": "a"}
4 FR p1 7 t 1 1 upstream {"free": "b"}
6 FR p2 12 3 upstream
6 FR p1 7 t -11 -2 reversal
5 ES p3 5 upstream
5 ES p1 7 t -2 reversal
6 FR p1 7 t 2 reorder
6 FR p3 -5 reorder`)
	have := one[string](t, db, `SELECT string_agg(concat_ws(' ', seqn, country, partner, level, vip, trim_scale(amount), trim_scale(commission), kind, dimensions::text), E'\n' ORDER BY position) FROM ledger.events`)
	if have != want {
		t.Errorf("%s\nnot\n%s", have, want)
	}
}

// A stream that is longer than any window, with a state far back and one far ahead.
func TestStatesOfLongStreams(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	const n = 700
	events := []ledger.Event{stateOf("o1", 0, "acme", "amount 100 quantity 1")}
	for i := 1; i <= n; i++ {
		if e := stateOf("o1", i, "acme", ""); i != n/2 {
			e.Amount = amount("1")
			events = append(events, e)
		}
	}
	appendAll(t, l, events...)
	appendAll(t, l, stateOf("o1", n+1, "globex", "amount 5 quantity 9"))
	late := stateOf("o1", n/2, "acme", "")
	late.Amount = amount("3")
	appendAll(t, l, late, stateOf("o1", n+500, "globex", "amount 6"))
	for account, want := range map[string]string{"acme": "0 0", "globex": "6 9"} {
		if have := one[string](t, db, `SELECT trim_scale(sum(amount)) || ' ' || trim_scale(sum(quantity)) FROM ledger.events WHERE account = $1`, account); have != want {
			t.Errorf("%s: %s, want %s", account, have, want)
		}
	}
}

// What the ledger makes is sealed as any fact, and what changes of it is named.
func TestStatesAreSealed(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	declareStates(t, l, "orders")
	appendAll(t, l, stateOf("o1", 3, "acme", "amount 10"), stateOf("o1", 1, "globex", "amount 4"))
	sealAll(t, l, s)
	if r := clean(t, s); r.Events != 3 {
		t.Errorf("%+v", r)
	}
	made := one[int64](t, db, `SELECT max(position) FROM ledger.events WHERE kind = 'reorder'`)
	sent := one[int64](t, db, `SELECT min(position) FROM ledger.events WHERE kind = 'upstream'`)
	for position, details := range map[int64][2]string{
		made: {"caused_by = caused_by + 1", "what was changed is in neither, such as recorded_at, caused_by"},
		sent: {"state = '{\"amount\": \"11\"}'", "the content or the digest was changed"},
	} {
		d := tampered(t, db, s, "ledger.events", fmt.Sprintf("UPDATE ledger.events SET %s WHERE position = %d", details[0], position))
		if d == nil || d.Position != position || !strings.Contains(d.String(), details[1]) {
			t.Errorf("%s: %v", details[0], d)
		}
	}
}
