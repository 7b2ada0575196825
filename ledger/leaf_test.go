package ledger_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

// Leaves of events with every column and every type, against texts and hashes of another program.
func TestKnownLeaves(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/leaves.json")
	if err != nil {
		t.Fatal(err)
	}
	var known []struct {
		Position     int64
		Insert, Text string
		Hash         proof.Hash
	}
	if err := json.Unmarshal(raw, &known); err != nil {
		t.Fatal(err)
	}
	_, s, db := sealing(t)
	for _, sqlType := range []string{"text", "bigint", "boolean", "date", "uuid"} {
		declareColumn(t, db, "d_"+sqlType, "dimension", sqlType, false)
	}
	if _, err := db.Super.Exec(t.Context(), `CREATE TABLE ledger.old PARTITION OF ledger.events FOR VALUES FROM ('2001-11-01') TO ('2001-12-01')`); err != nil {
		t.Fatal(err)
	}
	for _, k := range known {
		if _, err := db.Super.Exec(t.Context(), k.Insert); err != nil {
			t.Fatal(err)
		}
		text, hash, err := s.LeafOf(t.Context(), k.Position)
		if err != nil || text != k.Text || hash != k.Hash {
			t.Errorf("position %d: %v\n got %s %s\nwant %s %s", k.Position, err, text, hash, k.Text, k.Hash)
		}
	}
	// A column that is added later changes none of them.
	declareColumn(t, db, "added_later", "money", "numeric", false)
	for _, k := range known {
		if _, hash, err := s.LeafOf(t.Context(), k.Position); err != nil || hash != k.Hash {
			t.Errorf("position %d with another column: %s, %v", k.Position, hash, err)
		}
	}
}

// Times and dates of the whole range stand as the standard library would write them.
func TestTimesInLeaves(t *testing.T) {
	t.Parallel()
	epoch := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	r := rand.New(rand.NewPCG(1, 2))
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
	for i := range 200_000 {
		at := time.Unix(first+r.Int64N(last-first), int64(r.IntN(1_000_000))*1000).UTC()
		switch i % 4 {
		case 0:
			at = at.Truncate(time.Second)
		case 1:
			at = at.Truncate(10 * time.Millisecond)
		}
		if i < 3000 { // around the ends of years
			at = time.Date(1+i%9999, time.Month(1+i%12), 28+i%5, 0, 0, 0, 1000*(i%2), time.UTC)
		}
		micros := at.Unix()*1_000_000 + int64(at.Nanosecond())/1000 - epoch.Unix()*1_000_000
		want := at.Format("2006-01-02T15:04:05.999999Z")
		if got := string(ledger.AppendInstant(nil, micros)); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
		day := at.Truncate(24 * time.Hour)
		if got := string(ledger.AppendDay(nil, int32((day.Unix()-epoch.Unix())/86400))); got != day.Format(time.DateOnly) {
			t.Fatalf("%s, want %s", got, day.Format(time.DateOnly))
		}
	}
	for micros, want := range map[int64]string{math.MaxInt64: "infinity", math.MinInt64: "-infinity"} {
		if got := string(ledger.AppendInstant(nil, micros)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Numbers stand as PostgreSQL writes them without zeros that say nothing.
func TestNumbersInLeaves(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, fixed := range []string{"0", "0.000", "-0", "1", "10000", "0.0001", "-0.00001", "12345678901234567890123456789012345678", "99999999.00010000", "1e30", "NaN"} {
		numberInLeaf(t, db.App, fixed)
	}
	for range 300 {
		text := strconv.FormatInt(r.Int64N(1<<r.IntN(62)), 10) + "." + strconv.FormatInt(r.Int64N(1<<r.IntN(58)), 10)
		numberInLeaf(t, db.App, text)
		numberInLeaf(t, db.App, "-0.000"+strconv.Itoa(r.IntN(100000)))
	}
	if _, err := ledger.AppendValue(1700, []byte{0, 1}); err == nil {
		t.Error("a numeric of two bytes")
	}
	if _, err := ledger.AppendValue(20, []byte{0, 1}); err == nil {
		t.Error("a bigint of two bytes")
	}
	if _, err := ledger.AppendValue(600, make([]byte, 16)); err == nil {
		t.Error("a point has a canonical form")
	}
	if got, err := ledger.AppendValue(20, binary.BigEndian.AppendUint64(nil, 1<<63)); err != nil || got != "-9223372036854775808" {
		t.Errorf("%s, %v", got, err)
	}
}

func numberInLeaf(t *testing.T, db interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, text string,
) {
	t.Helper()
	var binaryForm []byte
	var want string
	if err := db.QueryRow(t.Context(), `SELECT numeric_send($1::text::numeric), '"' || trim_scale($1::text::numeric)::text || '"'`, text).Scan(&binaryForm, &want); err != nil {
		t.Fatal(err)
	}
	if got, err := ledger.AppendValue(1700, binaryForm); err != nil || got != want {
		t.Errorf("%s: %s, %v, want %s", text, got, err, want)
	}
}
