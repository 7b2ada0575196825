package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// flagged is what was recorded of a source against its policy of what public content may hold.
type flagged struct {
	Source string   `json:"source"`
	Rule   string   `json:"rule"` // card_number, iban or email
	Fields []string `json:"fields"`
	Events int64    `json:"events"`
	First  int64    `json:"first"` // position of the first of them
	Last   int64    `json:"last"`
}

const sqlFlagged = `
SELECT f.source, f.rule, array_agg(DISTINCT f.field ORDER BY f.field), count(DISTINCT f.position), min(f.position), max(f.position)
FROM ledger.content_flags f
WHERE f.position > $1 AND f.position <= $2
GROUP BY f.source, f.rule
ORDER BY f.source, f.rule`

// checkContent makes a finding of each source and rule of which something was flagged since the run before. What
// was recorded stays so: a person resolves it.
func (u *run) checkContent(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, sqlFlagged, u.since.Position, u.at.Position)
	if err != nil {
		return fmt.Errorf("read what was flagged: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[flagged])
	if err != nil {
		return fmt.Errorf("read what was flagged: %w", err)
	}
	events := int64(0)
	for _, f := range all {
		events += f.Events
		subject, err := json.Marshal(f)
		if err != nil {
			return err
		}
		where := fmt.Sprintf("%d events between positions %d and %d", f.Events, f.First, f.Last)
		if f.Events == 1 {
			where = fmt.Sprintf("1 event, position %d", f.First)
		}
		what := map[string]string{"card_number": "a card number", "iban": "an IBAN", "email": "an e-mail address"}[f.Rule]
		u.add(Finding{
			Fingerprint: fingerprint(checkContent, f.Source, f.Rule), Check: checkContent, Subject: subject,
			Detail: fmt.Sprintf("public content of source %s holds what looks like %s, in %s: %s",
				f.Source, what, strings.Join(f.Fields, ", "), where),
		})
	}
	u.checked(checkContent, events, "flagged events")
	return nil
}
