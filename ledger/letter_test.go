package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
	"deltaledger/migrations/pgtest"
)

// bury makes a dead letter and returns its number.
func bury(t testing.TB, db *pgtest.DB, topic string, offset int, account *string, body string) int64 {
	t.Helper()
	return one[int64](t, db, `WITH l AS (INSERT INTO ledger.dead_letters (topic, topic_id, partition, "offset", source, account, reason)
			VALUES ($1, '7a1c3c0e-0000-4000-8000-000000000000', 0, $2, CASE WHEN $3::text IS NULL THEN NULL ELSE 'shop' END, $3, 'a reason') RETURNING n),
		c AS (INSERT INTO ledger.dead_letter_content (letter, key, headers, body) SELECT n, '\x00ff', '[{"key":"h","value":"aGk="}]', $4::bytea FROM l)
		SELECT n FROM l`, topic, offset, account, []byte(body))
}

// message is an event in JSON.
func message(id, account, more string) string {
	return fmt.Sprintf(`{"id":%[1]q,"source":"shop","stream":%[1]q,"seqn":0,"type":"sold","account":%[2]q,"occurred_at":"2026-01-31T12:00:00Z","currency":"EUR","amount":"1.25"%[3]s}`, id, account, more)
}

// decoder decodes dead letters as JSON, with what is declared now.
func decoder(t testing.TB, l *ledger.Ledger) ledger.DecodeLetter {
	t.Helper()
	measures, err := l.DeclaredMeasures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return wire.Letters(func(string) (wire.MessageDecoder, error) {
		return wire.NewMessageDecoder(wire.MessageOptions{Measures: measures})
	})
}

var jane = ledger.LetterDecide{Why: "mended", By: "jane"}

