package api

import (
	"context"
	"fmt"
	"strings"
	"time"

	"deltaledger/ledger/pg"
)

// aliveOut is the answer of a process that lives.
type aliveOut struct {
	Body struct {
		Status  string `json:"status" enum:"alive"`
		Version string `json:"version" doc:"Of the program"`
	}
}

func (s *server) alive(context.Context, *struct{}) (*aliveOut, error) {
	out := &aliveOut{}
	out.Body.Status, out.Body.Version = "alive", s.version
	return out, nil
}

func aliveDoc() doc {
	return doc{id: "alive", tag: tagOperate, summary: "Is the process alive?", text: "Looks at nothing but itself: restart the process if this doesn't answer."}
}

// Readiness says that the service can do its work.
type Readiness struct {
	Status            string `json:"status" enum:"ready"`
	PartitionsThrough string `json:"partitions_through" example:"2026-12" doc:"Last month that events can be recorded in (UTC)"`
}

type readyOut struct{ Body Readiness }

// partitionsAhead is how many months ahead there must be room for events.
const partitionsAhead = 2

// fullFor is how long a full disk makes the service unready. Whether there is room again only work can show:
// after this time it is let in.
const fullFor = 10 * time.Second

const sqlReady = `
SELECT clock_timestamp(), has_table_privilege('ledger.events', 'INSERT'), pg_is_in_recovery(),
       (SELECT array_agg(c.relname::text ORDER BY c.relname)
        FROM pg_inherits i
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'ledger.events'::regclass)`

// ready answers with 503 and the reasons while events can't be recorded, or soon couldn't be.
func (s *server) ready(ctx context.Context, _ *struct{}) (*readyOut, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var reasons []string
	refuse := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	var now time.Time
	var granted, recovering bool
	var partitions []string
	err := s.ledger.Pool().QueryRow(ctx, sqlReady).Scan(&now, &granted, &recovering, &partitions)
	switch {
	case pg.IsUndefined(err):
		return nil, unready("the database isn't migrated: run deltaledger migrate")
	case err != nil:
		p := unready("the database can't be asked")
		p.causeNotForCallers = fmt.Errorf("readiness: %w", err)
		return nil, p
	}
	if full := s.fullAt.Load(); full != 0 && s.now().Sub(time.Unix(0, full)) < fullFor {
		refuse("%s", noRoom)
	}
	if recovering {
		refuse("the database is a standby: nothing can be recorded")
	}
	if !granted {
		refuse("the role of the service may not record events")
	}
	through, months := partitionedThrough(partitions, now.UTC())
	if months < partitionsAhead {
		refuse("there is room for events of %d months ahead, and must be for %d: run deltaledger migrate", max(months, 0), partitionsAhead)
	}
	if s.unready != nil {
		reasons = append(reasons, s.unready()...)
	}
	if len(reasons) > 0 {
		return nil, unready(reasons...)
	}
	return &readyOut{Readiness{Status: "ready", PartitionsThrough: through}}, nil
}

// unready is the problem of a service that can't do its work.
func unready(reasons ...string) *Problem {
	p := notReady.problem("%s", strings.Join(reasons, "; "))
	p.retryAfter = retrySoon
	for _, reason := range reasons {
		p.Errors = append(p.Errors, FieldDetail{Message: reason})
	}
	return p
}

// partitionedThrough is the last month, from now's on, that has a partition, with all before it, and how
// many months after now's that is; -1 if even this month has none.
func partitionedThrough(partitions []string, now time.Time) (through string, months int) {
	has := map[string]bool{}
	for _, name := range partitions {
		has[strings.TrimPrefix(name, "events_")] = true
	}
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	for months = -1; has[month.Format("2006_01")]; months++ {
		through = month.Format("2006-01")
		month = month.AddDate(0, 1, 0)
	}
	return through, months
}

func readyDoc() doc {
	return doc{
		id: "ready", tag: tagOperate, summary: "Can events be recorded?",
		text:  "200 if the database can be reached, is migrated, has partitions for two months ahead, its disk was not found full in the last 10 seconds, and a consumer of Kafka, if one runs beside it, reads its partitions and is no further behind than it may be; otherwise 503 with the reasons.",
		fails: []kind{notReady},
	}
}
