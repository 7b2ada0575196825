//go:build linux || darwin

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// tamperTries is how many changes are tried; DELTALEDGER_TAMPER_TRIES says another number.
const tamperTries = 1000

// target is a table whose rows are sealed. position finds the fact of row t: what must be named.
type target struct {
	table    string
	position string
	weight   int
}

const ofInvoice = "(SELECT i.position FROM billing.invoices i WHERE i.account = t.account AND i.id = t.invoice_id)"

var targets = []target{
	{"ledger.events", "t.position", 12},
	{"ledger.event_keys", "t.position", 8},
	{"ledger.private", "t.position", 4},
	{"billing.invoices", "t.position", 4},
	{"billing.invoice_lines", ofInvoice, 4},
	{"billing.pins", ofInvoice, 4},
	{"billing.reviews", ofInvoice, 1},
	{"billing.voids", "t.position", 1},
	{"billing.approvals", "t.position", 1},
	{"billing.statuses", "t.position", 1},
	{"billing.number_formats", "t.position", 1},
	{"billing.invoice_numbers", "t.position", 1},
	{"billing.payments", "t.position", 1},
	{"billing.credit_notes", "t.position", 1},
	{"billing.credit_note_lines", "(SELECT c.position FROM billing.credit_notes c WHERE c.account = t.account AND c.id = t.credit_note_id)", 1},
	{"billing.credit_note_numbers", "t.position", 1},
	{"billing.adjustments", "t.position", 2},
	{"billing.adjustment_decisions", "t.position", 2},
	{"billing.reratings", "t.position", 2},
	{"billing.default_reratings", "t.position", 1},
	{"billing.parkings", "t.position", 1},
	{"billing.releases", "t.position", 1},
	{"reconcile.runs", "t.position", 1},
	{"reconcile.findings", "t.position", 1},
	{"export.freezes", "t.position", 1},
	{"ledger.columns", "t.position", 1},
	{"ledger.seals", "NULL", 6},
}

// TestTamper changes a ledger in a thousand ways, as a superuser whom nothing stops, and each time verify
// must name the place (invariant 1).
func TestTamper(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t)
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("DELTALEDGER_TAMPER_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	tries := tamperTries
	if text := os.Getenv("DELTALEDGER_TAMPER_TRIES"); text != "" {
		tries, _ = strconv.Atoi(text)
	}
	t.Logf("DELTALEDGER_TAMPER_SEED=%d", seed)
	w.inTx(func(tx pgx.Tx) {
		if d := w.verify(tx); d != nil {
			t.Fatalf("before anything was changed: %s", d)
		}
	})
	var next atomic.Int64
	counted := map[string]int{}
	var counting sync.Mutex
	var group sync.WaitGroup
	for range 3 {
		group.Go(func() {
			for n := next.Add(1); n <= int64(tries) && !t.Failed(); n = next.Add(1) {
				kind := w.try(rand.New(rand.NewPCG(seed, uint64(n))), n)
				counting.Lock()
				counted[kind]++
				counting.Unlock()
			}
		})
	}
	group.Wait()
	for _, kind := range sortedKeys(counted) {
		t.Logf("%6d %s", counted[kind], kind)
	}
}

// unchanged are the sealed tables whose rows TestTamper doesn't change, and why.
var unchanged = map[string]string{
	"ledger.erasure_ends": "its rows say what was erased, which the tests of erasures change",
}

// TestTamperKnowsEveryFact: whoever seals a table has TestTamper change it, and its world hold rows of it.
func TestTamperKnowsEveryFact(t *testing.T) {
	t.Parallel()
	w := newSealedWorld(t)
	sealed := []string{"ledger.events", "ledger.event_keys", "ledger.private", "ledger.columns", "ledger.erasure_ends", "ledger.seals"}
	for _, f := range sealedFacts() {
		sealed = append(sealed, f.Table)
		for _, part := range f.Parts {
			sealed = append(sealed, part.Table)
		}
	}
	for _, table := range sealed {
		i := slices.IndexFunc(targets, func(t target) bool { return t.table == table })
		if (i < 0) != (unchanged[table] != "") {
			t.Errorf("%s is sealed: it must be among the targets, or among unchanged, and not in both", table)
		}
		if i < 0 {
			continue
		}
		w.inTx(func(tx pgx.Tx) {
			if _, err := w.pickRow(rand.New(rand.NewPCG(1, 1)), tx, targets[i]); err != nil {
				t.Errorf("%s: %v", table, err)
			}
		})
	}
}