func TestRetryAfterAFix(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	good := bury(t, db, "orders", 1, nil, message("a", "acme", ""))
	measure := bury(t, db, "orders", 2, nil, message("b", "acme", `,"measures":{"commission":"0.5"}`))
	broken := bury(t, db, "orders", 3, nil, `{"id":`)
	again := bury(t, db, "orders", 4, nil, message("a", "acme", ""))
	other := bury(t, db, "orders", 5, nil, strings.Replace(message("a", "acme", ""), "1.25", "2", 1))
	reserved := bury(t, db, "refunds", 1, nil, strings.Replace(message("c", "acme", ""), `"shop"`, `"deltaledger"`, 1))
	all := []int64{good, measure, broken, again, other, reserved}

	done, err := l.RetryLetters(t.Context(), all, decoder(t, l), jane)
	if err != nil {
		t.Fatal(err)
	}
	states := ""
	for _, r := range done {
		states += r.State + " "
		if (r.Reason == "") != (r.State == ledger.LetterRetried) {
			t.Errorf("%+v", r)
		}
	}
	if states != "retried open open retried retried open " || !strings.Contains(done[1].Reason, "commission") || !strings.Contains(done[5].Reason, "source") {
		t.Errorf("%s: %+v", states, done)
	}
	for i, want := range map[int]ledger.Status{0: ledger.Recorded, 3: ledger.Duplicate, 4: ledger.Conflict} {
		if e := done[i].Decision.Events; len(e) != 1 || e[0].Status != want || e[0].ID != "a" || e[0].Source != "shop" || e[0].Position == 0 {
			t.Errorf("%d: %+v", i, e)
		}
	}
	declareColumn(t, db, "commission", "money", "numeric", false)
	var told []ledger.RetriedLetter
	for range 2 {
		err = l.RetryAll(t.Context(), ledger.LetterQuery{Topic: "orders"}, decoder(t, l), jane, func(r []ledger.RetriedLetter) error {
			told = append(told, r...)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(told) != 3 || told[0].N != measure || told[0].State != ledger.LetterRetried || told[1].N != broken || told[2].State != ledger.LetterOpen {
		t.Errorf("%+v", told)
	}
	row, err := l.Get(t.Context(), "shop", "b", false)
	if err != nil || row.Position != told[0].Decision.Events[0].Position {
		t.Errorf("%+v, %v", row, err)
	}
	if first, err := l.RetryLetters(t.Context(), []int64{good}, decoder(t, l), ledger.LetterDecide{By: "joe"}); err != nil || first[0].Decision.By != "jane" {
		t.Errorf("%+v, %v", first, err)
	}
	if _, err := l.RetryLetters(t.Context(), []int64{99}, decoder(t, l), jane); !errors.Is(err, ledger.ErrNotFound) {
		t.Error(err)
	}
	open, err := ledger.CountOpenLetters(t.Context(), db.App)
	if err != nil || len(open) != 2 || open[0].Topic != "orders" || open[0].Letters != 1 || open[0].Oldest != broken || open[1].Letters != 1 {
		t.Errorf("%+v, %v", open, err)
	}
}

// TestRetryByManyAtOnce: whoever retries, and however many do, records once and decides once.
func TestRetryByManyAtOnce(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const letters, people = 60, 4
	var all []int64
	for i := range letters {
		all = append(all, bury(t, db, "orders", i, nil, message(fmt.Sprintf("e%d", i), "acme", "")))
	}
	var wait sync.WaitGroup
	for p := range people {
		decode := decoder(t, l)
		wait.Go(func() {
			numbers := all[p*5:]
			done, err := l.RetryLetters(context.Background(), numbers, decode, ledger.LetterDecide{By: fmt.Sprint("person ", p)})
			if err != nil || len(done) != len(numbers) {
				t.Errorf("%d answers, %v", len(done), err)
				return
			}
			for _, r := range done {
				if r.State != ledger.LetterRetried || len(r.Decision.Events) != 1 || r.Decision.Events[0].Status != ledger.Recorded {
					t.Errorf("%+v", r)
				}
			}
		})
	}
	wait.Wait()
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events`); n != letters {
		t.Errorf("%d events", n)
	}
}

// TestRetryThatStops: a decoder that can't tell now leaves everything as it was.
func TestRetryThatStops(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	n := bury(t, db, "orders", 1, nil, message("a", "acme", ""))
	busy := func(context.Context, ledger.LetterMessage) ([]ledger.Event, error) {
		return nil, fmt.Errorf("the registry: %w", ledger.ErrBusy)
	}
	if _, err := l.RetryLetters(t.Context(), []int64{n}, busy, jane); !errors.Is(err, ledger.ErrBusy) {
		t.Error(err)
	}
	if d, err := l.DeadLetter(t.Context(), n); err != nil || d.State != ledger.LetterOpen {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestDiscardListAndShow(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	acme := "acme"
	a := bury(t, db, "orders", 1, nil, `{"id":`)
	b := bury(t, db, "refunds", 1, &acme, "\x00\x01")
	for _, by := range []ledger.LetterDecide{{Why: "w"}, {By: "b"}, {Why: "\x00", By: "b"}} {
		if _, err := l.DiscardLetter(t.Context(), a, by); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", by, err)
		}
	}
	if _, err := l.DiscardLetter(t.Context(), 99, jane); !errors.Is(err, ledger.ErrNotFound) {
		t.Error(err)
	}
	for range 2 {
		if d, err := l.DiscardLetter(t.Context(), a, jane); err != nil || d.Decision.Why != "mended" || d.State != ledger.LetterDiscarded {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if r, err := l.RetryLetters(t.Context(), []int64{a}, decoder(t, l), jane); err != nil || r[0].State != ledger.LetterDiscarded {
		t.Errorf("%+v, %v", r, err)
	}
	for _, c := range []struct {
		q    ledger.LetterQuery
		want []int64
	}{
		{ledger.LetterQuery{}, []int64{b, a}},
		{ledger.LetterQuery{Limit: 1}, []int64{b}},
		{ledger.LetterQuery{After: b}, []int64{a}},
		{ledger.LetterQuery{Topic: "orders"}, []int64{a}},
		{ledger.LetterQuery{Source: "shop"}, []int64{b}},
		{ledger.LetterQuery{State: "open"}, []int64{b}},
		{ledger.LetterQuery{State: "discarded"}, []int64{a}},
		{ledger.LetterQuery{State: "erased"}, nil},
	} {
		list, err := l.DeadLetters(t.Context(), c.q)
		var got []int64
		for _, d := range list {
			got = append(got, d.N)
		}
		if err != nil || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%+v: %v, %v", c.q, got, err)
		}
	}
	if _, err := l.DeadLetters(t.Context(), ledger.LetterQuery{State: "x"}); !errors.Is(err, ledger.ErrInvalid) {
		t.Error(err)
	}
	for n, want := range map[int64]string{
		a: `"message":{"key":{"hex":"00ff"},"headers":[{"key":"h","value":{"text":"hi"}}],"body":{"text":"{\"id\":"}}`, b: `"body":{"hex":"0001"}`,
	} {
		v, err := l.ShowLetter(t.Context(), n, true)
		text, _ := json.Marshal(v)
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s, %v", text, err)
		}
		if v, err = l.ShowLetter(t.Context(), n, false); err != nil || v.Message != nil {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestEraseDeadLetters(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	acme, globex := "acme", "globex"
	known := bury(t, db, "orders", 1, &acme, `{"account":"acme"}`)
	unknown := bury(t, db, "orders", 2, nil, `{"account":"acme",`)
	other := bury(t, db, "orders", 3, &globex, `{"account":"globex","note":"acme"}`)
	retried := bury(t, db, "orders", 4, nil, message("a", "acme", `,"payload":{"card":"visa"}`))
	if r, err := l.RetryLetters(t.Context(), []int64{retried}, decoder(t, l), jane); err != nil || r[0].State != ledger.LetterRetried {
		t.Fatal(r, err)
	}
	if _, err := l.Erase(t.Context(), ledger.EraseRequest{Letter: other, Why: "w", By: "b"}); !errors.Is(err, ledger.ErrConflict) {
		t.Error(err)
	}
	dry, err := l.Erase(t.Context(), ledger.EraseRequest{Account: "acme", Why: "w", By: "b", DryRun: true})
	if err != nil || dry.Letters != 3 || dry.Events != 1 {
		t.Errorf("%+v, %v", dry, err)
	}
	if e := erase(t, l, ledger.EraseRequest{Source: "shop", Event: "a"}); e.Letters != 1 || e.Events != 1 {
		t.Errorf("%+v", e)
	}
	if e := erase(t, l, ledger.EraseRequest{Account: "acme"}); e.Letters != 2 {
		t.Errorf("%+v", e)
	}
	for n, want := range map[int64]string{known: ledger.LetterErased, unknown: ledger.LetterErased, other: ledger.LetterOpen, retried: ledger.LetterRetried} {
		v, err := l.ShowLetter(t.Context(), n, true)
		if err != nil || v.State != want || (v.Message == nil) != (v.Erased != nil) || (n == other) != (v.Erased == nil) {
			t.Errorf("%d: %+v, %v", n, v, err)
		}
	}
	if r, err := l.RetryLetters(t.Context(), []int64{unknown}, decoder(t, l), jane); err != nil || r[0].State != ledger.LetterErased {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := l.DiscardLetter(t.Context(), other, jane); err != nil {
		t.Error(err)
	}
	e := erase(t, l, ledger.EraseRequest{Letter: other})
	if list, err := l.Erasures(t.Context(), 1, 0); err != nil || e.Letters != 1 || list[0].Letter != other || list[0].Letters != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.dead_letter_content`); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	bury(t, db, "orders", 5, &acme, "x")
	for _, sql := range []string{
		`DELETE FROM ledger.dead_letter_content`, `UPDATE ledger.dead_letter_content SET body = NULL`, `INSERT INTO ledger.erased_dead_letters VALUES (5, 1)`,
		`DELETE FROM ledger.dead_letter_decisions`, `UPDATE ledger.dead_letter_events SET status = 'recorded'`, `TRUNCATE ledger.dead_letters CASCADE`,
	} {
		if _, err := db.App.Exec(t.Context(), sql); err == nil {
			t.Errorf("%s is allowed", sql)
		}
	}
	// Not to the owner of everything either.
	err = pgx.BeginFunc(t.Context(), db.Super, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `DELETE FROM ledger.dead_letter_content`)
		return err
	})
	if err == nil {
		t.Error("a message can be deleted without a record")
	}
}
