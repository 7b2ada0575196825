package imports

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg"
)

// scanner registers what lies in a place.
type scanner struct {
	place    Place
	location string
	rules    Rules
	settle   time.Duration
	pool     *pgxpool.Pool
	now      func() time.Time

	growing map[string]sighting // files of a directory that didn't stay the same for long enough yet
	known   map[string]Object   // as they are registered, so that the database isn't asked about them at each scan
}

// sighting is what a file looks like, and since when.
type sighting struct {
	Object
	since time.Time
}

// page is how many names are looked up, or registered, at a time.
const page = 1000

// scanned is what a scan found.
type scanned struct {
	added   int64 // files that are in the register now
	waiting int   // files that may be half written
}

// scan registers what is new and whole. Several importers may scan at once.
func (s *scanner) scan(ctx context.Context) (found scanned, err error) {
	all := map[string]Object{}
	err = s.place.List(ctx, func(o Object) error { all[o.Name] = o; return nil })
	if err != nil {
		return found, err
	}
	maps.DeleteFunc(s.growing, func(name string, _ sighting) bool { _, there := all[name]; return !there })
	maps.DeleteFunc(s.known, func(name string, _ Object) bool { _, there := all[name]; return !there })
	var whole []Object
	for _, name := range slices.Sorted(maps.Keys(all)) {
		rule := s.rules.For(name)
		if ignored(name) || rule.Skip {
			continue
		}
		o := all[name]
		if known, ok := s.known[name]; ok && known.same(o) {
			continue
		}
		_, marked := all[name+markerSuffix]
		if !s.whole(o, rule.Ready, marked) {
			found.waiting++
			continue
		}
		whole = append(whole, o)
	}
	for some := range slices.Chunk(whole, page) {
		n, err := s.register(ctx, some)
		found.added += n
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// whole reports whether a file was written to its end.
func (s *scanner) whole(o Object, ready Ready, marked bool) bool {
	switch {
	case ready == ReadyMarker:
		return marked
	case ready == ReadyAtOnce, ready == "" && s.place.Atomic():
		return true
	}
	now := s.now()
	was, ok := s.growing[o.Name]
	if !ok || !was.same(o) {
		was = sighting{o, now}
		s.growing[o.Name] = was
	}
	// Either clock will do: a file that lay there before we looked needn't wait for us, and one whose place has another
	// clock, or that bears the time of its original, is watched.
	if now.Sub(was.since) < s.settle && now.Sub(o.ModifiedAt) < s.settle {
		return false
	}
	delete(s.growing, o.Name)
	return true
}

// What is registered newest under each name.
const sqlNewest = `
SELECT DISTINCT ON (f.name) f.name, f.version, f.size, f.modified_at, f.state
FROM ledger.import_files f
WHERE f.location = $1 AND f.name = ANY($2)
ORDER BY f.name, f.version DESC`

// What another importer registers at the same time is there once.
const sqlRegister = `
INSERT INTO ledger.import_files (location, name, version, size, modified_at)
SELECT $1, name, version, size, modified_at
FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::timestamptz[]) AS found (name, version, size, modified_at)
ON CONFLICT ON CONSTRAINT import_files_once DO NOTHING`

// newest is what is registered last under a name.
type newest struct {
	Object
	version int
	state   State
}

// register puts objects in the register that aren't in it.
func (s *scanner) register(ctx context.Context, objects []Object) (int64, error) {
	names := make([]string, len(objects))
	for i, o := range objects {
		names[i] = o.Name
	}
	there := map[string]newest{}
	var n newest
	err := pg.ForEach(ctx, s.pool, []any{&n.Name, &n.version, &n.Size, &n.ModifiedAt, &n.state}, func() error {
		there[n.Name] = n
		return nil
	}, sqlNewest, s.location, names)
	if err != nil {
		return 0, fmt.Errorf("look up files: %w", err)
	}
	var versions []int
	var sizes []int64
	var times []time.Time
	names = names[:0]
	for _, o := range objects {
		was := there[o.Name]
		if was.registers(o) {
			names, versions = append(names, o.Name), append(versions, was.version+1)
			sizes, times = append(sizes, o.Size), append(times, o.ModifiedAt)
		} else if was.same(o) && was.state != Gone {
			s.known[o.Name] = o
		}
	}
	if len(names) == 0 {
		return 0, nil
	}
	tag, err := s.pool.Exec(ctx, sqlRegister, s.location, names, versions, sizes, times)
	if err != nil {
		return 0, fmt.Errorf("register files: %w", err)
	}
	for k, name := range names {
		s.known[name] = Object{name, sizes[k], times[k]}
	}
	return tag.RowsAffected(), nil
}

// registers reports whether o is a new file to a register that has n. What is queued or being read finds out by itself,
// when it is opened or at its end, that something else lies there.
func (n newest) registers(o Object) bool {
	switch {
	case n.version == 0, n.state == Gone:
		return true
	case n.state == Queued, n.state == Running:
		return false
	}
	return !n.same(o)
}
