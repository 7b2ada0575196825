package ledger_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// declareColumn adds a column as the owner of the schema would.
func declareColumn(t testing.TB, db *pgtest.DB, name, kind, sqlType string, pii bool) {
	t.Helper()
	sql := `SELECT ledger.declare('column ` + name + `'); `
	if !pii {
		for _, table := range []string{"ledger.events", "archive.events"} {
			sql += `ALTER TABLE ` + table + ` ADD COLUMN ` + name + ` ` + sqlType + `; `
		}
		sql += `SELECT ledger.show_every_event(); `
	}
	sql += `INSERT INTO ledger.columns (name, kind, type, description, owner, pii) VALUES ('` + name + `', '` + kind + `', '` + sqlType + `', 'd', 'o', ` +
		map[bool]string{true: "true", false: "false"}[pii] + `)`
	if _, err := db.Super.Exec(context.Background(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestDeclaredColumnsAreFilled(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o0", 1)) // the ledger has read what is declared, which is nothing
	for name, sqlType := range map[string]string{"region": "text", "level": "bigint", "vip": "boolean", "day_of": "date", "device": "uuid"} {
		declareColumn(t, db, name, "dimension", sqlType, false)
	}
	declareColumn(t, db, "commission", "money", "numeric", false)
	declareColumn(t, db, "mail", "dimension", "text", true)
	e := sale("o1", 1)
	e.Dimensions = []byte(`{"region":"north","level":"7","vip":true,"day_of":"2026-01-31","device":"5C0F7A1E-9f63-4f0b-8d8e-2f7f6f0c9a11","mail":"a@b.example","other":1.50}`)
	e.Measures = []ledger.Measure{{Name: "commission", Value: amount("-0.63")}}
	again := e
	if o := appendAll(t, l, e)[0]; o.Status != ledger.Recorded {
		t.Fatalf("%+v", o)
	}
	got := one[string](t, db, `SELECT concat_ws('|', region, level, vip, day_of, device, commission, dimensions) FROM ledger.events WHERE event_id = $1`, e.ID)
	if want := `north|7|t|2026-01-31|5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11|-0.63|{"other": 1.5}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := one[string](t, db, `SELECT pii::text FROM ledger.private`); got != `{"mail": "a@b.example"}` {
		t.Errorf("private: %s", got)
	}
	if o := appendAll(t, l, again)[0]; o.Status != ledger.Duplicate {
		t.Errorf("sent again: %+v", o)
	}
	again.Dimensions = []byte(strings.Replace(string(again.Dimensions), "a@b", "c@b", 1))
	if o := appendAll(t, l, again)[0]; o.Status != ledger.Conflict || strings.Contains(o.Err.Error(), "c@b") {
		t.Errorf("with another private value: %+v", o)
	}
	again.Dimensions, again.Measures = e.Dimensions, []ledger.Measure{{Name: "commission", Value: amount("-0.64")}}
	if o := appendAll(t, l, again)[0]; o.Status != ledger.Conflict || len(o.Differs) != 1 || o.Differs[0] != "measures" {
		t.Errorf("with another measure: %+v", o)
	}
	v := view(t, l, "")
	raw, _ := json.Marshal(v.Entries)
	if strings.Contains(string(raw), "a@b") || !strings.Contains(string(raw), `"commission":"-0.63"`) {
		t.Errorf("%s", raw)
	}
}

func TestWrongValuesOfDeclaredDimensions(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	for _, sqlType := range []string{"bigint", "boolean", "date", "uuid"} {
		declareColumn(t, db, "d_"+sqlType, "dimension", sqlType, false)
	}
	for key, values := range map[string][]string{
		"d_bigint":  {`1.5`, `"x"`, `9223372036854775808`, `true`, `""`, `"+1"`, `"01"`},
		"d_boolean": {`1`, `"yes"`, `"TRUE"`},
		"d_date":    {`"2026-02-30"`, `20260131`, `"31.01.2026"`, `"0000-01-01"`},
		"d_uuid":    {`"5c0f7a1e9f634f0b8d8e2f7f6f0c9a11"`, `"5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a1g"`, `7`},
	} {
		for _, value := range values {
			e := sale("o1", 1)
			e.Dimensions = []byte(`{"` + key + `":` + value + `}`)
			if o := appendAll(t, l, e)[0]; o.Status != ledger.Rejected || o.Err.Field != "dimensions."+key || !strings.HasPrefix(o.Err.Rule, "must be") {
				t.Errorf("%s %s: %+v", key, value, o)
			}
		}
	}
	e := sale("o1", 1)
	e.Measures = []ledger.Measure{{Name: "d_bigint", Value: amount("1")}}
	if o := appendAll(t, l, e)[0]; o.Status != ledger.Rejected || o.Err.Field != "measures.d_bigint" {
		t.Errorf("a dimension as a measure: %+v", o)
	}
}

// Another service's declaration holds for whoever draws positions after it, without a restart and
// without an error for anybody, while events pour in.
func TestDeclarationsAreNoticedByRunningWriters(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	var writers sync.WaitGroup
	const streams, events = 4, 60
	for w := range streams {
		writers.Go(func() {
			for n := range events {
				e := sale(strings.Repeat("x", w+1), n+1)
				e.Dimensions = []byte(`{"secret":"s","region":"north"}`)
				record := l.Append
				if n%2 == 1 {
					record = l.AppendAtomic
				}
				out, err := record(context.Background(), []ledger.Event{e})
				if err != nil || out[0].Status != ledger.Recorded {
					t.Errorf("%+v, %v", out, err)
				}
			}
		})
	}
	declareColumn(t, db, "region", "dimension", "text", false)
	declareColumn(t, db, "secret", "dimension", "text", true)
	w, err := l.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	writers.Wait()
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE position > $1 AND (dimensions IS NOT NULL OR region IS NULL OR commitment IS NULL)`, w.Position); n != 0 {
		t.Errorf("%d events were recorded by declarations that were no longer in force", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE COALESCE(region, dimensions->>'region') = 'north'`); n != streams*events {
		t.Errorf("%d events, want %d", n, streams*events)
	}
}
