//go:build linux || darwin

package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// The real data: the order lines of an online shop over 13 months. What is known of it was added up by
// other programs.
const (
	realEnv      = "DELTALEDGER_REAL_DATA" // the folder that holds it
	realFile     = "online-retail-2010-2011.events.csv.gz"
	realEvents   = 541_909
	realAmount   = "9747747.934"
	realAccounts = 4_373
	realStreams  = 25_900
)

// realPath is where the data is; empty where there is none, which only a machine of the developer's may
// have.
func realPath(t *testing.T) string {
	t.Helper()
	dir := os.Getenv(realEnv)
	if dir == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s isn't set, so nothing was tried on real data", realEnv)
		}
		t.Logf("%s isn't set: nothing was tried on real data", realEnv)
		return ""
	}
	return filepath.Join(dir, realFile)
}

// TestRealData records the whole file, twice and with one amount changed, and holds the totals against
// what is known of it.
func TestRealData(t *testing.T) {
	t.Parallel()
	path := realPath(t)
	if path == "" {
		return
	}
	p := newProgram(t)
	var sum summary
	if p.ask(&sum, "ingest", path); sum.Recorded != realEvents || sum.Duplicate+sum.Conflict+sum.Invalid != 0 {
		t.Errorf("first ingest: %+v", sum)
	}
	if p.ask(&sum, "ingest", path); sum.Duplicate != realEvents || sum.Recorded+sum.Conflict+sum.Invalid != 0 {
		t.Errorf("second ingest: %+v", sum)
	}
	changed := filepath.Join(p.dir, "changed.csv")
	splitReal(t, path, func(line int, record []string) string {
		if line == 1000 {
			record[8] += "1"
		}
		return changed
	})
	r := p.run("ingest", changed, "--output", "json")
	document(t, r.stdout, &sum)
	if r.code != exitFailed || sum.Conflict != 1 || sum.Duplicate != realEvents-1 || !strings.Contains(r.stderr, "[amount]") {
		t.Errorf("one amount changed: exit code %d, %+v\n%s", r.code, sum, r.stderr)
	}
	realTotals(t, p)
	p.must("close", "--through", "2011-12-31")
	super := p.connect(embedded.Superuser)
	refusesChanges(t, super)
	tiesOut(t, super)
}

func realTotals(t *testing.T, p *program) {
	t.Helper()
	totals := func(args ...string) (lines []string) {
		var groups []group
		p.ask(&groups, append([]string{"aggregate", "--measure", "amount,quantity"}, args...)...)
		for _, g := range groups {
			lines = append(lines, strings.TrimSpace(fmt.Sprintf("%s%s %s %d", g.Type, g.Month, g.Amount, g.Count)))
		}
		return lines
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{nil, []string{realAmount + " 541909"}},
		{[]string{"--by", "type"}, []string{"line.adjusted -22124.12 2517", "line.cancelled -896812.49 9288", "line.sold 10666684.544 530104"}},
		{[]string{"--by", "month"}, []string{
			"2010-12 748957.02 42481", "2011-01 560000.26 35147", "2011-02 498062.65 27707", "2011-03 683267.08 36748", "2011-04 493207.121 29916",
			"2011-05 723333.51 37030", "2011-06 691123.12 36874", "2011-07 681300.111 39518", "2011-08 682680.51 35284", "2011-09 1019687.622 50226",
			"2011-10 1070704.67 60742", "2011-11 1461756.25 84711", "2011-12 433668.01 25525",
		}},
	} {
		if got := totals(c.args...); !slices.Equal(got, c.want) {
			t.Errorf("aggregate %v: %q, want %q", c.args, got, c.want)
		}
	}
	var groups []group
	p.ask(&groups, "aggregate", "--measure", "quantity")
	if len(groups) != 1 || groups[0].Quantity != "5176450" {
		t.Errorf("quantity: %+v", groups)
	}
	for key, want := range map[string]int{"account": realAccounts, "stream": realStreams} {
		p.ask(&groups, "aggregate", "--measure", "amount", "--by", key)
		if len(groups) != want {
			t.Errorf("%d groups by %s, want %d", len(groups), key, want)
		}
	}
}

// TestRealLate holds back one event in a hundred until the months are closed and pulled.
func TestRealLate(t *testing.T) {
	t.Parallel()
	path := realPath(t)
	if path == "" {
		return
	}
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			lateReal(t, path, seed)
		})
	}
}

