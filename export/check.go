package export

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// CheckResult is what Check found in a file.
type CheckResult struct {
	Path     string
	Manifest Manifest
	SHA256   string // of the file, uncompressed
	Bytes    int64
	Rows     int64
	LateRows int64
	Sums     Sums
	Problems []string // each way in which the file isn't what its manifest says
}

// Check holds a file (.csv, .csv.gz, .csv.zst) against the manifest beside it: hash, size, header, rows, order,
// and the sums of every measure, which it adds up itself. It needs no database. If the file isn't what
// its manifest says, the result lists how and the error wraps ledger.ErrCorrupt.
func Check(ctx context.Context, path string) (CheckResult, error) {
	r := CheckResult{Path: path}
	var err error
	if r.Manifest, err = readManifest(manifestPath(path)); err != nil {
		return r, fmt.Errorf("check: %w", err)
	}
	in, err := open(path)
	if err != nil {
		return r, fmt.Errorf("check: %w", err)
	}
	defer in.Close()
	body := &hashed{to: io.Discard, hash: sha256.New()}
	c := newChecker(&r)
	if err := c.read(ctx, io.TeeReader(in, body)); err != nil {
		return r, fmt.Errorf("check %s: %w", path, err)
	}
	if _, err := io.Copy(body, in); err != nil { // what no reader of CSV gets to see
		c.problem("can't be read to its end: %v", err)
	}
	r.SHA256, r.Bytes, r.Sums = hex.EncodeToString(body.hash.Sum(nil)), body.bytes, plainSums(c.totals)
	c.compare()
	if len(r.Problems) > 0 {
		return r, fmt.Errorf("check %s: %s: %w", path, strings.Join(r.Problems, "; "), ledger.ErrCorrupt)
	}
	return r, nil
}

// checker reads a file the way its user would, with none of the code that wrote it.
type checker struct {
	r        *CheckResult
	measures map[string]int // by name: the column
	totals   map[string]map[string]decimal.Decimal
	last     int64
}

func newChecker(r *CheckResult) *checker {
	c := &checker{r: r, measures: map[string]int{}, totals: map[string]map[string]decimal.Decimal{}}
	for _, sums := range r.Manifest.Sums {
		for name := range sums {
			c.measures[name] = slices.Index(r.Manifest.Columns, name)
		}
	}
	c.measures["quantity"] = slices.Index(r.Manifest.Columns, "quantity")
	return c
}

// maxProblems bounds how much is said of one file.
const maxProblems = 20

func (c *checker) problem(format string, args ...any) {
	if len(c.r.Problems) < maxProblems {
		c.r.Problems = append(c.r.Problems, fmt.Sprintf(format, args...))
	}
}

func (c *checker) read(ctx context.Context, in io.Reader) error {
	lines := csv.NewReader(in)
	lines.ReuseRecord = true
	for n := 0; ; n++ {
		if n%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		cells, err := lines.Read()
		switch {
		case errors.Is(err, io.EOF):
			if n == 0 {
				c.problem("has no header")
			}
			return nil
		case err != nil:
			c.problem("can't be read after %d rows: %v", c.r.Rows, err)
			return nil
		case n > 0:
			c.row(cells)
		case !slices.Equal(cells, c.r.Manifest.Columns) || len(cells) < 3:
			c.problem("its header isn't the manifest's list of columns")
			return nil
		}
	}
}

func (c *checker) row(cells []string) {
	c.r.Rows++
	position, err := strconv.ParseInt(cells[0], 10, 64)
	if err != nil || position <= c.last || position > c.r.Manifest.Watermark {
		c.problem("row %d: position %q is out of order or above the watermark", c.r.Rows, cells[0])
	}
	c.last = position
	if cells[1] != c.r.Manifest.Month.String() {
		c.problem("row %d: booked_month is %q", c.r.Rows, cells[1])
	}
	if cells[2] != "" {
		c.r.LateRows++
	}
	at := slices.Index(c.r.Manifest.Columns, "currency")
	if at < 0 {
		return
	}
	currency := Unguard(cells[at])
	sums := c.totals[currency]
	if sums == nil {
		sums = map[string]decimal.Decimal{}
		c.totals[strings.Clone(currency)] = sums
	}
	for name, i := range c.measures {
		if i < 0 || cells[i] == "" {
			continue
		}
		amount, err := ledger.ParseAmount(cells[i])
		if err != nil {
			c.problem("row %d: %s %q is no decimal", c.r.Rows, name, cells[i])
			continue
		}
		sums[name] = sums[name].Add(amount.Decimal())
	}
}

func (c *checker) compare() {
	m, r := c.r.Manifest, c.r
	differs := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			c.problem("%s: the file has %v, the manifest says %v", what, got, want)
		}
	}
	name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(r.Path), ".gz"), ".zst")
	differs("name", name, m.File)
	differs("SHA-256", r.SHA256, m.SHA256)
	differs("bytes", r.Bytes, m.Bytes)
	differs("rows", r.Rows, m.Rows)
	differs("late rows", r.LateRows, m.LateRows)
	differs("sums", r.Sums, m.Sums)
	quantity := decimal.Zero
	for _, sums := range c.totals {
		quantity = quantity.Add(sums["quantity"])
	}
	differs("quantity", quantity.String(), m.Quantity)
}
