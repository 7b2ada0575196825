package imports

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// bench is a place in memory and the register of its files.
type bench struct {
	*testing.T
	db     *pgtest.DB
	ledger *ledger.Ledger
	bucket Bucket
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db := pgtest.New(t)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t, db, l, Bucket{memblob.OpenBucket(nil)}}
	t.Cleanup(func() {
		if err := b.bucket.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *bench) put(name, text string) {
	b.Helper()
	if err := b.bucket.WriteAll(b.Context(), name, []byte(text), nil); err != nil {
		b.Fatal(err)
	}
}

// importer reads the bench's bucket, or another place.
func (b *bench) importer(place Place) *Importer {
	b.Helper()
	i, err := New(Config{Ledger: b.ledger, Place: place, Location: "mem://bench", Name: "test", Lease: time.Hour, Settle: time.Millisecond})
	if err != nil {
		b.Fatal(err)
	}
	return i
}

func (b *bench) run(place Place) Left {
	b.Helper()
	left, err := b.importer(place).Run(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return left
}

// newest is the file of that name that was registered last.
func (b *bench) newest(name string) File {
	b.Helper()
	files, err := List(b.Context(), b.db.App, ListQuery{Name: name})
	if err != nil || len(files) == 0 {
		b.Fatalf("%s: %d files, %v", name, len(files), err)
	}
	return files[0]
}

func (b *bench) events() (n int) {
	b.Helper()
	if err := b.db.App.QueryRow(b.Context(), `SELECT count(*) FROM ledger.events`).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

func lines(first, n int) string {
	var s strings.Builder
	for k := first; k < first+n; k++ {
		fmt.Fprintf(&s, `{"id":"e%d","source":"shop","stream":"o%d","seqn":1,"type":"sold","account":"acme","occurred_at":"2025-01-05T10:00:00Z","currency":"EUR","amount":"1.25"}`+"\n", k, k)
	}
	return s.String()
}

// faulty is a bucket in which something is wrong when a file is read.
type faulty struct {
	Bucket
	mu    sync.Mutex
	times int                              // that are still wrong
	wrong func(o *Opened) (*Opened, error) // what Open gives instead
}

func (f *faulty) Open(ctx context.Context, name string) (*Opened, error) {
	o, err := f.Bucket.Open(ctx, name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || f.times == 0 {
		return o, err
	}
	f.times--
	return f.wrong(o)
}

// broken reads a part, calls then, and fails.
type broken struct {
	io.ReadCloser
	left int64
	then func() error
}

func (r *broken) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, r.then()
	}
	n, err := r.ReadCloser.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	return n, err
}

// TestPlaceThatFails: a file whose place fails is read later, from where it stood, and each row is counted once.
func TestPlaceThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a.ndjson", lines(0, 25_000))
	place := &faulty{Bucket: b.bucket, times: 1, wrong: func(o *Opened) (*Opened, error) {
		o.ReadCloser = &broken{o.ReadCloser, o.Size * 9 / 10, func() error { return errors.New("the network is down") }}
		return o, nil
	}}
	if left := b.run(place); left != (Left{}) {
		t.Errorf("%+v", left)
	}
	f := b.newest("a.ndjson")
	if f.State != Done || f.Recorded != 25_000 || f.Duplicate != 0 || f.Attempt != 2 || b.events() != 25_000 || f.Reason != "" {
		t.Errorf("%d events, %+v", b.events(), f)
	}
	place.times, place.wrong = 99, func(o *Opened) (*Opened, error) { return nil, errors.Join(errors.New("no answer"), o.Close()) }
	b.put("b.ndjson", lines(50_000, 1))
	if left := b.run(place); left.Later != 1 {
		t.Errorf("a place that stays away: %+v", left)
	}
	if f := b.newest("b.ndjson"); f.State != Queued || !strings.Contains(f.Reason, "no answer") {
		t.Errorf("%+v", f)
	}
}

// TestFileThatIsTakenOver: who lost a file records nothing more of it, and what both saw is counted once.
func TestFileThatIsTakenOver(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a.ndjson", lines(0, 30_000))
	other := b.importer(b.bucket)
	place := &faulty{Bucket: b.bucket, times: 1, wrong: func(o *Opened) (*Opened, error) {
		slow := &broken{ReadCloser: o.ReadCloser, left: o.Size / 2}
		slow.then = func() error {
			// The lease ends while the place is silent, and another importer reads all of it.
			if _, err := b.db.App.Exec(b.Context(), `UPDATE ledger.import_files SET leased_until = clock_timestamp() - interval '1 second'`); err != nil {
				return err
			}
			if took, err := other.one(b.Context()); err != nil || !took {
				return fmt.Errorf("the other importer: %v, %w", took, err)
			}
			slow.left, slow.then = o.Size, func() error { return io.EOF }
			return nil
		}
		o.ReadCloser = slow
		return o, nil
	}}
	b.run(place)
	f := b.newest("a.ndjson")
	if f.State != Done || f.Recorded != 30_000 || f.Duplicate != 0 || f.Attempt != 2 || b.events() != 30_000 {
		t.Errorf("%d events, %+v", b.events(), f)
	}
}

// TestFileThatChangesWhileItIsRead isn't taken for what was registered.
func TestFileThatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a.ndjson", lines(0, 10))
	place := &faulty{Bucket: b.bucket, times: 1, wrong: func(o *Opened) (*Opened, error) {
		b.put("a.ndjson", lines(0, 12))
		return o, nil
	}}
	b.run(place)
	if f := b.newest("a.ndjson"); f.State != Failed || f.Recorded != 10 || !strings.Contains(f.Reason, "changed while it was read") {
		t.Errorf("%+v", f)
	}
	b.run(b.bucket)
	f := b.newest("a.ndjson")
	if f.State != Changed || f.Version != 2 || b.events() != 10 {
		t.Errorf("%+v", f)
	}
	if _, err := Decide(b.Context(), b.db.App, f.N, Retry, "it is right now", "jane"); err != nil {
		t.Fatal(err)
	}
	b.run(b.bucket)
	if f = b.newest("a.ndjson"); f.State != Done || f.Recorded != 2 || f.Duplicate != 10 || f.Pass != 2 {
		t.Errorf("%+v", f)
	}
}

