package imports

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Waiting is what a place has left to do, and what waits for a person.
type Waiting struct {
	Queued  int64         `json:"queued"`  // files that nobody reads
	Running int64         `json:"running"` // files that are being read
	Bytes   int64         `json:"bytes"`   // of both, as they lie there
	Oldest  time.Duration `json:"-"`       // since the oldest of both was found
	Failed  int64         `json:"failed"`  // files that can't be read
	Changed int64         `json:"changed"` // files that changed under their name
	Gone    int64         `json:"gone"`    // files that were taken away before they were read
}

// Each part is read by its own index: files that are done may be many.
const sqlQueue = `
SELECT o.queued, o.running, o.bytes, o.age, w.failed, w.changed, w.gone
FROM (
    SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'running') AS running,
           COALESCE(sum(size), 0)::bigint AS bytes, COALESCE(extract(epoch FROM clock_timestamp() - min(found_at)) * 1000000, 0)::bigint AS age
    FROM ledger.import_files
    WHERE location = $1 AND state IN ('queued', 'running')) o
CROSS JOIN (
    SELECT count(*) FILTER (WHERE state = 'failed') AS failed, count(*) FILTER (WHERE state = 'changed') AS changed,
           count(*) FILTER (WHERE state = 'gone') AS gone
    FROM ledger.import_files
    WHERE location = $1 AND (state IN ('failed', 'changed', 'gone') OR state = 'done' AND invalid > 0)) w`

// Queue tells how much of a place is waiting.
func Queue(ctx context.Context, pool *pgxpool.Pool, location string) (w Waiting, err error) {
	var micros int64
	err = pool.QueryRow(ctx, sqlQueue, location).Scan(&w.Queued, &w.Running, &w.Bytes, &micros, &w.Failed, &w.Changed, &w.Gone)
	if err != nil {
		return Waiting{}, fmt.Errorf("count the files that wait: %w", err)
	}
	w.Oldest = time.Duration(micros) * time.Microsecond
	return w, nil
}

// Queue tells how much of the importer's place is waiting, whoever reads it.
func (i *Importer) Queue(ctx context.Context) (Waiting, error) { return Queue(ctx, i.pool, i.location) }
