package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Types that a dimension can be declared with, by their names in declarations.
var dimensionTypes = map[string]string{
	"text": "text", "int": "bigint", "bigint": "bigint", "bool": "boolean", "boolean": "boolean", "date": "date", "uuid": "uuid",
}

// What a dimension can describe.
const (
	DescribesEvent  = "event"  // may differ from event to event
	DescribesStream = "stream" // is the same for all events of a stream
)

// settle checks a declaration and fills in what may be left out.
func (c *Column) settle() error {
	if err := checkColumnName(c.Name); err != nil {
		return err
	}
	switch c.Kind {
	case KindDimension:
		sqlType, ok := dimensionTypes[c.Type]
		if c.Type == "" {
			sqlType, ok = "text", true
		}
		if !ok {
			return Invalid("type", shown(c.Type), "must be text, int, bool, date or uuid")
		}
		c.Type = sqlType
	case KindMoney, KindQuantity:
		if c.Type != "" && c.Type != "numeric" {
			return Invalid("type", shown(c.Type), "must be left out: a measure is a decimal number")
		}
		c.Type = "numeric"
	default:
		return Invalid("kind", shown(c.Kind), "must be dimension, money or quantity")
	}
	if c.Describes == "" {
		c.Describes = DescribesEvent
	}
	if err := c.settleDescription("column"); err != nil {
		return err
	}
	return c.checkTogether()
}

// settleDescription checks the texts for people about what is declared.
func (c *Column) settleDescription(what string) error {
	for _, f := range [...]struct{ name, value, rule string }{
		{"description", c.Description, "must say what the " + what + " means, for those who will query it"},
		{"owner", c.Owner, "must name the team or person who answers for the " + what},
		{"by", c.By, "must name who declares the " + what},
	} {
		switch {
		case strings.TrimSpace(f.value) == "":
			return Invalid(f.name, "", f.rule)
		case len(f.value) > MaxText || !storable(f.value):
			return invalidf(f.name, strings.ToValidUTF8(f.value, "�"), "%s, in at most %d bytes", ruleStorable, MaxText)
		}
	}
	return nil
}

// checkTogether checks what excludes what.
func (c *Column) checkTogether() error {
	switch {
	case c.Describes != DescribesEvent && c.Describes != DescribesStream:
		return Invalid("describes", shown(c.Describes), "must be event or stream")
	case c.Measure() && c.Describes == DescribesStream:
		return Invalid("describes", c.Describes, "must be event: a measure is the change that an event makes")
	case c.Measure() && c.PII:
		return Invalid("pii", "true", "must be left out: measures are summed, and private content isn't")
	case c.Measure() && c.Indexed:
		return Invalid("index", "true", "must be left out: nobody looks for events by a measure; filters on dimensions find them")
	case c.PII && c.Describes == DescribesStream:
		return Invalid("describes", c.Describes, "must be event: what describes a stream is compared from event to event, and private content can be erased")
	case c.PII && c.Indexed:
		return Invalid("index", "true", "must be left out: private content is no key to filter by")
	}
	return nil
}

// same reports whether a column of the catalogue is what was declared before in these words. Descriptions are for people,
// but they can't be changed either: a catalogue whose meanings move would explain old events wrongly.
func (c Column) same(d Column) bool {
	return c.Kind == d.Kind && c.Type == d.Type && c.PII == d.PII && c.Describes == d.Describes && c.Description == d.Description && c.Owner == d.Owner
}

// definition shows what a declaration says, for comparison with another.
func (c Column) definition() string {
	sent := map[string]string{"bigint": "int", "boolean": "bool"}[c.Type]
	if sent == "" {
		sent = c.Type
	}
	return fmt.Sprintf("%s of type %s, describes %s, pii %t, owner %q, description %q", c.Kind, sent, c.Describes, c.PII, c.Owner, c.Description)
}

// DefaultPatience is how long AddColumn tries to get between the others who use the events.
const DefaultPatience = time.Minute

const sqlDeclareColumn = `SELECT ledger.declare_column($1, $2, $3, $4, $5, $6, $7, $8)`

const sqlDeclareIndex = `SELECT ledger.declare_index($1, $2)`

