package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Reconciler reconciles the billing of a ledger with its events. Make one with New; it is safe for
// concurrent use, and two runs at once find and heal everything once.
type Reconciler struct {
	ledger  *ledger.Ledger
	billing *billing.Billing
	pool    *pgxpool.Pool
	now     func() time.Time
	newID   func() uuid.UUID
}

// Options of New; the zero value of each field means what its comment says.
type Options struct {
	Now   func() time.Time // the clock of runs and findings; nil: the system's
	NewID func() uuid.UUID // makes the ids of runs and findings; nil: UUIDs of version 7
}

// New makes the reconciler of a ledger and its billing.
func New(l *ledger.Ledger, b *billing.Billing, o Options) (*Reconciler, error) {
	if l == nil || b == nil {
		return nil, fmt.Errorf("reconcile: the ledger or its billing is missing: %w", ledger.ErrInvalid)
	}
	r := &Reconciler{ledger: l, billing: b, pool: l.Pool(), now: o.Now, newID: o.NewID}
	if r.now == nil {
		r.now = time.Now
	}
	if r.newID == nil {
		r.newID = func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
	}
	return r, nil
}

// Request says how to run.
type Request struct {
	Heal     bool                  // assign late events to the next open cycle; else they become findings
	By       string                // who asks
	Progress func(done, total int) // told how many of the accounts to look at are done; may be nil
}

// Result is what a run did and what is still wrong.
type Result struct {
	Run       uuid.UUID `json:"run"`
	Watermark int64     `json:"watermark"` // the run's answers are as of this position
	Since     int64     `json:"since"`     // the watermark of the last run that healed: what came since was looked at
	Late      int64     `json:"late"`      // late events that nothing had assigned to a cycle before
	Healed    int64     `json:"healed"`    // of those, assigned to the next open cycle now
	Checks    []Checked `json:"checks"`    // what was compared
	Findings  []Finding `json:"findings"`  // everything that is open after the run, oldest first
}

// Open is how many findings remain.
func (r Result) Open() int { return len(r.Findings) }

// Checked says how much a check compared.
type Checked struct {
	Check    string `json:"check"`
	Compared int64  `json:"compared"`
	Unit     string `json:"unit"`
	Wrong    int    `json:"wrong"`
}

// The checks of a run, by name.
const (
	checkLate        = "late"         // an event came after its cycle was closed, and isn't assigned to a later one
	checkUnbilled    = "unbilled"     // a billable event of a closed cycle is on no live invoice
	checkUncovered   = "uncovered"    // an event of a closed cycle that no charge of its terms selects
	checkInvoice     = "invoice"      // an invoice, its lines and its pins don't agree
	checkCarried     = "carried"      // what waits for orders isn't what the last close left
	checkAdjustments = "adjustments"  // a close passed an adjustment, or terms of closed cycles, that it had to bring
	checkContracts   = "contracts"    // what is kept as used of a contract isn't what its lines come to
	checkRollForward = "roll-forward" // opening unbilled + booked - billed isn't closing unbilled
	checkPayments    = "payments"     // what is paid of an invoice isn't what can be paid, or what it shows
	checkCreditNotes = "credit-notes" // credit notes take back what an invoice doesn't bill
	checkNumbers     = "numbers"      // a series of numbers of invoices or credit notes has a gap
	checkParked      = "parked"       // closes leave an account out until a person releases it
	checkConflicts   = "conflicts"    // conflicts wait for a decision
	checkDeadLetters = "dead-letters" // messages that could not be recorded wait for a decision
	checkContent     = "content"      // public content holds what its source was declared to be watched for
	checkFiles       = "files"        // a file that an upstream dropped couldn't be imported whole
	checkGaps        = "gaps"         // a source left numbers out, or used one twice
	checkUnknownType = "unknown-type" // an open source sends events of a type that isn't declared
)

// run is one run under way.
type run struct {
	*Reconciler
	id        uuid.UUID
	startedAt time.Time
	request   Request
	at        ledger.Watermark // everything is as of this
	since     ledger.Watermark // the watermark of the last run that healed: one that didn't settled nothing
	catalogue ledger.Catalogue // read before the snapshot, which must not wait for a second connection
	types     map[string]ledger.Type
	open      []Finding // open before this run
	accounts  []string  // to look at
	result    Result
	found     []Finding
	excused   []Finding // in order by a declaration; kept as accepted, because the roll-forward goes on from what was found
	mended    []Finding // put right by the run itself; kept as corrected
	balances  []balance
}

