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

const sqlQueue = `
SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = 'running'),
       COALESCE(sum(size) FILTER (WHERE state IN ('queued', 'running')), 0)::bigint,
       COALESCE(extract(epoch FROM clock_timestamp() - min(found_at) FILTER (WHERE state IN ('queued', 'running'))) * 1000000, 0)::bigint,
       count(*) FILTER (WHERE state = 'failed'), count(*) FILTER (WHERE state = 'changed'), count(*) FILTER (WHERE state = 'gone')
FROM ledger.import_files
WHERE location = $1 AND state IN ('queued', 'running', 'failed', 'changed', 'gone')`

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