// inTx runs f in a transaction that is taken back.
func (w *sealedWorld) inTx(f func(pgx.Tx)) {
	tx, err := w.db.Super.Begin(context.Background())
	if err != nil {
		w.Error(err)
		return
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	f(tx)
}

// harm is one change and what must be said of it.
type harm struct {
	kind     string
	says     string // the statement, for whoever reads of a failure
	position int64  // to be named; 0: the seal is
	seal     int64
}

// errRefused: the database refused the change, or it changed nothing; another one is tried.
var errRefused = errors.New("no change")

// try makes changes until the database takes one, and verifies.
func (w *sealedWorld) try(r *rand.Rand, n int64) (kind string) {
	for kind == "" && !w.Failed() {
		w.inTx(func(tx pgx.Tx) {
			h, err := w.harm(r, tx)
			if errors.Is(err, errRefused) {
				return
			}
			kind = h.kind
			if err != nil {
				w.Errorf("try %d: %s: %s: %v", n, h.kind, h.says, err)
				return
			}
			d := w.verify(tx)
			if d == nil || d.Position != h.position || h.position == 0 && d.Seal != h.seal {
				w.Errorf("try %d: %s: position %d, seal %d should be named: %v\n%s", n, h.kind, h.position, h.seal, d, h.says)
			}
		})
	}
	return kind
}

func (w *sealedWorld) harm(r *rand.Rand, tx pgx.Tx) (harm, error) {
	total := 0
	for _, t := range targets {
		total += t.weight
	}
	pick, t := r.IntN(total), targets[0]
	for _, t = range targets {
		if pick -= t.weight; pick < 0 {
			break
		}
	}
	switch k := r.IntN(100); {
	case k == 0:
		return w.truncate(tx)
	case k < 8 && t.table == "ledger.events":
		return w.swap(r, tx)
	case k < 16:
		return w.remove(r, tx, t)
	case k < 26 && t.table != "ledger.seals":
		return w.add(r, tx, t)
	}
	return w.change(r, tx, t)
}

// row is a row to be changed, as ctid, with the position or the seal that must be named.
type row struct {
	id       string // where the row lies
	position int64
	seal     int64
}

// pickRow picks a row of a table whose fact is sealed.
func (w *sealedWorld) pickRow(r *rand.Rand, tx pgx.Tx, t target) (row, error) {
	seal, where := "0", t.position+" <= "+strconv.FormatInt(w.last, 10)
	if t.table == "ledger.seals" {
		seal, where = "t.number", "true"
	}
	rows, err := tx.Query(context.Background(), "SELECT format('tableoid = %s AND ctid = %L', t.tableoid, t.ctid), COALESCE("+t.position+", 0), "+seal+
		" FROM "+t.table+" t WHERE "+where+" ORDER BY 2, 3, 1")
	if err != nil {
		return row{}, err
	}
	all, err := pgx.CollectRows(rows, func(c pgx.CollectableRow) (x row, err error) {
		err = c.Scan(&x.id, &x.position, &x.seal)
		return x, err
	})
	if err != nil {
		return row{}, err
	}
	if len(all) == 0 {
		return row{}, fmt.Errorf("there is nothing in %s", t.table)
	}
	return all[r.IntN(len(all))], nil
}

// harmBy runs a change that must touch so many rows. What a key or a type refuses isn't tried.
func harmBy(tx pgx.Tx, rows int64, sql string) error {
	tag, err := tx.Exec(context.Background(), sql)
	if err != nil && (strings.Contains(err.Error(), "(SQLSTATE 23") || strings.Contains(err.Error(), "(SQLSTATE 22")) {
		return errRefused
	}
	if err == nil && rows >= 0 && tag.RowsAffected() != rows {
		return fmt.Errorf("%d rows were touched", tag.RowsAffected())
	}
	return err
}

// change gives another value to a random column of a random row.
func (w *sealedWorld) change(r *rand.Rand, tx pgx.Tx, t target) (harm, error) {
	x, err := w.pickRow(r, tx, t)
	if err != nil {
		return harm{}, err
	}
	type column struct {
		name, sqlType string
		nullable      bool
	}
	rows, err := tx.Query(context.Background(), `SELECT attname::text, format_type(atttypid, NULL), NOT attnotnull FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attname`, t.table)
	if err != nil {
		return harm{}, err
	}
	columns, err := pgx.CollectRows(rows, func(c pgx.CollectableRow) (k column, err error) {
		err = c.Scan(&k.name, &k.sqlType, &k.nullable)
		return k, err
	})
	if err != nil {
		return harm{}, err
	}
	k := columns[r.IntN(len(columns))]
	h := harm{kind: "change " + t.table, position: x.position, seal: x.seal}
	value := otherValue(r, k.name, k.sqlType, w.last)
	if k.nullable && r.IntN(5) == 0 {
		value = "NULL"
	}
	h.says = "UPDATE " + t.table + " SET " + k.name + " = " + value + " WHERE " + x.id + " AND " + k.name + " IS DISTINCT FROM " + value
	var moved *int64 // where a fact is moved to, its new place may come first
	if k.name == "position" && t.position == "t.position" {
		h.says += " RETURNING position"
		err := tx.QueryRow(context.Background(), h.says).Scan(&moved)
		if err != nil && (errors.Is(err, pgx.ErrNoRows) || strings.Contains(err.Error(), "(SQLSTATE 23")) {
			return h, errRefused
		}
		if err == nil && moved != nil {
			h.position = min(h.position, *moved)
		}
		return h, err
	}
	tag, err := tx.Exec(context.Background(), h.says)
	switch {
	case err != nil && (strings.Contains(err.Error(), "(SQLSTATE 23") || strings.Contains(err.Error(), "(SQLSTATE 22")):
		return h, errRefused
	case err == nil && tag.RowsAffected() == 0:
		return h, errRefused
	}
	return h, err
}

// otherValue is an expression for another value of a column.
func otherValue(r *rand.Rand, name, sqlType string, last int64) string {
	switch sqlType {
	case "text", "character varying":
		return "COALESCE(" + name + ", '') || 'x'"
	case "bigint", "integer", "smallint":
		if name == "position" {
			return strconv.FormatInt(1+r.Int64N(last), 10)
		}
		return fmt.Sprintf("COALESCE(%s, 0) + %d", name, 1+r.IntN(3))
	case "numeric":
		return "COALESCE(" + name + ", 0) - 0.01"
	case "boolean":
		return "NOT COALESCE(" + name + ", false)"
	case "date":
		return "COALESCE(" + name + ", '2026-01-01') + 1"
	case "timestamp with time zone":
		return "COALESCE(" + name + ", '2026-01-01') + interval '1 microsecond'"
	case "uuid":
		return fmt.Sprintf("'%08x-0000-4000-8000-%012x'", r.Uint32(), r.Uint64()>>16)
	case "bytea":
		return fmt.Sprintf("CASE WHEN length(%[1]s) > 0 THEN set_byte(%[1]s, %[2]d %% length(%[1]s), get_byte(%[1]s, %[2]d %% length(%[1]s)) # %[3]d) ELSE '\\x01' END",
			name, r.IntN(1000), 1+r.IntN(255))
	case "jsonb":
		return "CASE jsonb_typeof(" + name + ") WHEN 'object' THEN " + name + ` || '{"tampered":1}' ELSE '{"tampered":1}' END`
	case "text[]":
		return "array_append(" + name + ", 'tampered')"
	}
	panic("no other value of type " + sqlType)
}

// swap exchanges the contents of two events, all but their positions.
func (w *sealedWorld) swap(r *rand.Rand, tx pgx.Tx) (harm, error) {
	a, err := w.pickRow(r, tx, targets[0])
	if err != nil {
		return harm{}, err
	}
	b, err := w.pickRow(r, tx, targets[0])
	if err != nil || a == b {
		return harm{}, errors.Join(err, errRefused)
	}
	var list string
	err = tx.QueryRow(context.Background(), `SELECT string_agg(quote_ident(attname), ', ') FROM pg_attribute
		WHERE attrelid = 'ledger.events'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('position', 'recorded_at')`).Scan(&list)
	if err != nil {
		return harm{}, err
	}
	from := "(SELECT " + list + " FROM ledger.events o WHERE o.position = CASE ledger.events.position WHEN %[1]d THEN %[2]d ELSE %[1]d END)"
	h := harm{kind: "swap two events", position: min(a.position, b.position)}
	h.says = fmt.Sprintf("UPDATE ledger.events SET ("+list+") = "+from+" WHERE position IN (%[1]d, %[2]d)", a.position, b.position)
	return h, harmBy(tx, 2, h.says)
}

// remove deletes a row. That the newest seals are gone only a checkpoint can show.
func (w *sealedWorld) remove(r *rand.Rand, tx pgx.Tx, t target) (harm, error) {
	x, err := w.pickRow(r, tx, t)
	if err != nil {
		return harm{}, err
	}
	h := harm{kind: "delete from " + t.table, position: x.position, seal: x.seal, says: "DELETE FROM " + t.table + " WHERE " + x.id}
	if t.table == "ledger.seals" {
		var newest int64
		if err := tx.QueryRow(context.Background(), `SELECT max(number) FROM ledger.seals`).Scan(&newest); err != nil || newest == x.seal {
			return h, errors.Join(err, errRefused)
		}
	}
	return h, harmBy(tx, 1, h.says)
}

// add copies a row to another place.
func (w *sealedWorld) add(r *rand.Rand, tx pgx.Tx, t target) (harm, error) {
	x, err := w.pickRow(r, tx, t)
	if err != nil {
		return harm{}, err
	}
	to := 1 + r.Int64N(w.last)
	set := map[string]string{}
	switch t.table {
	case "ledger.events":
		set["event_id"], set["recorded_at"] = "t.event_id || '-added'", "t.recorded_at + interval '1 microsecond'"
	case "ledger.event_keys":
		set["event_key"], set["position_key"] = fmt.Sprintf("'%032x'::uuid", r.Uint64()), "NULL::uuid"
	case "billing.payments":
		set["reference"] = "t.reference || 'x'"
	case "billing.adjustment_decisions":
		set["adjustment"] = fmt.Sprintf("'%032x'::uuid", r.Uint64())
	case "billing.reratings", "billing.default_reratings":
		set["terms"] = "t.terms + 100"
	case "billing.parkings", "billing.releases":
		set["run"] = "t.run + 100"
	case "billing.invoices", "billing.credit_notes", "billing.adjustments", "reconcile.runs", "reconcile.findings":
		set["id"] = fmt.Sprintf("'%032x'::uuid", r.Uint64())
	case "billing.invoice_lines", "billing.credit_note_lines":
		set["line"] = "t.line + 100"
	case "billing.voids", "billing.approvals", "billing.statuses":
		set["account"] = "t.account || 'x'"
	case "billing.invoice_numbers", "billing.credit_note_numbers":
		set["number"], set["printed"] = "t.number + 100", "t.printed || 'x'"
	case "export.freezes":
		set["month"] = "t.month - 3000"
	case "ledger.columns":
		set["name"] = "t.name || 'x'"
	}
	h := harm{kind: "add to " + t.table, position: to}
	switch t.table {
	case "billing.pins":
		set["position"], h.position = fmt.Sprint(1_000_000+r.IntN(1000)), x.position
	case "billing.invoice_lines", "billing.credit_note_lines", "billing.reviews":
		h.position = x.position
	default:
		set["position"] = fmt.Sprint(to)
	}
	rows, err := tx.Query(context.Background(), `SELECT attname::text FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`, t.table)
	if err != nil {
		return h, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return h, err
	}
	values := slices.Clone(names)
	for i, name := range names {
		if values[i] = set[name]; values[i] == "" {
			values[i] = "t." + name
		}
	}
	h.says = "INSERT INTO " + t.table + " (" + strings.Join(names, ", ") + ") OVERRIDING SYSTEM VALUE SELECT " + strings.Join(values, ", ") + " FROM " + t.table + " t WHERE t." +
		strings.ReplaceAll(x.id, " AND ctid", " AND t.ctid")
	return h, harmBy(tx, 1, h.says)
}

// truncate empties a partition.
func (w *sealedWorld) truncate(tx pgx.Tx) (harm, error) {
	h := harm{kind: "truncate a partition"}
	var leaf string
	if err := tx.QueryRow(context.Background(), `SELECT tableoid::regclass::text, position FROM ledger.events ORDER BY position LIMIT 1`).Scan(&leaf, &h.position); err != nil {
		return h, err
	}
	h.says = "TRUNCATE " + leaf
	return h, harmBy(tx, -1, h.says)
}
