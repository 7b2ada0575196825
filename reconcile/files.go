package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// mostFiles is how many findings the files of importers may make: the oldest. One more says how many there are besides.
const mostFiles = 100

// wrongFile is a file that an upstream dropped and that a person has to look at.
type wrongFile struct {
	N        int64  `json:"file"`
	Location string `json:"location"`
	Name     string `json:"name"`
	State    string `json:"state"`
	Invalid  int64  `json:"invalid"` // rows that are not in the ledger
	Reason   string `json:"reason,omitempty"`
}

const sqlWrongFiles = `
SELECT n, location, name, state, invalid, COALESCE(reason, '')
FROM ledger.import_files f
WHERE (state IN ('failed', 'changed', 'gone') OR state = 'done' AND invalid > 0)
  AND NOT EXISTS (
      SELECT FROM ledger.import_files l
      WHERE l.location = f.location AND l.name = f.name AND l.version > f.version AND l.state = 'done')
ORDER BY n
LIMIT $1`

const sqlCountWrongFiles = `
SELECT count(*)
FROM ledger.import_files f
WHERE (state IN ('failed', 'changed', 'gone') OR state = 'done' AND invalid > 0)
  AND NOT EXISTS (
      SELECT FROM ledger.import_files l
      WHERE l.location = f.location AND l.name = f.name AND l.version > f.version AND l.state = 'done')`

// checkFiles makes a finding of each file that couldn't be imported whole. It is gone when the file is discarded, or
// read again without a bad row, or what came later under its name was read to its end.
func (u *run) checkFiles(ctx context.Context, tx pgx.Tx) error {
	var n int64
	if err := tx.QueryRow(ctx, sqlCountWrongFiles).Scan(&n); err != nil {
		return fmt.Errorf("count files of importers: %w", err)
	}
	rows, err := tx.Query(ctx, sqlWrongFiles, mostFiles)
	if err != nil {
		return fmt.Errorf("read files of importers: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[wrongFile])
	if err != nil {
		return fmt.Errorf("read files of importers: %w", err)
	}
	for _, f := range all {
		subject, err := json.Marshal(f)
		if err != nil {
			return err
		}
		what := []string{fmt.Sprintf("file %d (%s in %s) ", f.N, strconv.Quote(f.Name), f.Location)}
		switch f.State {
		case "failed":
			what = append(what, "can't be read: ", f.Reason)
		case "changed":
			what = append(what, "changed under its name: ", f.Reason)
		case "gone":
			what = append(what, "is gone: ", f.Reason)
		default:
			what = append(what, fmt.Sprintf("holds %d rows that are not events: deltaledger import show %d", f.Invalid, f.N))
		}
		u.add(Finding{Fingerprint: fingerprint(checkFiles, strconv.FormatInt(f.N, 10)), Check: checkFiles, Subject: subject, Detail: strings.Join(what, "")})
	}
	if more := n - int64(len(all)); more > 0 {
		subject, err := json.Marshal(map[string]int64{"files": n})
		if err != nil {
			return err
		}
		u.add(Finding{
			Fingerprint: fingerprint(checkFiles, "more"), Check: checkFiles, Subject: subject,
			Detail: fmt.Sprintf("%d more files couldn't be imported whole: deltaledger import list --state failed,changed,gone, and import list --bad", more),
		})
	}
	u.checked(checkFiles, n, "files that wait for a person")
	return nil
}