// Run reconciles as of a new watermark. An error means that the run didn't come to its end; what it
// healed stays healed, and the next run covers the rest.
func (r *Reconciler) Run(ctx context.Context, q Request) (Result, error) {
	if strings.TrimSpace(q.By) == "" {
		return Result{}, ledger.Invalid("by", q.By, "must say who reconciles")
	}
	u := &run{Reconciler: r, id: r.newID(), startedAt: r.now().UTC(), request: q}
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"begin", u.begin}, {"what waits for orders", u.healCarried}, {"late events", u.heal}, {"compare", u.compare}, {"keep the run", u.keep},
	} {
		if err := step.do(ctx); err != nil {
			return Result{}, fmt.Errorf("reconcile: %s: %w", step.name, err)
		}
	}
	return u.result, nil
}

const sqlLastRun = `
SELECT r.watermark, COALESCE((SELECT max(w.taken_at) FROM ledger.watermarks w WHERE w.position = r.watermark), '0001-01-01Z')
FROM reconcile.runs r
WHERE r.heal
ORDER BY r.position DESC
LIMIT 1`

// begin takes the watermark and lists what to look at.
func (u *run) begin(ctx context.Context) error {
	var err error
	if u.at, err = u.ledger.TakeWatermark(ctx); err != nil {
		return err
	}
	if _, err = u.ledger.AdvanceCompleteness(ctx, 0); err != nil {
		return err
	}
	if u.catalogue, err = u.ledger.Catalogue(ctx); err != nil {
		return err
	}
	if err = u.readTypes(ctx); err != nil {
		return err
	}
	if u.since, err = lastRun(ctx, u.pool); err != nil {
		return err
	}
	if u.open, err = u.Findings(ctx); err != nil {
		return err
	}
	if err = u.billing.DeriveAccounts(ctx, u.at); err != nil {
		return err
	}
	seen := map[string]bool{}
	for account, err := range u.billing.AccountsToLookAt(ctx, u.since.Position, u.at.Position) {
		if err != nil {
			return err
		}
		seen[account] = true
	}
	for _, list := range []func(context.Context) ([]string, error){u.billedAccounts, u.waitingAccounts, u.parkedAccounts} {
		accounts, err := list(ctx)
		if err != nil {
			return err
		}
		for _, account := range accounts {
			seen[account] = true
		}
	}
	for _, f := range u.open {
		if f.Account != "" {
			seen[f.Account] = true
		}
	}
	for account := range seen {
		u.accounts = append(u.accounts, account)
	}
	slices.Sort(u.accounts)
	u.result = Result{Run: u.id, Watermark: u.at.Position, Since: u.since.Position, Checks: []Checked{}, Findings: []Finding{}}
	return nil
}

func lastRun(ctx context.Context, q querier) (w ledger.Watermark, err error) {
	err = q.QueryRow(ctx, sqlLastRun).Scan(&w.Position, &w.TakenAt)
	if isNoRows(err) {
		return ledger.Watermark{}, nil
	}
	return w, err
}

const sqlBilledAccounts = `
SELECT i.account FROM billing.invoices i WHERE i.position > $1 AND i.position <= $2
UNION
SELECT v.account FROM billing.voids v WHERE v.position > $1 AND v.position <= $2`

// billedAccounts are those with invoices or voids since the run before.
func (u *run) billedAccounts(ctx context.Context) ([]string, error) {
	rows, err := u.pool.Query(ctx, sqlBilledAccounts, u.since.Position, u.at.Position)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// compare runs the checks that only read, all on one snapshot. The snapshot is taken after the
// watermark, so everything up to it is there; what is above it is left out by each query.
func (u *run) compare(ctx context.Context) error {
	return pg.InSnapshot(ctx, u.pool, func(tx pgx.Tx) error {
		kept := u.found
		u.result.Checks, u.balances, u.excused = u.result.Checks[:2], nil, nil // of an earlier try
		for _, check := range []func(context.Context, pgx.Tx) error{u.checkUnbilled, u.checkInvoices, u.checkContracts, u.checkAdjustments, u.checkSettlements, u.checkNumbers, u.checkParked, u.checkSequences, u.checkConflicts, u.checkLetters, u.checkFiles, u.checkContent, u.checkTypes} {
			if err := check(ctx, tx); err != nil {
				u.found = kept
				return err
			}
		}
		return nil
	})
}

// add notes a finding of this run.
func (u *run) add(f Finding) { u.found = append(u.found, u.dated(f)) }

// dated is f as a finding of this run.
func (u *run) dated(f Finding) Finding {
	f.ID, f.Run, f.FoundAt = u.newID(), u.id, u.startedAt
	if f.Subject == nil {
		f.Subject = json.RawMessage("{}")
	}
	return f
}

// checked notes what a check compared and how many findings it added since before.
func (u *run) checked(check string, compared int64, unit string) {
	wrong := 0
	for _, f := range u.found {
		if f.Check == check {
			wrong++
		}
	}
	u.result.Checks = append(u.result.Checks, Checked{Check: check, Compared: compared, Unit: unit, Wrong: wrong})
}