func lateReal(t *testing.T, path string, seed uint64) {
	p := newProgram(t)
	first, rest := filepath.Join(p.dir, "first.csv"), filepath.Join(p.dir, "rest.csv")
	var held int64
	splitReal(t, path, func(_ int, record []string) string {
		h := fnv.New64a()
		_, _ = fmt.Fprint(h, seed, "/", record[0]) // a hash takes everything
		if h.Sum64()>>11%100 == 0 {
			held++
			return rest
		}
		return first
	})
	p.must("ingest", first)
	var r closeResult
	if p.ask(&r, "close", "--through", "2011-12-31"); r.Pinned != realEvents-held || r.Late != 0 || len(r.Frozen) != 13 {
		t.Errorf("close with %d events held back: %+v", held, r)
	}
	months := r.Frozen
	pull := func(dir string) {
		for _, month := range months {
			p.must("export", "month", month, "--out", dir)
		}
	}
	pull("before")
	p.must("ingest", rest)
	pull("after")
	for _, month := range months {
		name := "events-" + month + ".csv"
		same(t, filepath.Join(p.dir, "before", name), filepath.Join(p.dir, "after", name))
	}
	var run struct {
		Late, Healed int64
		Findings     []struct{ Detail string }
	}
	if p.ask(&run, "reconcile"); run.Late != held || run.Healed != held || len(run.Findings) != 0 {
		t.Errorf("reconcile: %d late, %d healed of %d held back; %v", run.Late, run.Healed, held, run.Findings)
	}
	if p.ask(&r, "close", "--through", "2012-01-31"); r.Pinned != held || r.Late != held {
		t.Errorf("close of the next cycles with %d late events: %+v", held, r)
	}
	p.must("export", "month", "2012-01", "--freeze", "--out", "after")
	if p.ask(&run, "reconcile"); run.Late != 0 || len(run.Findings) != 0 {
		t.Errorf("second reconcile: %+v", run)
	}
	eachInOneFile(t, filepath.Join(p.dir, "after"))
	tiesOut(t, p.connect(embedded.Superuser))
}

// splitReal copies the data, uncompressed, into the files that to names for its lines, which are counted
// from 1 without the header. to may change the record.
func splitReal(t *testing.T, path string, to func(line int, record []string) string) {
	t.Helper()
	in, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }() // only read
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	records := csv.NewReader(bufio.NewReaderSize(unzipped, 1<<20))
	header, err := records.Read()
	if err != nil {
		t.Fatal(err)
	}
	type output struct {
		file *os.File
		*csv.Writer
	}
	files := map[string]output{}
	for line := 1; ; line++ {
		record, err := records.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := to(line, record)
		w, ok := files[name]
		if !ok {
			f, err := os.Create(name)
			if err != nil {
				t.Fatal(err)
			}
			w = output{f, csv.NewWriter(bufio.NewWriterSize(f, 1<<20))}
			files[name] = w
			if err := w.Write(header); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range files {
		w.Flush()
		if err := errors.Join(w.Error(), w.file.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// eachInOneFile: the frozen files of a directory hold every event, each once (invariant 9).
func eachInOneFile(t *testing.T, dir string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "events-*.csv"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	for _, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		records := csv.NewReader(bufio.NewReaderSize(f, 1<<20))
		header, err := records.Read()
		if err != nil {
			t.Fatal(err)
		}
		position := slices.Index(header, "position")
		for {
			record, err := records.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if other, ok := seen[record[position]]; ok {
				t.Errorf("position %s is in %s and in %s", record[position], other, path)
			}
			seen[strings.Clone(record[position])] = path
		}
		_ = f.Close() // only read
	}
	if len(seen) != realEvents {
		t.Errorf("%d events in %d frozen files, not %d", len(seen), len(paths), realEvents)
	}
}

// tiesOut holds events, pins, lines, invoices and numbers of the real data against one another.
func tiesOut(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, c := range []struct{ what, query, want string }{
		{"events", `SELECT count(*)::text FROM ledger.events`, "541909"},
		{"identities", `SELECT count(*)::text FROM ledger.event_keys`, "541909"},
		{"events without exactly one live pin", `
			SELECT count(*)::text
			FROM ledger.events e
			LEFT JOIN (SELECT account, position, count(*) FROM billing.pins_v1 WHERE live GROUP BY 1, 2) p USING (account, position)
			WHERE p.count IS DISTINCT FROM 1`, "0"},
		{"pins", `SELECT count(*)::text FROM billing.pins`, "541909"},
		{"sum over events", `SELECT trim_scale(sum(amount))::text FROM ledger.events`, realAmount},
		{"sum over lines before rounding", `SELECT trim_scale(sum(exact))::text FROM billing.invoice_lines`, realAmount},
		{"invoices whose total isn't the sum of their lines", `
			SELECT count(*)::text
			FROM billing.invoices i
			WHERE i.total IS DISTINCT FROM (SELECT sum(l.amount) FROM billing.invoice_lines l WHERE l.account = i.account AND l.invoice_id = i.id)`, "0"},
	} {
		if got := one[string](t, conn, c.query); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	numbersHaveNoGaps(t, conn)
}

// numbersHaveNoGaps: every invoice has one number, and the numbers are 1 to n.
func numbersHaveNoGaps(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var invoices, numbers, distinct, first, last int64
	err := conn.QueryRow(context.Background(), `
		SELECT (SELECT count(*) FROM billing.invoices), count(*), count(DISTINCT number), COALESCE(min(number), 1), COALESCE(max(number), 0)
		FROM billing.invoice_numbers`).Scan(&invoices, &numbers, &distinct, &first, &last)
	if err != nil {
		t.Fatal(err)
	}
	if numbers != invoices || distinct != numbers || first != 1 || last != numbers {
		t.Errorf("%d invoices have %d numbers, %d of them distinct, from %d to %d", invoices, numbers, distinct, first, last)
	}
}
