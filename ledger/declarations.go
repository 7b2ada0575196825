package ledger

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// declarations are what the operator has declared, as of its n-th declaration. They are read once and
// shared by all who prepare events; whoever draws positions learns whether there are more by then.
type declarations struct {
	n         int64
	catalogue Catalogue
	layout    *layout
	sources   map[string]Source
	types     map[string]*Type
	policies  map[string][]contentRule // of the sources that have any
}

const sqlDeclared = `
SELECT COALESCE(max(n), 0)
FROM ledger.declarations`

// declared are the declarations that were read last. They may be older than those in force.
func (l *Ledger) declared(ctx context.Context) (*declarations, error) {
	if d := l.declarations.Load(); d != nil {
		return d, nil
	}
	return l.readDeclarations(ctx)
}

// renewed are the declarations in force now: old, if nothing was declared since.
func (l *Ledger) renewed(ctx context.Context, old *declarations) (*declarations, error) {
	var n int64
	if err := l.pool.QueryRow(ctx, sqlDeclared).Scan(&n); err != nil {
		return nil, fmt.Errorf("read how many declarations there are: %w", err)
	}
	if n == old.n {
		return old, nil
	}
	if d := l.declarations.Load(); d != nil && d.n == n {
		return d, nil
	}
	return l.readDeclarations(ctx)
}

func (l *Ledger) readDeclarations(ctx context.Context) (*declarations, error) {
	var d *declarations
	err := pg.InSnapshot(ctx, l.pool, func(tx pgx.Tx) (err error) {
		d = &declarations{}
		if err = tx.QueryRow(ctx, sqlDeclared).Scan(&d.n); err != nil {
			return err
		}
		if d.catalogue, err = readCatalogue(ctx, tx); err != nil {
			return err
		}
		if d.sources, err = readSources(ctx, tx); err != nil {
			return err
		}
		d.types, err = typesInForce(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read what is declared: %w", err)
	}
	d.layout = newLayout(d.catalogue)
	d.policies = policiesOf(d.sources)
	for { // somebody may have read later ones meanwhile
		newest := l.declarations.Load()
		if newest != nil && newest.n >= d.n {
			return newest, nil
		}
		if l.declarations.CompareAndSwap(newest, d) {
			return d, nil
		}
	}
}

func readSources(ctx context.Context, tx pgx.Tx) (map[string]Source, error) {
	rows, err := tx.Query(ctx, sqlSources)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Source])
	if err != nil {
		return nil, err
	}
	sources := make(map[string]Source, len(all))
	for _, s := range all {
		sources[s.Name] = s
	}
	return sources, nil
}

func typesInForce(ctx context.Context, tx pgx.Tx) (map[string]*Type, error) {
	all, err := readTypes(ctx, tx, sqlTypes)
	if err != nil {
		return nil, err
	}
	types := make(map[string]*Type, len(all))
	for i := range all {
		t := &all[i]
		if len(t.Schema) > 0 {
			t.payload, t.broken = compileSchema(t.Schema)
		}
		types[t.Name] = t
	}
	return types, nil
}

// check checks e, which is valid by itself, against what is declared.
func (d *declarations) check(e *Event) *FieldError {
	for _, m := range e.Measures {
		if bad := d.checkMeasure("measures", m); bad != nil {
			return bad
		}
	}
	if e.State != nil && !d.sources[e.Source].States {
		return Invalid("state", "", "is sent by a source that isn't declared to send states; declare it with: deltaledger sources declare "+e.Source+" --states (or: POST /v1/sources)")
	}
	for _, m := range e.State {
		if m.Name == "amount" || m.Name == "quantity" {
			continue
		}
		if bad := d.checkMeasure("state", m); bad != nil {
			return bad
		}
	}
	if !e.HasSeqn && e.Kind == Upstream && d.sources[e.Source].Numbering != NumberingNone {
		return Invalid("seqn", "", "is missing; a source that doesn't number its events is declared with: deltaledger sources declare "+e.Source+" --numbering none")
	}
	return d.checkType(e)
}

func (d *declarations) checkMeasure(field string, m Measure) *FieldError {
	if !d.measure(m.Name) {
		return Invalid(field+"."+shown(m.Name), m.Value.String(), RuleUndeclared(m.Name))
	}
	return nil
}

const sqlDeclare = `SELECT ledger.declare($1)`

// declareTx notes in tx that something is declared, before tx records what: declarations queue here until
// the end of their transactions. Whoever prepared events before prepares them again.
func declareTx(ctx context.Context, tx pgx.Tx, what string) error {
	if _, err := tx.Exec(ctx, sqlDeclare, what); err != nil {
		return fmt.Errorf("note the declaration: %w", err)
	}
	return nil
}

// measuresTTL bounds how often a decoder that meets unknown measures makes the declarations be read again.
const measuresTTL = time.Second

// DeclaredMeasures tells decoders which measures are declared, besides amount and quantity. It notices those that are
// declared while a long input is decoded, within a second. Several goroutines may call it.
func (l *Ledger) DeclaredMeasures(ctx context.Context) (func(name string) bool, error) {
	d, err := l.declared(ctx)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var readAt time.Time
	return func(name string) bool {
		mu.Lock()
		defer mu.Unlock()
		if d.measure(name) {
			return true
		}
		if now := l.now(); now.Sub(readAt) > measuresTTL || now.Before(readAt) {
			readAt = now
			if fresh, err := l.renewed(ctx, d); err == nil { // else the input is judged by what is known
				d = fresh
			}
		}
		return d.measure(name)
	}, nil
}

// MeasuresNow tells decoders which measures are declared, besides amount and quantity, at this moment. Several goroutines
// may call what it returns.
func (l *Ledger) MeasuresNow(ctx context.Context) (func(name string) bool, error) {
	d, err := l.declared(ctx)
	if err == nil {
		d, err = l.renewed(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return d.measure, nil
}

// measure reports whether name is a declared measure.
func (d *declarations) measure(name string) bool {
	c, ok := d.catalogue.Column(name)
	return ok && c.Measure() && !c.BuiltIn
}