// TestFileThatGoes is reported, and read when it comes back.
func TestFileThatGoes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a.ndjson", lines(0, 10))
	i := b.importer(b.bucket)
	if _, err := i.scanner.scan(b.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.bucket.Delete(b.Context(), "a.ndjson"); err != nil {
		t.Fatal(err)
	}
	b.run(b.bucket)
	if f := b.newest("a.ndjson"); f.State != Gone || f.Version != 1 {
		t.Errorf("%+v", f)
	}
	b.put("a.ndjson", lines(0, 10))
	b.run(b.bucket)
	if f := b.newest("a.ndjson"); f.State != Done || f.Version != 2 || f.Recorded != 10 {
		t.Errorf("%+v", f)
	}
}

// TestBadRowsAreKept with their lines, also behind a resume point, and no more than there is room for.
func TestBadRowsAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.put("a.ndjson", lines(0, 2)+"{\"id\":\"x\"}\nnot JSON\n"+strings.Replace(lines(1, 1), "1.25", "9.99", 1)+lines(2, 1))
	b.put("b.ndjson", strings.Repeat("?\n", MaxProblems+50))
	b.run(b.bucket)
	f := b.newest("a.ndjson")
	if f.State != Done || f.Recorded != 3 || f.Invalid != 2 || f.Conflict != 1 || f.Bad() != 3 {
		t.Errorf("%+v", f)
	}
	bad, err := Problems(b.Context(), b.db.App, f.N, 1, 0, 100)
	if err != nil || len(bad) != 3 {
		t.Fatalf("%+v, %v", bad, err)
	}
	for n, want := range []string{"3 invalid x", "4 invalid ", "5 conflict e1"} {
		if got := fmt.Sprintf("%d %s %s", bad[n].Line, bad[n].Status, bad[n].EventID); got != want || bad[n].Rule == "" {
			t.Errorf("%+v, want %s", bad[n], want)
		}
	}
	if len(bad[2].Differs) != 1 || bad[2].Differs[0] != "amount" || bad[2].Position == 0 {
		t.Errorf("%+v", bad[2])
	}
	f = b.newest("b.ndjson")
	if bad, err = Problems(b.Context(), b.db.App, f.N, 1, 0, MaxProblems+50); err != nil || len(bad) != MaxProblems || f.Invalid != MaxProblems+50 {
		t.Errorf("%d kept, %v, %+v", len(bad), err, f)
	}
}

// TestHalfWrittenFile is left alone until it stays the same.
func TestHalfWrittenFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dir := t.TempDir()
	place, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = place.Close() }()
	now := time.Now()
	i := b.importer(place)
	i.scanner.settle, i.scanner.now = time.Minute, func() time.Time { return now }
	scan := func(added int64, waiting int) {
		t.Helper()
		found, err := i.scanner.scan(t.Context())
		if err != nil || found.added != added || found.waiting != waiting {
			t.Errorf("found %+v, %v; want %d and %d that wait", found, err, added, waiting)
		}
	}
	grow := func(n int) {
		t.Helper()
		write(t, dir, "a.ndjson", lines(0, n))
		later := now.Add(time.Hour) // by the clock of the place
		if err := os.Chtimes(filepath.Join(dir, "a.ndjson"), later, later); err != nil {
			t.Fatal(err)
		}
	}
	grow(1)
	scan(0, 1)
	now = now.Add(30 * time.Second)
	grow(2)
	scan(0, 1)
	now = now.Add(40 * time.Second) // a minute after the first look, not after the last change
	scan(0, 1)
	now = now.Add(time.Minute)
	scan(1, 0)
	scan(0, 0)
	if f := b.newest("a.ndjson"); f.State != Queued || f.Size != int64(len(lines(0, 2))) {
		t.Errorf("%+v", f)
	}
	// It was not whole after all: what is there when it is opened counts, and nothing was read of the other.
	grow(3)
	if _, err := i.one(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := b.newest("a.ndjson")
	if f.State != Queued || f.Size != int64(len(lines(0, 3))) || f.Version != 1 || b.events() != 0 {
		t.Errorf("%+v", f)
	}
	if _, err := i.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f := b.newest("a.ndjson"); f.State != Done || f.Recorded != 3 || f.Version != 1 {
		t.Errorf("%+v", f)
	}
}
