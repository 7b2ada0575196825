package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// readTypes reads what is declared of types.
func (u *run) readTypes(ctx context.Context) error {
	types, err := u.ledger.Types(ctx)
	if err != nil {
		return err
	}
	u.types = make(map[string]ledger.Type, len(types))
	for _, t := range types {
		u.types[t.Name] = t
	}
	return nil
}

// billable reports whether an event of the type has to be covered by a charge: unless it is declared not to.
func (u *run) billable(typ string) bool {
	t, declared := u.types[typ]
	return !declared || t.Billable
}

// What upstreams sent since the run before, by source and type, of types that aren't declared.
const sqlUnknownTypes = `
SELECT e.source, e.type, count(*), min(e.position), min(e.occurred_at)
FROM ledger.every_event e
WHERE e.position > $1 AND e.position <= $2 AND e.recorded_at >= $3 AND e.kind = 'upstream' AND e.type <> ALL ($4::text[])
GROUP BY e.source, e.type
ORDER BY e.source, e.type`

// mostUnknown bounds how many types of a source, the first by name, become findings of their own: a source that puts a number
// into its types would make one for each event.
const mostUnknown = 100

// unknown is a type that a source sends and nobody declared. Its JSON is the subject of the finding.
type unknown struct {
	Source   string    `json:"source"`
	Type     string    `json:"type"`
	Events   int64     `json:"events"` // of the run that found it first
	Position int64     `json:"first_position"`
	First    time.Time `json:"first_occurred_at"`
}

// checkTypes finds types that sources send and nobody declared. Its cost follows the new events. A finding stays until the
// type is declared, or a person accepts it, for good: that more events of the type come is no news. A ledger in which no
// type is declared has none.
func (u *run) checkTypes(ctx context.Context, tx pgx.Tx) error {
	if len(u.types) == 0 {
		return nil
	}
	names := make([]string, 0, len(u.types))
	for name := range u.types {
		names = append(names, name)
	}
	rows, err := tx.Query(ctx, sqlUnknownTypes, u.since.Position, u.at.Position, u.floor(), names)
	if err != nil {
		return fmt.Errorf("find unknown types: %w", err)
	}
	fresh, err := pgx.CollectRows(rows, pgx.RowToStructByPos[unknown])
	if err != nil {
		return fmt.Errorf("find unknown types: %w", err)
	}
	events, bySource, known := int64(0), map[string]int{}, map[string]bool{}
	for _, f := range u.open {
		if f.Check != checkUnknownType {
			continue
		}
		var k unknown
		if err := json.Unmarshal(f.Subject, &k); err != nil {
			return fmt.Errorf("read finding %s: %w: %w", f.ID, err, ledger.ErrCorrupt)
		}
		if _, declared := u.types[k.Type]; declared {
			continue
		}
		bySource[k.Source]++
		known[f.Fingerprint] = true
		if err := u.addUnknown(k); err != nil {
			return err
		}
	}
	for _, k := range fresh {
		events += k.Events
		if known[k.fingerprint()] {
			continue
		}
		if bySource[k.Source]++; bySource[k.Source] > mostUnknown {
			continue
		}
		if err := u.addUnknown(k); err != nil {
			return err
		}
	}
	u.checked(checkUnknownType, events, "events of unknown types")
	return nil
}

func (k unknown) fingerprint() string { return fingerprint(checkUnknownType, k.Source, k.Type) }

func (u *run) addUnknown(k unknown) error {
	k.First = k.First.UTC()
	subject, err := json.Marshal(k)
	if err != nil {
		return err
	}
	u.add(Finding{
		Fingerprint: k.fingerprint(), Check: checkUnknownType, Subject: subject,
		// Without numbers, so that what was accepted stays accepted.
		Detail: fmt.Sprintf("source %s sends events of type %s, which isn't declared; declare it with: deltaledger types declare, or have the source take declared types only: deltaledger sources declare %s --strict",
			strconv.Quote(k.Source), strconv.Quote(k.Type), k.Source),
	})
	return nil
}