// AddColumn declares a measure or a dimension: it adds the column to the events and to the catalogue while
// others record and read. Of c it takes Name, Kind, Type (of a dimension: text, int, bool, date or uuid),
// Description, Owner, By, PII, Describes and Indexed. When it returns without error, every event that is recorded
// later follows the declaration, whoever records it. With Indexed the index is begun; see BuildIndexes.
//
// A column that is declared already in the same words stays as it is, and gets the index that it
// hadn't; in other words it is ErrConflict: columns are neither changed nor dropped.
//
// Each try waits at most 50 milliseconds for those who use the events, because everybody else waits behind
// it, and for the first half of patience none is made while somebody is seen to use them for longer than 30 milliseconds. If
// none succeeds for as long as patience (0: DefaultPatience) the error is ErrBusy and says whom it waited for.
func (l *Ledger) AddColumn(ctx context.Context, c Column, patience time.Duration) (Column, error) {
	if err := c.settle(); err != nil {
		return Column{}, err
	}
	have, found, err := l.columnNamed(ctx, c.Name)
	if err != nil {
		return Column{}, err
	}
	if !found && c.Measure() {
		if err := l.freeOfDimension(ctx, c.Name); err != nil {
			return Column{}, err
		}
	}
	if !found {
		err := l.declare(ctx, patience, "add column "+c.Name, sqlDeclareColumn, c.Name, c.Kind, c.Type, c.Description, c.Owner, c.PII, c.Describes, c.By)
		if err != nil {
			return Column{}, err
		}
		if have, found, err = l.columnNamed(ctx, c.Name); err != nil {
			return Column{}, err
		}
	}
	switch {
	case !found:
		return Column{}, fmt.Errorf("column %s was declared but isn't in the catalogue: %w", c.Name, ErrCorrupt)
	case have.BuiltIn:
		return Column{}, fmt.Errorf("column %s is built in and holds: %s: choose another name: %w", c.Name, have.Description, ErrConflict)
	case !have.same(c):
		return Column{}, fmt.Errorf("column %s is declared since %s as %s; what is asked for is %s; a declared column is neither changed nor dropped: %w",
			c.Name, have.Since.Format(time.RFC3339), have.definition(), c.definition(), ErrConflict)
	}
	if c.Indexed && !have.Indexed {
		if err := l.declare(ctx, patience, "begin the index of "+c.Name, sqlDeclareIndex, c.Name, c.By); err != nil {
			return Column{}, err
		}
	}
	if err := l.settleColumn(ctx, have); err != nil {
		return Column{}, err
	}
	have, _, err = l.columnNamed(ctx, c.Name)
	return have, err
}

func (l *Ledger) columnNamed(ctx context.Context, name string) (Column, bool, error) {
	c, err := l.Catalogue(ctx)
	if err != nil {
		return Column{}, false, err
	}
	column, found := c.Column(name)
	return column, found, nil
}

// newestEvents bounds what is looked at to know how the newest events are.
const newestEvents = 10_000

const sqlDimensionInUse = `
SELECT e.source, e.event_id
FROM (
    SELECT source, event_id, dimensions
    FROM ledger.events
    ORDER BY position DESC
    LIMIT $2
) AS e
WHERE e.dimensions ? $1
LIMIT 1`

// freeOfDimension refuses the name of a measure under which recent events have a dimension: filters and groups of that
// name would get another meaning.
func (l *Ledger) freeOfDimension(ctx context.Context, name string) error {
	var source, id string
	err := l.pool.QueryRow(ctx, sqlDimensionInUse, name, newestEvents).Scan(&source, &id)
	switch {
	case isNoRows(err):
		return nil
	case err != nil:
		return readError("look for dimensions of that name", err)
	}
	return fmt.Errorf("name %s: events have a dimension of that name, such as event %q of source %q: a measure needs another name: %w",
		name, shown(id), source, ErrConflict)
}

// pauses between two tries of a change of the tables: time for those who queued behind the last one.
const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 450 * time.Millisecond
)

// declare runs a statement that changes the tables, patiently.
func (l *Ledger) declare(ctx context.Context, patience time.Duration, action, sql string, args ...any) error {
	err := l.Patiently(ctx, patience, func() error {
		_, err := l.pool.Exec(ctx, sql, args...)
		return err
	})
	switch {
	case pg.IsDataError(err):
		return fmt.Errorf("%s: %s: %w", action, pg.Message(err), ErrInvalid)
	case errors.Is(err, ErrBusy):
		return fmt.Errorf("%s: %w", action, err)
	case err != nil:
		return readError(action, err)
	}
	return nil
}

