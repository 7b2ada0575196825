package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// undecided are the conflicts of a source about which nobody has decided yet.
type undecided struct {
	Source    string    `json:"source"`
	Conflicts int64     `json:"conflicts"`
	Oldest    int64     `json:"oldest"` // its number
	Since     time.Time `json:"since"`  // when the oldest arrived
}

const sqlUndecided = `
SELECT c.source, count(*), min(c.n), min(c.detected_at)
FROM ledger.conflicts c
WHERE NOT EXISTS (SELECT FROM ledger.conflict_decisions d WHERE d.conflict = c.n)
GROUP BY c.source
ORDER BY c.source`

// checkConflicts makes a finding of each source with conflicts that wait for a decision. It is gone when all of them are
// decided.
func (u *run) checkConflicts(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, sqlUndecided)
	if err != nil {
		return fmt.Errorf("read conflicts: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[undecided])
	if err != nil {
		return fmt.Errorf("read conflicts: %w", err)
	}
	waiting := int64(0)
	for _, c := range all {
		waiting += c.Conflicts
		c.Since = c.Since.UTC()
		subject, err := json.Marshal(c)
		if err != nil {
			return err
		}
		what := "1 conflict waits"
		if c.Conflicts > 1 {
			what = fmt.Sprintf("%d conflicts wait", c.Conflicts)
		}
		u.add(Finding{
			Fingerprint: fingerprint(checkConflicts, c.Source), Check: checkConflicts, Subject: subject,
			Detail: fmt.Sprintf("%s for a decision of what source %s sent; the oldest is conflict %d, arrived %s",
				what, c.Source, c.Oldest, c.Since.Format(time.RFC3339)),
		})
	}
	u.checked(checkConflicts, waiting, "undecided conflicts")
	return nil
}
