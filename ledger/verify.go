package ledger

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// VerifyRequest says what to verify.
type VerifyRequest struct {
	From        int64                 // recompute the blocks from this seal on; 0: all. The chain itself is always checked as a whole
	Checkpoints []proof.Checkpoint    // that the chain must contain
	Workers     int                   // blocks that are read at once; 0: as many as processors
	Progress    func(done, all int64) // called with positions, from one goroutine at a time; nil: not wanted
}

// What a difference is about.
const (
	DiffChain      = "chain"      // a seal itself, or its place in the chain
	DiffChanged    = "changed"    // a fact isn't what was sealed
	DiffMissing    = "missing"    // a sealed fact is gone
	DiffAdded      = "added"      // a fact stands where none was sealed
	DiffPrivate    = "private"    // private content isn't what the event's commitment binds
	DiffWatermark  = "watermark"  // watermarks that contradict each other, or what was sealed by them
	DiffCheckpoint = "checkpoint" // the chain isn't the one that a checkpoint was made of
)

// Difference is the first place where the ledger isn't what was sealed.
type Difference struct {
	Seal     int64    `json:"seal,omitempty"`     // its number; 0 where it is no matter of one seal
	Position int64    `json:"position,omitempty"` // of the fact; 0 where it is no matter of one fact
	What     string   `json:"what"`               // one of the Diff constants
	Expected string   `json:"expected,omitempty"`
	Found    string   `json:"found,omitempty"`
	Detail   []string `json:"detail,omitempty"` // what else is known, a sentence each
}

func (d Difference) String() string {
	var b strings.Builder
	b.WriteString(d.What)
	if d.Seal > 0 {
		fmt.Fprintf(&b, ": seal %d", d.Seal)
	}
	if d.Position != 0 {
		fmt.Fprintf(&b, ", position %d", d.Position)
	}
	if d.Expected != "" || d.Found != "" {
		fmt.Fprintf(&b, ": expected %s, found %s", cmp.Or(d.Expected, "nothing"), cmp.Or(d.Found, "nothing"))
	}
	for _, s := range d.Detail {
		b.WriteString("; " + s)
	}
	return b.String()
}

// Report is what a verification found.
type Report struct {
	Ledger     uuid.UUID        `json:"ledger"`
	Seals      int64            `json:"seals"`       // of the chain, all of them checked
	From       int64            `json:"from"`        // the first seal whose block was recomputed
	Through    int64            `json:"through"`     // the last one
	Position   int64            `json:"position"`    // what was verified ends here
	Facts      int64            `json:"facts"`       // recomputed
	Events     int64            `json:"events"`      // of those
	Private    int64            `json:"private"`     // events whose private content was held against their commitment
	Erased     int64            `json:"erased"`      // events whose private content was erased, with a record of it
	Unended    int64            `json:"unended"`     // erasures without an end, whose records no seal covers: under way, broken off, or made up
	Tree       proof.Checkpoint `json:"tree"`        // what a checkpoint of the chain would say
	Unsealed   Unsealed         `json:"unsealed"`    // what is not covered
	Difference *Difference      `json:"difference"`  // null: everything is as it was sealed
	Contained  []int64          `json:"checkpoints"` // sizes of the checkpoints that the chain contains
}

// Unsealed is the tail of the ledger that no seal covers yet: nothing is said about it.
type Unsealed struct {
	After int64 `json:"after"` // position
	Facts int64 `json:"facts"`
}

// Verify recomputes every seal from the rows and names the first difference. The error is of the database:
// a difference is in the report.
func (s *Seals) Verify(ctx context.Context, q VerifyRequest) (Report, error) {
	if err := s.prepare(ctx); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	v := newVerification(s, q)
	v.in = func(ctx context.Context, f func(pgx.Tx) error) error { return pg.InSnapshot(ctx, s.l.pool, f) }
	if q.Workers <= 0 {
		q.Workers = runtime.GOMAXPROCS(0)
	}
	return v.run(ctx, q.Workers)
}

// VerifyTx is Verify within tx: it sees what tx sees, and reads one block after the other.
func (s *Seals) VerifyTx(ctx context.Context, tx pgx.Tx, q VerifyRequest) (Report, error) {
	v := newVerification(s, q)
	v.in = func(_ context.Context, f func(pgx.Tx) error) error { return f(tx) }
	return v.run(ctx, 0)
}

// verification is one run of Verify.
type verification struct {
	*Seals
	q      VerifyRequest
	in     func(context.Context, func(pgx.Tx) error) error
	report Report
	last   int64         // position that the newest seal ends at, for progress
	found  chan finding  // what the workers say
	groups chan []header // what they work on
}

// finding is what the check of a group of blocks found.
type finding struct {
	facts, events, private, erased int64
	through                        int64 // seal
	position                       int64
	difference                     *Difference
}

func newVerification(s *Seals, q VerifyRequest) *verification {
	v := &verification{Seals: s, q: q}
	v.report.Ledger, v.report.From, v.report.Contained = s.l.settings.ID, max(q.From, 1), []int64{}
	return v
}

// run checks the chain page by page and hands groups of blocks to the workers; without workers it checks
// them itself.
func (v *verification) run(ctx context.Context, workers int) (Report, error) {
	var err error
	if workers == 0 {
		r := newLeafReader(v.tables)
		err = v.walk(ctx, func(g []header) (bool, error) {
			f, err := v.checkGroup(ctx, r, g)
			if err == nil {
				v.note(f)
			}
			return v.report.Difference == nil, err
		})
	} else {
		err = v.parallel(ctx, workers)
	}
	if err == nil {
		err = v.finish(ctx)
	}
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	return v.report, nil
}