// Patiently runs f, a change of the tables of events that gives up where it would keep others waiting, until it gets
// through. If it doesn't for as long as patience (0: DefaultPatience) the error is ErrBusy and says who is in the way.
//
// While f waits, everybody who comes waits behind it. So for the first half of its patience it is tried only when nobody is
// seen to use the events for longer than a glance.
func (l *Ledger) Patiently(ctx context.Context, patience time.Duration, f func() error) error {
	if patience <= 0 {
		patience = DefaultPatience
	}
	began := time.Now()
	for {
		if err := l.untilNobodyLasts(ctx, began.Add(patience/2)); err != nil {
			return err
		}
		err := f()
		if err == nil || !pg.IsRetryable(err) {
			return err
		}
		pause := shortestPause + rand.N(longestPause-shortestPause) // so that two who try don't meet again
		if time.Since(began)+pause > patience {
			return fmt.Errorf("after %s others still use the events%s; nothing was changed, try again: %w", patience, l.holders(ctx), ErrBusy)
		}
		if err := wait(ctx, pause); err != nil {
			return err
		}
	}
}

// A glance is the time between two views of who uses the events: who is there in both won't be gone in a moment.
const glance = 30 * time.Millisecond

// Lock k is one that somebody holds on the events, those of detached months too.
const usesEvents = `k.granted AND k.locktype = 'relation'
  AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND (k.relation IN ('ledger.events'::regclass, 'archive.events'::regclass)
    OR k.relation IN (SELECT p.inhrelid FROM pg_inherits p WHERE p.inhparent IN ('ledger.events'::regclass, 'archive.events'::regclass)))`

const sqlUsers = `
SELECT COALESCE(array_agg(DISTINCT k.virtualtransaction), '{}')
FROM pg_locks k
WHERE k.pid IS DISTINCT FROM pg_backend_pid() AND ` + usesEvents

// untilNobodyLasts returns when no transaction has used the events for longer than a glance, or at the time given.
func (l *Ledger) untilNobodyLasts(ctx context.Context, until time.Time) error {
	var before []string
	for first := true; ; first = false {
		var now []string
		if err := l.pool.QueryRow(ctx, sqlUsers).Scan(&now); err != nil {
			return readError("see who uses the events", err)
		}
		lasts := slices.ContainsFunc(now, func(t string) bool { return slices.Contains(before, t) })
		if len(now) == 0 || !first && !lasts || time.Now().After(until) {
			return nil
		}
		before = now
		if err := wait(ctx, glance); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

const sqlHolders = `
SELECT a.pid, COALESCE(a.application_name, ''), COALESCE(a.state, a.backend_type, ''), COALESCE(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::bigint
FROM pg_stat_activity a
WHERE a.pid <> pg_backend_pid()
  AND EXISTS (
    SELECT FROM pg_locks k
    WHERE k.pid = a.pid AND ` + usesEvents + `)
ORDER BY a.xact_start
LIMIT 3`

// holders says who has used the events for longest, as far as that can be seen.
func (l *Ledger) holders(ctx context.Context) string {
	var found []string
	var pid, seconds int64
	var name, state string
	err := pg.ForEach(ctx, l.pool, []any{&pid, &name, &state, &seconds}, func() error {
		found = append(found, fmt.Sprintf("process %d (%s) for %d s", pid, strings.Join(slices.DeleteFunc([]string{shown(name), state}, func(s string) bool { return s == "" }), ", "), seconds))
		return nil
	}, sqlHolders)
	if err != nil || len(found) == 0 {
		return ""
	}
	return ", for longest " + strings.Join(found, ", ")
}

const sqlInsertFloor = `
INSERT INTO ledger.column_floors (name, position)
VALUES ($1, $2)
ON CONFLICT (name) DO NOTHING`

// settleColumn returns when nobody records any more who doesn't know the column, and writes down from where on.
func (l *Ledger) settleColumn(ctx context.Context, c Column) error {
	if c.floor != nil {
		return nil
	}
	if err := l.inForce(ctx, "column "+c.Name); err != nil {
		return err
	}
	// Read after all those writers are gone, so that none of them can have drawn a higher one.
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		var last int64
		if err := tx.QueryRow(ctx, sqlLastPosition).Scan(&last); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlInsertFloor, c.Name, last)
		return err
	})
	if err != nil {
		return readError("note from where on column "+c.Name+" is in use", err)
	}
	return nil
}
