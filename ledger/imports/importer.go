package imports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// Config of an Importer.
type Config struct {
	Ledger   *ledger.Ledger
	Place    Place
	Location string // Identity of the place
	Rules    Rules
	Name     string // of this importer, for people

	Workers int           // files read at a time; 0: 2
	Settle  time.Duration // for how long a file of a directory must stay the same; 0: 5 seconds
	Every   time.Duration // between two looks at the place; 0: 5 seconds
	Lease   time.Duration // after which silence others take a file over, at least a second; 0: 30 seconds

	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: nobody is told
	Ended  func(File)       // called for each file that this importer ended; may be nil. Several goroutines call it.
}

// Importer reads the files of one place. Any number may share it.
type Importer struct {
	c        Config
	pool     *pgxpool.Pool
	location string
	scanner  *scanner
	stats    Stats
}

// New makes an importer.
func New(c Config) (*Importer, error) {
	if c.Ledger == nil || c.Place == nil || c.Location == "" || c.Name == "" {
		return nil, errors.New("imports: a ledger, a place, its location and a name are needed")
	}
	switch {
	case c.Workers < 0:
		return nil, ledger.Invalid("workers", fmt.Sprint(c.Workers), "must not be negative")
	case c.Settle < 0 || c.Every < 0:
		return nil, ledger.Invalid("settle", "", "must not be negative, and neither must the time between two looks")
	case c.Lease != 0 && c.Lease < time.Second:
		return nil, ledger.Invalid("lease", c.Lease.String(), "must be a second at least")
	}
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&c.Settle, 5*time.Second)
	set(&c.Every, 5*time.Second)
	set(&c.Lease, 30*time.Second)
	if c.Workers == 0 {
		c.Workers = 2
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	pool := c.Ledger.Pool()
	return &Importer{
		c: c, pool: pool, location: c.Location,
		scanner: &scanner{
			place: c.Place, location: c.Location, rules: c.Rules, settle: c.Settle, pool: pool, now: c.Now,
			growing: map[string]sighting{}, known: map[string]Object{},
		},
	}, nil
}

// Watch registers and reads files until ctx ends. What fails is tried again; the place must answer once, so that a name
// that is mistyped is an error at once.
func (i *Importer) Watch(ctx context.Context) error {
	if _, err := i.scanner.scan(ctx); err != nil {
		return err
	}
	found := make(chan struct{}, 1)
	var all sync.WaitGroup
	all.Go(func() { i.look(ctx, found) })
	for range i.c.Workers {
		all.Go(func() { i.work(ctx, found) })
	}
	all.Wait()
	return nil
}

// look scans again and again.
func (i *Importer) look(ctx context.Context, found chan<- struct{}) {
	for sleep(ctx, i.c.Every) == nil {
		s, err := i.scanner.scan(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			i.stats.failures.Add(1)
			i.c.Logger.Error("the place can't be looked at; trying again", "location", i.location, "error", err)
		case s.added > 0:
			i.c.Logger.Debug("files found", "location", i.location, "files", s.added)
		}
		select {
		case found <- struct{}{}:
		default:
		}
	}
}

// work reads files, one after the other.
func (i *Importer) work(ctx context.Context, found <-chan struct{}) {
	for ctx.Err() == nil {
		took, err := i.one(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			i.stats.failures.Add(1)
			i.c.Logger.Error("a file can't be taken up; trying again", "location", i.location, "error", err)
			_ = sleep(ctx, time.Second) // the loop sees that ctx ended
		case !took:
			// Others register files too, and give some back: this doesn't wait for our own look alone.
			timer := time.NewTimer(min(i.c.Every, i.c.Lease/2))
			select {
			case <-ctx.Done():
			case <-found:
			case <-timer.C:
			}
			timer.Stop()
		}
	}
}

// one takes up and reads one file; took is false if there is none.
func (i *Importer) one(ctx context.Context) (took bool, err error) {
	f, ok, err := i.claim(ctx)
	if err != nil || !ok {
		return false, err
	}
	err = i.process(ctx, f)
	if errors.Is(err, errLost) {
		i.c.Logger.Warn("a file was taken over by somebody else", "file", f.N, "name", f.Name)
		return true, nil
	}
	return true, err
}

// Left is what a run could not do.
type Left struct {
	Growing int   // files that may be half written
	Later   int64 // files that couldn't be read, and will be tried again
}

// Run registers what lies in the place now and returns when all of it has ended, whoever reads it.
func (i *Importer) Run(ctx context.Context) (left Left, err error) {
	found, err := i.scanner.scan(ctx)
	if err == nil && found.waiting > 0 {
		if err = i.all(ctx); err == nil {
			err = sleep(ctx, i.c.Settle)
		}
		if err == nil {
			found, err = i.scanner.scan(ctx)
		}
	}
	if err == nil {
		err = i.all(ctx)
	}
	if err != nil {
		return left, err
	}
	q, err := Queue(ctx, i.pool, i.location)
	return Left{found.waiting, q.Queued + q.Running}, err
}

// all reads until nothing is left that can be read now.
func (i *Importer) all(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for range i.c.Workers {
		workers.Go(func() {
			if err := i.drain(ctx); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

const sqlOpen = `
SELECT EXISTS (
    SELECT FROM ledger.import_files
    WHERE location = $1 AND state IN ('queued', 'running') AND (state = 'running' OR failures < $2))`

// mostTries is how often a run tries a file whose place fails.
const mostTries = 3

// drain reads files until none is open.
func (i *Importer) drain(ctx context.Context) error {
	for {
		took, err := i.one(ctx)
		if err != nil {
			return err
		}
		if took {
			continue
		}
		var open bool
		if err := i.pool.QueryRow(ctx, sqlOpen, i.location, mostTries).Scan(&open); err != nil {
			return fmt.Errorf("look for files: %w", err)
		}
		if !open {
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil { // others read the rest, or it waits for its time
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// tell says that a file has ended.
func (i *Importer) tell(f File, e ending) {
	i.stats.ended(e.state)
	if i.c.Ended == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if now, err := Get(ctx, i.pool, f.N); err == nil {
		f = now
	}
	i.c.Ended(f)
}

// Stats counts what an importer did since it was made.
type Stats struct {
	files                                  [len(endings)]atomic.Int64
	recorded, duplicate, conflict, invalid atomic.Int64
	failures                               atomic.Int64
}

// endings are the states in which a file can end, in the order of Stats.files.
var endings = [...]State{Done, Same, Failed, Changed, Gone}

func (s *Stats) ended(state State) {
	for n, e := range endings {
		if e == state {
			s.files[n].Add(1)
		}
	}
}

func (s *Stats) settled(sum wire.Summary) {
	s.recorded.Add(sum.Recorded)
	s.duplicate.Add(sum.Duplicate)
	s.conflict.Add(sum.Conflict)
	s.invalid.Add(sum.Invalid)
}

// Counts are the numbers of a Stats.
type Counts struct {
	Files    map[State]int64  // ended, by how
	Events   map[string]int64 // settled, by what became of them
	Failures int64            // of the place or the database; each was tried again
}

// Counts is what the importer did until now.
func (i *Importer) Counts() Counts {
	c := Counts{Files: map[State]int64{}, Failures: i.stats.failures.Load()}
	for n, e := range endings {
		c.Files[e] = i.stats.files[n].Load()
	}
	c.Events = map[string]int64{
		"recorded": i.stats.recorded.Load(), "duplicate": i.stats.duplicate.Load(),
		"conflict": i.stats.conflict.Load(), "invalid": i.stats.invalid.Load(),
	}
	return c
}