// parallel has workers check the groups. Groups are handed out in order, so that when one differs all that
// come before it are under way or done; no more are handed out then.
func (v *verification) parallel(ctx context.Context, workers int) error {
	v.groups, v.found = make(chan []header), make(chan finding)
	stop := make(chan struct{})
	noted := make(chan struct{})
	go func() {
		defer close(noted)
		stopped := false
		for f := range v.found {
			v.note(f)
			if v.report.Difference != nil && !stopped {
				stopped = true
				close(stop)
			}
		}
	}()
	group, ctx := errgroup.WithContext(ctx)
	var chain *Difference
	for range workers {
		group.Go(func() error {
			r := newLeafReader(v.tables)
			for g := range v.groups {
				f, err := v.checkGroup(ctx, r, g)
				if err != nil {
					return err
				}
				v.found <- f
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(v.groups)
		var err error
		chain, err = v.walkChain(ctx, func(g []header) (bool, error) {
			select {
			case v.groups <- g:
				return true, nil
			case <-stop:
				return false, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		})
		return err
	})
	err := group.Wait()
	close(v.found)
	<-noted
	v.differ(chain)
	return err
}

// walk is walkChain for one goroutine.
func (v *verification) walk(ctx context.Context, each func([]header) (bool, error)) error {
	chain, err := v.walkChain(ctx, each)
	v.differ(chain)
	return err
}

// note adds what was found in a group.
func (v *verification) note(f finding) {
	r := &v.report
	r.Facts, r.Events, r.Private, r.Erased = r.Facts+f.facts, r.Events+f.events, r.Private+f.private, r.Erased+f.erased
	if f.difference == nil {
		r.Through, r.Position = max(r.Through, f.through), max(r.Position, f.position)
	}
	v.differ(f.difference)
	if v.q.Progress != nil {
		v.q.Progress(r.Position, v.last)
	}
}

// differ keeps the first of the differences: by seal, then what is wrong with the seal itself, then by
// position. What is no matter of a seal comes last.
func (v *verification) differ(d *Difference) {
	have := v.report.Difference
	if d == nil || have != nil && compareDifferences(have, d) <= 0 {
		return
	}
	v.report.Difference = d
}

func compareDifferences(a, b *Difference) int {
	rank := func(d *Difference) int64 {
		if d.Seal == 0 {
			return 1 << 62
		}
		return d.Seal
	}
	return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Position, b.Position))
}

// finish checks what is no matter of one seal, and counts what isn't covered.
func (v *verification) finish(ctx context.Context) error {
	return v.in(ctx, func(tx pgx.Tx) error {
		for _, check := range []func(context.Context, pgx.Tx) (*Difference, error){v.checkBeforeFirst, checkWatermarks} {
			if v.report.Difference != nil {
				break
			}
			d, err := check(ctx, tx)
			if err != nil {
				return err
			}
			v.differ(d)
		}
		n, err := countFacts(ctx, tx, v.tables, v.last)
		if err != nil {
			return err
		}
		v.report.Unsealed = Unsealed{After: v.last, Facts: n}
		if err := tx.QueryRow(ctx, sqlUnended).Scan(&v.report.Unended); err != nil {
			return fmt.Errorf("count erasures without an end: %w", err)
		}
		return nil
	})
}

const sqlUnended = `
SELECT count(*)
FROM ledger.erasures e
WHERE NOT EXISTS (SELECT FROM ledger.erasure_ends x WHERE x.erasure = e.n)`

// checkBeforeFirst looks for facts at positions that nobody can draw.
func (v *verification) checkBeforeFirst(ctx context.Context, tx pgx.Tx) (*Difference, error) {
	position, found, err := nextFact(ctx, tx, v.tables, -1<<63, 0)
	if err != nil || !found {
		return nil, err
	}
	return &Difference{Position: position, What: DiffAdded, Found: "a fact at a position that is never given out"}, nil
}

// The first watermark that goes back behind the one before it, or that says of a position that wasn't
// given out that it is decided.
const sqlBrokenWatermark = `
SELECT n, position, taken_at::text, position_before, taken_before::text
FROM (
    SELECT n, position, taken_at, lag(position) OVER by_number AS position_before, lag(taken_at) OVER by_number AS taken_before
    FROM ledger.watermarks
    WINDOW by_number AS (ORDER BY n)
) AS each_with_the_one_before
WHERE position < position_before OR taken_at < taken_before
   OR position > COALESCE(pg_sequence_last_value('ledger.position_seq'), 0)
ORDER BY n
LIMIT 1`

func checkWatermarks(ctx context.Context, tx pgx.Tx) (*Difference, error) {
	var (
		n, position int64
		taken       string
		before      *int64
		takenBefore *string
	)
	err := tx.QueryRow(ctx, sqlBrokenWatermark).Scan(&n, &position, &taken, &before, &takenBefore)
	if isNoRows(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("check the watermarks: %w", err)
	}
	d := &Difference{What: DiffWatermark, Found: fmt.Sprintf("watermark %d: position %d, taken at %s", n, position, taken)}
	if before != nil && takenBefore != nil {
		d.Detail = []string{fmt.Sprintf("the watermark before it has position %d and was taken at %s", *before, *takenBefore)}
	}
	return d, nil
}
